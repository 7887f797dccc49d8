"""Whether the daemon can do what it is for, asked by people, load balancers and scripts that wait.

Rule: nothing is looked at for an answer; it says what was seen last, and since when.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.core.findings import Report
from mooring.core.readiness import Readiness, ReadinessPart, must_be_ready, waits
from mooring.ports import Clock
from mooring.services.containers.engine_session import EngineSession


class ReadinessChecks:
    """`ready` and `must_be_loaded`. loaded: since when the records are read, None before.

    began: when the daemon did. report: of the last repair pass. session: with the engine, None where there is none.
    """

    def __init__(
        self, clock: Clock, began: float, report: Callable[[], Report | None], session: EngineSession | None
    ) -> None:
        self._clock = clock
        self._began = began
        self._report = report
        self._session = session
        self.loaded: float | None = None

    def note_loaded(self) -> None:
        """The records are read now."""
        self.loaded = self._clock.now()

    def must_be_loaded(self) -> None:
        """Raises Unavailable until then."""
        must_be_ready([self._records()], self._clock.now())

    def ready(self) -> Readiness:
        """What is ready, and what it waits for. Raises Unavailable, which says the same of what is needed."""
        return must_be_ready(self._parts(), self._clock.now())

    @property
    def is_ready(self) -> bool:
        """Whether `ready` raises nothing."""
        return all(part.ready for part in self._parts() if part.needed)

    def waits(self) -> list[str]:
        """What is waited for, one line each."""
        return waits(self._parts(), self._clock.now())

    def _parts(self) -> list[ReadinessPart]:
        parts = [self._records(), self._kernel()]
        if self._session is not None:
            parts.append(self._docker(self._session))
        return parts

    def _records(self) -> ReadinessPart:
        if self.loaded is None:
            return ReadinessPart("records", False, self._began, "the store is being read")
        return ReadinessPart("records", True, self.loaded, "read from the store")

    def _kernel(self) -> ReadinessPart:
        report = self._report()
        if report is None:
            since = self._began if self.loaded is None else self.loaded
            return ReadinessPart("kernel", False, since, "the kernel is being compared with the records")
        count = len(report.findings)
        said = f"compared with the records, {count} finding{'' if count == 1 else 's'}"
        return ReadinessPart("kernel", True, report.at, said)

    def _docker(self, session: EngineSession) -> ReadinessPart:
        since = session.since if session.since is not None else self._began
        if session.met:
            return ReadinessPart("docker", True, since, "its events are followed", needed=False)
        text = "Docker does not answer: what containers ask for by label, and the end of removed ones, wait for it"
        return ReadinessPart("docker", False, since, text, needed=False)
