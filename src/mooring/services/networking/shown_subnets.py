"""Subnets that networks got on demand, when the store is a backup from before or was lost: the kernel shows which
network has which, by the addresses of its bridge.

Rules: only a bridge that somebody lives behind proves anything; what it shows is taken into the network's record, and
leaves that of another network on demand where nobody lives in it; what lives is not touched in the kernel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_interface

from mooring.core.claims import appointed
from mooring.core.datapath import MARK, host_end
from mooring.core.faults import Conflict
from mooring.core.leases import Place
from mooring.core.networks import Interface, Network, Segment
from mooring.core.plumbing import Bridge, Fact, LinkAddress, Veth
from mooring.core.pools import Pool, pool_id
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.networks import ROOM
from mooring.services.networking.on_demand_subnets import OnDemandSubnets, default_name
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.own_subnets import owned_options
from mooring.services.records.endpoint_index import Records


class ShownSubnets:
    """`once` for each repair pass and before the first plugin call, before containers without a record are taken in."""

    def __init__(self, records: Records, ipam: Ipam, overlaps: Overlaps, subnets: OnDemandSubnets) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._network_index = overlaps.network_index
        self._ipam = ipam
        self._subnets = subnets

    async def once(self, observed: frozenset[Fact]) -> tuple[list[str], list[str]]:
        """What was done and what could not be, a line each. Raises Unavailable."""
        done: list[str] = []
        findings: list[str] = []
        if not any(network.on_demand for network in self._cache.every(Network)):
            return done, findings
        living = frozenset(fact.name for fact in observed if isinstance(fact, Veth) and fact.living)
        for ident, gateways in lived_in(observed).items():
            for gateway in gateways:
                if self._has(ident, gateway):
                    continue
                try:
                    done += await self._give_up(ident, gateway, living)
                    done += await self._take_in(ident, gateway)
                except Conflict as fault:
                    what = f"network {ident[:12]} has subnet {gateway.network} in the kernel and not in the records"
                    findings.append(f"{what}, and cannot be given it: {fault}")
        return done, findings

    def _has(self, ident: str, gateway: Interface) -> bool:
        network = self._cache.network(ident)
        return network is not None and network.segment_of(gateway.ip) is not None

    async def _give_up(self, ident: str, gateway: Interface, living: Collection[str]) -> list[str]:
        """No other network on demand has the subnet on record, unless somebody lives in it there. ident: of the network
        that has it, which may not be on record yet."""
        done = []
        mine = self._cache.network(ident)
        for other, segment in list(self._network_index.overlapping(gateway.network)):
            elsewhere = mine is not None and mine.domain != other.domain
            if other.id == ident or elsewhere or segment.subnet.version not in other.on_demand:
                continue
            async with self._locks.hold(other.id):
                inside = [
                    endpoint
                    for endpoint in self._endpoint_index.of_network(other.id)
                    if any(address in segment.subnet for address in endpoint.addresses)
                ]
                if any(host_end(endpoint.id) in living for endpoint in inside):
                    continue
                for endpoint in inside:  # what else it had is a leftover, but for what its address has here
                    kept, gone = self._ipam.without_endpoint(other, endpoint)
                    await self._cache.commit(put=kept, delete=[endpoint, *gone])
            await self._subnets.withdraw(other.id, [segment])
            done.append(f"network {other.id[:12]} gave up subnet {segment.subnet}: network {ident[:12]} has it now")
        return done

    async def _take_in(self, ident: str, gateway: Interface) -> list[str]:
        """The subnet is one of the network on record, with its pool. Raises Conflict when another one has it."""
        async with self._locks.hold(ident), self._locks.hold(ROOM):
            network = self._cache.network(ident)
            if network is None or gateway.version not in network.on_demand or self._has(ident, gateway):
                return []
            space = network.options.tenant or await self._ipam.default_space()
            subnet, now = gateway.network, self._clock.now()
            options = owned_options(network.options, gateway.version)
            source = self._ipam.subnet_pools.source_of(subnet, options)
            pool = Pool(
                id=pool_id(self._clock.token(), space, subnet), space=space, subnet=subnet, range=None, source=source,
                options=options, created=now, gateway=gateway.ip, network=ident,
            )  # fmt: skip
            name = default_name(network.segments_of(gateway.version), gateway.version) if source else ""
            segment = Segment(subnet, gateway, space, pool.id, name=name)
            self._network_index.check_room(network.with_segments((segment,)))
            for known in self._ipam.index.overlapping(space, subnet):
                raise Conflict(f"subnet {subnet} overlaps a recorded subnet", holder=f"pool {known.id}")
            lease = appointed(None, Place(space, gateway.ip, pool.id), now)
            grown = network.with_segments((*network.segments, segment))
            await self._cache.commit(put=[grown, pool, lease])
        return [f"subnet {subnet} of network {ident[:12]} was missing from the records: restored"]


def bridge_addresses(observed: Iterable[Fact]) -> dict[str, list[Interface]]:
    """The addresses of each network's bridge, by the network's id; of an overlay's the gateways, as in any network."""
    facts = list(observed)
    networks = {fact.name: fact.alias.removeprefix(f"{MARK}network:") for fact in facts if isinstance(fact, Bridge)}
    found: dict[str, list[LinkAddress]] = {}
    for fact in facts:
        if isinstance(fact, LinkAddress) and fact.link in networks and not fact.interface.is_link_local:
            found.setdefault(networks[fact.link], []).append(fact)
    gateways = {ident: [*_gateways(each)] for ident, each in sorted(found.items())}
    return {ident: sorted(each, key=lambda one: (one.version, one)) for ident, each in gateways.items()}


def _gateways(addresses: Sequence[LinkAddress]) -> Iterator[Interface]:
    """Where the host has an address of its own in an overlay's subnet, the gateway's is without the subnet, or spare
    (core/overlays.py); elsewhere it is the only one, or the first."""
    beside = [fact.interface for fact in addresses if fact.spare or fact.interface.network.num_addresses == 1]
    for fact in addresses:
        own = fact.interface
        gateway = next((each for each in beside if each.version == own.version and each.ip in own.network), None)
        if own in beside:
            continue
        yield own if gateway is None else ip_interface(f"{gateway.ip}/{own.network.prefixlen}")


def lived_in(observed: frozenset[Fact]) -> Mapping[str, list[Interface]]:
    """Of these, those of networks that somebody lives in."""
    living = {
        fact.alias.removeprefix(f"{MARK}endpoint:").partition("/")[0]
        for fact in observed
        if isinstance(fact, Veth) and fact.living
    }
    return {ident: each for ident, each in bridge_addresses(observed).items() if ident in living}
