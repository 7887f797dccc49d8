"""A host is forgotten: nothing of the subnet is its own, and nothing of others is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from mooring.core.faults import Conflict
from mooring.services.cluster.forgetting import Forgetting
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.plan_hosts import claim, cluster, forget, owned, shared, turns


async def test_a_host_that_is_heard_is_not_forgotten() -> None:
    """Nor one that has only just gone silent."""
    async with cluster() as world:
        host, other = world.hosts
        plan = other.plan
        forgetting = Forgetting(plan.values, plan.sessions, plan.blocks, plan.claims)
        with pytest.raises(Conflict, match="host h0 is heard"):
            await forgetting.forget("h0", shared(world))
        host.off()
        world.clock.advance(20.0)
        with pytest.raises(Conflict, match="host h0 has only just gone silent"):
            await forgetting.forget("h0", shared(world))


async def test_its_blocks_are_nobodys_and_claims_that_they_bore_have_keys() -> None:
    """Another host's claim in such a block outlives it."""
    async with cluster() as world:
        host, other = world.hosts
        mine, theirs = await claim(host, "key:alone"), await claim(host, "key:both")
        await claim(other, "key:both")
        (index,) = owned(host)
        await forget(world, host, other)
        block = (await other.plan.values.block(SPACE, world.subnet, index)).value
        assert block is not None
        assert (block.host, block.generation, block.carved) == ("", 2, {})
        assert (await other.plan.values.claim(SPACE, world.subnet, mine.address)).value is None
        kept = (await other.plan.values.claim(SPACE, world.subnet, theirs.address)).value
        assert kept is not None
        assert (kept.host, sorted(kept.holders)) == ("h1", ["h1/key:both"])
        await other.turn()
        await other.plan.claims.use(SPACE, world.subnet, theirs.address, theirs.key)


async def test_a_host_that_comes_back_while_it_is_forgotten_has_its_blocks_or_knows_that_it_has_not() -> None:
    """It writes them before it gives anything of them, so that who forgets is too late, or it is."""
    async with cluster() as world:
        host, other = world.hosts
        (index,) = owned(host)
        host.off()
        world.clock.advance(30.0)
        await other.plan.sessions.standing("h0")
        world.clock.advance(10.0)
        gate, reached = asyncio.Event(), asyncio.Event()

        async def pause(step: Step) -> None:
            takes = (step.client, step.method, step.when) == ("h1", "put", When.BEFORE)
            if takes and step.key.startswith("block/") and not gate.is_set():
                reached.set()
                await gate.wait()
            await asyncio.sleep(0)

        world.servers.pause = pause
        async with asyncio.TaskGroup() as tasks:
            forgetting = tasks.create_task(refused(world.forget(other, host_is_off(host))))
            await reached.wait()
            await host.back(turning=False)
            await host.turn()
            gate.set()
        assert "host h0 is heard" in forgetting.result()
        assert owned(host) == [index]
        block = (await other.plan.values.block(SPACE, world.subnet, index)).value
        assert block is not None
        assert (block.host, block.generation) == ("h0", 1)


def host_is_off(host: Host) -> Host:
    """As far as who forgets it knows."""
    assert not host.on
    return host


async def refused(work: Coroutine[None, None, None]) -> str:
    """What it is refused with."""
    with pytest.raises(Conflict) as caught:
        await work
    return str(caught.value)


async def test_forgetting_twice_is_forgetting_once() -> None:
    """It may be done again where it was broken off, by anybody."""
    async with cluster(3) as world:
        host, one, two = world.hosts
        await claim(host, "key:a")
        await forget(world, host, one)
        before = {key: value for key, value in world.servers.records.items() if not key.startswith("session/")}
        await two.plan.sessions.standing("h0")
        world.clock.advance(10.0)
        await world.forget(two, host)
        after = {key: value for key, value in world.servers.records.items() if not key.startswith("session/")}
        assert after == before
        await turns(world, 1)


async def test_a_claim_that_one_who_forgets_ends_and_another_writes_again_is_none_for_long() -> None:
    """Two operators at once, of whom the second dies right after that: nobody could forget that host any more."""
    async with cluster(3) as world:
        host, one, two = world.hosts
        made = await claim(host, "key:a")
        host.off()
        for seconds in (30.0, 10.0):
            world.clock.advance(seconds)
            for other in (one, two):
                await other.plan.sessions.standing("h0")
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(step: Step) -> None:
            if step.client == "h2" and step.method == "put" and step.key.startswith("addr/"):
                if step.when is When.BEFORE:
                    reached.set()
                    await gate.wait()
                else:
                    raise asyncio.CancelledError

        calm, world.servers.pause = world.servers.pause, hold
        async with asyncio.TaskGroup() as tasks:
            second = tasks.create_task(world.forget(two, host))
            await reached.wait()
            await world.forget(one, host)
            assert (await one.plan.values.claim(SPACE, world.subnet, made.address)).value is None
            gate.set()
        assert second.cancelled()
        world.servers.pause = calm
        records = one.plan.values.hosts
        await records.delete_host("h0", (await records.host("h0"))[1])
        assert (await one.plan.values.claim(SPACE, world.subnet, made.address)).value is not None
        for _ in range(6):
            world.clock.advance(25.0)
            await one.turn()
        assert not any(key.startswith(("addr/", "identity/")) for key in world.servers.records)
