"""Hosts that were forgotten, left by force, were replaced or have another address: all reach what is where by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from mooring.core.blocks import Block
from mooring.core.cluster_hosts import Underlay
from mooring.core.cluster_networks import HostNetwork, NetworkMember
from mooring.core.containers import EngineNetwork
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Fault, Unavailable
from mooring.core.networks import Address
from mooring.core.plumbing import Member
from mooring.services.cluster.shared_values import SharedValues
from mooring.services.operations.cluster_rows import ClusterRows
from mooring.testing.memory_cluster import Step, let_others_run
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import following, neighbours, remotes, take_part, turns

SOON = 25
"""Turns, of a second each, in which everybody knows: a host looks every 20 s where it is."""


@pytest.fixture
async def hosts() -> AsyncIterator[list[MemberHost]]:
    """Three with a network in common, and an endpoint each."""
    made = await members(3)
    async with following(*made):
        for host in made:
            await take_part(host, f"n{host.name[-1]}")
        await turns(*made)
        for host in made:
            await host.endpoint(network(host), f"e{host.name[-1]}")
        await turns(*made)
        assert wrong(made) == []
        yield made


def network(host: MemberHost) -> str:
    """The network's id there."""
    return next(host.services.cache.every(HostNetwork)).network


def has(host: MemberHost) -> dict[str, tuple[Address, ...]]:
    """The host's endpoints, and itself, in the network: addresses by MAC."""
    cache = host.services.cache
    found = {each.mac: each.addresses for each in cache.every(Endpoint)}
    for part in cache.every(HostNetwork):
        known = cache.network(part.network)
        assert known is not None
        found |= {known.mac: part.own} if part.own else {}
    return found


def wrong(hosts: list[MemberHost]) -> list[str]:
    """What a host's kernel has of the others, and should not, or the other way round."""
    found = list[str]()
    for host in hosts:
        others = [each for each in hosts if each is not host]
        macs = {mac: each.setup.links["eth0"].address for each in others for mac in has(each)}
        near = {address: mac for each in others for mac, part in has(each).items() for address in part}
        may = {
            fact.element.split()[0] for fact in host.facts if isinstance(fact, Member) and fact.container == "tunnels4"
        }
        if (remotes(host), neighbours(host), may) != (macs, near, set(macs.values())):
            found.append(f"{host.name} has {remotes(host)}, {neighbours(host)}, {may} and not {macs}, {near}")
    return found


async def settle(hosts: list[MemberHost]) -> None:
    """Everybody knows where everything is, soon."""
    for _ in range(SOON):
        if not wrong(hosts):
            return
        await turns(*hosts, times=1)
    assert wrong(hosts) == []


async def forget(host: MemberHost, other: MemberHost, there: list[MemberHost]) -> None:
    """The host forgets the other, as soon as that has been silent for long enough."""
    rows = ClusterRows(host.membership, host.clock, host.runtime)
    for _ in range(SOON):
        try:
            await rows.forget(other.name, False)
        except Fault:
            await turns(*there, times=1)
        else:
            return
    await rows.forget(other.name, False)


async def join(host: MemberHost, by: MemberHost) -> None:
    """With the token of the other."""
    await host.membership.join(by.membership.entered()[0].access, "", "", False)


async def start(host: MemberHost, name: str, there: list[MemberHost]) -> None:
    """A container is started until it runs."""
    for _ in range(SOON):
        try:
            await host.endpoint(network(host), name)
        except Fault:
            await turns(*there, times=1)
        else:
            return
    await host.endpoint(network(host), name)


@pytest.mark.parametrize("seed", range(6))
async def test_who_was_forgotten_and_joins_anew_is_reached_and_reaches_all(hosts: list[MemberHost], seed: int) -> None:
    """However long each step takes: it may know that it was forgotten, or have lost its containers, or not yet."""
    one, two, three = hosts
    random = Random(seed)

    async def pause(_: Step) -> None:
        for _turn in range(random.choice((0, 1, 1, 2, 40))):
            await asyncio.sleep(0)

    one.servers.pause = pause
    one.servers.cut(two.setup.address)
    await turns(*hosts, times=random.randrange(3))
    await forget(three, two, hosts)
    await turns(*hosts, times=random.randrange(3))
    one.servers.mend(two.setup.address)
    await turns(*hosts, times=random.choice((0, 1, 3, 25)))
    await two.membership.leave(force=True, dry=False)
    await turns(*hosts, times=random.randrange(2))
    await join(two, one)
    await turns(*hosts, times=random.randrange(3))
    await start(two, "new", hosts)
    one.servers.pause = let_others_run
    await settle(hosts)
    addresses = [address for host in hosts for part in has(host).values() for address in part]
    assert len(addresses) == len(set(addresses))


async def test_who_joins_anew_gives_nothing_of_what_it_had(hosts: list[MemberHost]) -> None:
    """At once, before it has compared anything: what it gives is its own, and stays so."""
    one, two, three = hosts
    one.servers.cut(two.setup.address)
    await forget(three, two, hosts)
    one.servers.mend()
    await two.membership.leave(force=True, dry=False)
    await join(two, one)
    await start(two, "new", hosts)
    given = two.services.cache.endpoint(network(two), "new".ljust(64, "0"))
    await turns(*hosts, times=25)
    assert given is not None
    assert two.services.cache.endpoint(network(two), given.id) == given
    await settle(hosts)


async def test_who_leaves_by_force_and_joins_again_is_who_it_was(hosts: list[MemberHost]) -> None:
    """In the same boot, also where the cluster could not be told: its containers go on, with their addresses."""
    one, two, _ = hosts
    before, had = two.membership.entered()[0].host, has(two)
    for cut in (False, True):
        if cut:
            one.servers.cut(two.setup.address)
        await two.membership.leave(force=True, dry=False)
        one.servers.mend()
        await turns(*hosts, times=20 if cut else 1)  # its session ends by itself
        await join(two, one)
        await settle(hosts)
        assert (two.membership.entered()[0].host, has(two)) == (before, had)


async def test_another_machine_takes_the_place_of_one_that_was_forgotten(hosts: list[MemberHost]) -> None:
    """With its underlay address; not before, since two would have that."""
    one, two, three = hosts
    fourth = MemberHost(one.servers, 4)
    fourth.setup.links = dict(two.setup.links)
    await fourth.start()
    with pytest.raises(Fault, match="is the address of host web2, too"):
        await join(fourth, one)
    await forget(three, two, [one, three])
    async with following(fourth):
        await join(fourth, one)
        await take_part(fourth, "n4")
        await start(fourth, "e4", [one, three, fourth])
        await settle([one, three, fourth])


async def test_a_host_with_another_address_is_reached_there(hosts: list[MemberHost]) -> None:
    """Also where it is the one that another has had, and that has its old one: one of them is slower."""
    _, two, three = hosts
    two.setup.links = {"eth0": Underlay("10.0.0.9", "eth0", 1500)}
    await settle(hosts)
    two.setup.links, three.setup.links = three.setup.links, two.setup.links
    await settle(hosts)


def about(host: MemberHost) -> list[str]:
    """What the cluster has of the host but its mark."""
    ident = host.membership.entered()[0].host
    found = [key for key, value in host.servers.records.items() if ident in key or ident.encode() in value]
    return [key for key in found if not key.startswith("mark/")]


async def test_a_forgotten_host_writes_nothing_of_itself_back(hosts: list[MemberHost]) -> None:
    """Neither a block nor its part in a network, nor what it has, where it reaches the cluster before it knows."""
    one, two, three = hosts
    one.servers.cut(two.setup.address)
    await forget(three, two, hosts)
    await turns(*hosts, times=20)
    one.servers.mend(two.setup.address)
    for _ in range(3):  # within the seconds between two tries to be heard
        await two.runtime.once()
        for _ in range(50):
            await asyncio.sleep(0)
        one.clock.advance(1.5)
    ident = "e2".ljust(64, "0")
    late = f"ep/{two.membership.entered()[0].host}/n1/{'d' * 64}"  # written while it was being forgotten
    await one.servers.client("late").put(late, b"{}", 0)
    for times in (3, 30):
        await turns(*hosts, times=times)
        assert two.services.cache.endpoint(network(two), ident) is None  # its address is free for others
        assert about(two) == []
        assert wrong([one, three]) == []


async def test_who_learns_amid_a_turn_that_it_was_forgotten_writes_nothing_of_itself_back(
    hosts: list[MemberHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its engine is slow: it is asked what a network is called before the host knows, and answers after."""
    one, two, three = hosts
    one.servers.cut(two.setup.address)
    await forget(three, two, hosts)
    await turns(*hosts, times=20)
    ask = two.engine.network

    async def slow(reference: str) -> EngineNetwork | None:
        await two.membership.attempt()
        return await ask(reference)

    monkeypatch.setattr(two.engine, "network", slow)
    one.servers.mend(two.setup.address)
    one.clock.advance(5.0)  # its last try was a slow one
    await two.runtime.once()
    assert two.membership.forgotten
    assert about(two) == []
    assert two.runtime.plan is not None
    await two.runtime.once()
    with pytest.raises(Conflict, match="the cluster has forgotten this host"):
        two.runtime.plan.check()


async def test_what_comes_late_of_a_host_that_was_forgotten_goes(hosts: list[MemberHost]) -> None:
    """Its part in a network, which would never end otherwise, and a block, whose addresses nobody could give."""
    one, two, three = hosts
    gone, part = two.membership.entered()[0].host, next(one.services.cache.every(HostNetwork)).shared
    one.servers.cut(two.setup.address)
    await forget(three, two, hosts)
    late = SharedValues(one.servers.client("late"))
    await late.put(NetworkMember(space=part.space, subnet=part.subnet, host=gone, network=part.id), 0)
    await late.put(Block(space=part.space, subnet=part.subnet, index=200, host=gone, generation=1), 0)
    await turns(one, three, times=20)
    assert len(about(two)) == 2  # it may be that of a host which is only just joining
    await turns(one, three, times=110)
    assert about(two) == []
    assert one.runtime.faults == three.runtime.faults == ()
    assert wrong([one, three]) == []


async def test_who_was_not_heard_for_a_while_waits_until_it_is(hosts: list[MemberHost]) -> None:
    """Also where its daemon was started meanwhile; then it goes on as before."""
    one, two, _ = hosts
    had = has(two)
    for restarted in (False, True):
        one.servers.cut(two.setup.address)
        if restarted:
            await two.restart()
        await turns(*hosts, times=20)
        one.servers.mend(two.setup.address)
        assert two.membership.doubtful
        plan = two.runtime.plan
        assert plan is not None
        with pytest.raises(Unavailable, match="not been heard for a while"):
            await plan.restored.sure()
        await turns(*hosts, times=6)
        assert not two.membership.doubtful
    await two.endpoint(network(two), "new")
    assert had.items() <= has(two).items()
