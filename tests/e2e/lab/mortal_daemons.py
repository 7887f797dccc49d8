"""`mooring serve` that ends by SIGKILL before a step that a test names, and who tells it: Death.

A step is a commit to the store, a change of the kernel, or a deletion of links: before the next one is after the last.
The program is this module, run with the file of its fate in MORTAL.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mooring.__main__ import main as serve
from mooring.adapters.linux.kernel_facts import FactWriter, Undo
from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.links import Links
from mooring.adapters.sqlite import sqlite_store
from mooring.core.plumbing import Op, fact_of
from tests.e2e.lab.daemons import SOURCE
from tests.e2e.lab.hosts import Host

_NAME = "MORTAL"


class Death:
    """Of the daemon of a host, from its next start on."""

    def __init__(self, host: Host) -> None:
        self._file = host.folder / "mortal"
        host.daemon.environment |= {_NAME: str(self._file), "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}
        host.daemon.command[host.daemon.command.index("mooring")] = __name__

    def arm(self, number: int) -> None:
        """Before the step of that number from now on, 1 for the next; 0 for never."""
        self._file.write_text(str(number))

    @property
    def at(self) -> str:
        """The step before which it came; "" while it did not."""
        text = self._file.read_text()
        return "" if text.isdigit() else text


class _Fate:
    """Counts steps in the daemon, in whatever thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def step(self, what: str) -> None:
        """Dies when it is time; the file says of what."""
        with self._lock, suppress(FileNotFoundError, ValueError):
            left = int(self._file.read_text())
            if left == 1:
                self._file.write_text(what)
                os.kill(os.getpid(), signal.SIGKILL)
            if left:
                self._file.write_text(str(left - 1))


def main() -> None:
    """Serve until then."""
    fate = _Fate(Path(os.environ[_NAME]))
    writer = sqlite_store._Writer
    commit, change, delete = writer._commit_group, FactWriter._carry_out, Discards.flush

    def committed(self: Any, jobs: Any) -> None:
        keys = [key for job in jobs for key in (*job.transaction.put, *job.transaction.delete)]
        fate.step(f"commit of {', '.join(keys)}")
        commit(self, jobs)

    def carried_out(self: FactWriter, steps: Sequence[Op]) -> Iterator[Undo]:
        fate.step("; ".join(f"{type(op).__name__} {fact_of(op)}" for op in steps))
        yield from change(self, steps)

    def flushed(self: Discards, links: Links) -> None:
        if self.pending():
            fate.step(f"deletion of {', '.join(self.doomed())}")
        delete(self, links)

    for owner, name, mortal in (
        (writer, "_commit_group", committed), (FactWriter, "_carry_out", carried_out), (Discards, "flush", flushed)
    ):  # fmt: skip
        setattr(owner, name, mortal)
    serve()


if __name__ == "__main__":
    main()
