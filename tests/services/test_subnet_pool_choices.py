"""Which subnet pool a network gets its subnet from: the one that it names, or the default ones in their turn."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, NotFound
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import PoolRequest
from mooring.services.ipam.allocator import IpamPolicy
from tests.services.ipam_hosts import POLICY, Host
from tests.services.test_subnet_pools import carve, create, nets


@pytest.fixture
async def host() -> Host:
    """An empty one, with declared subnet pools of both families."""
    return Host()


async def test_a_network_gets_its_subnet_from_the_one_that_it_names(host: Host) -> None:
    """Each family its own: the same options come with both questions of the engine."""
    await create(host)
    await create(host, "lab6", "fd00:64::/48")
    both = {"pool": "lab", "pool6": "lab6", "prefixlen": "26", "prefixlen6": "80"}
    v4, v6 = await carve(host, 4, **both), await carve(host, 6, **both)
    assert (str(v4.subnet), str(v6.subnet)) == ("10.64.0.0/26", "fd00:64::/80")
    assert [host.known(each.pool).source for each in (v4, v6)] == ["lab", "lab6"]
    assert str((await carve(host, 6, pool="lab")).subnet) == "fd00:32::/64"
    assert str((await carve(host, 4, prefixlen="20")).subnet) == "10.32.0.0/20"
    assert str((await carve(host)).subnet) == "10.32.16.0/24"


@pytest.mark.parametrize(
    ("options", "fault", "text"),
    [
        ({"pool": "nope"}, NotFound, "no subnet pool 'nope'; there are default4, default6, lab, blue4"),
        ({"pool6": "nope"}, NotFound, "no subnet pool 'nope'"),
        ({"pool": "default6"}, BadRequest, "default6 is an IPv6 one; name it with --ipam-opt pool6=default6"),
        ({"pool6": "lab"}, BadRequest, "lab is an IPv4 one; name it with --ipam-opt pool=lab"),
        ({"pool": "blue4"}, BadRequest, "blue4 belongs to tenant blue; add --ipam-opt tenant=blue"),
        ({"pool": "lab", "prefixlen": "31"}, BadRequest, "no subnet pool has subnets of prefix length 31"),
        ({"pool": "lab", "prefixlen": "20"}, Exhausted, "subnet pool lab is full: it has no free /20"),
    ],
)
async def test_a_name_or_length_that_cannot_be_meant_is_refused(
    host: Host, options: dict[str, str], fault: type[Fault], text: str
) -> None:
    """Also one that is for the other family: the engine may not ask for that at all."""
    await create(host)
    host.clock.advance(1)
    await create(host, "blue4", "10.90.0.0/16", space="blue")
    with pytest.raises(fault, match=text):
        await carve(host, 4, **options)
    assert host.cache.count(Pool) == 0


async def test_a_tenant_may_name_its_own_and_everybodys(host: Host) -> None:
    """Not another tenant's."""
    await create(host)
    await create(host, "blue4", "10.90.0.0/16", space="blue")
    assert str((await carve(host, space="blue", tenant="blue", pool="blue4")).subnet) == "10.90.0.0/24"
    assert str((await carve(host, space="blue", tenant="blue", pool="lab")).subnet) == "10.64.0.0/24"
    with pytest.raises(BadRequest, match="belongs to tenant blue"):
        await carve(host, space="red", tenant="red", pool="blue4")


async def test_defaults_are_tried_in_turn_and_each_prefix_of_them(host: Host) -> None:
    """Lower positions first, then declared ones, then older ones; what is used by name only is never tried."""
    small = SubnetPool("default4", "default", (ip_network("10.32.0.0/24"), ip_network("10.35.0.0/24")), 24)
    host = Host(IpamPolicy(subnet_pools4=(small,)))
    await create(host, "later", "10.67.0.0/24", position=200)
    await create(host, "named", "10.68.0.0/24")
    host.clock.advance(1)
    await create(host, "first", "10.64.0.0/24", "10.61.0.0/24", position=1)
    await create(host, "beside", "10.66.0.0/24", position=100)
    got = [str((await carve(host)).subnet) for _ in range(6)]
    assert got == ["10.64.0.0/24", "10.61.0.0/24", "10.32.0.0/24", "10.35.0.0/24", "10.66.0.0/24", "10.67.0.0/24"]
    with pytest.raises(Exhausted, match="subnet pool first, default4, beside, later is full") as caught:
        await carve(host)
    assert "`mooring subnet-pool set first --add-prefix SUBNET`" in str(caught.value)
    assert str((await carve(host, pool="named")).subnet) == "10.68.0.0/24"


async def test_a_tenant_without_its_own_gets_everybodys_and_never_another_tenants(host: Host) -> None:
    """One tenant does not use up another one's."""
    await create(host, "blue4", "10.90.0.0/24", space="blue", position=1)
    await create(host, "red4", "10.91.0.0/24", space="red")
    assert str((await carve(host, space="blue")).subnet) == "10.90.0.0/24"
    assert str((await carve(host, space="red")).subnet) == "10.32.0.0/24"
    assert str((await carve(host, space="green")).subnet) == "10.32.1.0/24"


async def test_a_typed_subnet_of_a_named_subnet_pool_must_be_one_of_it(host: Host) -> None:
    """It counts as a user, and stays a typed one."""
    await create(host)
    ask = PoolRequest("default", 4, ip_network("10.64.3.0/26"), options={"pool": "lab"})
    grant = await host.ipam.request_pool(ask)
    assert host.known(grant.pool).source == ""
    with pytest.raises(Conflict, match="cannot be removed: a network has a subnet of it"):
        await host.ipam.subnet_pools.remove("lab", False)
    for text in ("10.65.0.0/24", "10.64.0.0/31", "10.64.0.0/21"):
        with pytest.raises(BadRequest, match=r"is not one of subnet pool lab, which has /22 to /30 of 10.64.0.0/22"):
            await host.ipam.request_pool(PoolRequest("default", 4, ip_network(text), options={"pool": "lab"}))
    with pytest.raises(NotFound):
        await host.ipam.request_pool(PoolRequest("default", 4, ip_network("10.1.0.0/24"), options={"pool": "nope"}))


async def test_two_lengths_that_differ_are_refused(host: Host) -> None:
    """`--subnet 0.0.0.0/26` and `prefixlen=` must say the same."""
    with pytest.raises(BadRequest, match="--subnet asks for a /26, and --ipam-opt prefixlen=25 for another"):
        await host.ipam.request_pool(PoolRequest("default", 4, length=26, options={"prefixlen": "25"}))
    with pytest.raises(BadRequest, match="--subnet asks for a /24"):
        await host.ipam.request_pool(PoolRequest("default", 4, ip_network("10.0.0.0/24"), options={"prefixlen": "25"}))
    same = await host.ipam.request_pool(PoolRequest("default", 4, length=26, options={"prefixlen": "26"}))
    assert same.subnet.prefixlen == 26


async def test_deny_list_and_routes_hold_for_stored_ones_too() -> None:
    """A subnet that meets them is passed over."""
    host = Host(IpamPolicy(POLICY.subnet_pools4, deny=tuple(nets("10.64.0.0/24"))), routes=nets("10.64.1.0/24"))
    await create(host)
    assert str((await carve(host, pool="lab")).subnet) == "10.64.2.0/24"


async def test_a_network_that_comes_back_has_its_subnet_only_from_the_subnet_pool_that_it_names(host: Host) -> None:
    """The kept subnet of a network that was in another one is not given back to it."""
    await create(host)
    kept = ip_network("10.32.7.0/24")
    assert await host.ipam.may_return("default", kept, {})
    assert not await host.ipam.may_return("default", kept, {"pool": "lab"})
    assert not await host.ipam.may_return("default", kept, {"prefixlen": "26"})
    assert await host.ipam.may_return("default", ip_network("10.64.1.0/24"), {"pool": "lab"})
