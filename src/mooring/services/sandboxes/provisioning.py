"""Making networks and endpoints for the library's users: asking the IPAM driver first, then the network driver.

Rules: names are unique, and so is every refusal before anything is asked for; what was granted is released when a
later step fails; a network that has endpoints and an endpoint that is in a sandbox are not ended by accident.
"""

from __future__ import annotations

import logging
from ipaddress import IPv4Interface, IPv6Interface, ip_network

from mooring.core.endpoint_options import ENDPOINT_IFNAME, parse_endpoint_options
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound, Unavailable
from mooring.core.networks import (
    BRIDGE,
    HOST,
    NULL,
    NULL_IPAM,
    OUR_IPAM,
    Address,
    Interface,
    Network,
    Origin,
    Segment,
    Subnets,
    stable_mac,
)
from mooring.core.options import parse_ipam_options, parse_network_options
from mooring.core.pools import Pool
from mooring.core.requests import (
    AddressRequest,
    EndpointRequest,
    EndpointSpec,
    NetworkRequest,
    NetworkSpec,
    PoolRequest,
    Role,
    SegmentRequest,
    SubnetSpec,
)
from mooring.core.sandboxes import Sandbox
from mooring.ports import IpamDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.networks import Networks, release_segment
from mooring.services.records.endpoint_index import Records

log = logging.getLogger(__name__)

# Drivers whose options we know.
OURS = frozenset({BRIDGE, HOST, NULL})

# The subnet that stands for one which is not there yet, as engines write it.
EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}

# An option of a pool of ours: the network that it is asked for, so that a start can tell when that never came.
FOR_NETWORK = "mooring.for-network"


class Provisioning:
    """Networks and endpoints of the library, from the spec to the record."""

    def __init__(self, records: Records, drivers: Drivers, networks: Networks, endpoints: Endpoints) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._drivers = drivers
        self._networks = networks
        self._endpoints = endpoints

    async def create_network(self, spec: NetworkSpec) -> Network:
        """The network is there, with its subnets, gateways and auxiliary addresses granted.

        Raises Conflict for a name or a subnet that is in use, NotFound for an unknown driver, and what the drivers
        raise. On a fault nothing is left.
        """
        async with self._locks.hold(f"network name {spec.name}"):
            for other in self._cache.every(Network):
                if other.name == spec.name and other.origin is Origin.LIBRARY:
                    raise Conflict(f"network name {spec.name!r} is in use", holder=f"network {other.id[:12]}")
            driver = await self._drivers.network_driver(spec.driver)
            if spec.ipam == NULL_IPAM and spec.subnets:
                raise BadRequest("the IPAM driver null gives no subnets", hint="leave the subnets out")
            on_demand = _on_demand(spec)
            gateways = await driver.wants_gateways(spec)
            ident = self._ident()
            ipam = await self._drivers.ipam_driver(spec.ipam) if spec.subnets else None
            granted: list[SegmentRequest] = []
            try:
                for subnet in spec.subnets:
                    assert ipam is not None
                    if on_demand and subnet.subnet is None:
                        space = await ipam.default_space()
                        granted.append(SegmentRequest(space, EVERYTHING[subnet.version], None))
                        continue
                    wanted = gateways[0 if subnet.version == 4 else 1]
                    granted.append(await self._segment(ident, spec, ipam, subnet, wanted))
                await self._networks.create(_request(ident, spec, granted))
            except BaseException:
                # A network that could not be ended stays, marked, and keeps its subnets until it is.
                if self._cache.network(ident) is None and ipam is not None:
                    for part in granted:
                        if part.pool:
                            await release_segment(ipam, part)
                    await self._release_unheard(ident)
                raise
            return self._network(ident)

    async def _release_unheard(self, ident: str) -> None:
        """Subnets of ours that were granted to the network by commits whose answers were lost are given up."""
        for pool in self._cache.every(Pool):
            if pool.options.get(FOR_NETWORK) == ident:
                ipam = await self._drivers.ipam_driver(OUR_IPAM)
                await ipam.release_pool(pool.id)

    async def _segment(
        self, ident: str, spec: NetworkSpec, ipam: IpamDriver, subnet: SubnetSpec, gateway: bool
    ) -> SegmentRequest:
        """One subnet with its gateway and auxiliary addresses, or nothing."""
        space, options = await ipam.default_space(), dict(spec.ipam_options)
        if spec.ipam == OUR_IPAM:
            options = parse_ipam_options(options)
            space = options.get("tenant", space)
            options[FOR_NETWORK] = ident
            if not gateway:
                options["gateway"] = "none"
        grant = await ipam.request_pool(PoolRequest(space, subnet.version, subnet.subnet, None, subnet.range, options))
        made = SegmentRequest(space, grant.subnet, grant.gateway if gateway else None, {}, grant.pool)
        for warning in grant.warnings:
            log.warning("network %s: %s", spec.name, warning)
        try:
            if grant.subnet.version != subnet.version or subnet.subnet not in (None, grant.subnet):
                wanted = subnet.subnet or f"an IPv{subnet.version} subnet"
                raise Unavailable(f"IPAM driver {spec.ipam} answered {grant.subnet}, but was asked for {wanted}")
            if gateway and (made.gateway is None or subnet.gateway not in (None, made.gateway.ip)):
                own = await ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY, subnet.gateway))
                made = SegmentRequest(space, grant.subnet, own, {}, grant.pool)
            for name, address in subnet.auxiliary.items():
                await ipam.request_address(AddressRequest(grant.pool, Role.AUXILIARY, address))
                made.auxiliary[name] = address
        except BaseException:
            await release_segment(ipam, made)
            raise
        return made

    async def delete_network(self, network_id: str, force: bool = False) -> None:
        """The network is gone. Raises NotFound, Conflict when it has endpoints, Unavailable when a driver cannot be
        reached: then it is marked, and deleting it again, or the next start, goes on. force: without that driver."""
        # Asked before the lock as well: who waits for it keeps every other endpoint of the network waiting.
        self._networks.must_be_empty(self._network(network_id))
        await self._networks.delete(network_id, force, empty=True)

    async def create_endpoint(self, spec: EndpointSpec) -> Endpoint:
        """The endpoint is there, and has the addresses that were asked for or one of each family.

        Raises NotFound, BadRequest for an address that the network cannot have, Conflict for a name or an address that
        is in use, Exhausted, and what the driver raises. On a fault nothing is left.
        """
        async with self._locks.hold(f"endpoint name {spec.network} {spec.name}"):
            network = self._network(spec.network)
            other = self._endpoint_index.named(network.id, spec.name)
            if other is not None:
                raise Conflict(
                    f"endpoint name {spec.name!r} is in use in network {network.name}",
                    holder=f"endpoint {other.id[:12]}",
                )
            self._must_be_free(network, spec.mac)
            options = parse_endpoint_options(spec.options) if network.driver in OURS else dict(spec.options)
            if ENDPOINT_IFNAME in options and network.driver in OURS:
                raise BadRequest(f"{ENDPOINT_IFNAME} is for engines", hint="the network's interface_prefix names them")
            driver = await self._drivers.network_driver(network.driver)
            ipam = await self._drivers.ipam_driver(network.ipam) if network.segments else None
            ident = self._ident()
            mac = spec.mac
            if not mac and (not driver.remembers or (ipam is not None and ipam.requires_mac)):
                mac = stable_mac(f"endpoint:{ident}")
            granted: dict[int, tuple[Segment, Interface]] = {}
            try:
                await self._addresses(network, spec, ipam, mac, granted)
                await self._endpoints.create(
                    EndpointRequest(
                        network.id,
                        ident,
                        _v4(granted),
                        _v6(granted),
                        mac,
                        options=options,
                        name=spec.name,
                        aliases=spec.aliases,
                        links=dict(spec.links),
                        services=spec.services,
                        subnets=spec.subnets,
                        allocate=spec.allocate,
                    )
                )
            except BaseException:
                if self._cache.endpoint(network.id, ident) is None and ipam is not None:
                    for segment, interface in granted.values():
                        await ipam.release_address(segment.pool, interface.ip)
                    pools = {segment.pool for segment in network.segments}
                    for lease in self._endpoint_index.unattached():  # granted by a commit whose answer was lost
                        if lease.pool in pools and (lease.mac, lease.name) == (mac, spec.name):
                            await ipam.release_address(lease.pool, lease.address)
                raise
            endpoint = self._cache.endpoint(network.id, ident)
            assert endpoint is not None
            return endpoint

    async def _addresses(
        self,
        network: Network,
        spec: EndpointSpec,
        ipam: IpamDriver | None,
        mac: str,
        granted: dict[int, tuple[Segment, Interface]],
    ) -> None:
        """granted: gets one address of each family."""
        named: dict[int, Address] = {address.version: address for address in spec.addresses}
        for address in spec.addresses:
            if network.segment_of(address) is None:
                subnets = ", ".join(str(segment.subnet) for segment in network.segments) or "none"
                raise BadRequest(
                    f"address {address} is in no subnet of network {network.name}", hint=f"it has {subnets}"
                )
        for version in (4, 6):
            wanted = named.get(version)
            if wanted is None and (version in network.on_demand or not spec.allocate):
                continue  # the network's own subnets are seen to when the endpoint is made
            segments = network.segments_of(version)
            if asked := [subnet for subnet in spec.subnets if subnet.version == version]:
                segments = tuple(segment for segment in segments if segment.subnet in asked)
            if ipam is not None and segments:
                granted[version] = await _granted(ipam, segments, wanted, mac, spec.name, exact=bool(asked))

    async def delete_endpoint(self, network_id: str, endpoint_id: str, force: bool = False) -> None:
        """The endpoint is gone, and its addresses are free. Raises NotFound, Conflict when it is in a sandbox,
        Unavailable as `delete_network`. force: from within a sandbox, and without a driver that cannot be reached."""
        endpoint = self._cache.endpoint(network_id, endpoint_id)
        if endpoint is None:
            raise NotFound(f"endpoint {endpoint_id[:12]} is not known")
        if endpoint.state is State.ATTACHED and not force:
            names = (sandbox.name for sandbox in self._cache.every(Sandbox) if sandbox.key == endpoint.sandbox)
            raise Conflict(
                f"endpoint {endpoint.name or endpoint_id[:12]} is in use",
                holder=f"sandbox {next(names, endpoint.sandbox)}",
                hint="let it leave first",
            )
        await self._endpoints.delete(network_id, endpoint_id, force, attached=force)

    def _must_be_free(self, network: Network, mac: str) -> None:
        """Raises Conflict when an endpoint of the network has the MAC."""
        other = self._endpoint_index.with_mac(network.id, mac)
        if other is not None:
            raise Conflict(
                f"MAC {mac} is in use in network {network.name}", holder=f"endpoint {other.name or other.id[:12]}"
            )

    def _network(self, network_id: str) -> Network:
        network = self._cache.network(network_id)
        if network is None:
            raise NotFound(f"network {network_id[:12]} is not known")
        return network

    def _ident(self) -> str:
        """64 random hexadecimal digits."""
        return "".join(self._clock.token() for _ in range(6))[:64]


async def _granted(
    ipam: IpamDriver, segments: tuple[Segment, ...], address: Address | None, mac: str, name: str, exact: bool
) -> tuple[Segment, Interface]:
    """An address of one of the segments, a full one passed over. exact: and of no other one of their network. Raises
    BadRequest for an address that is in none of them, Exhausted, and what the IPAM driver raises."""
    full: Exhausted | None = None
    for segment in segments:
        if address is not None and address not in segment.subnet:
            continue
        try:
            request = AddressRequest(segment.pool, Role.ENDPOINT, address, mac, name, exact)
            return segment, await ipam.request_address(request)
        except Exhausted as fault:
            full = fault
    if full is None:
        raise BadRequest(f"address {address} is not in the subnet that is asked for")
    raise full


def _on_demand(spec: NetworkSpec) -> bool:
    """Whether the network gets its subnets when endpoints need them. Raises BadRequest for what cannot be with that."""
    if spec.driver != BRIDGE or parse_network_options(spec.options, spec.internal).subnets is Subnets.AT_CREATION:
        return False
    if spec.ipam != OUR_IPAM or spec.ipam_options:
        raise BadRequest(
            "subnets on demand are of Mooring's own IPAM driver, without options",
            hint="leave out ipam and ipam_options; the driver's options name a tenant",
        )
    return True


def _request(ident: str, spec: NetworkSpec, granted: list[SegmentRequest]) -> NetworkRequest:
    return NetworkRequest(
        ident,
        dict(spec.options),
        spec.internal,
        tuple(part for part in granted if part.subnet.version == 4),
        tuple(part for part in granted if part.subnet.version == 6),
        driver=spec.driver,
        origin=Origin.LIBRARY,
        name=spec.name,
        labels=dict(spec.labels),
        attachable=spec.attachable,
        ipam=spec.ipam,
    )


def _v4(granted: dict[int, tuple[Segment, Interface]]) -> IPv4Interface | None:
    found = granted.get(4)
    return found[1] if found is not None and isinstance(found[1], IPv4Interface) else None


def _v6(granted: dict[int, tuple[Segment, Interface]]) -> IPv6Interface | None:
    found = granted.get(6)
    return found[1] if found is not None and isinstance(found[1], IPv6Interface) else None
