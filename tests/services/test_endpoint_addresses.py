"""Addresses that a request leaves open: from the network's own subnets, or a word of what it lacks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, ip_network

import pytest

from mooring.core.faults import BadRequest, Exhausted
from mooring.core.leases import Lease
from mooring.core.networks import Network
from mooring.core.pools import SubnetPool
from mooring.core.requests import EndpointRequest, NetworkRequest, SegmentRequest
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.endpoint_addresses import EndpointAddresses, must_have_subnets
from mooring.services.networking.on_demand_subnets import LacksSubnet
from tests.services.hosts import MemoryHost

NETWORK = "a" * 64
OPEN = EndpointRequest(NETWORK, "e" * 64, None, None, "")
PARTS = (SegmentRequest("null", ip_network("0.0.0.0/0"), None),), (SegmentRequest("null", ip_network("::/0"), None),)
POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool("four", "default", (ip_network("10.50.0.0/24"),), 24),),
    subnet_pools6=(SubnetPool("six", "default", (ip_network("fd00:50::/124"),), 126),),
)


async def ready(**raw: str) -> tuple[MemoryHost, EndpointAddresses, Network]:
    """A network of both families whose subnets it asked for itself; two IPv6 addresses are for endpoints."""
    host = await MemoryHost(policy=POLICY).start()
    await host.services.networks.create(NetworkRequest(NETWORK, raw, False, *PARTS))
    network = host.services.cache.network(NETWORK)
    assert network is not None
    services = host.services
    return host, EndpointAddresses(services.cache, services.endpoint_index, services.ipam), network


async def test_what_is_left_open_is_allocated_in_each_family() -> None:
    """And what was given stays."""
    _, addresses, network = await ready()
    async with addresses.completed(network, OPEN) as (ipv4, ipv6):
        assert (str(ipv4), str(ipv6)) == ("10.50.0.2/24", "fd00:50::2/126")
    given = EndpointRequest(NETWORK, "f" * 64, IPv4Interface("10.50.0.9/24"), None, "", allocate=False)
    async with addresses.completed(network, given) as found:
        assert found == (IPv4Interface("10.50.0.9/24"), None)


async def test_what_is_not_recorded_is_held_and_then_free_again() -> None:
    """IPv6 has two addresses for endpoints; a third is refused while two wait, and holds nothing of IPv4 either."""
    host, addresses, network = await ready()
    before = host.services.cache.count(Lease)
    async with addresses.completed(network, OPEN), addresses.completed(network, OPEN) as second:
        assert str(second[0]) == "10.50.0.3/24"
        with pytest.raises(Exhausted, match="fd00:50"):
            async with addresses.completed(network, OPEN):
                pass
    assert host.services.cache.count(Lease) == before
    async with addresses.completed(network, OPEN) as (ipv4, _), addresses.completed(network, OPEN) as (other, _):
        assert ipv4 != other


async def test_a_network_on_demand_says_what_it_lacks_before_anything_is_allocated() -> None:
    """The families one after another, since the other one may come to nothing."""
    host, addresses, network = await ready(subnets="on-demand")
    with pytest.raises(LacksSubnet) as caught:
        async with addresses.completed(network, OPEN):
            pass
    assert (caught.value.lack.version, caught.value.lack.seen) == (4, ())
    assert host.services.cache.count(Lease) == 0


async def test_an_address_that_is_not_of_the_subnet_that_is_asked_for_is_refused() -> None:
    """Another IPAM driver, or ours before it could know, gave it."""
    _, _, network = await ready()
    given = replace(OPEN, ipv4=IPv4Interface("10.50.0.9/24"), subnets=(ip_network("10.1.0.0/24"),))
    with pytest.raises(BadRequest, match=r"10\.50\.0\.9 is not in subnet 10\.1\.0\.0/24"):
        must_have_subnets(network, given)
    must_have_subnets(network, replace(given, subnets=(ip_network("10.50.0.0/24"),)))


async def test_a_given_address_says_in_which_subnet_it_is() -> None:
    """Its own CIDR, which other IPAM drivers keep the books of."""
    _, _, network = await ready(subnets="on-demand")
    with pytest.raises(LacksSubnet) as caught:
        must_have_subnets(network, EndpointRequest(NETWORK, "e" * 64, IPv4Interface("192.0.2.9/28"), None, ""))
    assert (caught.value.lack.subnet, caught.value.lack.ours) == (ip_network("192.0.2.0/28"), False)
