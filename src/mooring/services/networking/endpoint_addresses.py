"""The addresses of an endpoint that its request leaves open, where the network itself has asked for its subnets.

Rules: an address is on record together with its endpoint, or not at all; a network that gets subnets on demand is never
full, it lacks a subnet, and who makes the endpoint sees to it (networking/on_demand_subnets.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.faults import BadRequest, Exhausted
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import BRIDGE_PORTS, Interface, Network, Subnet
from mooring.core.requests import AddressRequest, EndpointRequest, Role
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.on_demand_subnets import Lack, LacksSubnet
from mooring.services.networking.own_subnets import OWNED
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache


class EndpointAddresses:
    """`completed`, of what is not on record yet."""

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex, ipam: Ipam) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._ipam = ipam

    @asynccontextmanager
    async def completed(
        self, network: Network, request: EndpointRequest, port: NetworkPort | None = None
    ) -> AsyncIterator[tuple[IPv4Interface | None, IPv6Interface | None]]:
        """The request's addresses, and ours where the network's IPAM driver gave none because it is null. None for a
        family that the network does not have. port: whose addresses they shall be. Ours are nobody else's until this is
        left, by when the endpoint has them on record. Raises LacksSubnet, Exhausted, Conflict when somebody else has
        the port."""
        found: dict[int, Interface | None] = {4: request.ipv4, 6: request.ipv6}
        left = [version for version in (4, 6) if request.allocate and found[version] is None]
        pools = {version: self._pools(network, request, version, port) for version in left}
        async with AsyncExitStack() as held:
            for version in left:
                address = port.address(version) if port is not None else None
                if not pools[version]:
                    continue
                if port is not None and address is not None:
                    # By the endpoint's id: of several at once that name the port, one is promised it.
                    mine = AddressRequest(pools[version][0], Role.ENDPOINT, address, port.mac, f"endpoint {request.id}")
                    found[version] = await self._ipam.request_address(mine)
                else:
                    chosen = self._held(network, request, version, pools[version][0])
                    found[version] = await held.enter_async_context(chosen)
            ipv4, ipv6 = found[4], found[6]
            assert ipv4 is None or isinstance(ipv4, IPv4Interface)
            assert ipv6 is None or isinstance(ipv6, IPv6Interface)
            yield ipv4, ipv6

    def _pools(self, network: Network, request: EndpointRequest, version: int, port: NetworkPort | None) -> list[str]:
        """Ids of the pools that the network asked for itself, of the family, and of the subnet where one is named, or
        the port has its address in. Raises LacksSubnet when there is none yet."""
        wanted = _wanted(request, version)
        address = port.address(version) if port is not None else None
        if address is not None and (segment := network.segment_of(address)) is not None:
            wanted = segment.subnet
        segments = network.segments_of(version)
        found = (self._cache.pool(segment.pool) for segment in segments if wanted in (None, segment.subnet))
        pools = [pool.id for pool in found if pool is not None and OWNED in pool.options]
        if not pools and version in network.on_demand:
            raise LacksSubnet(Lack(version, segments, wanted))
        return pools

    @asynccontextmanager
    async def _held(
        self, network: Network, request: EndpointRequest, version: int, pool_id: str
    ) -> AsyncIterator[Interface]:
        exact = _wanted(request, version) is not None
        async with AsyncExitStack() as held:
            wanted = AddressRequest(pool_id, Role.ENDPOINT, mac=request.mac, exact=exact)
            try:
                address = await held.enter_async_context(self._ipam.held_address(wanted))
            except Exhausted:
                crowded = network.bridged and self._endpoint_index.count(network.id) >= BRIDGE_PORTS
                if exact or crowded or version not in network.on_demand:
                    raise
                raise LacksSubnet(Lack(version, network.segments_of(version))) from None
            yield address


def must_have_subnets(network: Network, request: EndpointRequest) -> None:
    """Raises LacksSubnet when the network has not yet got a subnet that is named, or that an address which was given is
    in, BadRequest when it never will or the two are not the same."""
    for interface in (request.ipv4, request.ipv6):
        wanted = _wanted(request, interface.version) if interface is not None else None
        if interface is not None and wanted is not None and interface.ip not in wanted:
            raise BadRequest(
                f"address {interface.ip} is not in subnet {wanted}, which the endpoint asks for",
                hint="the network's IPAM driver gave it; leave the subnet out, or give an address of it (--ip)",
            )
        if interface is None or interface.version not in network.on_demand:
            continue
        if network.segment_of(interface.ip) is None:
            segments = network.segments_of(interface.version)
            raise LacksSubnet(Lack(interface.version, segments, interface.network, ours=False))
    for subnet in request.subnets:
        segments = network.segments_of(subnet.version)
        if any(segment.subnet == subnet for segment in segments):
            continue
        if subnet.version in network.on_demand:
            raise LacksSubnet(Lack(subnet.version, segments, subnet))
        raise BadRequest(
            f"network {network.name or network.id[:12]} has no subnet {subnet}",
            hint=f"it has {', '.join(str(part.subnet) for part in network.segments) or 'none'}",
        )


def _wanted(request: EndpointRequest, version: int) -> Subnet | None:
    """The subnet of the family that is asked for."""
    return next((subnet for subnet in request.subnets if subnet.version == version), None)
