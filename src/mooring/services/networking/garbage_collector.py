"""Releasing what Docker forgot to release: leases, endpoints, pools and networks that nobody has any more.

Rules: nothing is taken because it was not seen once: it must be missing in two passes and for a minimum age; the
engine's list counts only for what that engine has listed before, unless it is the only one on the host (another engine
at the same socket proves nothing), and for subnets that nobody uses; a network with a container's interface in it is
never taken, whatever the engine says: it is told as a finding.

Docker forgets in many ways (libnetwork/network.go, endpoint.go): the IPv4 address when the IPv6 one fails, all that an
unreadable or lost reply granted, and everything that it released while Mooring was not there to hear it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint, State
from mooring.core.engines import EngineView, KnownEngine
from mooring.core.faults import Fault
from mooring.core.findings import AUTOMATIC, Finding
from mooring.core.networks import Network, Origin, Subnets
from mooring.core.pools import Pool
from mooring.core.vnics import group_of
from mooring.ports import Engine
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.engine_identity import recognise
from mooring.services.networking.networks import Networks
from mooring.services.networking.own_subnets import OWNED
from mooring.services.records.endpoint_index import Records

# Seconds that a thing must have been missing before it is taken: longer than dockerd's retries (15 s), by far.
MINIMUM_AGE = 120.0
# Seconds that a thing must have been missing before a person is told: every start of a container looks like this.
TOLD_AGE = 30.0

# How the sightings begin that only an engine can confirm or refute.
ENGINE = "engine's "


@dataclass(frozen=True, slots=True)
class _Sighting:
    """When a thing was missing first, by the boot and by the wall clock. since: when it was made, by its record."""

    boot: float
    at: float
    since: float


class GarbageCollector:
    """One `once` for each repair pass. bridges: those of Docker's own networks, as the engine last said. asked: when
    that was, in seconds since the boot. view: what it said in the last pass, None when it did not answer."""

    def __init__(
        self,
        records: Records,
        ipam: Ipam,
        networks: Networks,
        endpoints: Endpoints,
        engine: Engine | None,
        minimum_age: float = MINIMUM_AGE,
    ) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock = records.clock
        self._ipam = ipam
        self._networks = networks
        self._endpoints = endpoints
        self._engine = engine
        self._minimum_age = minimum_age
        self._missing: dict[str, _Sighting] = {}
        self._seen: dict[str, _Sighting] = {}
        self.bridges: frozenset[str] = frozenset()
        self.asked = float("-inf")
        self.view: EngineView | None = None

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What the last pass missed and has not taken yet, since when; nothing that may be only just being made."""
        leases = {f"{lease.space} {lease.address}" for lease in self._endpoint_index.unattached()}
        namespaces = {f"endpoint {each.id}": each for each in self._cache.every(Endpoint) if is_namespaces(each.id)}
        return tuple(
            _of_namespace(namespaces[subject], sighting.at)
            if subject in namespaces
            else Finding(subject, *_told(subject), sighting.at, AUTOMATIC, fixable=True)
            for subject, sighting in sorted(self._missing.items(), key=lambda each: each[0])
            if self._is_there(subject, leases) and self._clock.boot() - sighting.boot >= TOLD_AGE
        )

    def _is_there(self, subject: str, leases: set[str]) -> bool:
        """Whether what was missed is still on record: what a pass has taken is not missed any more."""
        kind, _, rest = subject.removeprefix(ENGINE).partition(" ")
        match kind:
            case "network":
                return self._cache.network(rest) is not None
            case "pool":
                return self._cache.pool(rest) is not None
            case "subnet":
                network = self._cache.network(rest.partition(" ")[0])
                return network is not None and any(rest.endswith(f" {part.subnet}") for part in network.segments)
            case "endpoint":
                return self._endpoint_index.knows(rest)
            case _:
                return rest in leases

    async def once(
        self, interfaces: frozenset[str], living: frozenset[str] = frozenset()
    ) -> tuple[list[str], list[str]]:  # fmt: skip
        """What was taken back and what could not be, a line each. interfaces: host ends that exist; living: those of
        them whose other end is in a namespace."""
        taken: list[str] = []
        findings: list[str] = []
        self._seen = {}
        try:
            view = self.view = await self._ask()
            await self._networks_nobody_has(view, interfaces, living, taken, findings)
            await self._pools_nobody_has(view, taken)
            await self._endpoints_nobody_has(interfaces, living, taken)
            await self._leases_nobody_has(taken)
            await self._subnets_nobody_has(taken)
            if self._clock.step():
                findings.append(
                    f"the system clock has jumped by {self._clock.step():+.0f} s: nothing expires until it is back, "
                    "or has kept the new time for ten minutes"
                )
            else:
                await self._ipam.sweep()
                await self._ipam.kept_networks.sweep()
        except Fault as fault:
            findings.append(f"could not release what Docker no longer uses: {fault}")
        self._missing = self._seen
        return taken, findings

    async def _ask(self) -> EngineView | None:
        """What the engine says, or None when nobody says it."""
        if self._engine is None:
            return None
        asked = self._clock.boot()
        try:
            view, version = await self._engine.view(), await self._engine.api_version()
        except Fault:
            # An engine that is down is Docker's matter; what was missing stays missing until somebody can tell.
            self._seen.update(
                {subject: first for subject, first in self._missing.items() if subject.startswith(ENGINE)}
            )
            return None
        self.bridges, self.asked = view.bridges, asked
        await recognise(self._cache, view.id, (), view.networks)
        ours = {network.id for network in self._cache.every(Network)}
        known = self._known(view)
        listed = ((known.networks if known else frozenset()) & ours) | (view.networks & ours)
        now = KnownEngine(view.id, known.since if known else self._clock.now(), listed, version, view.release)
        if listed and now != known:
            await self._cache.commit(put=[now])
        await self._ipam.kept_networks.learn(self._engine, view.networks)
        return view

    def _known(self, view: EngineView) -> KnownEngine | None:
        return next((known for known in self._cache.every(KnownEngine) if known.id == view.id), None)

    def _is_overdue(self, subject: str, since: float) -> bool:
        """Note that the subject is missing; whether it has been for long enough, and in an earlier pass too.

        since: when it was made, by its record. Its age is counted by the boot clock, from when it was first missing.
        """
        first = self._missing.get(subject)
        if first is None or first.since != since:  # what is made anew under the same name is a new thing
            self._seen[subject] = _Sighting(self._clock.boot(), self._clock.now(), since)
            return False
        self._seen[subject] = first
        return self._clock.boot() - first.boot >= self._minimum_age

    async def _networks_nobody_has(
        self, view: EngineView | None, interfaces: frozenset[str], living: frozenset[str], taken: list[str],
        findings: list[str],
    ) -> None:  # fmt: skip
        known = self._known(view) if view is not None else None
        for network in self._cache.every(Network):
            if network.origin is Origin.LIBRARY:
                continue
            if self._networks.is_pool_released(network):
                why, subject = "Docker released its subnets", f"network {network.id}"
            elif view is not None and known is not None and _lacks(view, known, network):
                why, subject = "Docker does not have it", f"{ENGINE}network {network.id}"
            else:
                continue
            if not self._is_overdue(subject, network.created):
                continue
            if user := self._user(network, interfaces, living):
                findings.append(f"network {network.id[:12]} stays because {user}, although {why}")
                continue
            await self._networks.delete(network.id)
            taken.append(f"network {network.id[:12]} removed: {why}")

    def _user(self, network: Network, interfaces: frozenset[str], living: frozenset[str]) -> str:
        """Who lives in the network, for a finding; "" for nobody. Whoever has a VNIC may be on record no more; of an
        adopted one only the records tell."""
        inside = [e for e in self._endpoint_index.of_network(network.id) if host_end(e.id) in interfaces]
        if inside:
            who = next((namespace_name(each) for each in inside if is_namespaces(each.id)), "a container")
            return f"{who} is in it"
        group = group_of(network) if network.handed_over else None
        for vnic in self._ipam.vnics.of_group(group) if group is not None else ():
            endpoint = self._endpoint_index.at(network.id, vnic.address) if vnic.adopted else None
            if vnic.host_end in living or (endpoint is not None and endpoint.state is State.ATTACHED):
                return f"a container has {vnic}"
        return ""

    async def _pools_nobody_has(self, view: EngineView | None, taken: list[str]) -> None:
        for pool in self._cache.every(Pool):
            if pool.network:
                if self._cache.network(pool.network) is None:
                    await self._ipam.release_pool(pool.id)
                    taken.append(f"subnet {pool.subnet} released: its network was removed")
            elif OWNED in pool.options:
                if self._is_overdue(f"pool {pool.id}", pool.created):
                    await self._ipam.release_pool(pool.id)
                    taken.append(f"subnet {pool.subnet} released: it was carved for a network that does not have it")
            elif (
                view is not None
                and self._known(view) is not None
                and pool.subnet not in view.subnets
                and not self._ipam.is_in_use(pool.id)
                and self._is_overdue(f"{ENGINE}pool {pool.id}", pool.created)
            ):
                await self._ipam.release_pool(pool.id)
                taken.append(f"subnet {pool.subnet} released: no Docker network has it")

    async def _subnets_nobody_has(self, taken: list[str]) -> None:
        """Those that should have gone with their last endpoint."""
        for network in self._cache.every(Network):
            if network.options.subnets is not Subnets.RELEASED:
                continue
            idle = self._endpoints.subnets.idle(network)
            due = [part for part in idle if self._is_overdue(f"subnet {network.id} {part.subnet}", network.created)]
            if due:
                await self._endpoints.subnets.withdraw(network.id, due)
                taken += [f"subnet {part.subnet} released: no endpoint of its network uses it" for part in due]

    async def _endpoints_nobody_has(
        self, interfaces: frozenset[str], living: frozenset[str], taken: list[str]
    ) -> None:  # fmt: skip
        """Docker attaches an endpoint as soon as it has made it, and an attached one has an interface. Whether anybody
        has a VNIC, the engine's list of containers says: see ContainerReconciler. A namespace's is attached when that
        was confirmed, and its interface ends with the namespace."""
        for network in self._cache.every(Network):
            if not (network.bridged or network.handed_over) or network.origin is Origin.LIBRARY:
                continue
            for endpoint in self._endpoint_index.of_network(network.id):
                namespace = is_namespaces(endpoint.id)
                there = living if namespace else interfaces
                shown = network.handed_over or host_end(endpoint.id) in there  # a VNIC outlives its endpoints
                on_trial = namespace and endpoint.pending is not None
                if endpoint.state is State.ATTACHED and shown and not on_trial:
                    continue
                if self._is_overdue(f"endpoint {endpoint.id}", endpoint.created):
                    await self._endpoints.delete(network.id, endpoint.id, known=endpoint)
                    if self._cache.endpoint(network.id, endpoint.id) is not None:
                        continue  # it has changed meanwhile: somebody attached it after all
                    for address in endpoint.addresses:
                        if (segment := network.segment_of(address)) is not None:
                            await self._ipam.release_address(segment.pool, address)
                    who = namespace_name(endpoint) if namespace else f"endpoint {endpoint.id[:12]}"
                    taken.append(f"{who} removed: nothing is attached to it")

    async def _leases_nobody_has(self, taken: list[str]) -> None:
        for lease in self._endpoint_index.unattached():
            if self._is_overdue(f"lease {lease.space} {lease.address}", lease.since):
                await self._ipam.release_address(lease.pool, lease.address)
                taken.append(f"lease {lease.address} released: no endpoint uses it")


def _of_namespace(endpoint: Endpoint, at: float) -> Finding:
    """An attached namespace without its interface: nobody knows whether it is gone, too, or somebody removed that."""
    who = f"{namespace_name(endpoint)} of network {endpoint.network[:12]}"
    if endpoint.pending is not None:
        text, proof = f"{who} was never attached to the end", "nobody confirmed it"
    else:
        text, proof = f"{who} has no interface: it is gone, or the interface was removed by hand", "the host's links"
    again = "if the namespace is there, `mooring attach` it again; else its addresses are free within minutes"
    return Finding(f"endpoint {endpoint.id}", text, proof, at, again, fixable=True)


def _told(subject: str) -> tuple[str, str]:
    """What is missed, and what proves it."""
    kind, _, rest = subject.removeprefix(ENGINE).partition(" ")
    match kind, subject.startswith(ENGINE):
        case "network", True:
            return f"network {rest[:12]} is in the records but not in Docker", "Docker's list of networks"
        case "network", False:
            return f"network {rest[:12]} has lost its subnets", "Docker released them but never deleted the network"
        case "subnet", _:
            return f"subnet {rest.rpartition(' ')[2]} of a network has no endpoint", "the records of endpoints"
        case "pool", True:
            return f"pool {rest} has no network", "no Docker network has its subnet, and nothing uses it"
        case "pool", False:
            return f"pool {rest} has no network", "the records of networks"
        case "endpoint", _:
            return f"endpoint {rest[:12]} is recorded but has no interface", "the host's interfaces"
        case _:
            return f"lease {rest.rpartition(' ')[2]} was given, but no endpoint has it", "the records of endpoints"


def _lacks(view: EngineView, known: KnownEngine, network: Network) -> bool:
    """Whether it proves something that the engine does not list the network."""
    return network.id not in view.networks and (view.alone or network.id in known.networks)
