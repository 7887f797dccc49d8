"""ipam/pools: pools are made whole, never overlap, and go with all that is in them."""

from __future__ import annotations

import asyncio
import itertools
from ipaddress import IPv4Network, ip_address, ip_network

import pytest

from mooring.core.addresses import span
from mooring.core.faults import BadRequest, Conflict, Exhausted, Forbidden, NotFound, Unavailable
from mooring.core.kept_networks import KeptAddress, KeptNetwork
from mooring.core.leases import Lease, State
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.services.ipam.allocator import IpamPolicy
from mooring.testing.memory_store import When
from tests.counting import counting
from tests.services.ipam_hosts import NETWORK, POLICY, Host


@pytest.fixture
def host() -> Host:
    """Nothing there yet."""
    return Host()


async def test_a_pool_comes_with_its_gateway_in_one_commit(host: Host) -> None:
    """The first usable address is leased as gateway, and both records were written together."""
    grant = await host.pool("10.0.0.0/24")
    assert str(grant.gateway) == "10.0.0.1/24"
    assert host.store.commits == 1
    lease = host.lease("10.0.0.1")
    assert lease is not None
    assert (lease.state, lease.pool) == (State.GATEWAY, grant.pool)
    assert host.known(grant.pool).gateway == ip_address("10.0.0.1")


async def test_a_pool_without_a_gateway_gives_its_first_address_to_an_endpoint(host: Host) -> None:
    """With the option gateway=none nothing is leased ahead."""
    pool = await host.bare("10.0.0.0/29")
    assert await host.ask(pool) == "10.0.0.1/29"


async def test_pool_ids_are_never_used_twice(host: Host) -> None:
    """The same subnet, released and asked for again, has another id, so a late release of the old one hurts nobody."""
    first = await host.pool()
    await host.ipam.release_pool(first.pool)
    second = await host.pool()
    await host.ipam.release_pool(first.pool)
    assert first.pool != second.pool
    assert host.known(second.pool).subnet == first.subnet


async def test_overlap_within_a_space_is_refused_and_names_the_holder(host: Host) -> None:
    """In both directions, with the network that uses the pool; another space may have the same subnet."""
    grant = await host.pool("10.0.0.0/24")
    await host.bind(grant.pool)
    for text in ("10.0.0.0/16", "10.0.0.128/25", "10.0.0.0/24"):
        with pytest.raises(Conflict, match=f"{grant.pool} of network {NETWORK[:12]}"):
            await host.pool(text)
    await host.pool("10.0.1.0/24")
    await host.pool("10.0.0.0/24", space="tenant")
    assert host.cache.count(Pool) == 3


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (PoolRequest("default", 4, ip_network("fd00::/64")), BadRequest),
        (PoolRequest("default", 4, ip_network("127.0.0.0/24")), BadRequest),
        (PoolRequest("default", 4, ip_network("10.66.1.0/24")), Forbidden),
        (PoolRequest("default", 4, ip_network("10.0.0.0/8")), Forbidden),
        (PoolRequest("default", 4, ip_network("10.0.0.0/24"), range=ip_network("10.0.1.0/28")), BadRequest),
        (PoolRequest("default", 4, range=ip_network("10.0.1.0/28")), BadRequest),
        (PoolRequest("default", 4, length=31), BadRequest),
    ],
)
async def test_a_pool_request_that_cannot_be_changes_nothing(
    host: Host, request_: PoolRequest, fault: type[Exception]
) -> None:
    """It is refused with the right kind, and the store is as before."""
    with pytest.raises(fault):
        await host.ipam.request_pool(request_)
    assert host.store.commits == 0


async def test_a_chosen_subnet_avoids_pools_of_all_spaces_routes_and_the_deny_list() -> None:
    """The first /24 that is in nobody's way."""
    host = Host(
        IpamPolicy(POLICY.subnet_pools4, deny=(ip_network("10.32.1.0/24"),)),
        routes=[ip_network("10.32.2.0/23"), ip_network("10.32.4.53/32")],
    )
    await host.pool("10.32.0.0/24", space="tenant")
    grant = await host.ipam.request_pool(PoolRequest("default", 4))
    assert str(grant.subnet) == "10.32.5.0/24"
    assert host.known(grant.pool).source == "default4"


async def test_a_chosen_subnet_has_the_length_asked_for(host: Host) -> None:
    """Docker writes it as 0.0.0.0/28; and IPv6 comes from its own subnet pools."""
    assert str((await host.ipam.request_pool(PoolRequest("default", 4, length=28))).subnet) == "10.32.0.0/28"
    assert str((await host.ipam.request_pool(PoolRequest("default", 6))).subnet) == "fd00:32::/64"


async def test_a_subnet_on_a_route_of_the_host_is_warned_of() -> None:
    """The pool may be for a driver whose networks are in the host's own; ours look for themselves (Overlaps)."""
    warned = Host(routes=[ip_network("10.0.0.0/16")])
    grant = await warned.pool("10.0.0.0/24")
    assert "10.0.0.0/16" in grant.warnings[0]


async def test_many_pools_asked_for_at_once_never_overlap(host: Host) -> None:
    """Sixty-four at a time, of several lengths."""
    grants = await asyncio.gather(
        *(host.ipam.request_pool(PoolRequest("default", 4, length=20 + n % 8)) for n in range(64))
    )
    spans = sorted(span(grant.subnet) for grant in grants)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


async def test_a_pool_without_a_gateway_gets_one_when_asked(host: Host) -> None:
    """The lowest address that nobody has."""
    pool = await host.bare("10.0.0.0/29")
    await host.ask(pool)
    gateway = await host.ipam.request_address(AddressRequest(pool, Role.GATEWAY))
    assert str(gateway) == "10.0.0.2/29"


async def test_releasing_a_pool_drops_all_of_it_in_batches_with_the_pool_last(host: Host) -> None:
    """Thousands of leases; at every commit on the way, the pool's record is there as long as a lease is."""
    grant = await host.pool("10.0.0.0/16")
    keep = await host.pool("10.1.0.0/16")
    await asyncio.gather(*(host.ask(grant.pool) for _ in range(2300)))
    seen: list[int] = []
    host.store.on_commit = lambda transaction: seen.append(len(transaction.delete))
    await host.ipam.release_pool(grant.pool)
    assert len(seen) > 1
    assert max(seen) <= 501
    assert host.cache.count(Lease) == 1
    assert [pool.id for pool in host.cache.every(Pool)] == [keep.pool]
    assert not [key for key in host.store.records if grant.pool in key]


async def test_a_release_of_a_pool_that_died_half_way_is_finished_by_the_next(host: Host) -> None:
    """After a restart too."""
    grant = await host.pool("10.0.0.0/16")
    await asyncio.gather(*(host.ask(grant.pool) for _ in range(1200)))
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.ipam.release_pool(grant.pool)
    assert host.store.records
    await host.restart()
    await host.ipam.release_pool(grant.pool)
    assert not host.store.records


async def test_no_address_is_given_from_a_pool_while_it_goes(host: Host) -> None:
    """Requests in flight are refused or their leases go with it: nothing is left behind."""
    grant = await host.pool("10.0.0.0/16")
    await asyncio.gather(*(host.ask(grant.pool) for _ in range(700)))
    answers = await asyncio.gather(
        *(host.ask(grant.pool) for _ in range(50)),
        host.ipam.release_pool(grant.pool),
        *(host.ask(grant.pool) for _ in range(50)),
        *(host.ask(grant.pool, f"10.0.200.{n}") for n in range(50)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} <= {str, NotFound, type(None)}
    assert not host.store.records


async def test_a_pool_whose_answer_was_lost_is_taken_back(host: Host) -> None:
    """Nobody was told of it, so its subnet is free for the next request, which leaves no trace of it."""
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.pool("10.0.0.0/24")
    assert len(host.store.records) == 2
    grant = await host.pool("10.0.0.0/16")
    assert [key for key in host.store.records if key.startswith("pool/")] == [f"pool/{grant.pool}"]
    assert len(host.store.records) == 2


async def test_a_pool_request_that_was_cancelled_leaves_no_unknown_pool(host: Host) -> None:
    """Its commit is not cut off half-way: the pool exists and is known, so the next one cannot overlap it."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(host.pool("10.0.0.0/24"))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    stored = [key for key in host.store.records if key.startswith("pool/")]
    assert stored == [f"pool/{pool.id}" for pool in host.cache.every(Pool)]


async def test_a_pool_that_nobody_waited_for_goes_before_the_next_is_made(host: Host) -> None:
    """Docker was told that it failed: the same subnet can be asked for again."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(host.pool("10.0.0.0/24"))
        for _ in range(2):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    again = await host.pool("10.0.0.0/24")
    assert [pool.id for pool in host.cache.every(Pool)] == [again.pool]


@pytest.mark.parametrize("subnet", [None, "192.168.77.0/24"], ids=["carved", "typed"])
async def test_the_network_after_thousands_costs_what_the_first_one_does(subnet: str | None) -> None:
    """In calls of functions, with as many subnets of other drivers and of kept networks as before."""
    pools = (SubnetPool("default4", "default", (ip_network("10.0.0.0/8"),), 24, 16, 30),)
    host = Host(IpamPolicy(subnet_pools4=pools))

    async def cost() -> int:
        with counting() as calls:
            grant = await host.ipam.request_pool(PoolRequest("default", 4, ip_network(subnet) if subnet else None))
        await host.ipam.release_pool(grant.pool)
        return calls[0]

    await cost()  # whatever is done once
    first = await cost()
    many = [
        Pool(id=f"p{number}", space=f"tenant{number % 100}", subnet=each, network=f"{number:064x}")
        for number, each in enumerate(itertools.islice(IPv4Network("10.0.0.0/8").subnets(new_prefix=24), 5000))
    ]
    await host.cache.commit(put=many)
    assert await cost() <= 1.2 * first


async def test_as_many_estates_yield_as_must_and_no_more() -> None:
    """Those that end first; what a subnet that was carved has nothing to do with stays."""
    pools = (SubnetPool("small", "default", (ip_network("10.9.0.0/22"),), 24, 22, 30),)
    host = Host(IpamPolicy(subnet_pools4=pools, hold=1000.0))
    kept_networks = [
        KeptNetwork(
            id=f"{n:064x}", name=f"net{n}", space="default", subnets=(ip_network(f"10.9.{n}.0/24"),), since=1.0,
            kept_addresses=(
                KeptAddress(address=ip_address(f"10.9.{n}.7"), key=f"k{n}", until=host.clock.now() + until),
            ),
        )
        for n, until in enumerate((400.0, 100.0, 300.0, 200.0))
    ]  # fmt: skip
    await host.cache.commit(put=kept_networks)
    got = [str((await host.ipam.request_pool(PoolRequest("default", 4))).subnet) for _ in range(4)]
    assert got == ["10.9.1.0/24", "10.9.3.0/24", "10.9.2.0/24", "10.9.0.0/24"]
    with pytest.raises(Exhausted, match="small"):
        await host.ipam.request_pool(PoolRequest("default", 4))
