"""What libnetwork asks for in a subnet that is shared with other hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from ipaddress import IPv4Interface, ip_address

import msgspec
import pytest

from mooring.core.address_claims import HostClaim
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.requests import AddressRequest, Role
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import claim, cluster, owned, turns

NETWORK = "a" * 64


async def ask(host: Host, wanted: str | None = None, mac: str = "02:00:00:00:00:09") -> str:
    """RequestAddress."""
    address = ip_address(wanted) if wanted else None
    return str((await host.ipam.request_address(AddressRequest(host.pool.id, Role.ENDPOINT, address, mac))).ip)


async def asked(world: World, host: Host, wanted: str) -> str:
    """The same, while the others answer and time passes."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask(host, wanted))
        while not asking.done():
            for other in world.hosts:
                if other is not host:
                    await other.turn()
            world.clock.advance(0.1)
            await asyncio.sleep(0)
    return asking.result()


async def test_an_address_in_an_own_block_is_given_without_the_cluster() -> None:
    """Chosen or named."""
    async with cluster() as world:
        host = world.hosts[0]
        before = dict(world.servers.records)
        assert await ask(host, f"10.0.0.{16 * owned(host)[0] + 9}")
        assert await ask(host, mac="02:00:00:00:00:0a")
        assert world.servers.records == before


@pytest.mark.parametrize("whose", ["another host's", "nobody's"])
async def test_a_named_address_in_a_block_of_others_is_claimed_and_goes_with_its_container(whose: str) -> None:
    """Asked for twice it is one; released, nothing of it is left anywhere."""
    async with cluster() as world:
        host, other = world.hosts
        index = owned(other)[0] if whose == "another host's" else (set(range(8)) - {*owned(host), *owned(other)}).pop()
        wanted = f"10.0.0.{16 * index + 9}"
        assert await asked(world, host, wanted) == await ask(host, wanted) == wanted
        assert host.cache.host_claim(SPACE, world.subnet, ip_address(wanted)) is not None
        with pytest.raises(Conflict, match=r"in use on host h1|is claimed"):
            await ask(other, wanted, mac="02:00:00:00:00:0b")
        await host.ipam.release_address(host.pool.id, ip_address(wanted))
        await turns(world, 3)
        assert list(host.cache.every(HostClaim)) == []
        assert not any(key.startswith(("addr/", "want/")) for key in world.servers.records)
        assert await asked(world, other, wanted) == wanted


@pytest.mark.parametrize("later", range(0, 16, 3))
async def test_an_address_that_is_named_here_while_it_is_carved_out_for_another_host_is_had_by_one(later: int) -> None:
    """Whichever of the two is first, by some steps or none."""
    async with cluster() as world:
        host, other = world.hosts
        wanted = f"10.0.0.{16 * owned(host)[0] + 5}"
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(outcome(claim(other, "key:db", wanted)))
            await until_asked(world)
            answering = tasks.create_task(host.turn())
            for _ in range(later):
                await asyncio.sleep(0)
            here = await outcome(ask(host, wanted))
            await answering
            while not asking.done():
                world.clock.advance(0.1)
                await asyncio.sleep(0)
        there = asking.result()
        assert sorted([here, there]) == ["", "refused"]
        lease = host.cache.lease(SPACE, ip_address(wanted))
        assert (lease is None) == (there == "")


async def until_asked(world: World) -> None:
    """Somebody asks the owner of a block."""
    for _ in range(1000):
        if any(key.startswith("want/") for key in world.servers.records):
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody asks")


async def outcome(work: Coroutine[None, None, object]) -> str:
    """Whether it was refused."""
    try:
        await work
    except Conflict:
        return "refused"
    return ""


async def test_a_small_subnet_gives_each_address_by_a_claim() -> None:
    """To whichever host; a full one says so."""
    async with cluster(2, "10.0.0.0/29") as world:
        got = [await ask(world.hosts[number % 2], mac=f"02:00:00:00:00:{number:02x}") for number in range(6)]
        assert len(set(got)) == 6
        with pytest.raises(Exhausted, match="each of its addresses is claimed"):
            await ask(world.hosts[0], mac="02:00:00:00:00:99")
        world.servers.lose_majority()
        with pytest.raises(Unavailable):
            await ask(world.hosts[0], mac="02:00:00:00:00:99")


async def test_when_the_own_blocks_are_full_one_more_is_claimed_or_the_refusal_says_why_not() -> None:
    """A start that has to wait for the cluster names it."""
    async with cluster() as world:
        host = world.hosts[0]
        (index,) = owned(host)
        room = 16 - (index in (0, 7))  # without the network or the broadcast address
        for number in range(room):
            await ask(host, mac=f"02:00:00:00:01:{number:02x}")
        world.servers.lose_majority()
        with pytest.raises(Unavailable, match="the cluster's store has no leader"):
            await ask(host)
        world.servers.regain_majority()
        await ask(host)
        assert len(owned(host)) == 2


async def test_starts_that_find_the_own_block_full_at_once_claim_one_block_together() -> None:
    """Not one each (projectcalico/libcalico-go#1336)."""
    async with cluster() as world:
        host = world.hosts[0]
        for number in range(16 - (owned(host)[0] in (0, 7))):
            await ask(host, mac=f"02:00:00:00:01:{number:02x}")
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask(host, mac=f"02:00:00:00:02:{number:02x}")) for number in range(10)]
        assert len({task.result() for task in asked}) == 10
        assert len(owned(host)) == 2


async def test_a_late_endpoint_does_not_take_an_address_of_a_block_that_is_not_the_hosts() -> None:
    """Its lease went with the block; whoever owns that may have given it."""
    async with cluster() as world:
        host, other = world.hosts
        wanted = f"10.0.0.{16 * owned(other)[0] + 9}"
        await host.cache.commit(put=[msgspec.structs.replace(host.pool, network=NETWORK)])
        segment = Segment(world.subnet, None, SPACE, host.pool.id)
        network = Network(id=NETWORK, internal=False, created=0.0, ipv4=(segment,), ipv6=(), options=NetworkOptions())
        endpoint = Endpoint("e" * 64, NETWORK, IPv4Interface(f"{wanted}/25"), None, "02:00:00:00:00:01", 0.0)
        with pytest.raises(Conflict, match=f"address {wanted} is not this host's any more"):
            host.ipam.confirm(network, endpoint, frozenset())


@pytest.mark.parametrize("boots", [False, True])
async def test_a_host_without_a_plan_gives_nothing_new_of_what_is_shared(boots: bool) -> None:
    """It has left by force, say, and somebody has forgotten it: what it has it keeps. The refusal says what to do."""
    async with cluster() as world:
        host, other = world.hosts
        had = await ask(host)
        if boots:
            host.kill()
            host.boots += 1
            host.build()
        host.ipam.shared.plan = None
        if boots:
            await host.cache.load()
        assert await ask(host) == had
        for wanted in (None, f"10.0.0.{16 * owned(host)[0] + 9}", f"10.0.0.{16 * owned(other)[0] + 9}"):
            with pytest.raises(Unavailable, match="this host is in no cluster"):
                await ask(host, wanted, mac="02:00:00:00:00:0c")
