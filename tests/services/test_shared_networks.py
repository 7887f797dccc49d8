"""Networks that several hosts take part in: joined, left, and never half there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_network
from random import Random

import pytest
from msgspec import structs

from mooring.core.blocks import Block
from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.cluster_keys import vni_key
from mooring.core.cluster_networks import ClusterNetwork, VniHolder
from mooring.core.faults import Conflict, Unavailable
from mooring.core.networks import Subnet
from mooring.services.cluster.shared_networks import SharedNetworks
from mooring.services.cluster.shared_values import Member, SharedValues
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster, Step, let_others_run
from mooring.testing.memory_store import When

SUBNET = ip_network("10.30.0.0/24")


def wanted(text: str = "10.30.0.0/24", mode: str = "vxlan", **options: str) -> ClusterNetwork:
    """What a host asks for."""
    return ClusterNetwork(id="", space="default", subnets=(ip_network(text),), options={"mode": mode, **options})


class Host:
    """One that takes part."""

    def __init__(self, servers: MemoryCluster, name: str, clock: ManualClock | None = None) -> None:
        self.name = name
        self.values = SharedValues(servers.client(name))
        self.networks = SharedNetworks(self.values, Member(name, "b"), clock or servers.clock, 30.0)

    async def join(self, vni: int = 0, *, alone: bool = False) -> ClusterNetwork:
        """The network, as this host is in it."""
        return await self.networks.join(wanted(), vni, "app", alone)

    async def members(self) -> list[str]:
        """Who is in the network that has the subnet."""
        seen = await self.values.networks("default")
        network = seen.at("default", SUBNET).value
        return [member.host for member in seen.of(network)] if network is not None else []


def cluster(size: int = 2) -> tuple[MemoryCluster, list[Host]]:
    """The servers, and hosts that are called A, B and so on."""
    servers = MemoryCluster()
    return servers, [Host(servers, "ABCDEF"[number]) for number in range(size)]


async def swept(host: Host) -> None:
    """What nobody is in has been seen twice."""
    await host.networks.sweep()
    host.values._cluster.servers.clock.advance(30.0)  # type: ignore[attr-defined]
    await host.networks.sweep()


async def test_the_first_makes_it_and_others_join_what_is_there() -> None:
    """One id and one VNI, which is drawn from those that nobody writes by hand; asked again, the same."""
    servers, (one, two) = cluster()
    made = await one.join()
    assert await two.join() == await one.join() == made
    assert made.vni in range(4096, 2**24)
    assert await one.members() == ["A", "B"]
    holder = VniHolder(vni=made.vni, network=made.id, space="default", subnet=SUBNET)
    assert (await one.values.vni(made.vni)).value == holder
    assert (await two.networks.join(wanted("10.31.0.0/24"))).vni != made.vni
    assert (await two.networks.join(wanted("10.32.0.0/24", "bridge"))).vni == 0
    assert [key for key in servers.records if key.startswith("net/")] == [
        "net/default/0a1e0000p24", "net/default/0a1e0000p24/A", "net/default/0a1e0000p24/B",
        "net/default/0a1f0000p24", "net/default/0a1f0000p24/B", "net/default/0a200000p24", "net/default/0a200000p24/B",
    ]  # fmt: skip


async def test_what_is_not_the_same_is_refused_with_who_has_it() -> None:
    """The option, both values, and the hosts by their names."""
    _, (one, two) = cluster()
    record = ClusterHost(
        id="A", name="web1", machine="m", boot="b", underlay=Underlay("192.0.2.1", "", 1500), version="1", joined=0.0
    )
    await one.values.hosts.put_host(record, 0)
    await one.join(5000)
    with pytest.raises(Conflict) as caught:
        await two.networks.join(wanted(icc="off"))
    assert str(caught.value).startswith(
        "network 10.30.0.0/24 (app) of the cluster has icc at its default, not off (held by host web1); make it with "
    )
    with pytest.raises(Conflict, match="has vni 5000, not 5001"):
        await two.join(5001)
    with pytest.raises(Conflict, match=r"10.30.0.0/16 overlaps 10.30.0.0/24, network app of the cluster .held by"):
        await two.networks.join(wanted("10.30.0.0/16"))
    with pytest.raises(Conflict, match=r"VNI 5000 is in use .held by network 10.30.0.0/24 of address space default"):
        await two.networks.join(wanted("10.31.0.0/24"), 5000)
    other = structs.replace(wanted("10.30.0.0/16"), space="red")
    assert (await two.networks.join(other)).space == "red"  # another tenant's
    assert await one.members() == ["A"]


async def test_a_network_in_the_way_is_called_what_the_hosts_call_it() -> None:
    """Each may have another name for it; while none is known, it is told without one, with the hosts."""
    _, (one, two, three) = cluster(3)
    for host, name, told in ((one, "", "a network"), (two, "b", "network b"), (one, "a", "network a or b")):
        await host.networks.join(wanted(), name=name)
        with pytest.raises(Conflict, match=f", {told} of the cluster"):
            await three.networks.join(wanted("10.30.0.0/16"))


async def test_a_subnet_that_was_chosen_here_is_nobodys_network_by_accident() -> None:
    """Who means that one names it."""
    _, (one, two) = cluster()
    await one.join(alone=True)
    await one.join(alone=True)
    with pytest.raises(Conflict, match=r"name the subnet: --subnet 10.30.0.0/24"):
        await two.join(alone=True)
    assert await one.members() == ["A"]


async def test_the_last_to_leave_takes_everything_along() -> None:
    """Blocks, claims, requests, VNI and record; before that nothing but its own."""
    servers, (one, two) = cluster()
    network = await one.join()
    await two.join()
    block = Block(space="default", subnet=SUBNET, index=1, host="A", generation=1)
    await one.values.put(block, 0)
    client = servers.client("x")
    for key in ("want/default/0a1e0000p24/0a1e0005", "addr/default/0a1e0000p24/0a1e0005", "key/default/0a1e0000p24/k"):
        await client.put(key, b"{}", 0)
    await client.put(f"ep/B/{network.id}/e1", b"{}", 0)
    await two.networks.leave(network)
    assert await one.members() == ["A"]
    assert [key for key in servers.records if key.startswith("ep/")] == []
    assert (await one.values.blocks("default", SUBNET))[1].value == block
    await one.networks.leave(network)
    assert servers.records == {}
    again = await one.join()
    assert again.id != network.id


async def test_a_host_that_loses_its_place_has_another() -> None:
    """Its key went, or the whole network: it takes part in what is there now. A name is told when it is known."""
    _, (one, two) = cluster()
    network = await one.join()
    assert await one.networks.confirm(network, name="shop") == network
    assert [each.value.name for each in (await one.values.networks()).members if each.value] == ["shop"]
    await one.networks.leave(network)
    again = await two.join()
    assert await one.networks.confirm(network) == again
    assert await one.members() == ["A", "B"]
    await one.values.clear("net/default/0a1e0000p24/A")
    assert await one.networks.confirm(again) == again
    assert await one.members() == ["A", "B"]


async def test_a_vni_whose_network_is_not_there_is_nobodys() -> None:
    """Its host died before it could say so; a drawn one that is in use is passed over."""
    _, (one, _) = cluster()
    stray = VniHolder(vni=5000, network="gone", space="default", subnet=SUBNET)
    await one.values.put(stray, 0)
    assert (await one.join(5000)).vni == 5000
    servers, (first, _) = cluster()
    servers.clock.token()  # so that ids are not those of the other clock
    network = await first.networks.join(wanted("10.31.0.0/24"), 5000)
    clock = ManualClock()
    start = 4096 + int([clock.token() for _ in range(2)][1], 16) % (2**24 - 4096)  # as the next host draws
    taken = VniHolder(vni=start, network=network.id, space="default", subnet=network.subnet)
    await first.values.put(taken, 0)
    assert (await Host(servers, "B", ManualClock()).join()).vni == start + 1


async def test_a_network_without_a_host_is_in_nobodys_way_and_is_ended_after_a_while() -> None:
    """It was made by a host that died before it took part."""
    servers, (one, two) = cluster()
    await one.values.put(structs.replace(wanted(icc="off"), id="i"), 0)
    assert (await two.join()).id != "i"
    await one.values.put(structs.replace(wanted("10.40.0.0/16"), id="j"), 0)
    assert (await two.networks.join(wanted("10.40.1.0/24"))).id != "j"
    await one.values.put(structs.replace(wanted("10.50.0.0/16"), id="k"), 0)
    await two.networks.sweep()
    servers.clock.advance(29.0)
    await two.networks.sweep()
    assert (await two.values.network("default", ip_network("10.50.0.0/16"))).value is not None
    servers.clock.advance(1.0)
    await two.networks.sweep()
    assert (await two.values.network("default", ip_network("10.50.0.0/16"))).value is None
    assert await two.members() == ["B"]


def at_step(
    servers: MemoryCluster, stop: int, act: Callable[[], Awaitable[object]], matters: Callable[[Step], bool]
) -> tuple[list[Step], list[object]]:
    """Something is done once, before or after the call of that number among those that matter; which came, and what
    was answered."""
    steps: list[Step] = []
    answers: list[object] = []

    async def pause(step: Step) -> None:
        if matters(step):
            steps.append(step)
            if len(steps) == stop:
                answers.append(await act())

    servers.pause = pause
    return steps, answers


async def test_who_comes_while_the_last_one_leaves_is_in_it_or_in_the_next() -> None:
    """At each step of the one that leaves another joins, as a whole: what it is told holds."""
    for stop in range(1, 60):
        servers, (one, two) = cluster()
        network = await one.join()
        steps, answers = at_step(servers, stop, two.join, lambda step: step.client == "A")
        await one.networks.leave(network)
        if len(steps) < stop:
            return
        assert [(await two.values.network("default", SUBNET)).value] == answers
        assert await two.members() == ["B"]
        servers.pause = let_others_run
        await two.networks.leave(network)
        assert servers.records == {}
    raise AssertionError("leaving has too many steps")


async def test_what_the_next_network_has_is_not_taken_by_who_ends_the_one_before() -> None:
    """At each step of the one that ends it, another ends it first, makes the next, and has a block and a claim."""
    there = ("block/default/0a1e0000p24/1", "addr/default/0a1e0000p24/0a1e0005", "key/default/0a1e0000p24/k")
    for stop in range(1, 60):
        servers, (one, two) = cluster()
        network = await one.join()

        async def next_one(servers: MemoryCluster = servers, two: Host = two) -> None:
            servers.pause = let_others_run
            await two.join()
            for key in there:
                await servers.client("x").put(key, b"{}", 0)

        steps, _ = at_step(servers, stop, next_one, lambda step: step.client == "A")
        await one.networks.leave(network)
        if len(steps) < stop:
            return
        assert set(there) <= servers.records.keys(), stop
    raise AssertionError("leaving has too many steps")


async def test_what_is_written_while_a_network_ends_does_not_stay() -> None:
    """Late, by a host that had given up the write: at each step before the record goes."""
    for stop in range(1, 60):
        servers, (one, _) = cluster()
        network = await one.join()
        late: list[bool] = []

        async def write(servers: MemoryCluster = servers, late: list[bool] = late) -> None:
            servers.pause = let_others_run
            late.append("net/default/0a1e0000p24" in servers.records)
            await servers.client("x").put("block/default/0a1e0000p24/1", b"{}", 0)

        at_step(servers, stop, write, lambda step: (step.client, step.when) == ("A", When.BEFORE))
        await one.networks.leave(network)
        if not late:
            return
        if servers.records:
            await swept(one)
            await swept(one)
        assert servers.records == {}, stop
    raise AssertionError("leaving has too many steps")


async def test_who_leaves_while_another_comes_leaves_it_whole() -> None:
    """The other way round."""
    for stop in range(1, 60):
        servers, (one, two) = cluster()
        leave = partial(one.networks.leave, await one.join())
        steps, _ = at_step(servers, stop, leave, lambda step: step.client == "B")
        joined = await two.join()
        assert (await two.values.network("default", SUBNET)).value == joined
        assert (await two.values.vni(joined.vni)).value is not None
        if len(steps) < stop:
            return
    raise AssertionError("joining has too many steps")


async def die() -> None:
    """The host hears nothing any more."""
    raise Unavailable("it died")


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
@pytest.mark.parametrize("by", ["itself", "another"])
async def test_what_was_broken_off_at_any_step_is_finished(when: When, by: str) -> None:
    """A host dies as it joins, or as it leaves; its next try, or its forgetting, leaves nothing."""
    for stop in range(1, 30):
        servers, (one, two) = cluster()
        died = 0
        for leaving in (False, True):
            network = await one.join() if leaving else wanted()
            at_step(servers, stop, die, lambda step: (step.client, step.when) == ("A", when))
            try:
                await (one.networks.leave(network) if leaving else one.join())
            except Unavailable:
                died += 1
            servers.pause = let_others_run
            if by == "another":
                await two.networks.forget("A")
                await swept(two)
            else:
                await one.networks.leave(network)
            assert servers.records == {}
        if not died:
            return
    raise AssertionError("too many steps")


async def test_two_hosts_that_overlap_at_the_same_moment_do_not_both_stay() -> None:
    """Each sees the other's, whoever was first; both may have to try again."""
    for seed in range(60):
        random = Random(seed)
        servers, (one, two) = cluster()

        async def pause(_: Step, random: Random = random) -> None:
            for _turn in range(random.randrange(4)):
                await asyncio.sleep(0)

        servers.pause = pause
        nets = (wanted("10.30.0.0/24"), wanted("10.30.0.0/16"))
        results = await asyncio.gather(one.networks.join(nets[0]), two.networks.join(nets[1]), return_exceptions=True)
        assert sum(isinstance(each, ClusterNetwork) for each in results) <= 1
        assert all(isinstance(each, ClusterNetwork | Conflict) for each in results)
        for host, network, result in zip((one, two), nets, results, strict=True):
            if isinstance(result, ClusterNetwork):
                assert (await host.values.network("default", network.subnet)).value == result
                await host.networks.leave(result)
        assert servers.records == {}


async def life(host: Host, random: Random, servers: MemoryCluster, rounds: int, subnet: Subnet) -> None:
    """A host comes and goes; while it is in the network nobody takes what it has there."""
    for _ in range(rounds):
        try:
            network = await host.join()
        except Unavailable:
            await until_done(host, wanted())
            continue
        block = Block(space="default", subnet=subnet, index=ord(host.name), host=host.name, generation=1)
        before = (await host.values.block("default", subnet, block.index)).revision
        try:
            await host.values.put(block, before)
        except Unavailable:
            await until_done(host, network)
            continue
        for _ in range(random.randrange(12)):
            await asyncio.sleep(0)
            found = servers.records.keys()
            assert f"block/default/0a1e0000p24/{block.index:016x}" in found
            assert vni_key(network.vni) in found
            assert (await host.values.network("default", subnet)).value in (
                network, structs.replace(network, ending=True)
            )  # fmt: skip
        await until_done(host, network)


async def until_done(host: Host, network: ClusterNetwork) -> None:
    """As a host does with what it has noted in its store."""
    for _ in range(20):
        try:
            return await host.networks.leave(network)
        except Unavailable:
            continue
    raise AssertionError("it cannot leave")


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_order_hosts_come_and_go_in_what_they_have_is_theirs(seed: int) -> None:
    """Three hosts, writes that fail before or after they had their effect, and in the end nothing is left."""
    random = Random(seed)
    servers, hosts = cluster(3)

    async def pause(_: Step) -> None:
        for _turn in range(random.randrange(5)):
            await asyncio.sleep(0)
        if random.random() < 0.02:
            servers.fail_next(random.choice([When.BEFORE, When.AFTER]))

    servers.pause = pause
    async with asyncio.TaskGroup() as tasks:
        for host in hosts:
            tasks.create_task(life(host, random, servers, 6, SUBNET))
    servers.pause = let_others_run
    servers._faults.clear()
    await swept(hosts[0])
    assert servers.records == {}
