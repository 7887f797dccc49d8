"""The doctor: everything that is not as it should be, with its proof, its age and what puts it right.

Rules: looking does nothing that would not be done in the next seconds anyway, but for asking other hosts; what is put
right is what the passes of repair and of the reconciler put right, by their own rules, so a live address is never
touched; what was looked for and could not be seen is a finding too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace

from mooring.core.dns_views import DnsServerView
from mooring.core.endpoints import Endpoint
from mooring.core.engines import EngineView
from mooring.core.faults import Fault, Unavailable
from mooring.core.findings import AUTOMATIC, Diagnosis, Finding
from mooring.core.networks import Network, Origin
from mooring.core.times import moment
from mooring.ports import Clock, Engine
from mooring.services.assembly import Services
from mooring.services.containers.engine_upgrades import EngineChanges
from mooring.services.operations.checks import (
    MAKING,
    astray,
    idle_pools,
    old_intents,
    overdue,
    stale_endpoints,
    unanswered,
    unchecked,
    unlike,
)
from mooring.services.operations.network_port_rows import NetworkPortRows
from mooring.services.operations.next_starts import label_findings
from mooring.services.operations.subnet_pool_rows import strayed_networks, unused_subnet_pools

_KERNEL = "kernel "
# Seconds that the engine has for all that it is asked in one look; the person who looks has the rest in five.
PATIENCE = 4.0


class Doctor:
    """`examine` and `fix`. engine, changes: None where there is no engine. host: our id in leases. further: what
    the site's nameservers do not get, and what is not well with this host in its cluster. others: what other hosts and
    the cluster's servers are asked for; both raise no Fault."""

    def __init__(
        self,
        services: Services,
        engine: Engine | None,
        clock: Clock,
        host: str,
        changes: EngineChanges | None = None,
        dns_server: Callable[[], Awaitable[DnsServerView]] | None = None,
        further: Callable[[], Iterable[Finding]] | None = None,
        others: Callable[[], Awaitable[Iterable[Finding]]] | None = None,
    ) -> None:
        self._cache, self._endpoint_index, self._ipam = services.cache, services.endpoint_index, services.ipam
        self._repair, self._garbage_collector = services.repair, services.garbage_collector
        keeping = services.keeping
        self._container_reconciler = keeping.container_reconciler if keeping is not None else None
        self._engine = engine
        self._clock = clock
        self._host = host
        self._changes = changes
        self._dns_server = dns_server
        self._further = further
        self._others = others
        self._network_ports = NetworkPortRows(self._cache, self._endpoint_index, self._ipam)
        self._notes: tuple[Finding, ...] = ()
        self._first: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def examine(self) -> Diagnosis:
        """What is not as it should be now. Raises no Fault."""
        async with self._turn:
            found, _ = await self._look()
            return Diagnosis(self._clock.now(), found, notes=self._notes)

    async def fix(self, dry: bool) -> Diagnosis:
        """What can be put right is, and what is left is found; dry: what would be, and everything that is found.

        Raises no Fault.
        """
        async with self._turn:
            before, answers = await self._look()
            if dry:
                done = [f"{finding.text}: would be fixed" for finding in before if finding.fixable]
                return Diagnosis(self._clock.now(), before, tuple(done), dry_run=True, notes=self._notes)
            if self._container_reconciler is not None and answers:
                missed = {finding.subject for finding in await self._container_reconciler.once()}
                await self._container_reconciler.once(eager=not missed & self._young())
            report = await self._repair.once()
            after, _ = await self._look(answers)
            left = {finding.subject for finding in after}
            done = [f"{finding.text}: fixed" for finding in before if _went(finding, left)]
            return Diagnosis(self._clock.now(), after, (*done, *report.repaired), notes=self._notes)

    def _young(self) -> set[str]:
        """What the reconciler calls the endpoints that were only just made. dockerd lists them at the end of a start:
        until then no container seems to have them."""
        now = self._clock.now()
        return {f"endpoint {each.id}" for each in self._cache.every(Endpoint) if now - each.created < MAKING}

    async def _look(self, ask: bool = True) -> tuple[tuple[Finding, ...], bool]:
        """What is found, and whether the engine answered. ask: it may be asked; else it did not answer just now."""
        async with asyncio.TaskGroup() as tasks:  # whoever does not answer takes his time, beside the others
            others = tasks.create_task(self._of_others())
            found, answers = await self._of_this_host(ask)
        return self._dated([*found, *others.result()]), answers

    async def _of_others(self) -> Iterable[Finding]:
        return await self._others() if self._others is not None else ()

    async def _of_this_host(self, ask: bool) -> tuple[list[Finding], bool]:
        """As `_look`."""
        self._notes = ()
        found: list[Finding] = []
        view: EngineView | None = None
        why = "" if ask else "it did not answer a moment ago"
        until = asyncio.get_running_loop().time() + PATIENCE
        try:
            if ask and self._engine is not None:
                async with _patience(until):
                    view = await self._engine.view()
                    found += await self._reconciled()
        except Fault as fault:
            why = str(fault)
            found += self._container_reconciler.findings if self._container_reconciler is not None else ()
        found += self._garbage_collector.missing
        found += await self._of_kernel()
        try:
            if view is not None and not why:
                async with _patience(until):
                    await self._of_engine(found, view)
        except Fault as fault:
            why = str(fault)
        if why:
            text = "Docker cannot be reached, so its containers and networks were not checked"
            found.append(Finding("engine", text, why, self._clock.now(), "see `systemctl status docker`"))
        now, ident = self._clock.now(), view.id if view is not None and not why else ""
        for look in (
            old_intents(self._cache, now, ident),
            overdue(self._cache, now),
            unlike(self._cache, self._endpoint_index, self._host),
            unused_subnet_pools(self._cache, self._ipam.subnet_pools.declared(), now),
            self._network_ports.unusable(now),
            unanswered(await self._dns_server(), now) if self._dns_server is not None else (),
            self._further() if self._further is not None else (),
        ):
            await asyncio.sleep(0)
            found += look
        self._notes += tuple(unchecked(self._cache))
        self._notes += tuple(strayed_networks(self._cache, self._ipam.subnet_pools.declared()))
        return found, not why

    async def _reconciled(self) -> list[Finding]:
        """What the reconciler finds now."""
        if self._container_reconciler is None:
            return []
        findings = await self._container_reconciler.once()
        young = self._young()
        return [finding for finding in findings if finding.subject not in young]

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
            proof = f"kernel check at {moment(report.at)}"
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
        found += [
            Finding(_KERNEL + _part(text), text, "the kernel differs from the records", now, AUTOMATIC, fixable=True)
            for text in again
            if text in once
        ]
        return found

    async def _of_engine(self, found: list[Finding], view: EngineView) -> None:
        """Add what the engine's networks tell. Raises Unavailable."""
        assert self._engine is not None
        _, containers = await self._engine.containers()
        told = {finding.subject.rpartition(" ")[2] for finding in found}
        found += [
            finding
            for finding in idle_pools(self._cache, self._ipam, view, self._clock.now())
            if finding.subject.rpartition(" ")[2] not in told
        ]
        await asyncio.sleep(0)
        refused = {finding.subject.split(" ")[1] for finding in found if finding.subject.startswith("refused-address ")}
        running = [container for container in containers if container.id not in refused]
        found += astray(self._ipam.fixed_index, running, self._clock.now())
        await asyncio.sleep(0)
        if self._cache.count(Network):
            found += label_findings(containers, self._cache, self._clock.now())
            await asyncio.sleep(0)
            found += self._ipam.kept_networks.findings()
            found += self._network_ports.unheeded(containers, self._clock.now())
        if self._changes is not None:
            version = await self._engine.api_version()
            await asyncio.sleep(0)
            found += await self._changes.next_starts(version, containers, self._clock.now())
            await asyncio.sleep(0)
            self._notes = tuple(self._changes.notes(version, containers, self._clock.now()))
        for network in self._cache.every(Network):
            await asyncio.sleep(0)
            if network.origin is Origin.LIBRARY or network.id not in view.networks:
                continue
            seen = await self._engine.network(network.id)
            if seen is not None:
                found += stale_endpoints(network, seen, self._endpoint_index, containers, self._clock.now())


@contextlib.asynccontextmanager
async def _patience(until: float) -> AsyncIterator[None]:
    """What is not done at that time of the loop is given up. Raises Unavailable then."""
    try:
        async with asyncio.timeout_at(until) as scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unavailable(f"it did not answer within {PATIENCE:g} s") from None


def _part(text: str) -> str:
    """Which part of the kernel a line of repair is about, the same however much of it there is."""
    part, colon, _ = text.partition(": ")
    return part if colon else "leftovers"


def _went(finding: Finding, left: set[str]) -> bool:
    """Whether the finding was put right; what repair did to the kernel it says itself."""
    return finding.subject not in left and finding.fixable and not finding.subject.startswith(_KERNEL)
