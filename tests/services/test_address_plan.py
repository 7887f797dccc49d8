"""The address plan as a whole: its turns in peace and in an outage, and seeded schedules of many hosts.

`scripts/simulate STEPS` plays as many steps as one likes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.services.cluster.host_records import HostRecords
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_store import When
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


async def test_an_outage_is_waited_for_once_a_turn() -> None:
    """Not for each thing that waits, of which there may be hundreds: a server that is silent takes seconds to be so."""
    async with cluster() as world:
        host = world.hosts[0]
        for key in ("key:a", "key:b", "key:c"):
            made = await claim(host, key)
            await host.plan.claims.release(SPACE, world.subnet, made.address)
        asked: list[str] = []

        async def note(step: Step) -> None:
            if step.client == host.name and step.when is When.BEFORE:
                asked.append(step.method)
            if len(asked) == 2:  # while the turn is at its work
                world.servers.cut(host.name)

        world.servers.pause = note
        turn = await host.plan.turn()
        assert [type(fault) for fault in turn.faults] == [Unavailable]
        world.servers.pause = let_others_run
        world.servers.mend(host.name)


async def test_it_says_whose_an_address_is_and_names_the_host() -> None:
    """Of its own, and of what is nobody's, it says nothing; refusals name hosts as well."""
    async with cluster() as world:
        one, two = world.hosts
        for host in (one, two):
            records = HostRecords(host.client)
            record, revision = await records.host(host.name)
            assert record is not None
            await records.put_host(replace(record, name=f"web {host.name}"), revision)
        free = ip_address(await run(two))
        made = await claim(two, "key:db")
        await turns(world, seconds=60.0)
        assert await one.plan.whose(SPACE, world.subnet, free) == f"host web {two.name} decides over it"
        assert await one.plan.whose(SPACE, world.subnet, made.address) == f"host web {two.name} has it"
        assert await two.plan.whose(SPACE, world.subnet, made.address) == ""
        await two.plan.use(SPACE, world.subnet, made.address, "key:db")
        with pytest.raises(Conflict, match=f"in use on host web {two.name}, which is heard"):
            await claim(one, "key:db")


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
    """Some of the schedules; test_cluster_worlds.py has a minute of them, and the nightly run a million steps."""
    world = play(1, 150, profile)
    assert world.steps == 150


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
