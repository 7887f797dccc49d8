"""Making the kernel what the records say, at start and ever after: after a reboot, `nft flush ruleset`, a deleted
bridge.

Rules: what is right is not touched; what a record has and the kernel lacks is built again, network by network, so that
a plugin call waits for its own network at the most; what the kernel has of ours without a record goes, unless it lives
(networking/restored_store.py); an interface that went with its container is not invented anew.

No lock is needed: services write the record first and call the kernel afterwards, the kernel carries out calls in the
order in which they were made, and a pass decides from the records in the same step in which it makes its call. So what
a pass adds or removes wrongly because a record is just changing is put right by the call that follows the record. What
was observed is older than the records, though: of an endpoint that came since, nothing is a leftover.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mooring.core.datapath import endpoint_facts, host_end, host_facts, network_facts, port_facts
from mooring.core.domains import domain_facts
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Fault
from mooring.core.findings import Report
from mooring.core.networks import Network, Origin
from mooring.core.plumbing import DockerAccept, Fact, GuardedPort, LinkFact, Remove, Setting, Veth, Vxlan, plan
from mooring.core.port_bindings import PortBinding
from mooring.core.port_security import PORT_SECURITY
from mooring.ports import Kernel
from mooring.services.drivers.foreign_bridges import ForeignBridges
from mooring.services.drivers.port_security_support import PortSecurity, is_table
from mooring.services.networking.garbage_collector import GarbageCollector
from mooring.services.networking.overlays import Overlays
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.networking.restored_store import RestoredStore, Spared
from mooring.services.networking.vnic_repair import VnicRepair
from mooring.services.records.endpoint_index import Records
from mooring.services.records.exposures import Exposures
from mooring.services.records.pacing import Pace

log = logging.getLogger(__name__)

# What Docker's own chains must let pass.
DOCKER = frozenset({DockerAccept(4), DockerAccept(6)})

# Seconds between the passes after a nudge.
HURRIED = (0.5, 1.0, 2.0)
# Facts that are made at a stretch, and networks that are compared.
PART = 500
STRETCH = 8


@dataclass(slots=True)
class _Pass:
    """alone: see Repair.once. dry: nothing is changed, and `repaired` is what would be."""

    alone: bool = False
    dry: bool = False
    repaired: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def note(self, subject: str, things: int) -> None:
        """So many things of the subject were put right, or would be."""
        self.repaired.append(
            f"{subject}: {_count(things, 'item')} {'missing or different' if self.dry else 'repaired'}"
        )


# The facts of one endpoint by their keys, and the records that they follow from.
_Made = tuple[Network, Endpoint, dict[tuple[str, ...], Fact]]


class KernelReconciler:
    """Passes over kernel and store. report: the last pass, None before the first. recovering: None where every
    namespace that interfaces are in is known, so that what lives without a record is a leftover, too."""

    def __init__(
        self,
        records: Records,
        kernel: Kernel,
        port_allocator: PortAllocator,
        garbage_collector: GarbageCollector,
        foreign_bridges: ForeignBridges,
        guarding: PortSecurity,
        period: float = 10.0,
        restored_store: RestoredStore | None = None,
    ) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock = records.clock
        self.exposures = Exposures(records.cache)
        self._kernel = kernel
        self._port_allocator = port_allocator
        self._garbage_collector = garbage_collector
        self._foreign_bridges = foreign_bridges
        self._guarding = guarding
        self._period = period
        self._restored_store = restored_store
        self._nudged = asyncio.Event()
        self._hurry = len(HURRIED)
        self._held: dict[str, tuple[PortBinding, ...]] = {}
        self._made: dict[str, _Made] = {}
        self._drawn: dict[str, tuple[Network, dict[tuple[str, ...], Fact]]] = {}
        self._ways_out: frozenset[str] = frozenset()
        self._closed: set[DockerAccept] = set()
        self._turn = asyncio.Lock()
        self.report: Report | None = None
        self.vnics: VnicRepair | None = None  # where there is no launcher
        self.overlays = Overlays(records, kernel, self.look_again)

    async def run(self, tell: Callable[[Report], None] = lambda _: None) -> None:
        """Pass after pass, for ever. tell: hears of each pass whose report differs from the one before."""
        told: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
        while True:
            report = await self.once()
            if (report.repaired, report.findings) != told:
                tell(report)
            told = report.repaired, report.findings
            pause = HURRIED[self._hurry] if self._hurry < len(HURRIED) else self._period
            self._hurry += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
            self._nudged.clear()

    def nudge(self) -> None:
        """Something outside has changed: a pass soon, and a few more in the next seconds.

        An engine that starts makes its firewall chains step by step, while it already talks to us.
        """
        self._hurry = 0
        self._nudged.set()

    def look_again(self) -> None:
        """One pass soon: what the last one told of is otherwise by now."""
        self._nudged.set()

    async def once(self, alone: bool = False) -> Report:
        """One pass, when the one before is done. Never raises a Fault: what fails is a finding, and the next pass tries
        again.

        alone: nobody works meanwhile, so nobody is just about to record what an interface in the library is for.
        """
        work = _Pass(alone)
        try:
            async with self._turn:
                await self._look(work)
        except Fault as fault:
            work.findings.append(f"cannot read the kernel: {fault}")
        except Exception as error:
            # One thing that nobody thought of must not end the daemon, nor keep the rest from being repaired next time.
            log.exception("a repair pass failed with an internal error")
            work.findings.append(f"a pass ended early, see the log: {type(error).__name__}: {error}")
        self.report = Report(self._clock.now(), tuple(work.repaired), tuple(work.findings))
        return self.report

    async def preview(self) -> Report:
        """What a pass would put right in the kernel now; nothing is changed, and `report` stays. Raises Unavailable."""
        work = _Pass(dry=True)
        settled = {endpoint.id for endpoint in self._cache.every(Endpoint)}
        observed = await self._kernel.observe()
        await asyncio.sleep(0)  # each of these takes its time where there are thousands
        self._ways_out = await self._foreign_bridges.look(observed)
        have = await self._recover(observed, work)
        await self._mend(have, work)
        await asyncio.sleep(0)
        await self._sweep(have, settled, work)
        return Report(self._clock.now(), tuple(work.repaired), tuple(work.findings))

    async def _look(self, work: _Pass) -> None:
        # Endpoints that come while the kernel is read may show in one part of the picture and not in another.
        settled = {endpoint.id for endpoint in self._cache.every(Endpoint)}
        work.findings += await self._cache.complaints()
        observed = await self._kernel.observe()
        self._ways_out = await self._foreign_bridges.look(observed)
        have = await self._recover(observed, work)
        await self._mend(have, work)
        await self._sweep(have, settled, work)
        await self._hold_ports(observed, work)
        veths = [fact for fact in observed if isinstance(fact, Veth)]
        interfaces, living = ({each.name for each in veths}, {each.name for each in veths if each.living})
        taken, findings = await self._garbage_collector.once(frozenset(interfaces), frozenset(living))
        work.repaired += taken
        work.findings += findings
        self._foreign_bridges.note_dockers(self._garbage_collector.bridges, self._garbage_collector.asked)
        if await self._foreign_bridges.look() != self._ways_out:
            self.nudge()

    async def _recover(self, observed: frozenset[Fact], work: _Pass) -> dict[tuple[str, ...], Fact]:
        """What only the kernel knows is known; what it has, by key."""
        if self.vnics is not None:  # before networks: a VNIC tells whose its network is
            work.repaired += await self.vnics.restore(observed, work.dry)
        if self._restored_store is not None:
            outcome = await self._restored_store.once(observed, work.dry)
            work.repaired += outcome.adopted
            work.findings += outcome.findings
        have, devices = await _by_key(observed)
        if not work.dry:
            await self.overlays.recover(devices, observed)  # after networks
            work.findings += await self.overlays.follow_underlay()
        return have

    async def _mend(self, have: dict[tuple[str, ...], Fact], work: _Pass) -> None:
        """Build what is missing or differs, host first, then one network after another."""
        networks = [network for network in self._cache.every(Network) if network.bridged]
        if networks:
            # After a reboot forwarding is left off until there is something to forward: see Endpoints.
            forwarding = any(isinstance(fact, Veth) for fact in have.values())
            ipv6 = any(network.ipv6 for network in networks)
            shared = host_facts(ipv6, forwarding, self._ways_out) - DOCKER
            settings = {fact for fact in shared if isinstance(fact, Setting)}
            await self._apply(shared - settings, have, "host", work)
            await self._apply(settings, have, "forwarding", work)
            await self._open_docker(have, work)
            await self._join_domains(networks, have, work)
            await self._guard(networks, have, work)
        pace = Pace(STRETCH)
        for known in networks:
            await pace.step()  # plugin calls first, however many networks there are
            await self._foresee(known)
            network = self._cache.network(known.id)
            if network is None:
                continue
            wanted = dict(self._facts_of_network(network))
            for facts in self._living(network, have, work.alone):
                wanted |= facts
            missing = [fact for key, fact in wanted.items() if have.get(key) != fact and not is_table(fact)]
            await self._apply(self._guarding.possible(missing), have, f"network {network.id[:12]}", work)

        if self.vnics is not None:

            async def apply(wanted: Iterable[Fact], subject: str) -> None:
                await self._apply(wanted, have, subject, work)

            work.findings += await self.vnics.mend(have, apply)

    async def _join_domains(self, networks: Sequence[Network], have: dict[tuple[str, ...], Fact], work: _Pass) -> None:
        """The routing domains are there before what is in them. `have` knows them then."""
        for number in sorted({network.domain for network in networks if network.domain}):
            ipv6 = any(network.ipv6 for network in networks if network.domain == number)
            wanted = [fact for fact in domain_facts(number, ipv6) if have.get(fact.key) != fact]
            done = len(work.repaired)
            await self._apply(wanted, have, f"routing domain {number}", work)
            if len(work.repaired) > done:
                have.update((fact.key, fact) for fact in wanted)

    async def _guard(self, networks: Sequence[Network], have: dict[tuple[str, ...], Fact], work: _Pass) -> None:
        """The table that checks what containers send is whole. In `have` are the guards that it has now."""
        if self._guarding.is_whole(networks, have):
            self._guarding.lacking = False
            return
        for known in networks:
            await self._foresee(known)
        living = [facts for each in networks for facts in self._living(each, have, work.alone)]
        guards = [fact for facts in living for fact in facts.values() if isinstance(fact, GuardedPort)]
        mended, finding = await self._guarding.restore(networks, guards, have, work.dry)
        if mended:
            work.note("port security", mended)
            have.update((fact.key, fact) for fact in guards)
        work.findings += [finding] if finding else []

    async def _open_docker(self, have: dict[tuple[str, ...], Fact], work: _Pass) -> None:
        """Have Docker's FORWARD chain let pass what we forward. What cannot be done twice is told as a finding."""
        closed = {fact for fact in DOCKER if fact.key not in have}
        stubborn = closed & self._closed
        if not work.dry:
            self._closed = closed
        told = work if closed - stubborn else _Pass(dry=work.dry)
        await self._apply(closed, have, "Docker's FORWARD chain", told)
        work.findings += [
            f"forwarded IPv{fact.version} traffic of Mooring's networks is dropped: the FORWARD policy is DROP and the "
            "chain DOCKER-USER is missing or never reached; `systemctl restart docker` recreates it, but "
            f"not where the policy is one of ip{'6' if fact.version == 6 else ''}tables-legacy: let that ACCEPT"
            for fact in sorted(stubborn, key=lambda fact: fact.version)
        ]

    def _living(
        self, network: Network, have: dict[tuple[str, ...], Fact], alone: bool, settled: set[str] | None = None
    ) -> Iterator[dict[tuple[str, ...], Fact]]:
        """What each of the network's endpoints needs, as far as their interfaces still exist.

        An endpoint of the library has one while it is in a sandbox; a join that was cut off left another, and a leave.
        settled: ids of the endpoints of which that can be said; the others live. None for all.
        """
        for endpoint in self._endpoint_index.of_network(network.id):
            if alone and network.origin is Origin.LIBRARY and endpoint.state is not State.ATTACHED:
                continue
            fresh = settled is not None and endpoint.id not in settled
            if fresh or ("veth", host_end(endpoint.id)) in have:
                yield self._facts_of(network, endpoint)

    async def _foresee(self, network: Network) -> None:
        """What the network's endpoints need is known, so that a step which decides by it is short."""
        pace = Pace()
        for endpoint in self._endpoint_index.of_network(network.id):
            await pace.step()
            if self._known_facts(network, endpoint) is not None:
                continue
            facts = {fact.key: fact for fact in endpoint_facts(network, replace(endpoint, published=()))}
            for begin in range(0, len(endpoint.published), PART):
                part = port_facts(network, endpoint, endpoint.published[begin : begin + PART])
                facts |= {fact.key: fact for fact in part}
                await asyncio.sleep(0)
            self._made[endpoint.id] = network, endpoint, facts

    def _facts_of_network(self, network: Network) -> dict[tuple[str, ...], Fact]:
        known = self._drawn.get(network.id)
        if known is None or known[0] is not network:
            known = self._drawn[network.id] = network, {fact.key: fact for fact in network_facts(network)}
        return self.overlays.facts(network, known[1] | self.exposures.facts(network))

    def _known_facts(self, network: Network, endpoint: Endpoint) -> dict[tuple[str, ...], Fact] | None:
        known = self._made.get(endpoint.id)
        return known[2] if known is not None and known[0] is network and known[1] is endpoint else None

    def _facts_of(self, network: Network, endpoint: Endpoint) -> dict[tuple[str, ...], Fact]:
        known = self._known_facts(network, endpoint)
        if known is None:
            known = {fact.key: fact for fact in endpoint_facts(network, endpoint)}
            self._made[endpoint.id] = network, endpoint, known
        return known

    async def _apply(
        self, wanted: Iterable[Fact], have: dict[tuple[str, ...], Fact], subject: str, work: _Pass
    ) -> None:
        wanted = [fact for fact in wanted if have.get(fact.key) != fact]
        ops = plan(wanted, [have[fact.key] for fact in wanted if fact.key in have])
        if not ops:
            return
        try:
            if not work.dry:
                await self._kernel.apply(ops)
        except Fault as fault:
            work.findings.append(f"{subject} could not be repaired: {fault}")
        else:
            work.note(subject, len(ops))

    async def _sweep(self, have: dict[tuple[str, ...], Fact], settled: set[str], work: _Pass) -> None:
        """Remove what is ours and has no record, by the records of this moment."""
        wanted: set[tuple[str, ...]] = {fact.key for fact in host_facts(True, True, self._ways_out)}
        wanted.add(PORT_SECURITY.ruleset.key)  # as the firewall's table, it waits for the next network
        for network in self._cache.every(Network):
            wanted.update(self._facts_of_network(network))
            for facts in self._living(network, have, work.alone, settled):
                wanted.update(facts)
        wanted |= self.vnics.wanted() if self.vnics is not None else set()
        spared = self._restored_store.spared if self._restored_store is not None else Spared()
        left = [fact for key, fact in have.items() if key not in wanted and not spared.covers(fact)]
        stray = [op.fact for op in plan((), left) if isinstance(op, Remove)]
        links = defaultdict[int, list[str]](list)
        for fact in stray if not work.dry else ():
            if isinstance(fact, LinkFact):
                links[fact.domain].append(fact.name)
        rest = [Remove(fact) for fact in stray if not isinstance(fact, LinkFact) and not work.dry]
        try:
            for domain, names in links.items():
                await self._kernel.discard(names, domain)
            if rest:
                await self._kernel.apply(rest)
        except Fault as fault:
            work.findings.append(f"leftovers could not be removed: {fault}")
        else:
            if stray:
                done = "" if work.dry else " removed"
                work.repaired.append(f"{_count(len(stray), 'leftover')} without a record{done}")

    async def _hold_ports(self, observed: frozenset[Fact], work: _Pass) -> None:
        """After a restart, hold again the host ports that live endpoints publish."""
        living = {fact.name for fact in observed if isinstance(fact, Veth)}
        for endpoint in self._cache.every(Endpoint):
            if not endpoint.published or endpoint.published == self._held.get(endpoint.id):
                continue
            # The one before took time: what was unpublished meanwhile must not be held by nobody for ever.
            if host_end(endpoint.id) not in living or self._cache.endpoint(endpoint.network, endpoint.id) != endpoint:
                continue
            try:
                await self._port_allocator.hold(endpoint.published)
            except Fault as fault:
                work.findings.append(f"a published port of endpoint {endpoint.id[:12]} is not held: {fault}")
            else:
                self._held[endpoint.id] = endpoint.published
        self._held = {ident: held for ident, held in self._held.items() if self._endpoint_index.knows(ident)}
        self._made = {ident: made for ident, made in self._made.items() if self._endpoint_index.knows(ident)}
        self._drawn = {ident: drawn for ident, drawn in self._drawn.items() if self._cache.network(ident) is not None}


async def _by_key(facts: Iterable[Fact]) -> tuple[dict[tuple[str, ...], Fact], list[Vxlan]]:
    pace, found, devices = Pace(PART), dict[tuple[str, ...], Fact](), list[Vxlan]()
    for fact in facts:
        await pace.step()
        found[fact.key] = fact
        if isinstance(fact, Vxlan):
            devices.append(fact)
    return found, devices


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
