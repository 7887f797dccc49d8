"""Which endpoints are dead when another one comes with their address."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_interface

import pytest

from mooring.core.faults import Conflict
from mooring.core.leases import State
from mooring.core.requests import AddressRequest, EndpointRequest, Role
from tests.services.hosts import MemoryHost
from tests.services.operators import operate


async def again(host: MemoryHost, network: str) -> None:
    """The address of the network's one endpoint comes under a new id, without a release."""
    (old,) = host.services.endpoint_index.of_network(network)
    await host.services.endpoints.create(EndpointRequest(network, "n" * 64, old.ipv4, None, old.mac))


async def test_what_the_running_engine_has_attached_lives() -> None:
    """Two containers with one address that start at once: the second is refused, the first keeps everything."""
    host = await MemoryHost().start()
    network = await host.network("web")
    host.services.endpoints.takeovers.engine_started()
    host.clock.advance(1)
    await host.endpoint(network, "old")
    with pytest.raises(Conflict, match="endpoint old"):
        await again(host, network)
    assert [endpoint.id[:3] for endpoint in host.services.endpoint_index.of_network(network)] == ["old"]


@pytest.mark.parametrize("told", [True, False])
async def test_what_was_attached_before_the_engine_started_is_dead(told: bool) -> None:
    """Also when nobody heard of the start: then everything may be."""
    host = await MemoryHost().start()
    network = await host.network("web")
    await host.endpoint(network, "old")
    host.clock.advance(1)
    if told:
        host.services.endpoints.takeovers.engine_started()
    await again(host, network)
    assert [endpoint.id[:3] for endpoint in host.services.endpoint_index.of_network(network)] == ["nnn"]


async def test_what_the_engine_has_attached_since_the_daemon_began_lives_though_the_engine_began_before() -> None:
    """An engine activates the plugin when it begins, and not when the daemon does."""
    host = await MemoryHost().start()
    network = await host.network("web")
    host.clock.advance(1)
    await host.endpoint(network, "old")
    with pytest.raises(Conflict, match="endpoint old"):
        await again(host, network)


async def test_who_is_refused_an_address_releases_it_and_takes_it_from_nobody() -> None:
    """dockerd gives back what it had asked for; a release that comes for no refusal is of the endpoint itself."""
    host = await MemoryHost().start()
    network = await host.network("web")
    host.clock.advance(1)
    await host.endpoint(network, "old")
    (old,) = host.services.endpoint_index.of_network(network)
    pool = host.services.cache.network(network).ipv4[0].pool  # type: ignore[union-attr]
    for _ in range(2):
        with pytest.raises(Conflict, match="endpoint old"):
            await again(host, network)
    for _ in range(2):
        await host.services.endpoints.release(pool, old.addresses[0])
        assert host.services.endpoint_index.of_network(network) == [old]
    await host.services.endpoints.release(pool, old.addresses[0])
    assert host.services.endpoint_index.of_network(network) == []


async def test_the_other_addresses_of_a_dead_endpoint_go_with_it() -> None:
    """It had two families, the heir has one."""
    host = await MemoryHost().start()
    network = await host.network("web", v6=True)
    await host.endpoint(network, "old")
    (old,) = host.services.endpoint_index.of_network(network)
    assert old.ipv6 is not None
    await again(host, network)
    lease = host.services.cache.lease("default", ip_interface(str(old.ipv6)).ip)
    assert lease is not None
    assert lease.state is State.COOLING


async def test_who_takes_over_a_reserved_address_gives_it_back_to_its_reservation() -> None:
    """The reservation outlives the crash, whatever the MAC of the new endpoint."""
    host = await MemoryHost().start()
    network = await host.network("web")
    found = host.services.cache.network(network)
    assert found is not None
    segment = found.ipv4[0]
    address = segment.subnet[9]
    await operate(host).reservations.reserve(None, address, address, "db", "why", None, False)
    mine = AddressRequest(segment.pool, Role.ENDPOINT, address, "02:00:00:00:00:01", "db")
    await host.services.ipam.request_address(mine)
    for ident, mac in (("a", "02:00:00:00:00:01"), ("b", "02:00:00:00:00:02")):
        interface = IPv4Interface(f"{address}/{segment.subnet.prefixlen}")
        await host.services.endpoints.create(EndpointRequest(network, ident * 64, interface, None, mac))
    await host.services.endpoints.delete(network, "b" * 64)
    await host.services.ipam.release_address(segment.pool, address)
    lease = host.services.cache.lease("default", address)
    assert lease is not None
    assert (lease.state, lease.whom, lease.note) == (State.RESERVED, "db", "why")
