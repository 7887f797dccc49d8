"""Networks that become the cluster's while their containers run."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import msgspec
import pytest

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.blocks import HostBlock, SharedSubnet
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Network, Scope
from mooring.core.plumbing import Inside
from mooring.core.requests import AddressRequest, NetworkRequest, Role, SegmentRequest
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_store import MemoryStore, When
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import SUBNET, kept, make, pool_of, remove, shared

APP = "app".ljust(64, "0")


async def local(host: MemberHost, *names: str, subnet: str = SUBNET) -> str:
    """A network of the host alone, in which containers of these names run."""
    ident = await make(host, "app", subnet, mode="bridge")
    for name in names:
        await host.endpoint(ident, name)
    return ident


async def publish(host: MemberHost, dry: bool = False) -> bool:
    """Whether something was changed."""
    return (await host.services.published_networks.publish(APP, dry)).changed


def network_of(host: MemberHost) -> Network:
    """As the records have it."""
    found = host.services.cache.network(APP)
    assert found is not None
    return found


def given(host: MemberHost) -> dict[str, str]:
    """Who has which address: MAC by address."""
    leases = host.services.ipam.index.leases(pool_of(host).id)
    return {str(lease.address): lease.mac for lease in leases if lease.state is State.DYNAMIC}


async def some_steps() -> None:
    """Whatever can go on does."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_published_network_is_the_clusters_and_nothing_of_it_has_changed() -> None:
    """Neither a fact in the kernel, nor an endpoint or an address; its options as Docker gave them stay as well."""
    (host,) = await members(1)
    await local(host, "a", "b", "c")
    facts, before, leases = host.facts, network_of(host), given(host)
    endpoints = list(host.services.endpoint_index.of_network(APP))
    assert await publish(host)
    assert not await publish(host)
    after = network_of(host)
    assert after == replace(before, options=replace(before.options, scope=Scope.CLUSTER))
    assert (host.facts, given(host)) == (facts, leases)
    assert list(host.services.endpoint_index.of_network(APP)) == endpoints
    claims = {str(each.claim.address): each.phase for each in host.services.cache.every(HostClaim)}
    assert claims == dict.fromkeys(leases, Phase.HELD)
    await host.turn(25.0)
    assert host.runtime.faults == ()


async def test_other_hosts_join_it_and_no_address_is_given_twice() -> None:
    """By the command that makes any network of the cluster."""
    one, two = await members(2)
    await local(one, "a", "b", "c")
    await publish(one)
    await make(two)
    for round_ in range(10):
        for host in (one, two):
            await host.turn(1.0)
            await host.endpoint(APP, f"{round_}{host.name[-1]}", attach=False)
    addresses = [*given(one), *given(two)]
    assert len(addresses) == len(set(addresses)) == 23


async def test_it_lasts_over_restarts_and_replays_of_docker() -> None:
    """Docker's request for it has the options of before, and is answered as ever."""
    (host,) = await members(1)
    await local(host, "a")
    pool = pool_of(host)
    segment = SegmentRequest("default", pool.subnet, ip_interface(f"{pool.gateway}/{pool.subnet.prefixlen}"))
    request = NetworkRequest(APP, {"mode": "bridge"}, False, (segment,), ())
    await publish(host)
    await host.restart()
    await host.turn(25.0)
    await host.services.networks.create(request)
    assert network_of(host).options.scope is Scope.CLUSTER
    assert host.runtime.faults == ()
    await host.endpoint(APP, "b")
    await remove(host, APP)
    await host.turn(1.0)
    assert (kept(host), shared(host)) == ([], {})


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_host_that_dies_while_it_publishes_has_its_network_as_it_was_or_published(when: When) -> None:
    """At each write in the cluster: never half; containers go on, and published anew it is."""
    for stop in range(1, 40):
        (host,) = await members(1)
        await local(host, "a", "b")
        leases, writes = given(host), 0

        async def pause(step: Step, stop: int = stop) -> None:
            nonlocal writes
            if step.method in ("put", "delete") and step.when is when and not step.key.startswith(("session", "host")):
                writes += 1
                if writes >= stop:
                    raise Unavailable("it died")

        host.servers.pause = pause
        try:
            await publish(host)
            done = True
        except Unavailable:
            done = False
        host.servers.pause = let_others_run
        await host.restart()
        for _ in range(4):
            await host.turn(11.0)
        assert given(host) == leases
        if network_of(host).options.scope is Scope.LOCAL:
            assert (kept(host), shared(host), list(host.services.cache.every(HostClaim))) == ([], {}, [])
        was = network_of(host).options.scope
        assert await publish(host) is (was is Scope.LOCAL)
        assert {str(each.claim.address) for each in host.services.cache.every(HostClaim)} == leases.keys()
        await host.endpoint(APP, "c")
        if done:
            return
    raise AssertionError("it makes too many writes")


async def test_a_kill_at_each_commit_of_the_hosts_own_store_leaves_no_half_network() -> None:
    """What was begun is taken back by turns, or is whole."""
    for stop in range(1, 40):
        (host,) = await members(1)
        await local(host, "a")
        commits = 0

        def die(_transaction: object, stop: int = stop) -> None:
            nonlocal commits
            commits += 1
            if commits >= stop:
                raise Unavailable("killed")

        host.store.on_commit = die
        try:
            await publish(host)
            done = True
        except Unavailable:
            done = False
        host.store.on_commit = None
        await host.restart()
        for _ in range(4):
            await host.turn(11.0)
        still_local = network_of(host).options.scope is Scope.LOCAL
        assert bool(kept(host)) is not still_local
        assert any(key.startswith("net/") for key in shared(host)) is not still_local
        if done:
            return
    raise AssertionError("it makes too many commits")


async def test_what_another_host_has_is_refused_before_anything_is_begun() -> None:
    """An address in use there, another network that overlaps, options that differ; each with one line."""
    one, two = await members(2)
    await make(two)
    await two.turn()
    await two.services.ipam.request_address(
        AddressRequest(pool_of(two).id, Role.ENDPOINT, ip_address("10.30.0.200"), mac="02:00:00:00:00:09")
    )
    await local(one)
    await one.services.ipam.request_address(
        AddressRequest(pool_of(one).id, Role.ENDPOINT, ip_address("10.30.0.200"), mac="02:00:00:00:00:07")
    )
    before = shared(one)
    for dry in (True, False):
        with pytest.raises(Conflict, match=r"10.30.0.200"):
            await publish(one, dry)
        await one.turn()
    assert (kept(one), network_of(one).options.scope) == ([], Scope.LOCAL)
    assert {key for key in shared(one) if "/addr" not in key} >= {key for key in before if key.startswith("net/")}
    await remove(one, APP)
    await local(one, subnet="10.30.0.0/25")
    with pytest.raises(Conflict, match=r"overlaps 10.30.0.0/24, a network of the cluster \(held by host web2\)"):
        await publish(one, dry=True)
    await remove(one, APP)
    await make(one, "app", mode="bridge", icc="off")
    with pytest.raises(Conflict, match=r"has icc at its default, not off \(held by host web2\)"):
        await publish(one)
    await one.turn()
    assert kept(one) == []


async def test_a_bridge_network_is_not_made_an_overlay() -> None:
    """The cluster's network of that subnet has tunnels: both modes are named."""
    one, two = await members(2)
    await make(two, mode="vxlan")
    await local(one, "a")
    with pytest.raises(Conflict, match="has mode vxlan, not bridge"):
        await publish(one)


async def test_what_is_for_one_host_alone_cannot_be_published() -> None:
    """A reservation, a network without addresses of ours, one that is not there, a host in no cluster."""
    (host,) = await members(1)
    with pytest.raises(NotFound):
        await publish(host)
    await local(host)
    lease = Lease(
        space="default", address=ip_address("10.30.0.77"), pool=pool_of(host).id, state=State.RESERVED, since=0.0,
        whom="name:db",
    )  # fmt: skip
    await host.services.cache.commit(put=[lease])
    with pytest.raises(Conflict, match=r"10.30.0.77 of network app000000000 is reserved, .*name:db"):
        await publish(host)
    await host.services.cache.commit(delete=[lease])
    await host.membership.leave(False, False)
    with pytest.raises(Unavailable, match="in no cluster"):
        await publish(host)
    other = await host.network("null", mode="null", v4=False)
    with pytest.raises(BadRequest, match="mode null"):
        await host.services.published_networks.publish(other)


async def test_an_address_of_a_key_comes_along_unless_the_key_has_another() -> None:
    """It is the key's in the cluster from then on, on whichever host."""
    one, two = await members(2)
    await local(one)
    lease = Lease(
        space="default", address=ip_address("10.30.0.50"), pool=pool_of(one).id, state=State.FIXED, since=0.0,
        key="key:db", mac="02:00:00:00:00:50",
    )  # fmt: skip
    await one.services.cache.commit(put=[lease])
    await publish(one)
    (kept_claim,) = one.services.cache.every(HostClaim)
    assert (kept_claim.claim.key, kept_claim.claim.boot, kept_claim.phase) == ("key:db", "", Phase.HELD)
    await one.turn(25.0)
    assert one.runtime.faults == ()
    await two.membership.attempt()
    await make(two, "other", "10.31.0.0/24", mode="bridge")
    await remove(two, "other".ljust(64, "0"))
    await local(two)
    mine = msgspec.structs.replace(lease, address=ip_address("10.30.0.60"), pool=pool_of(two).id)
    await two.services.cache.commit(put=[mine])
    with pytest.raises(Conflict, match=r"10.30.0.60 belongs to a key that has 10.30.0.50 in the cluster"):
        await publish(two)


async def test_a_dry_run_says_what_would_be_claimed_and_does_nothing() -> None:
    """Neither here nor in the cluster."""
    (host,) = await members(1)
    await local(host, "a", "b")
    records = dict(host.store.records)
    found = await host.services.published_networks.publish(APP, dry=True)
    assert (found.addresses, found.changed, found.subnets) == (2, True, (SUBNET,))
    assert (dict(host.store.records), shared(host)) == (records, {})


async def test_an_address_in_another_hosts_block_is_asked_for() -> None:
    """And becomes this host's where nobody there has it."""
    one, two = await members(2)
    await make(two)
    await two.endpoint(APP, "b")
    (theirs,) = given(two)
    (block, *_) = two.services.cache.every(HostBlock)
    free = next(each for each in (block.first() + 2, block.first() + 3) if str(each) != theirs)
    await local(one)
    await one.services.ipam.request_address(
        AddressRequest(pool_of(one).id, Role.ENDPOINT, free, mac="02:00:00:00:00:07")
    )
    assert (await one.services.published_networks.publish(APP, dry=True)).asked == (str(free),)

    async with TaskGroup() as tasks:
        publishing = tasks.create_task(publish(one))
        while not publishing.done():
            await asyncio.sleep(0)
            await two.turn(0.1)
    assert publishing.result()
    with pytest.raises(Conflict):
        await two.services.ipam.request_address(
            AddressRequest(pool_of(two).id, Role.ENDPOINT, free, mac="02:00:00:00:00:08")
        )


async def test_a_container_that_comes_while_it_is_published_keeps_its_address_alone() -> None:
    """It was given between the look and the moment from which the network is the cluster's."""
    one, two = await members(2)
    await local(one, "a")
    came = False

    async def come(step: Step) -> None:
        nonlocal came
        if not came and step.method == "put" and step.key.startswith("addr/") and step.when is When.AFTER:
            came = True
            await one.endpoint(APP, "b")

    one.servers.pause = come
    await publish(one)
    one.servers.pause = let_others_run
    assert len(given(one)) == 2
    assert {str(each.claim.address) for each in one.services.cache.every(HostClaim)} == given(one).keys()
    await make(two)
    await two.turn()
    for number in range(20):
        await two.turn(1.0)
        await two.endpoint(APP, f"{number:02}e", attach=False)
    assert not given(one).keys() & given(two).keys()


async def test_after_a_lost_store_it_is_the_clusters_again() -> None:
    """Docker tells of a network of this host alone; the cluster knows that it was published."""
    one, two = await members(2)
    await local(one, "e1")
    await publish(one)
    await make(two)
    (endpoint,) = one.services.endpoint_index.of_network(APP)
    assert endpoint.ipv4 is not None
    subnet = EngineSubnet(ip_network(SUBNET), gateway=ip_interface("10.30.0.1/24").ip)
    one.engine.networks.add(APP)
    one.engine.described[APP] = EngineNetwork(APP, "app", "mooring", ipam="mooring", subnets=(subnet,), options={})
    one.kernel.inside[f"mv-{endpoint.id[:12]}"] = Inside(endpoint.mac, (endpoint.ipv4,))
    for reached in (True, False):
        one.store = MemoryStore()
        await one.restart()
        if not reached:
            one.servers.lose_majority()
        await one.services.repair.once()
        assert network_of(one).options.scope is (Scope.CLUSTER if reached else Scope.LOCAL)
        one.servers.regain_majority()
        await one.turn(25.0)
        await one.services.repair.once()
        await one.turn(25.0)
        assert network_of(one).options.scope is Scope.CLUSTER
        (part,) = one.services.cache.every(HostNetwork)
        assert (part.leaving, bool(part.shared.id)) == (False, True)
        assert list(one.services.cache.every(SharedSubnet)) != []
        assert given(one) == {str(endpoint.ipv4.ip): endpoint.mac}
        assert one.runtime.faults == ()


async def test_one_who_publishes_again_while_a_turn_takes_back_what_was_broken_off_waits_for_nobody() -> None:
    """The turn waits for containers that start in the network, and whoever publishes has its place meanwhile."""
    (host,) = await members(1)
    await local(host, "a")

    async def break_off(step: Step) -> None:
        if step.method == "put" and step.key.startswith("addr/"):
            raise Unavailable("it went away")

    host.servers.pause = break_off
    with pytest.raises(Unavailable):
        await publish(host)
    host.servers.pause = let_others_run
    async with asyncio.timeout(5), TaskGroup() as tasks, host.services.records.locks.share(APP):
        tasks.create_task(host.turn())
        await some_steps()
        publishing = tasks.create_task(publish(host))
        await some_steps()
    assert publishing.result()
