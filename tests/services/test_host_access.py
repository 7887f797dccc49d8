"""What the host reaches of networks in routing domains: a subnet leads to one of them, whoever asked first."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Network
from mooring.core.plumbing import Domain, Route
from mooring.core.requests import EndpointRequest, NetworkRequest, SegmentRequest
from tests.services.hosts import MemoryHost, separate_network

ACCESS = {"host_access": "addresses"}
SUBNET = ip_network("10.32.0.0/24")
RED = Route("mt-1", SUBNET, ip_address("169.254.64.3"))


@pytest.fixture
async def apart() -> MemoryHost:
    """A host on which tenants are separate."""
    return await MemoryHost(separate_tenants=True).start()


def routes(host: MemoryHost) -> set[Route]:
    """Those that the host has by us."""
    return {fact for fact in host.facts if isinstance(fact, Route)}


async def test_the_second_who_asks_for_a_subnet_is_refused_and_told_who_has_it(apart: MemoryHost) -> None:
    """Another tenant, also for a part of it, and a network of no tenant, which the host reaches anyhow; either way
    round. Who does not ask shares it."""
    red = await separate_network(apart, "a", "red", **ACCESS)
    for subnet in ("10.32.0.0/24", "10.32.0.128/25"):
        with pytest.raises(Conflict, match=r"overlaps 10\.32\.0\.0/24: a host can route.*network a{12} of tenant red"):
            await separate_network(apart, "b", "blue", subnet, **ACCESS)
    plain = NetworkRequest("d" * 64, {}, False, (SegmentRequest("LocalDefault", SUBNET, None),), ())
    with pytest.raises(Conflict, match="of tenant red"):
        await apart.services.networks.create(plain)
    await separate_network(apart, "b", "blue")
    assert routes(apart) == {RED}
    await apart.services.networks.delete(red.id)
    assert routes(apart) == set()
    await apart.services.networks.create(plain)
    with pytest.raises(
        Conflict, match=r"network d{12}\); choose another --subnet, omit it, or leave out host_access=addresses"
    ):
        await separate_network(apart, "c", "red", **ACCESS)
    await separate_network(apart, "c", "red")


async def test_a_route_goes_with_its_network_and_comes_back_by_itself(apart: MemoryHost) -> None:
    """Others of the tenant stay; what somebody removes is restored, also after a reboot; a leftover goes."""
    red = await separate_network(apart, "a", "red", **ACCESS)
    other = await separate_network(apart, "b", "red", "10.33.0.0/24", **ACCESS)
    del apart.kernel.facts[RED.key]
    report = await apart.services.repair.once()
    assert report.repaired
    assert RED in routes(apart)
    assert not (await apart.services.repair.once()).repaired
    await apart.reboot()
    await apart.services.repair.once()
    assert {route.subnet for route in routes(apart)} == {SUBNET, other.ipv4[0].subnet}
    await apart.services.networks.delete(red.id)
    assert {route.subnet for route in routes(apart)} == {other.ipv4[0].subnet}
    apart.kernel.facts[RED.key] = RED
    await apart.services.repair.once()
    assert RED not in routes(apart)
    await apart.services.networks.delete(other.id)
    assert not [fact for fact in apart.facts if isinstance(fact, Route | Domain)]


async def test_a_route_of_the_hosts_own_is_in_the_way(apart: MemoryHost) -> None:
    """As of any network; also where that is overlooked: the host's own stays, and nothing is half made."""
    apart.kernel.routes.append(SUBNET)
    for more in ({}, {"host_overlap": "warn"}):
        with pytest.raises(Conflict, match=r"10\.32\.0\.0/24"):
            await separate_network(apart, "a", "red", **ACCESS, **more)
    assert apart.services.cache.count(Network) == 0
    assert not [fact for fact in apart.facts if isinstance(fact, Route | Domain)]


async def test_what_is_carved_for_others_keeps_clear_of_it(apart: MemoryHost) -> None:
    """A subnet that the host routes to a tenant is none for a network of no tenant."""
    await separate_network(apart, "a", "red", **ACCESS)
    network = apart.services.cache.network(await apart.network("b"))
    assert network is not None
    assert [segment.subnet for segment in network.segments] == [ip_network("10.32.1.0/24")]


async def test_the_choice_is_for_networks_of_a_routing_domain(apart: MemoryHost) -> None:
    """Elsewhere the host reaches addresses, and says so."""
    await apart.network("a", host_access="addresses")
    with pytest.raises(BadRequest, match=r"host_access=published is for networks in a tenant's routing domain"):
        await apart.network("b", host_access="published")
    with pytest.raises(BadRequest, match="network has no gateway, so its containers could not answer"):
        await separate_network(apart, "c", "red", "10.40.0.0/24", gateway="none", **ACCESS)
    assert apart.services.cache.count(Network) == 1


async def test_a_subnet_on_demand_brings_its_route_and_takes_it_along(apart: MemoryHost) -> None:
    """The network has none at first, so there is nothing to reach; what the tenant's other networks have stays."""
    later = ("null", ip_network("0.0.0.0/0"), None)
    raw = {"tenant": "red", "subnets": "on-demand,idle=release", **ACCESS}
    await separate_network(apart, "b", "red", "10.90.0.0/24", **ACCESS)
    await apart.services.networks.create(NetworkRequest("a" * 64, raw, False, (SegmentRequest(*later),), ()))
    before = routes(apart)
    assert [str(route.subnet) for route in before] == ["10.90.0.0/24"]
    endpoint = EndpointRequest("a" * 64, "e" * 64, None, None, "")
    grant = await apart.services.endpoints.create(endpoint)
    assert grant.ipv4 is not None
    (fresh,) = routes(apart) - before
    assert grant.ipv4.ip in fresh.subnet
    assert not (await apart.services.repair.once()).repaired
    await apart.services.endpoints.delete("a" * 64, "e" * 64)
    assert routes(apart) == before
