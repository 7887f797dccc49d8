"""Containers that run without a record, after a restored backup or a lost store: told apart from what was left over,
taken into the records with the addresses that they have, and kept safe until then.

Rules: a link with our mark whose other end is in another namespace is somebody's, and a missing record proves nothing:
a backup may have been restored, or a store lost; only what this process itself has ended is a leftover. What a record
needs is read from the kernel, so that nobody waits for an engine, which may be waiting for us; what cannot be taken in
stays as it is, is told, and its addresses are given to nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from mooring.core.claims import given, started
from mooring.core.datapath import MARK, host_end
from mooring.core.domains import domain_at, port_bindings_in
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Conflict, Fault, StaleRevision, Unavailable
from mooring.core.firewall import FIREWALL, port_binding_of
from mooring.core.leases import Active, Lease, Place
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, Interface, Network, Origin
from mooring.core.plumbing import (
    Bridge,
    Domain,
    Fact,
    Flood,
    GuardedPort,
    Inside,
    LinkAddress,
    Member,
    Neighbour,
    RemoteMac,
    Route,
    Ruleset,
    Veth,
    Vxlan,
)
from mooring.core.port_bindings import PortBinding, PortRequest
from mooring.ports import Kernel
from mooring.services.ipam.allocator import ATTEMPTS, Ipam
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.networking.rebuilt_networks import RebuiltNetworks
from mooring.services.networking.shown_subnets import ShownSubnets, bridge_addresses
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record

# How many ids of endpoints that ended are remembered: more than can end while a look at the kernel lasts.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Stranger:
    """A living link of ours that no record knows. inside: None when it cannot be read."""

    link: str
    bridge: str
    network: str
    endpoint: str
    inside: Inside | None


@dataclass(frozen=True, slots=True)
class Spared:
    """What a sweep leaves alone: links by name, and bridges that have some of them as ports. addresses: theirs."""

    links: frozenset[str] = frozenset()
    bridges: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()

    def covers(self, fact: Fact) -> bool:
        """Whether the fact is a part of what lives."""
        match fact:
            case Veth(name=name):
                return name in self.links
            case Bridge(name=name):
                return name in self.bridges
            case LinkAddress(link=link) | Neighbour(link=link) | Vxlan(bridge=link):
                return link in self.bridges
            case Member(container="tunnel_ports" | "tunnels4" | "tunnels6") | RemoteMac() | Flood():
                return bool(self.links)
            case Member():
                port_binding = port_binding_of(fact)
                if port_binding is not None and not domain_at(port_binding.target):
                    return port_binding.target in self.addresses
                if port_binding is not None or '"mt-' in fact.element:  # the host's, of a routing domain
                    return bool(self.links)
                return any(f'"{bridge}"' in fact.element for bridge in self.bridges)
            case GuardedPort(port=port):
                return port in self.links
            case Ruleset() | Domain() | Route():
                return bool(self.links)
            case _:
                return False


@dataclass(slots=True)
class Outcome:
    """Of one look: what was taken into the records and what could not be, a line each."""

    adopted: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


class RestoredStore:
    """`once` for each repair pass, and before the first plugin call. Build it before the cache is loaded.

    spared: what the last look found living and could not take in.
    """

    def __init__(
        self,
        records: Records,
        ipam: Ipam,
        port_allocator: PortAllocator,
        kernel: Kernel,
        policy: IpamPolicy,
        rebuilt_networks: RebuiltNetworks,
        overlaps: Overlaps,
        shown_subnets: ShownSubnets,
    ) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._index, self._host = ipam.index, ipam.host
        self._port_allocator = port_allocator
        self._kernel = kernel
        self._policy = policy
        self._rebuilt_networks = rebuilt_networks
        self._overlaps = overlaps
        self._shown_subnets = shown_subnets
        self._ended: dict[str, None] = {}
        self.spared = Spared()
        records.cache.listen(self._follow, Endpoint)

    async def at_start(self) -> None:
        """No call has been answered yet: what lives is known before anybody is given an address. Raises no Fault."""
        with contextlib.suppress(Fault):  # the first pass says what is wrong
            await self._take_in(await self._kernel.observe(), False, Outcome())

    async def once(self, observed: frozenset[Fact], dry: bool = False) -> Outcome:
        """Take in what lives without a record, and networks that the engine has. dry: only tell it apart.

        Not from within a plugin call: it asks the engine. Raises Unavailable.
        """
        outcome = Outcome()
        if not dry and await self._rebuild(observed, outcome):
            observed = await self._kernel.observe()  # the engine may have taken its time
        await self._take_in(observed, dry, outcome)
        return outcome

    async def _rebuild(self, observed: frozenset[Fact], outcome: Outcome) -> bool:
        living = {ids for fact in observed if isinstance(fact, Veth) and fact.living and (ids := _ids(fact.alias))}
        lived_in = {network for network, endpoint in living if endpoint not in self._ended}
        unknown = {network for network in lived_in if self._cache.network(network) is None}
        gateways = bridge_addresses(observed)
        rebuilt = await self._rebuilt_networks.once(
            unknown, lived_in.__contains__, gateways, _unchecked(observed), _domains(observed)
        )
        outcome.adopted += rebuilt.done
        outcome.findings += rebuilt.findings
        return bool(rebuilt.done)

    async def _take_in(self, observed: frozenset[Fact], dry: bool, outcome: Outcome) -> None:
        host = await self._host.look()
        outcome.findings += self._overlaps.findings(host, dry)
        if not dry:
            done, findings = await self._shown_subnets.once(observed)
            outcome.adopted += done
            outcome.findings += findings
        found = await self._strangers(observed)
        if not found:
            self._spare(())
            return
        published = port_bindings_in(fact for fact in observed if isinstance(fact, Member))
        living = {fact.name for fact in observed if isinstance(fact, Veth) and fact.living}
        left: list[Stranger] = []
        for stranger in found:
            if dry:
                left.append(stranger)
                continue
            try:
                text = await self._adopt(stranger, published, living)
            except Fault as fault:
                left.append(stranger)
                outcome.findings.append(_finding(stranger, str(fault)))
            else:
                if text:
                    outcome.adopted.append(text)
        self._spare(left)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Endpoint) and after is None:
            self._ended[before.id] = None
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        elif isinstance(after, Endpoint):
            self._ended.pop(after.id, None)

    async def _strangers(self, observed: frozenset[Fact]) -> list[Stranger]:
        unknown: dict[str, Veth] = {}
        for fact in observed:
            if isinstance(fact, Veth) and fact.living and (ids := _ids(fact.alias)) is not None:
                network, endpoint = ids
                if self._cache.endpoint(network, endpoint) is None and endpoint not in self._ended:
                    unknown[fact.name] = fact
        insides: Mapping[str, Inside] = await self._kernel.insides(sorted(unknown)) if unknown else {}
        strangers = []
        for name, veth in sorted(unknown.items()):
            network, endpoint = _ids(veth.alias) or ("", "")
            # Asked again: what ended while the kernel was read is no stranger.
            if self._cache.endpoint(network, endpoint) is None and endpoint not in self._ended:
                strangers.append(Stranger(name, veth.bridge, network, endpoint, insides.get(name)))
        return strangers

    def _spare(self, left: Iterable[Stranger]) -> None:
        left = list(left)
        used = {
            interface.ip: f"container interface {stranger.link} of network {stranger.network[:12]}"
            for stranger in left
            for interface in (stranger.inside.addresses if stranger.inside is not None else ())
        }
        self._index.keep_out(used)
        self.spared = Spared(
            frozenset(stranger.link for stranger in left),
            frozenset(stranger.bridge for stranger in left),
            frozenset(used),
        )

    async def _adopt(self, stranger: Stranger, published: Mapping[int, Sequence[PortBinding]], living: set[str]) -> str:
        """The endpoint is on record; what was done, in one line. Raises Conflict, Unavailable for what cannot be."""
        async with self._locks.share(stranger.network), self._locks.hold(f"endpoint {stranger.endpoint}"):
            network = self._cache.network(stranger.network)
            if (
                self._cache.endpoint(stranger.network, stranger.endpoint) is not None
                or stranger.endpoint in self._ended
            ):
                return ""
            if network is None or network.origin is not Origin.ENGINE:
                raise Conflict("its network is missing from the records", hint="it is restored when Docker reports it")
            endpoint = self._endpoint(network, stranger, published.get(network.domain, ()))
            async with self._locks.hold(f"addresses of {network.id}"):
                await self._record(network, endpoint, living)
        addresses = ", ".join(str(address) for address in endpoint.addresses)
        return f"endpoint {endpoint.id[:12]} ({addresses}) was missing from the records: restored"

    def _endpoint(self, network: Network, stranger: Stranger, published: Sequence[PortBinding]) -> Endpoint:
        inside = stranger.inside
        if inside is None:
            raise Unavailable("its addresses cannot be read")
        ipv4, ipv6 = self._place(network, inside.addresses, 4), self._place(network, inside.addresses, 6)
        if ipv4 is None and ipv6 is None:
            hint = "restart its container" if network.on_demand else ""
            raise Conflict("it has no address of its network", hint=hint)
        assert not isinstance(ipv4, IPv6Interface)
        assert not isinstance(ipv6, IPv4Interface)
        endpoint = Endpoint(
            stranger.endpoint, network.id, ipv4, ipv6, inside.mac, self._clock.now(), state=State.ATTACHED
        )
        mine = tuple(sorted((each for each in published if each.target in endpoint.addresses), key=str))
        ports = {
            PortRequest(each.protocol, each.target_port, each.host, each.host_port, each.host_port) for each in mine
        }
        return replace(endpoint, published=mine, ports=tuple(sorted(ports, key=str)))

    def _place(self, network: Network, addresses: Sequence[Interface], version: int) -> Interface | None:
        for interface in addresses:
            if interface.version == version and (segment := network.segment_of(interface.ip)) is not None:
                return ip_interface(f"{interface.ip}/{segment.subnet.prefixlen}")
        return None

    async def _record(self, network: Network, endpoint: Endpoint, living: set[str]) -> None:
        """Endpoint and leases are one commit. An endpoint on record that had an address and lives no more goes."""
        for _ in range(ATTEMPTS):
            dead = {e.id: e for a in endpoint.addresses if (e := self._endpoint_index.at(network.id, a)) is not None}
            for old in dead.values():
                if host_end(old.id) in living:
                    raise Conflict("its address belongs to another endpoint", holder=f"endpoint {old.id[:12]}")
            leases = [lease for address in endpoint.addresses for lease in self._lease(network, endpoint, address)]
            with contextlib.suppress(StaleRevision):
                await self._cache.commit(put=[endpoint, *leases], delete=list(dead.values()))
                for old in dead.values():  # what else it had is a leftover
                    await self._port_allocator.release(each for each in old.published if each not in endpoint.published)
                return
        raise Unavailable("its addresses were changed by other requests", hint="it is tried again")

    def _lease(self, network: Network, endpoint: Endpoint, address: Address) -> list[Lease]:
        """The lease as it must be while the endpoint has the address. Raises Conflict when it cannot be."""
        segment = network.segment_of(address)
        pool = self._cache.pool(segment.pool) if segment is not None else None
        if pool is None:
            return []  # another IPAM driver's
        known = self._cache.lease(pool.space, address)
        if known is not None and known.state is LeaseState.FIXED:
            return [started(known, Active(endpoint.id, self._policy.host, self._policy.boot))]
        if known is not None and known.state is LeaseState.DYNAMIC and known.mac == endpoint.mac:
            return [known]
        return [given(known, Place(pool.space, address, pool.id), self._clock.now(), endpoint.mac)]


def _unchecked(observed: frozenset[Fact]) -> set[str]:
    """Ids of networks in which somebody lives and no port is guarded, while our rules are there: none were flushed."""
    if not any(isinstance(fact, Ruleset) and fact.family == FIREWALL.family for fact in observed):
        return set()
    guarded = {fact.port for fact in observed if isinstance(fact, GuardedPort)}
    ports = [
        (ids[0], fact.name) for fact in observed if isinstance(fact, Veth) and fact.living and (ids := _ids(fact.alias))
    ]
    return {network for network, _ in ports} - {network for network, port in ports if port in guarded}


def _domains(observed: frozenset[Fact]) -> dict[str, int]:
    """The routing domain of each network that has a bridge."""
    bridges = (fact for fact in observed if isinstance(fact, Bridge))
    return {fact.alias.removeprefix(f"{MARK}network:"): fact.domain for fact in bridges}


def _ids(alias: str) -> tuple[str, str] | None:
    """Ids of the network and the endpoint that the alias of a veth names."""
    network, slash, endpoint = alias.removeprefix(f"{MARK}endpoint:").partition("/")
    return (network, endpoint) if alias.startswith(f"{MARK}endpoint:") and slash and network and endpoint else None


def _finding(stranger: Stranger, why: str) -> str:
    inside = stranger.inside
    addresses = ", ".join(str(each.ip) for each in inside.addresses) if inside is not None else ""
    what = f"endpoint {stranger.endpoint[:12]} of network {stranger.network[:12]}" + (
        f" ({addresses})" if addresses else ""
    )
    return f"{what} is missing from the records; it is left untouched, its addresses are not assigned: {why}"
