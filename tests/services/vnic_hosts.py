"""A host with a launcher and an engine, in memory: VNICs made as the API makes them, networks as dockerd does."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_network

from mooring.core.endpoints import Attachment
from mooring.core.networks import StaticRoute
from mooring.core.requests import (
    AddressRequest,
    EndpointGrant,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.core.vnics import Group, Vnic, VnicSpec
from tests.services.hosts import MemoryHost

V4 = "172.16.5.0/24"


def spec(tenant: str, address: str, subnet: str = V4, **more: object) -> VnicSpec:
    """What a launcher wants."""
    gateway = more.pop("gateway", "172.16.5.1")
    return VnicSpec(
        Group(tenant, ip_network(subnet)),
        ip_address(address),
        gateway=ip_address(str(gateway)) if gateway else None,
        **more,  # type: ignore[arg-type]
    )


ROUTE = StaticRoute(ip_network("10.0.0.0/8"), ip_address("172.16.5.9"))


class LauncherHost(MemoryHost):
    """With a launcher beside the engine."""

    async def vnic(self, tenant: str, address: str, **more: object) -> Vnic:
        """It is there."""
        made, _ = await self.services.vnics.create(spec(tenant, address, **more), 0.0)  # type: ignore[arg-type]
        return made

    async def handoff(self, name: str, *, subnet: str = V4, tenant: str = "", **raw: str) -> str:
        """`docker network create --subnet --gateway -o ...`, as dockerd does it; the network's id."""
        ident = name.ljust(64, "0")
        options = {"tenant": tenant} if tenant else {}
        grant = await self.services.ipam.request_pool(PoolRequest("default", 4, ip_network(subnet), options=options))
        gateway = ip_address(str(next(ip_network(subnet).hosts())))
        await self.services.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY, gateway))
        interface = IPv4Interface(f"{gateway}/{ip_network(subnet).prefixlen}")
        part = SegmentRequest("default", ip_network(subnet), interface)
        await self.services.networks.create(NetworkRequest(ident, raw, False, (part,), ()))
        return ident

    async def run(self, network: str, name: str, address: str, mac: str) -> tuple[EndpointGrant, Attachment]:
        """RequestAddress, CreateEndpoint and Join."""
        known = self.services.cache.network(network)
        assert known is not None
        asked = AddressRequest(known.ipv4[0].pool, Role.ENDPOINT, ip_address(address) if address else None, mac)
        got = await self.services.ipam.request_address(asked)
        assert isinstance(got, IPv4Interface)
        ident = name.ljust(64, "0")
        grant = await self.services.endpoints.create(EndpointRequest(network, ident, got, None, mac))
        key = f"/run/docker/netns/{name}"
        return grant, await self.services.endpoints.attach(network, ident, JoinRequest(key))

    async def end(self, network: str, name: str) -> None:
        """Leave, DeleteEndpoint and ReleaseAddress."""
        known = self.services.cache.network(network)
        endpoint = self.services.cache.endpoint(network, name.ljust(64, "0"))
        assert known is not None
        assert endpoint is not None
        await self.services.endpoints.detach(network, endpoint.id)
        await self.services.endpoints.delete(network, endpoint.id)
        for address in endpoint.addresses:
            await self.services.endpoints.release(known.ipv4[0].pool, address)
