"""Our own door and our own drivers, each the other's test: real HTTP on a real socket, real services over a host in
memory, found as any plugin is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from mooring.adapters.plugins import Places, Plugins, RemoteDriver, RemoteIpam
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.leases import Lease
from mooring.core.networks import NULL_IPAM, Network, NetworkOptions, Segment
from mooring.core.plumbing import Bridge, Veth
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import AddressRequest, EndpointGrant, JoinRequest, NetworkSpec, PoolRequest, Role, SubnetSpec
from mooring.servers.plugin.dispatch import fail
from mooring.servers.plugin.door import PluginDoor
from tests.adapters.plugins.fakes import HastyClock
from tests.adapters.plugins.samples import MAC, E, N
from tests.servers.doubles import served
from tests.services.hosts import MemoryHost

PORTS = (PortRequest(Protocol.TCP, 80, None, 8080, 8080),)


@dataclass(frozen=True)
class Both:
    """The two ends."""

    host: MemoryHost
    network: RemoteDriver
    ipam: RemoteIpam

    async def segment(self, version: int) -> Segment:
        """A pool with its gateway, as the library asks for it."""
        space = await self.ipam.default_space()
        grant = await self.ipam.request_pool(PoolRequest(space, version))
        return Segment(grant.subnet, grant.gateway, space, grant.pool)

    async def made(self) -> Network:
        """A network with both families."""
        ipv4, ipv6 = await self.segment(4), await self.segment(6)
        network = Network(N, NetworkOptions(), False, (ipv4,), (ipv6,), 1.0, {}, "door", ipam="door")
        await self.network.create_network(network)
        return network

    async def endpoint(self, network: Network, ident: str = E, mac: str = MAC) -> Endpoint:
        """An endpoint with an address of each family."""
        ipv4, ipv6 = [
            await self.ipam.request_address(AddressRequest(segment.pool, Role.ENDPOINT, mac=mac, name=f"c{ident[:12]}"))
            for segment in network.segments
        ]
        assert isinstance(ipv4, IPv4Interface)
        assert isinstance(ipv6, IPv6Interface)
        endpoint = Endpoint(ident, network.id, ipv4, ipv6, mac, 1.0)
        assert await self.network.create_endpoint(network, endpoint) == EndpointGrant()
        return endpoint


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[Both]:
    """A host behind its door, and drivers that found it."""
    host = await MemoryHost().start()
    door = PluginDoor(host.services.ipam, host.services.networks, host.services.endpoints)
    async with served(folder, door, fail=fail):
        plugins = Plugins(Places(folder, ()), HastyClock())
        try:
            yield Both(host, await plugins.network_driver("door"), await plugins.ipam_driver("door"))
        finally:
            await plugins.close()


async def test_an_endpoint_lives_and_dies_through_the_door(tmp_path: Path) -> None:
    """From the pool to its release: records, kernel and answers agree, and nothing is left."""
    async with both(tmp_path) as ends:
        host = ends.host
        network = await ends.made()
        endpoint = await ends.endpoint(network)
        assert {type(fact) for fact in host.facts} >= {Bridge, Veth}
        known = host.services.cache.endpoint(N, E)
        assert known is not None
        assert (known.ipv4, known.ipv6, known.mac) == (endpoint.ipv4, endpoint.ipv6, MAC)

        attachment = await ends.network.join(network, endpoint, JoinRequest("/run/netns/s", ports=PORTS))
        assert attachment.link in {fact.peer for fact in host.facts if isinstance(fact, Veth)}
        assert attachment.prefix == "eth"
        assert [attachment.gateway4, attachment.gateway6] == [
            part.gateway.ip for part in network.segments if part.gateway
        ]
        assert not attachment.gateway_service
        await ends.network.publish(network, replace(endpoint, ports=PORTS))
        known = host.services.cache.endpoint(N, E)
        assert known is not None
        assert (known.state, known.sandbox) == (State.ATTACHED, "/run/netns/s")
        assert {port_binding.host_port for port_binding in known.published} == {8080}
        assert await ends.network.info(network, endpoint)

        await ends.network.unpublish(network, endpoint)
        await ends.network.leave(network, endpoint)
        await ends.network.delete_endpoint(network, endpoint)
        for segment, address in zip(network.segments, endpoint.addresses, strict=True):
            await ends.ipam.release_address(segment.pool, address)
            assert segment.gateway is not None
            await ends.ipam.release_address(segment.pool, segment.gateway.ip)
            await ends.ipam.release_pool(segment.pool)
        await ends.network.delete_network(network, ())
        cache = host.services.cache
        assert [*cache.every(Network), *cache.every(Endpoint), *cache.every(Lease)] == []
        assert not any(isinstance(fact, Veth | Bridge) for fact in host.facts)


async def test_everything_may_come_twice(tmp_path: Path) -> None:
    """As after a retry; ends of what was never there succeed."""
    async with both(tmp_path) as ends:
        network = await ends.made()
        endpoint = await ends.endpoint(network)
        await ends.network.create_network(network)
        assert await ends.network.create_endpoint(network, endpoint) == EndpointGrant()
        request = JoinRequest("/run/netns/s")
        assert await ends.network.join(network, endpoint, request) == await ends.network.join(
            network, endpoint, request
        )
        for _ in range(2):
            await ends.network.leave(network, endpoint)
            await ends.network.delete_network(network, [endpoint])
            await ends.ipam.release_pool("never-heard-of")


async def test_pools_are_asked_for_in_every_form(tmp_path: Path) -> None:
    """Any, of a length, a given one with a range."""
    async with both(tmp_path) as ends:
        assert (await ends.ipam.request_pool(PoolRequest("default", 4))).subnet.prefixlen == 24
        assert (await ends.ipam.request_pool(PoolRequest("default", 4, length=28))).subnet.prefixlen == 28
        subnet, part = ip_network("10.77.0.0/24"), ip_network("10.77.0.128/25")
        grant = await ends.ipam.request_pool(PoolRequest("default", 4, subnet, range=part))
        assert (grant.subnet, grant.gateway) == (subnet, ip_interface("10.77.0.1/24"))
        named = AddressRequest(grant.pool, Role.ENDPOINT, ip_address("10.77.0.9"), MAC)
        assert await ends.ipam.request_address(named) == ip_interface("10.77.0.9/24")
        chosen = await ends.ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT, mac="02:00:00:00:00:bb"))
        assert chosen.ip in part


async def test_what_is_left_open_the_door_chooses(tmp_path: Path) -> None:
    """On a network without an IPAM driver, as a network driver must; address and MAC come back as a grant."""
    async with both(tmp_path) as ends:
        network = Network(N, NetworkOptions(), False, (), (), 1.0, {}, "door", ipam=NULL_IPAM)
        await ends.network.create_network(network)
        grant = await ends.network.create_endpoint(network, Endpoint(E, N, None, None, "", 1.0))
        known = ends.host.services.cache.endpoint(N, E)
        assert known is not None
        assert known.ipv4 is not None
        assert grant == EndpointGrant(known.ipv4, None, known.mac)


async def test_capabilities_come_over(tmp_path: Path) -> None:
    """We want MACs, and are asked about gateways."""
    async with both(tmp_path) as ends:
        assert ends.ipam.requires_mac
        spec = NetworkSpec("web", "door", (SubnetSpec(4),))
        assert await ends.network.wants_gateways(spec) == (True, True)
        assert await ends.network.wants_gateways(replace(spec, options={"mode": "null"})) == (False, False)


async def test_errors_come_over_with_kind_and_text(tmp_path: Path) -> None:
    """Whoever asks through the door sees what the service said."""
    async with both(tmp_path) as ends:
        network = await ends.made()
        endpoint = await ends.endpoint(network)
        with pytest.raises(BadRequest, match=r"plugin door: .*no-such-option"):
            await ends.network.create_network(replace(network, id="x" * 64, raw={"no-such-option": "1"}))
        with pytest.raises(NotFound, match="plugin door: "):
            await ends.network.create_endpoint(replace(network, id="x" * 64), endpoint)
        with pytest.raises(Conflict, match=r"plugin door: .*10\."):
            await ends.ipam.request_pool(PoolRequest("default", 4, network.ipv4[0].subnet))
        with pytest.raises(NotFound, match="plugin door: "):
            await ends.ipam.request_address(AddressRequest("never-heard-of", Role.ENDPOINT, mac=MAC))
        await ends.network.join(network, endpoint, JoinRequest("/run/netns/s"))
        with pytest.raises(Conflict, match="held by sandbox /run/netns/s"):
            await ends.network.join(network, endpoint, JoinRequest("/run/netns/other"))
        ends.host.refusals.append(Unavailable("the kernel has no memory"))
        ends.host.refusals.append(Unavailable("the kernel has no memory"))
        with pytest.raises(Unavailable, match="plugin door: the kernel has no memory"):
            await ends.network.publish(network, replace(endpoint, ports=PORTS))


async def test_many_endpoints_at_once_have_addresses_of_their_own(tmp_path: Path) -> None:
    """Forty through one client."""
    async with both(tmp_path) as ends:
        network = await ends.made()
        async with asyncio.TaskGroup() as tasks:
            made = [
                tasks.create_task(ends.endpoint(network, f"{number:02}".ljust(64, "0"), f"02:00:00:00:01:{number:02x}"))
                for number in range(40)
            ]
        assert len({task.result().ipv4 for task in made}) == 40
