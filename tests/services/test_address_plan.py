"""The address plan as a whole: its turns in peace and in an outage, and seeded schedules of many hosts.

`scripts/simulate STEPS` plays as many steps as one likes.
"""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import Conflict, Unavailable
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_verdicts import wrong_at_rest
from tests.services.cluster_worlds import PROFILES, play
from tests.services.plan_hosts import claim, cluster, run, turns


async def test_a_turn_in_an_outage_says_since_when_and_the_next_one_after_it_looks_again() -> None:
    """What waited is done then."""
    async with cluster() as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        world.servers.lose_majority()
        await host.plan.claims.release(SPACE, world.subnet, made.address)
        began = host.clock.boot()
        for _ in range(3):
            turn = await host.plan.turn()
            assert isinstance(turn.faults[0], Unavailable)
            world.clock.advance(5.0)
        assert since(host) == began
        world.servers.regain_majority()
        await turns(world, 3)
        assert since(host) is None
        assert await wrong_at_rest(world.hosts, world.subnet) == []


def since(host: Host) -> float | None:
    """Since when what waits cannot be done."""
    return host.plan.unreached


async def test_an_address_that_a_container_here_gets_meanwhile_is_not_claimed_for_a_key() -> None:
    """The next one is."""
    async with cluster() as world:
        host = world.hosts[0]
        first = (await claim(host, "key:a")).address
        second = await run(host)
        third = (await claim(host, "key:b")).address
        assert len({str(first), second, str(third)}) == 3


@pytest.mark.parametrize("text", ["10.0.0.0/25", "10.0.0.0/28"])
async def test_claims_that_come_at_once_have_an_address_each(text: str) -> None:
    """Of blocks, and of a subnet without any."""
    async with cluster(1, text) as world, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(claim(world.hosts[0], f"container:c{number}")) for number in range(12)]
        await asyncio.gather(*asked)
        assert len({task.result().address for task in asked}) == 12


async def test_a_named_address_that_somebody_has_is_refused_once() -> None:
    """Not tried again with another one."""
    async with cluster() as world:
        host = world.hosts[0]
        used = await run(host)
        with pytest.raises(Conflict, match="is in use on host h0"):
            await claim(host, "container:c1", used)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_address_has_two_users_is_lost_or_leaks_in_any_schedule(profile: str) -> None:
    """Some of the schedules; the full tier has more, and the nightly run a million steps."""
    world = play(1, 150, profile)
    assert world.steps == 150


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_no_address_has_two_users_is_lost_or_leaks_in_many_schedules(profile: str) -> None:
    """A few seconds of each kind of world; that things have happened is part of it."""
    worlds = [play(seed, 800, profile) for seed in range(100, 105)]
    assert sum(world.notes["used"] + world.notes["dynamic"] for world in worlds) > 20


async def test_a_turn_looks_again_for_a_host_that_was_silent() -> None:
    """Once it is heard, its next silence is a new one, though nobody has asked for it meanwhile."""
    async with cluster() as world:
        host, other = world.hosts
        world.servers.cut(other.name)
        world.clock.advance(20.0)
        await host.turn()
        assert (await host.plan.sessions.standing(other.name)).silent == 0.0
        world.servers.mend()
        await turns(world, 5, seconds=4.0)
        world.servers.cut(other.name)
        for _ in range(4):
            world.clock.advance(4.0)
            await host.turn()
        standing = await host.plan.sessions.standing(other.name)
        assert (standing.heard, standing.silent) == (False, 0.0)
