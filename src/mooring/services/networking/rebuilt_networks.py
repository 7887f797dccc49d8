"""Networks that the engine has and no record knows, as after a lost store: their records are made anew from what it
tells.

Rules: a network that somebody lives in is taken in at the first sight; any other must have been there at an earlier
look, some seconds ago, for it may be only just going; what this process was told to delete is never taken in; a network
on record that the engine does not have, and in which nobody lives, gives way to one that the engine has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface

from mooring.core.addresses import address_of, usable
from mooring.core.claims import appointed, set_aside
from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.engines import EngineView, KnownEngine
from mooring.core.faults import Conflict, Fault
from mooring.core.leases import Lease, Place
from mooring.core.networks import Address, Interface, Mode, Network, NetworkOptions, Origin, Segment, Subnets, overlap
from mooring.core.options import parse_ipam_options, parse_network_options, says_port_security
from mooring.core.pools import Pool, pool_id
from mooring.ports import Engine
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.pool_ids import REBUILT
from mooring.services.ipam.pools import NO_GATEWAY
from mooring.services.networking.networks import Networks
from mooring.services.networking.own_subnets import owned_options
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record

# Docker's IPAM driver that gives no subnet (libnetwork/ipams/null).
NULL_IPAM = "null"

# Seconds that a network in which nobody lives must have been listed without a record: longer than a removal takes.
SETTLED = 3.0
REMEMBERED = 4096


@dataclass(slots=True)
class Rebuilt:
    """Of one look: what was taken into the records and what could not be, a line each."""

    done: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


class RebuiltNetworks:
    """`once` for each repair pass. Build it before the cache is loaded. names: those that dockerd has for us."""

    def __init__(
        self,
        records: Records,
        networks: Networks,
        ipam: Ipam,
        engine: Engine,
        last: Callable[[], EngineView | None],
        names: Collection[str],
    ) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._networks = networks
        self._ipam = ipam
        self._engine = engine
        self._last = last
        self._names = names
        self._ended: dict[str, None] = {}
        self._unchecked: Collection[str] = ()
        self._domains: Mapping[str, int] = {}
        self._seen: dict[str, float] = {}
        records.cache.listen(self._follow, Network)

    async def once(
        self,
        lived_in: Collection[str],
        living: Callable[[str], bool],
        gateways: Mapping[str, Sequence[Interface]],
        unchecked: Collection[str] = (),
        domains: Mapping[str, int] | None = None,
    ) -> Rebuilt:
        """Take in networks that the engine has. lived_in: ids of networks without a record in which somebody lives.
        living: whether somebody lives in the network with the id. gateways: addresses of the bridge of each
        network, by id. unchecked:
        ids of networks whose containers the kernel lets send what they want. domains: the routing domain
        of each network, by id, that has a bridge in the kernel."""
        self._unchecked, self._domains = unchecked, domains or {}
        result = Rebuilt()
        view = None if lived_in else self._last()
        try:
            view = view if view is not None else await self._engine.view()
        except Fault as fault:
            if lived_in:
                result.findings.append(f"networks without a record cannot be restored until Docker answers: {fault}")
            return result
        wanted = {
            ident
            for ident, driver in view.drivers.items()
            if (driver in self._names or ident in lived_in)
            and self._cache.network(ident) is None
            and ident not in self._ended
        }
        now = self._clock.boot()
        before, self._seen = self._seen, {}
        for ident in sorted(wanted):
            first = self._seen[ident] = before.get(ident, now)
            settled = ident in before and now - first >= SETTLED
            if ident not in lived_in and not settled:
                continue
            try:
                await self._rebuild(ident, view, living, gateways, settled, result)
            except Fault as fault:
                result.findings.append(
                    f"network {ident[:12]} is in Docker but not in the records, and cannot be restored: {fault}"
                )
        return result

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Network) and after is None:
            self._ended[before.id] = None
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        elif isinstance(after, Network):
            self._ended.pop(after.id, None)

    async def _rebuild(
        self,
        ident: str,
        view: EngineView,
        living: Callable[[str], bool],
        gateways: Mapping[str, Sequence[Interface]],
        settled: bool,
        result: Rebuilt,
    ) -> None:
        found = await self._engine.network(ident)
        if found is None or not (found.driver in self._names or living(ident)):
            return
        network, pools, leases = self._records(found, gateways.get(ident, ()))
        if settled:
            await self._make_room(network, view, living, result)
        if await self._networks.readmit(network, pools, leases):
            subnets = ", ".join(str(segment.subnet) for segment in network.segments)
            result.done.append(f"network {ident[:12]} ({subnets}) was missing from the records: restored")

    async def _make_room(
        self, network: Network, view: EngineView, living: Callable[[str], bool], result: Rebuilt
    ) -> None:
        """What is on record, and nowhere else any more, is in nobody's way."""
        known = next((each for each in self._cache.every(KnownEngine) if each.id == view.id), None)
        for other in self._cache.every(Network):
            proof = view.alone or (known is not None and other.id in known.networks)
            meet = _meet(network.segments, other.segments)
            gone = proof and other.origin is Origin.ENGINE and other.id not in view.networks
            if meet and gone and not living(other.id):
                await self._networks.delete(other.id)
                result.done.append(f"network {other.id[:12]} removed: Docker has another network instead")
        for pool in self._cache.every(Pool):
            mine = any(overlap(pool.subnet, segment.subnet) for segment in network.segments)
            if mine and not pool.network and not self._ipam.is_in_use(pool.id):
                await self._ipam.release_pool(pool.id)

    def _records(self, found: EngineNetwork, gateways: Sequence[Interface]) -> tuple[Network, list[Pool], list[Lease]]:
        """The network as it was made, with its pools, gateways and auxiliary addresses. Raises BadRequest, Conflict."""
        options = self._options(found)
        left = found.ipam == NULL_IPAM  # to us: the engine knows of no subnet
        ours = left or found.ipam in (*self._names, found.driver)
        families = sorted({subnet.subnet.version for subnet in found.subnets} | ({6} if options.ipv6 else set()) or {4})
        parts = _left(options, families, gateways) if left else found.subnets
        words = parse_ipam_options(found.ipam_options) if ours and not left else {}
        if left:
            words = owned_options(options, 4) | owned_options(options, 6)
        space = options.tenant or words.get("tenant") or "default"
        pools: list[Pool] = []
        leases: list[Lease] = []
        segments: list[Segment] = []
        now = self._clock.now()
        for part in parts:
            if part.subnet.prefixlen == 0:
                raise Conflict(f"Docker does not report its subnet ({part.subnet})", hint="create the network again")
            none = words.get("gateway") == NO_GATEWAY
            address = None if none else _gateway(part, gateways)
            gateway = ip_interface(f"{address}/{part.subnet.prefixlen}") if address is not None else None
            ident = pool_id(self._clock.token(), space, part.subnet) if ours else ""
            segments.append(
                Segment(part.subnet, gateway, space if ours else "LocalDefault", ident, dict(part.auxiliary))
            )
            if not ours:
                continue
            pools.append(
                Pool(
                    id=ident,
                    space=space,
                    subnet=part.subnet,
                    range=part.range,
                    source=self._ipam.subnet_pools.source_of(part.subnet, words) if part.range is None else "",
                    options={**words, REBUILT: ""},
                    created=now,
                    gateway=address,
                    network=found.id,
                )
            )
            if address is not None:
                leases.append(appointed(None, Place(space, address, ident), now))
            leases += [set_aside(None, Place(space, each, ident), now) for each in part.auxiliary.values()]
        later = (left or not ours) and options.subnets is not Subnets.AT_CREATION
        on_demand = tuple(families) if later else ()
        network = Network(found.id, options, found.internal, (), (), now, dict(found.options), on_demand=on_demand)
        network = network.with_segments(segments)
        domain = self._domains.get(found.id)
        if domain is not None:
            network = replace(network, domain=domain)
        else:
            network = self._networks.placed(network, self._domains.values())
        return network, pools, leases

    def _options(self, found: EngineNetwork) -> NetworkOptions:
        """As they were given, or meant. Raises BadRequest."""
        ipv6 = any(subnet.subnet.version == 6 for subnet in found.subnets)
        options = parse_network_options(found.options, found.internal, ipv6=ipv6)
        if found.id in self._unchecked and not says_port_security(found.options):
            options = replace(options, port_security=False)  # it is older than the option, and must not go mute
        return self._named(options)

    def _named(self, options: NetworkOptions) -> NetworkOptions:
        """With the tenant whose VNICs it is for, when their bridge is named and known."""
        group = self._ipam.vnics.with_bridge(options.bridge) if options.mode is Mode.HANDOFF else None
        return replace(options, tenant=group.tenant) if group is not None else options


def _left(options: NetworkOptions, families: Sequence[int], gateways: Sequence[Interface]) -> Sequence[EngineSubnet]:
    """The subnets of a network whose IPAM driver is null, as its bridge shows them. None where they come on demand:
    those that somebody lives in follow (shown_subnets.py), and others come when they are needed. Raises Conflict."""
    if options.subnets is not Subnets.AT_CREATION:
        return ()
    for version in families:
        if not any(gateway.version == version for gateway in gateways):
            raise Conflict(
                f"its IPv{version} subnet is Mooring's own, and no bridge shows it", hint="create the network again"
            )
    return [EngineSubnet(gateway.network, gateway=gateway.ip) for gateway in gateways]


def _gateway(part: EngineSubnet, gateways: Iterable[Interface]) -> Address:
    """What the engine says, or what the bridge has, or what a pool without a word of it begins with."""
    if part.gateway is not None:
        return part.gateway
    has = next((each.ip for each in gateways if each.version == part.subnet.version and each.ip in part.subnet), None)
    return has if has is not None else address_of(part.subnet.version, usable(part.subnet)[0])


def _meet(some: Sequence[Segment], others: Sequence[Segment]) -> bool:
    return any(overlap(one.subnet, other.subnet) for one in some for other in others)
