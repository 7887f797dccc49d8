"""The doctor: everything that is not as it should be, with its proof, its age and what puts it right.

Rules: looking does nothing that would not be done in the next seconds anyway; what is put right is what the passes of
repair and of the reconciler put right, by their own rules, so a live address is never touched; what was looked for and
could not be seen is a finding too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.findings import Finding
from mooring.core.moments import moment
from mooring.core.networks import Network, Origin
from mooring.ports import Clock, Engine
from mooring.services.engine_changes import EngineChanges
from mooring.services.ipam import Ipam
from mooring.services.mirror import Mirror
from mooring.services.reclaiming import Reclaiming
from mooring.services.reconciling import Reconciling
from mooring.services.repair import Repair
from mooring.services.roster import Roster
from mooring.services.symptoms import MAKING, astray, idle_pools, old_intents, overdue, stale_endpoints, unlike

_KERNEL = "kernel "


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is not as it should be, and what was put right, or would be, one line each. notes: what is as it should be,
    and good to know."""

    at: float
    findings: tuple[Finding, ...]
    done: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()


class Doctor:
    """`examine` and `fix`. engine, reconciling, changes: None where there is no engine. host: our id in leases."""

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        ipam: Ipam,
        repair: Repair,
        reclaiming: Reclaiming,
        reconciling: Reconciling | None,
        engine: Engine | None,
        clock: Clock,
        host: str,
        changes: EngineChanges | None = None,
    ) -> None:
        self._mirror = mirror
        self._roster = roster
        self._ipam = ipam
        self._repair = repair
        self._reclaiming = reclaiming
        self._reconciling = reconciling
        self._engine = engine
        self._clock = clock
        self._host = host
        self._changes = changes
        self._notes: tuple[Finding, ...] = ()
        self._first: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def examine(self) -> Diagnosis:
        """What is not as it should be now. Raises no Fault."""
        async with self._turn:
            return Diagnosis(self._clock.now(), await self._look(), notes=self._notes)

    async def fix(self, dry: bool) -> Diagnosis:
        """What can be put right is, and what is left is found; dry: what would be, and everything that is found.

        Raises no Fault.
        """
        async with self._turn:
            before = await self._look()
            if dry:
                done = [f"{finding.text}: would be put right" for finding in before if finding.fixable]
                return Diagnosis(self._clock.now(), before, tuple(done), self._notes)
            if self._reconciling is not None:
                missed = {finding.subject for finding in await self._reconciling.once()}
                await self._reconciling.once(eager=not missed & self._young())
            report = await self._repair.once()
            after = await self._look()
            left = {finding.subject for finding in after}
            done = [f"{finding.text}: put right" for finding in before if _went(finding, left)]
            return Diagnosis(self._clock.now(), after, (*done, *report.repaired), self._notes)

    def _young(self) -> set[str]:
        """What the reconciler calls the endpoints that were only just made. dockerd lists them at the end of a start:
        until then no container seems to have them."""
        now = self._clock.now()
        return {f"endpoint {each.id}" for each in self._mirror.every(Endpoint) if now - each.created < MAKING}

    async def _look(self) -> tuple[Finding, ...]:
        found: list[Finding] = []
        if self._reconciling is not None:
            findings = await self._reconciling.once()
            young = self._young()
            found += [finding for finding in findings if finding.subject not in young]
        found += self._reclaiming.missing
        found += await self._of_kernel()
        engine = await self._of_engine(found)
        now = self._clock.now()
        found += old_intents(self._mirror, now, engine)
        found += overdue(self._mirror, now)
        found += unlike(self._mirror, self._roster, self._host)
        return self._dated(found)

    def _dated(self, found: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings once each, what a person must see to first; those without an age have the first sighting's."""
        unique = {finding.subject: finding for finding in found}
        now = self._clock.now()
        self._first = {subject: self._first.get(subject, now) for subject in unique}
        dated = [replace(each, since=min(each.since, self._first[each.subject])) for each in unique.values()]
        return tuple(sorted(dated, key=lambda each: (each.fixable, each.since, each.subject)))

    async def _of_kernel(self) -> list[Finding]:
        """What a repair pass would put right, and what the last one could not."""
        now, report = self._clock.now(), self._repair.report
        found = list[Finding]()
        if report is not None:
            proof = f"the look at the kernel at {moment(report.at)}"
            found += [Finding(f"repair {text}", text, proof, report.at) for text in report.findings]
        try:
            once, again = (await self._repair.preview()).repaired, tuple[str, ...]()
            if once:  # a record is written before the kernel follows: what is just being made shows once only
                again = (await self._repair.preview()).repaired
        except Fault as fault:
            return [
                *found,
                Finding("kernel", "the kernel cannot be read", str(fault), now, "see the log of the daemon"),
            ]
        remedy = "it is put right in time by itself"
        found += [
            Finding(_KERNEL + _part(text), text, "kernel and records compared", now, remedy, fixable=True)
            for text in again
            if text in once
        ]
        return found

    async def _of_engine(self, found: list[Finding]) -> str:
        """Add what the engine's networks and containers tell; the engine's id, "" when it cannot be asked."""
        self._notes = ()
        if self._engine is None:
            return ""
        try:
            view = await self._engine.view()
            _, containers = await self._engine.containers()
            told = {finding.subject.rpartition(" ")[2] for finding in found}
            found += [
                finding
                for finding in idle_pools(self._mirror, self._ipam, view, self._clock.now())
                if finding.subject.rpartition(" ")[2] not in told
            ]
            refused = {finding.subject.split(" ")[1] for finding in found if finding.subject.startswith("adopt ")}
            running = [container for container in containers if container.id not in refused]
            found += astray(self._ipam.tenures, running, self._clock.now())
            if self._changes is not None:
                version = await self._engine.api_version()
                found += await self._changes.next_starts(version, containers, self._clock.now())
                self._notes = tuple(self._changes.notes(version, containers, self._clock.now()))
            for network in self._mirror.every(Network):
                if network.origin is Origin.LIBRARY or network.id not in view.networks:
                    continue
                seen = await self._engine.network(network.id)
                if seen is not None:
                    found += stale_endpoints(network, seen, self._roster, containers, self._clock.now())
        except Fault as fault:
            text = "the engine cannot be asked, so what it has was not looked at"
            found.append(Finding("engine", text, str(fault), self._clock.now(), "see `systemctl status docker`"))
            return ""
        return view.id


def _part(text: str) -> str:
    """Which part of the kernel a line of repair is about, the same however much of it there is."""
    part, colon, _ = text.partition(": ")
    return part if colon else "leftovers"


def _went(finding: Finding, left: set[str]) -> bool:
    """Whether the finding was put right; what repair did to the kernel it says itself."""
    return finding.subject not in left and finding.fixable and not finding.subject.startswith(_KERNEL)
