"""What is told of a subnet that cannot be had, who is in its way, and what becomes of a pool that nobody waited for."""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.leases import Lease
from mooring.core.pools import SubnetPool
from mooring.core.requests import PoolRequest
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.testing.memory_store import When
from tests.services.ipam_hosts import Host

SMALL = SubnetPool("small", "default", (ip_network("10.32.0.0/23"),), 24)


@pytest.fixture
def host() -> Host:
    """Nothing there yet."""
    return Host()


async def test_who_is_in_the_way_of_a_typed_subnet_is_named_with_what_to_do(host: Host) -> None:
    """A pool, or what runs in it without a record."""
    grant = await host.pool("10.0.0.0/24")
    with pytest.raises(Conflict) as caught:
        await host.pool("10.0.0.128/25")
    assert caught.value.holder == f"pool {grant.pool} of no network yet"
    assert caught.value.hint.startswith("choose another subnet, or remove that network (`mooring network ls`")
    host.ipam.index.keep_out({ip_address("10.7.0.9"): "container interface mv-1"})
    with pytest.raises(Conflict, match="in use but missing from the records") as caught:
        await host.pool("10.7.0.0/24")
    assert caught.value.holder == "container interface mv-1"
    assert caught.value.hint == "see `mooring doctor`, or choose another subnet"


async def test_three_routes_are_enough_to_warn_of() -> None:
    """Those that overlap, and no pool's own."""
    host = Host(routes=[ip_network(f"10.0.{number}.0/24") for number in range(5)])
    (warning,) = (await host.pool("10.0.0.0/16")).warnings
    assert warning.endswith("routes of this host: 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24")


async def test_a_full_subnet_pool_says_what_is_in_it() -> None:
    """Pools, what the host has, and what Docker's other networks have."""
    host = Host(IpamPolicy((SMALL,)), routes=[ip_network("10.32.0.0/25")])
    host.ipam = Ipam(host.cache, host.clock, host.policy, host, lambda: [ip_network("10.32.1.0/25")])
    with pytest.raises(Exhausted) as caught:
        await host.ipam.request_pool(PoolRequest("default", 4))
    assert re.search("10.32.0.0/25 .*an address or route of this host", str(caught.value))
    assert re.search("10.32.1.0/25 .*another network of Docker's", str(caught.value))


async def test_a_subnet_that_another_network_of_docker_has_meanwhile_does_not_return() -> None:
    """Although no interface of the host shows it."""
    host = Host(IpamPolicy((SMALL,)))
    elsewhere = [ip_network("192.0.2.0/24")]
    host.ipam = Ipam(host.cache, host.clock, host.policy, host, lambda: elsewhere)
    subnet = ip_network("10.32.0.0/24")
    assert await host.ipam.may_return("default", subnet, {})
    elsewhere.append(ip_network("10.32.0.0/25"))
    assert not await host.ipam.may_return("default", subnet, {})


async def test_the_gateway_of_a_pool_that_nobody_waited_for_goes_with_it(host: Host) -> None:
    """Its address is free for the next one, wherever its gateway is."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(host.pool("10.0.0.0/24"))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert host.cache.count(Lease) == 1
    await host.pool("10.9.0.0/24")
    assert [str(lease.address) for lease in host.cache.every(Lease)] == ["10.9.0.1"]


async def test_a_request_that_fails_after_nobody_waits_for_it_is_no_mistake(host: Host) -> None:
    """Nothing was made, and the next request is like any other."""
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    host.store.fail_next(When.BEFORE)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(host.pool("10.0.0.0/24"))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert said == []
    await host.pool("10.0.0.0/24")


async def test_an_address_that_has_another_pools_lease_by_now_keeps_it(host: Host) -> None:
    """What is taken back is what the lost commit wrote."""
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.pool("10.0.0.0/24")
    host.own = {ip_interface("192.0.2.1/24"): "eth0"}
    grant = await host.pool("10.0.0.0/16")
    lease = host.lease("10.0.0.1")
    assert lease is not None
    assert lease.pool == grant.pool
