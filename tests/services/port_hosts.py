"""A host with network ports, whose containers start and stop call by call, as dockerd makes them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from mooring.core.endpoint_options import PORT
from mooring.core.endpoints import Endpoint
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Network, stable_mac
from mooring.core.pools import SubnetPool
from mooring.core.requests import (
    AddressRequest,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.core.views import PortRow
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.operations.network_ports import PortSpec
from mooring.services.operations.operations import Operations
from tests.services.holder_hosts import HolderHost
from tests.services.operators import operate

WEB = "web".ljust(64, "0")
# Of IPv4, five addresses for containers in a subnet.
SMALL = IpamPolicy(
    subnet_pools4=(SubnetPool("small", "default", (ip_network("10.50.0.0/24"),), 29),),
    subnet_pools6=(SubnetPool("six", "default", (ip_network("fd00:50::/48"),), 64),),
)


class PortHost(HolderHost):
    """Networks are `web` and others of HolderHost; a container's MAC is drawn by its name unless it names one."""

    @property
    def operated(self) -> Operations:
        """An operator's use cases."""
        return operate(self)

    async def on_demand(self, name: str = "web", *, v6: bool = False, **raw: str) -> str:
        """`docker network create --ipam-driver null -o subnets=on-demand`."""
        parts = (SegmentRequest("null", ip_network("0.0.0.0/0"), None),)
        parts6 = (SegmentRequest("null", ip_network("::/0"), None),) if v6 else ()
        ident = name.ljust(64, "0")
        await self.services.networks.create(NetworkRequest(ident, {"subnets": "on-demand"} | raw, False, parts, parts6))
        return ident

    async def port(self, name: str = "db", network: str = WEB, **more: object) -> NetworkPort:
        """`mooring port create`. addresses, subnets: as text."""
        for word, read in (("addresses", ip_address), ("subnets", ip_network)):
            more[word] = tuple(read(str(each)) for each in more.get(word, ()))  # type: ignore[attr-defined]
        dry = bool(more.pop("dry", False))
        operated = self.operated
        spec = PortSpec(network, name=name, **more)  # type: ignore[arg-type]
        return await operated.network_ports.create(spec, dry, await operated.names())

    def row(self, port: NetworkPort) -> PortRow:
        """As `mooring port ls` has it."""
        return self.operated.network_port_rows.row(port)

    async def run(
        self, name: str, network: str = WEB, *, ip: str = "", ip6: str = "", mac: str = "", port: str = "",
        attach: bool = True,
    ) -> Endpoint:  # fmt: skip
        """`docker run` past the proxy, in a network with the IPAM driver mooring; what was got goes when it fails."""
        known = self.known(network)
        mac = mac or stable_mac(f"docker:{name}")
        got: dict[int, IPv4Interface | IPv6Interface] = {}
        pools: dict[int, str] = {}
        try:
            for segments, text in ((known.ipv4, ip), (known.ipv6, ip6)):
                for segment in segments[:1]:
                    asked = AddressRequest(segment.pool, Role.ENDPOINT, ip_address(text) if text else None, mac)
                    interface = ip_interface(str(await self.services.ipam.request_address(asked)))
                    got[interface.version], pools[interface.version] = interface, segment.pool
            request = EndpointRequest(
                network, name.ljust(64, "0"), None, None, mac, options={PORT: port} if port else {}
            )
            v4, v6 = got.get(4), got.get(6)
            assert not isinstance(v4, IPv6Interface)
            assert not isinstance(v6, IPv4Interface)
            return await self._started(replace(request, ipv4=v4, ipv6=v6), attach)
        except BaseException:
            for version, interface in got.items():
                await self.services.endpoints.release(pools[version], interface.ip)
            raise

    async def run_null(
        self, name: str, network: str = WEB, *, mac: str = "", port: str = "", attach: bool = True
    ) -> Endpoint:
        """The same in a network with Docker's null IPAM driver, which gives neither address nor MAC."""
        options = {PORT: port} if port else {}
        return await self._started(
            EndpointRequest(network, name.ljust(64, "0"), None, None, mac, options=options), attach
        )

    async def _started(self, request: EndpointRequest, attach: bool) -> Endpoint:
        await self.services.endpoints.create(request)
        if attach:
            try:
                key = f"/run/docker/netns/{request.id[:12]}"
                await self.services.endpoints.attach(request.network, request.id, JoinRequest(key))
            except BaseException:
                await self.services.endpoints.delete(request.network, request.id)
                raise
        found = self.services.cache.endpoint(request.network, request.id)
        assert found is not None
        return found

    async def stop(self, endpoint: Endpoint) -> None:
        """Leave, DeleteEndpoint and ReleaseAddress."""
        await self.services.endpoints.detach(endpoint.network, endpoint.id)
        await self.services.endpoints.delete(endpoint.network, endpoint.id)
        for address in endpoint.addresses:
            segment = self.known(endpoint.network).segment_of(address)
            if segment is not None:
                await self.services.endpoints.release(segment.pool, address)

    async def network_goes(self, network: str = WEB) -> None:
        """`docker network rm`."""
        for segment in self.known(network).segments:
            await self.services.ipam.release_pool(segment.pool)
        await self.services.networks.delete(network)

    async def back(self, name: str, before: Network) -> str:
        """A network named web with the subnets that it had before."""
        parts: dict[int, tuple[SegmentRequest, ...]] = {4: (), 6: ()}
        for segment in before.segments:
            version = segment.subnet.version
            grant = await self.services.ipam.request_pool(PoolRequest("default", version, segment.subnet))
            parts[version] = (SegmentRequest("default", grant.subnet, grant.gateway),)
        ident = name.ljust(64, "0")
        await self.services.networks.create(NetworkRequest(ident, {}, False, parts[4], parts[6]))
        await self.services.ipam.kept_networks.inherit(ident, "web")
        return ident

    def addresses(self, port: NetworkPort) -> list[str]:
        """The port's leases."""
        return [str(each.address) for each in self.services.ipam.fixed_index.of_key(port.network, port.key)]


async def host_with(*networks: str, v6: bool = False, **raw: str) -> PortHost:
    """A host that serves these networks, `web` among them."""
    host = PortHost()
    await host.serve(*(networks or ("web",)), v6=v6, **raw)
    return host
