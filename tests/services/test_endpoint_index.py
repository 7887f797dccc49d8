"""The index of endpoints follows the records."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import AddressRequest, Role
from tests.services.hosts import MemoryHost

E1 = "e1".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """A host with a network, and a container that publishes a port."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.endpoint(network, "e1")
    await host.services.endpoints.publish(network, E1, (PortRequest(Protocol.TCP, 80, first=8080, last=8080),))
    return host


async def test_endpoints_are_found_by_network_address_and_port_also_after_a_restart(host: MemoryHost) -> None:
    """Everything in the index comes from the records, so a restart finds the same."""
    network = "a".ljust(64, "0")
    for _ in range(2):
        endpoint_index = host.services.endpoint_index
        assert [endpoint.id for endpoint in endpoint_index.of_network(network)] == [E1]
        found = endpoint_index.at(network, ip_address("10.32.0.2"))
        assert found is not None
        assert found.id == E1
        assert [holder.id for _, holder in endpoint_index.publishers(Protocol.TCP, 8080)] == [E1]
        assert list(endpoint_index.publishers(Protocol.UDP, 8080)) == []
        await host.restart()


async def test_what_is_deleted_is_found_no_more(host: MemoryHost) -> None:
    """By none of the three ways."""
    network = "a".ljust(64, "0")
    await host.services.endpoints.delete(network, E1)
    assert host.services.endpoint_index.of_network(network) == []
    assert host.services.endpoint_index.at(network, ip_address("10.32.0.2")) is None
    assert list(host.services.endpoint_index.publishers(Protocol.TCP, 8080)) == []


async def test_a_lease_is_unattached_before_its_endpoint_comes_and_after_it_goes(host: MemoryHost) -> None:
    """The lease of a live endpoint is not told, nor is a gateway's."""
    network = host.services.cache.network("a".ljust(64, "0"))
    assert network is not None
    assert host.services.endpoint_index.unattached() == []
    got = await host.services.ipam.request_address(AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, mac="02::9"))
    assert [lease.address for lease in host.services.endpoint_index.unattached()] == [got.ip]
    await host.services.endpoints.delete(network.id, E1)
    assert {str(lease.address) for lease in host.services.endpoint_index.unattached()} == {"10.32.0.2", str(got.ip)}
    await host.restart()
    assert {str(lease.address) for lease in host.services.endpoint_index.unattached()} == {"10.32.0.2", str(got.ip)}
    for lease in host.services.endpoint_index.unattached():
        await host.services.ipam.release_address(lease.pool, lease.address)
    assert host.services.endpoint_index.unattached() == []


async def test_endpoints_are_found_by_sandbox_name_and_mac(host: MemoryHost) -> None:
    """As long as they have them, also after a restart; nobody has the empty ones."""
    network, key = "a".ljust(64, "0"), "/run/docker/netns/e1"
    endpoint = host.services.cache.endpoint(network, E1)
    assert endpoint is not None
    await host.services.cache.commit(put=[replace(endpoint, name="web")])
    for _ in range(2):
        endpoint_index = host.services.endpoint_index
        assert [found.id for found in endpoint_index.in_sandbox(key)] == [E1]
        named, marked = endpoint_index.named(network, "web"), endpoint_index.with_mac(network, endpoint.mac)
        assert named is not None
        assert named == marked
        await host.restart()
    endpoint_index = host.services.endpoint_index
    assert (endpoint_index.named(network, ""), endpoint_index.with_mac(network, ""), endpoint_index.in_sandbox("")) == (
        None,
        None,
        [],
    )
    await host.services.endpoints.delete(network, E1)
    gone = (
        endpoint_index.in_sandbox(key),
        endpoint_index.named(network, "web"),
        endpoint_index.with_mac(network, endpoint.mac),
    )
    assert gone == ([], None, None)


async def test_the_hosts_own_lease_in_an_overlay_is_nobodys_to_take(host: MemoryHost) -> None:
    """It has the MAC of the network's bridge, and no endpoint."""
    network = host.services.cache.network("a".ljust(64, "0"))
    assert network is not None
    await host.services.ipam.request_address(AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, mac=network.mac))
    assert host.services.endpoint_index.unattached() == []
