"""What is reserved in subnets that several hosts share, where another host has come to have it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from ipaddress import ip_address
from typing import TypeVar

import pytest

from mooring.core.faults import Conflict, Fault, Unavailable
from tests.services.claim_operators import addresses_of, let_go, port, release, request, reserve, reserved
from tests.services.fixed_hosts import FixedHost, FixedWorld, fixed_world

T = TypeVar("T")


async def forget_the_first(world: FixedWorld) -> None:
    """The second host forgets the first, which is cut off."""
    two = world.hosts[1]
    world.servers.cut("h1")
    world.clock.advance(20.0)
    await two.plan.sessions.standing("h1")
    world.clock.advance(10.0)
    await two.turn()
    await two.plan.forget("h1")


async def boot(host: FixedHost) -> None:
    """The machine was off, and is on again."""
    host.boots += 1
    await host.restart()


async def planned(world: FixedWorld, work: Coroutine[None, None, T], hosts: list[FixedHost]) -> T:
    """What it answers, while the plans of these hosts have turns, and nothing else."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(work)
        while not asking.done():
            world.clock.advance(0.1)
            for each in hosts:
                await each.plan.turn()
            await asyncio.sleep(0)
    return asking.result()


@pytest.mark.parametrize("reached", [True, False])
async def test_after_a_boot_what_is_reserved_is_given_once_the_cluster_said_that_it_is_here(reached: bool) -> None:
    """It was forgotten while it was off, and another host was given the address."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.90"))
        await world.turns()
        await forget_the_first(world)
        await planned(world, reserve(two, "10.0.0.90", whom="x"), [two])
        await request(two, "10.0.0.90", "x")
        await boot(one)
        if reached:
            world.servers.mend("h1")
        with pytest.raises(Conflict if reached else Unavailable):
            await request(one, "10.0.0.90", "db")


async def test_what_was_in_use_before_a_boot_is_asked_for_too() -> None:
    """The lease is still there, and whoever asks again had it."""
    async with fixed_world() as world:
        one = world.hosts[0]
        await world.answered(reserve(one, "10.0.0.90"))
        await request(one, "10.0.0.90", "db")
        await world.turns()
        world.servers.cut("h1")
        await boot(one)
        with pytest.raises(Unavailable):
            await request(one, "10.0.0.90", "db")
        world.servers.mend("h1")
        world.clock.advance(5.0)
        assert await request(one, "10.0.0.90", "db") == "10.0.0.90"


async def test_once_it_was_said_in_a_boot_what_is_reserved_serves_on_without_the_cluster() -> None:
    """Over restarts of the daemon, and where nobody has asked for it before the outage."""
    async with fixed_world() as world:
        one = world.hosts[0]
        await world.answered(reserve(one, "10.0.0.20"))
        await boot(one)
        await world.turns(30)
        world.servers.lose_majority()
        await one.turn()
        await one.restart()
        assert await request(one, "10.0.0.20", "db") == "10.0.0.20"
        await let_go(one, "10.0.0.20")
        assert reserved(one) == ["10.0.0.20"]


async def test_a_reservation_whose_address_a_key_took_elsewhere_is_told_and_has_it_again_later() -> None:
    """A container of the key was given it here by name, before the reservation had a claim again."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.90"))
        await world.turns()
        await forget_the_first(world)
        world.servers.mend("h1")
        for _ in range(60):
            world.clock.advance(1.0)
            for each in world.hosts:
                await each.plan.turn()
        await planned(world, one.create("db", "shop", ipv4="10.0.0.90"), world.hosts)
        there = await planned(world, two.create("other", "shop"), world.hosts)
        assert str(there.ipv4) == "10.0.0.90"
        await one.docker_remove("db")
        assert reserved(one) == ["10.0.0.90"]
        faults: list[Fault] = []
        for _ in range(60):
            world.clock.advance(1.0)
            faults += await one.turn()
            await two.turn()
        assert any("held by key shop on host h2" in str(fault) for fault in faults)
        assert any("lease release 10.0.0.90" in fault.hint for fault in faults)
        await two.docker_remove("other")
        await release(two, "10.0.0.90")
        await world.turns(60)
        seen = await one.seen(ip_address("10.0.0.90"))
        assert seen is not None
        assert (seen.host, seen.key) == ("h1", "reserved:db")
        assert addresses_of(world) == {"10.0.0.90"}


async def test_a_rehearsal_is_refused_what_only_its_block_says_is_another_hosts() -> None:
    """The key of the address is written by a turn; nobody had one yet."""
    async with fixed_world() as world:
        one, two = world.hosts
        start, _ = (one.services.ipam.index.blocks.ranges("default", one.subnet) or ())[0]
        address = str(ip_address(start + 5))
        await reserve(one, address)
        assert addresses_of(world) == set()
        with pytest.raises(Conflict, match="a reservation for db on host h1"):
            await reserve(two, address, whom="x", dry=True)


async def test_the_rehearsal_of_a_port_is_refused_what_another_host_has() -> None:
    """Its address, and its name."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(port(one, "lb", "10.0.0.77"))
        await world.turns()
        with pytest.raises(Conflict, match=r"10\.0\.0\.77 is claimed.*held by port lb on host h1"):
            await port(two, "other", "10.0.0.77", dry=True)
        with pytest.raises(Conflict, match=r"port lb has 10\.0\.0\.77 already"):
            await port(two, "lb", dry=True)
        assert str((await port(one, "other", "10.0.0.78", dry=True)).addresses[0]) == "10.0.0.78"
