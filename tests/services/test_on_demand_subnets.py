"""Subnets that a network gets with an endpoint, over the doubles: when they come, who shares them, when they go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Interface, ip_network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, StaleRevision, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Network
from mooring.core.plumbing import Add, LinkAddress
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import EndpointGrant, EndpointRequest, NetworkRequest, PoolRequest, SegmentRequest
from mooring.ports import Entry, Transaction
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.networks import ROOM
from mooring.services.networking.own_subnets import OWNED
from mooring.testing.memory_store import When
from tests.services.hosts import MemoryHost

NETWORK = "a" * 64
ANY4 = SegmentRequest("null", ip_network("0.0.0.0/0"), None)
ANY6 = SegmentRequest("null", ip_network("::/0"), None)
# Two subnets of IPv4 with five addresses for containers each, and many of IPv6.
POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool("small", "default", (ip_network("10.50.0.0/28"),), 29),),
    subnet_pools6=(SubnetPool("six", "default", (ip_network("fd00:50::/48"),), 64),),
    deny=(ip_network("10.66.0.0/16"),),
)


@pytest.fixture
async def host() -> MemoryHost:
    """A host with little room, that has started."""
    return await MemoryHost(policy=POLICY).start()


async def made(host: MemoryHost, *, v6: bool = False, subnets: str = "on-demand", **raw: str) -> Network:
    """The network as `docker network create --ipam-driver null -o subnets=...` makes it."""
    parts = (ANY4,), ((ANY6,) if v6 else ())
    await host.services.networks.create(NetworkRequest(NETWORK, {"subnets": subnets, **raw}, False, *parts))
    return network(host)


def network(host: MemoryHost) -> Network:
    """As it is on record."""
    found = host.services.cache.network(NETWORK)
    assert found is not None
    return found


def subnets(host: MemoryHost) -> list[str]:
    """Those of the network."""
    return [str(segment.subnet) for segment in network(host).segments]


def on_bridge(host: MemoryHost) -> set[str]:
    """The addresses of its bridge in the kernel."""
    return {str(fact.interface) for fact in host.facts if isinstance(fact, LinkAddress)}


async def create(host: MemoryHost, name: str, **more: object) -> EndpointGrant:
    """CreateEndpoint, as an engine calls it whose IPAM driver is null."""
    request = EndpointRequest(NETWORK, name.ljust(64, "0"), None, None, "")
    return await host.services.endpoints.create(replace(request, **more))  # type: ignore[arg-type]


async def delete(host: MemoryHost, name: str) -> None:
    """DeleteEndpoint."""
    await host.services.endpoints.delete(NETWORK, name.ljust(64, "0"))


async def test_a_network_has_no_subnet_until_an_endpoint_comes(host: MemoryHost) -> None:
    """Nothing is carved, and the bridge has no address."""
    await made(host, v6=True)
    assert subnets(host) == []
    assert host.services.cache.count(Pool) == 0
    assert on_bridge(host) == set()


async def test_the_first_endpoint_makes_a_subnet_of_each_family_and_the_others_share_them(host: MemoryHost) -> None:
    """The default subnets, by their names, with the gateway on the bridge."""
    await made(host, v6=True)
    first = await create(host, "e1")
    assert [segment.name for segment in network(host).segments] == ["default-v4", "default-v6"]
    assert subnets(host) == ["10.50.0.0/29", "fd00:50::/64"]
    assert on_bridge(host) == {"10.50.0.1/29", "fd00:50::1/64"}
    second = await create(host, "e2")
    assert (str(first.ipv4), str(second.ipv4)) == ("10.50.0.2/29", "10.50.0.3/29")
    assert (str(first.ipv6), str(second.ipv6)) == ("fd00:50::2/64", "fd00:50::3/64")
    assert len(subnets(host)) == 2


async def test_a_family_that_was_not_asked_for_gets_none(host: MemoryHost) -> None:
    """Without --ipv6."""
    await made(host)
    assert (await create(host, "e1")).ipv6 is None
    assert subnets(host) == ["10.50.0.0/29"]


async def test_when_the_last_subnet_is_full_the_next_one_is_made_and_then_the_pool_is(host: MemoryHost) -> None:
    """Five addresses in each; the eleventh endpoint is refused, and leaves nothing."""
    await made(host, v6=True)
    for number in range(10):
        await create(host, f"e{number}")
    assert [segment.name for segment in network(host).ipv4] == ["default-v4", "default-v4-2"]
    before = set(host.services.cache.every(Lease))
    with pytest.raises(Exhausted, match="small"):
        await create(host, "f")
    assert set(host.services.cache.every(Lease)) == before
    assert host.services.cache.count(Endpoint) == 10


async def test_the_subnet_pools_may_be_named(host: MemoryHost) -> None:
    """One of each family, at the network's creation; a prefix length may not, and an unknown name is told in time."""
    lab = SubnetPool("lab", "default", (ip_network("10.60.0.0/24"),), 26, declared=False)
    await host.services.cache.commit(put=[lab])
    await made(host, v6=True, pool="lab", pool6="six")
    await create(host, "e1")
    assert subnets(host) == ["10.60.0.0/26", "fd00:50::/64"]
    parts = ((ANY4,), ())
    for raw in ({"prefixlen": "28"}, {"pool": "no-such"}):
        request = NetworkRequest("b" * 64, {"subnets": "on-demand", **raw}, False, *parts)
        with pytest.raises(Fault):
            await host.services.networks.create(request)


async def test_many_at_once_make_no_more_subnets_than_they_need(host: MemoryHost) -> None:
    """They meet at the same lack."""
    await made(host)
    await asyncio.gather(*(create(host, f"e{number}") for number in range(10)))
    assert len(subnets(host)) == 2
    assert len({endpoint.ipv4 for endpoint in host.services.cache.every(Endpoint)}) == 10


async def test_what_was_made_for_an_endpoint_that_fails_goes_again(host: MemoryHost) -> None:
    """The kernel refuses the interface."""
    await made(host, v6=True)

    async def refuse(op: object) -> None:
        if isinstance(op, Add) and op.fact.key[0] == "veth":
            raise Unavailable("no")

    host.kernel.before = refuse
    with pytest.raises(Unavailable):
        await create(host, "e1")
    assert subnets(host) == []
    assert on_bridge(host) == set()
    assert host.services.cache.count(Pool) == 0
    assert not [lease for lease in host.services.cache.every(Lease) if lease.state is not State.COOLING]


async def test_what_somebody_else_uses_by_now_stays(host: MemoryHost) -> None:
    """The subnet was made for one that failed, and another one came into it meanwhile."""
    await made(host)
    doomed, in_it = "e1".ljust(64, "0"), asyncio.Event()

    def follow(_key: str, _before: object, _after: object) -> None:
        if host.services.cache.count(Lease) == 3:  # the gateway's, the doomed one's, and the other's
            in_it.set()

    host.services.cache.listen(follow)
    async with asyncio.TaskGroup() as tasks:

        async def refuse(op: object) -> None:
            if isinstance(op, Add) and op.fact.key[0] == "veth" and doomed in getattr(op.fact, "alias", ""):
                if not in_it.is_set():
                    tasks.create_task(create(host, "e2"))
                    await in_it.wait()
                raise Unavailable("no")

        host.kernel.before = refuse
        with pytest.raises(Unavailable):
            await create(host, "e1")
    assert subnets(host) == ["10.50.0.0/29"]


async def test_idle_subnets_go_at_once_where_the_option_says_so(host: MemoryHost) -> None:
    """With the last endpoint, and the next one makes another."""
    await made(host, v6=True, subnets="on-demand,idle=release")
    await create(host, "e1")
    await create(host, "e2")
    await delete(host, "e1")
    assert len(subnets(host)) == 2
    await delete(host, "e2")
    assert subnets(host) == []
    assert on_bridge(host) == set()
    assert host.services.cache.count(Pool) == 0
    await create(host, "e3")
    assert len(subnets(host)) == 2


async def test_idle_subnets_stay_with_the_network_otherwise(host: MemoryHost) -> None:
    """And go with it."""
    await made(host)
    await create(host, "e1")
    await delete(host, "e1")
    assert subnets(host) == ["10.50.0.0/29"]
    await host.services.networks.delete(NETWORK)
    assert host.services.cache.count(Pool) == 0


async def test_a_subnet_that_should_have_gone_is_found_by_a_pass(host: MemoryHost) -> None:
    """The daemon died between the endpoint's end and the subnet's."""
    await made(host, subnets="on-demand,idle=release")
    await create(host, "e1")
    endpoint = next(iter(host.services.cache.every(Endpoint)))
    leases = [lease for lease in host.services.cache.every(Lease) if lease.address in endpoint.addresses]
    await host.services.cache.commit(delete=[endpoint, *leases])
    await host.restart()
    await host.services.repair.once()
    assert len(subnets(host)) == 1
    host.clock.advance(1000)
    await host.services.repair.once()
    assert subnets(host) == []


async def test_a_subnet_can_be_named_and_is_made_when_it_is_not_there(host: MemoryHost) -> None:
    """Once; then it is found."""
    await made(host)
    wanted = (ip_network("10.1.0.0/24"),)
    first = await create(host, "e1", subnets=wanted)
    second = await create(host, "e2", subnets=wanted)
    assert (str(first.ipv4), str(second.ipv4)) == ("10.1.0.2/24", "10.1.0.3/24")
    assert subnets(host) == ["10.1.0.0/24"]
    third = await create(host, "e3", subnets=(ip_network("10.2.0.0/24"),))
    assert str(third.ipv4) == "10.2.0.2/24"


async def test_a_named_subnet_that_is_full_is_not_passed_over(host: MemoryHost) -> None:
    """Two addresses for containers in a /30, one of which is the gateway's."""
    await made(host)
    await create(host, "e0", subnets=(ip_network("10.2.0.0/24"),))
    await create(host, "e1", subnets=(ip_network("10.1.0.0/30"),))
    with pytest.raises(Exhausted, match=r"10\.1\.0\.0/30 is full"):
        await create(host, "e2", subnets=(ip_network("10.1.0.0/30"),))


@pytest.mark.parametrize(
    ("subnet", "fault"),
    [("10.66.3.0/24", Forbidden), ("10.50.0.0/28", Conflict), ("127.1.0.0/16", BadRequest)],
    ids=["denied", "overlaps its own", "loopback"],
)
async def test_a_named_subnet_that_cannot_be_is_refused(host: MemoryHost, subnet: str, fault: type[Fault]) -> None:
    """As at `docker network create --subnet`; nothing changes."""
    await made(host)
    await create(host, "e1")
    with pytest.raises(fault):
        await create(host, "e2", subnets=(ip_network(subnet),))
    assert subnets(host) == ["10.50.0.0/29"]
    assert host.services.cache.count(Pool) == 1


async def test_the_subnet_of_an_address_that_others_gave_is_recorded(host: MemoryHost) -> None:
    """Without a pool: who gave it keeps the books."""
    await made(host)
    grant = await create(host, "e1", ipv4=IPv4Interface("192.168.7.5/24"))
    assert grant.ipv4 is None
    assert [(str(part.subnet), part.pool, part.gateway) for part in network(host).ipv4] == [
        ("192.168.7.0/24", "", None)
    ]
    await create(host, "e2", ipv4=IPv4Interface("192.168.7.6/24"))
    assert len(subnets(host)) == 1
    assert host.services.cache.count(Pool) == 0


async def test_addresses_of_another_ipam_driver_are_in_the_subnets_that_it_gave_or_in_new_ones(
    host: MemoryHost,
) -> None:
    """The CIDR of each finds the network's subnet, or is recorded as one; a foreign one is refused, and names whose."""
    part = SegmentRequest("LocalDefault", ip_network("172.30.0.0/16"), IPv4Interface("172.30.0.1/16"))
    await host.services.networks.create(NetworkRequest(NETWORK, {"subnets": "on-demand"}, False, (part,), ()))
    assert on_bridge(host) == {"172.30.0.1/16"}
    await create(host, "e1", ipv4=IPv4Interface("172.30.0.2/16"))
    assert subnets(host) == ["172.30.0.0/16"]
    await create(host, "e2", ipv4=IPv4Interface("172.31.9.2/24"))
    await create(host, "e3", ipv4=IPv4Interface("172.31.9.3/24"))
    assert subnets(host) == ["172.30.0.0/16", "172.31.9.0/24"]
    await host.network("b")
    with pytest.raises(Conflict, match=r"10\.50\.0\.0/29"):
        await create(host, "e4", ipv4=IPv4Interface("10.50.0.4/24"))
    await delete(host, "e1")
    assert subnets(host) == ["172.30.0.0/16", "172.31.9.0/24"]


async def test_a_network_that_got_its_subnets_from_us_is_not_made_on_demand(host: MemoryHost) -> None:
    """The option would mean nothing."""
    part = SegmentRequest("default", ip_network("172.30.0.0/16"), None)
    with pytest.raises(BadRequest, match="--ipam-driver null"):
        await host.services.networks.create(NetworkRequest(NETWORK, {"subnets": "on-demand"}, False, (part,), ()))


async def test_only_networks_on_demand_get_subnets_by_name(host: MemoryHost) -> None:
    """Others have what they have."""
    await host.network("b")
    request = EndpointRequest("b".ljust(64, "0"), "e" * 64, None, None, "", subnets=(ip_network("10.1.0.0/24"),))
    with pytest.raises(BadRequest, match=r"has no subnet 10\.1\.0\.0/24"):
        await host.services.endpoints.create(request)


def fail_at(host: MemoryHost, step: int, when: When) -> list[int]:
    """The store fails at the commit of that number from now on; the list has those that there were."""
    commit, seen = host.store.commit, list[int]()

    async def failing(transaction: Transaction) -> int:
        seen.append(len(seen) + 1)
        if len(seen) == step:
            host.store.fail_next(when)
        return await commit(transaction)

    setattr(host.store, "commit", failing)  # noqa: B010 - a method of one instance
    return seen


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("step", range(1, 4))
async def test_the_store_may_fail_at_any_commit(host: MemoryHost, step: int, when: When) -> None:
    """Before or after it is written: what is tried again succeeds, and no pool is left over."""
    await made(host, v6=True)
    seen = fail_at(host, step, when)
    try:
        await create(host, "e1")
    except Unavailable:
        await create(host, "e1")
    assert len(seen) >= step
    assert subnets(host) == ["10.50.0.0/29", "fd00:50::/64"]
    await create(host, "e2")  # what is doubtful is settled before another pool is made
    await create(host, "e3", subnets=(ip_network("10.9.0.0/24"),))
    bound = {segment.pool for segment in network(host).segments}
    assert {pool.id for pool in host.services.cache.every(Pool)} == bound


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("step", range(1, 3))
async def test_the_last_endpoints_end_is_finished_when_it_is_asked_for_again(
    host: MemoryHost, step: int, when: When
) -> None:
    """As an engine asks that got no answer: the subnets go at once, not with a later pass."""
    await made(host, v6=True, subnets="on-demand,idle=release")
    await create(host, "e1")
    seen = fail_at(host, step, when)
    with pytest.raises(Unavailable):
        await delete(host, "e1")
    await delete(host, "e1")
    assert len(seen) >= step
    assert subnets(host) == []
    assert host.services.cache.count(Pool) == host.services.cache.count(Lease) == 0


async def test_a_subnet_that_its_network_never_got_is_released_by_a_pass(host: MemoryHost) -> None:
    """The daemon died in the making of a network that carves its own; no engine has to confirm it."""
    await host.services.ipam.request_pool(PoolRequest("default", 4, options={OWNED: "yes"}))
    await host.services.repair.once()
    assert host.services.cache.count(Pool) == 1
    host.clock.advance(1000)
    await host.services.repair.once()
    assert host.services.cache.count(Pool) == 0


async def test_a_subnet_in_doubt_leaves_its_network_before_the_next_one_is_made(host: MemoryHost) -> None:
    """The commit was written, but neither its answer nor what is on record now could be read."""
    await made(host)
    get = host.store.get

    async def unreadable(_key: str) -> Entry | None:
        raise Unavailable("no")

    host.store.fail_next(When.AFTER)
    setattr(host.store, "get", unreadable)  # noqa: B010 - a method of one instance
    with pytest.raises(Unavailable):
        await create(host, "e1")
    setattr(host.store, "get", get)  # noqa: B010
    await host.services.ipam.request_pool(PoolRequest("default", 4))
    await host.restart()  # what counts is what is on record
    assert subnets(host) == []
    assert [str(pool.subnet) for pool in host.services.cache.every(Pool)] == ["10.50.0.0/29"]


async def test_a_network_that_was_written_meanwhile_is_looked_at_again(host: MemoryHost) -> None:
    """Its name may come from the engine while a subnet is being added; the engine is told nothing of that."""
    await made(host)
    host.store.fail_next(When.BEFORE, StaleRevision(f"network/{NETWORK}"))
    assert (await create(host, "e1")).ipv4 == IPv4Interface("10.50.0.2/29")
    assert subnets(host) == ["10.50.0.0/29"]


async def test_a_name_that_came_while_a_subnet_was_added_is_kept(host: MemoryHost) -> None:
    """It is written between the look at the network and the commit with the subnet."""
    await made(host)
    async with asyncio.TaskGroup() as tasks, host.services.endpoints.subnets._locks.hold(ROOM):
        creating = tasks.create_task(create(host, "e1"))
        for _ in range(20):
            await asyncio.sleep(0)
        await host.services.cache.commit(put=[replace(network(host), name="db")])
    assert (await creating).ipv4 == IPv4Interface("10.50.0.2/29")
    assert (network(host).name, subnets(host)) == ("db", ["10.50.0.0/29"])
