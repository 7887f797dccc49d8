"""Blocks that nobody owns: a host takes several at a time, and believes nothing that it has only seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mooring.core.addresses import span
from mooring.core.faults import Conflict, Exhausted
from mooring.services.cluster.free_blocks import AT_ONCE, FreeBlocks, together
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import claim, cluster, owned, turns


def free_blocks(host: Host) -> FreeBlocks:
    """The host's, which has seen nothing yet."""
    return FreeBlocks(host.plan.values, host.plan.member)


async def take(world: World, blocks: FreeBlocks) -> int:
    """One of them; its number."""
    first = int(world.subnet.network_address)
    taken = (await blocks.take(SPACE, world.subnet, first, first + world.subnet.num_addresses)).seen.value
    assert taken is not None
    return taken.index


async def test_hosts_that_take_all_there_are_get_each_once_and_are_told_who_has_them() -> None:
    """Also what another host has taken since this one has looked."""
    async with cluster(2, "10.0.0.0/24") as world:
        one, two = map(free_blocks, world.hosts)
        taken = [await take(world, each) for _ in range(7) for each in (one, two)]
        assert sorted([*taken, *owned(world.hosts[0]), *owned(world.hosts[1])]) == list(range(16))
        for each in (one, two):
            with pytest.raises(Exhausted, match=r"each of its blocks has an owner \(held by host h0, host h1"):
                await take(world, each)


async def test_what_was_given_back_is_found_when_nothing_else_is_there() -> None:
    """Although this host has seen an owner."""
    async with cluster(2, "10.0.0.0/26") as world:
        one, two = world.hosts
        blocks = free_blocks(two)
        taken = {await take(world, blocks) for _ in range(2)}
        block = (await one.plan.values.blocks(SPACE, world.subnet))[owned(one)[0]]
        assert block.value is not None
        assert block.value.index not in taken
        await turns(world)
        with pytest.raises(Exhausted):
            await take(world, blocks)
        await one.plan.values.delete(block.value, block.revision)
        assert await take(world, blocks) == block.value.index


async def test_several_at_a_time_are_different_ones_and_the_cluster_is_looked_through_once() -> None:
    """A look is as long as the cluster is large."""
    async with cluster(1, "10.0.0.0/24") as world:
        scans: list[str] = []

        async def pause(step: Step) -> None:
            if step.when is When.BEFORE and step.method == "scan" and step.key.startswith("block/"):
                scans.append(step.key)
            await asyncio.sleep(0)

        world.servers.pause = pause
        blocks = free_blocks(world.hosts[0])
        await take(world, blocks)
        async with asyncio.TaskGroup() as tasks:
            taking = [tasks.create_task(take(world, blocks)) for _ in range(5)]
        assert len({each.result() for each in taking}) == 5
        assert len(scans) == 1


async def test_a_block_that_nobody_had_costs_one_write_and_one_with_a_claim_is_looked_through() -> None:
    """No claim comes into a block that has no key: it makes that first, and so is seen."""
    async with cluster(2, "10.0.0.0/24") as world:
        claimer, owner = world.hosts
        nobodys = sorted(set(range(16)) - set(owned(claimer)) - set(owned(owner)))
        for each in nobodys[::2]:
            await claim(claimer, f"container:c{each}", f"10.0.0.{16 * each + 2}")
        asked: list[str] = []

        async def pause(step: Step) -> None:
            if step.when is When.BEFORE:
                asked.append(f"{step.method} {step.key.split('/')[0]}")
            await asyncio.sleep(0)

        blocks = free_blocks(owner)
        await take(world, blocks)  # what there is is known from here on
        world.servers.pause = pause
        for _ in nobodys[1:]:
            asked.clear()
            taken = await blocks.take(SPACE, world.subnet, *span(world.subnet))
            assert taken.seen.value is not None
            index, carved = taken.seen.value.index, set(map(str, taken.seen.value.carved))
            assert carved == ({f"10.0.0.{16 * index + 2}"} if index in nobodys[::2] else set())
            assert asked == (["put block"] if taken.first else ["scan addr", "put block"])
            assert taken.first == (not carved)


async def test_who_comes_first_takes_for_all_who_wait() -> None:
    """As many blocks as their addresses need, within a bound; a fault is told to all of them, at once."""
    async with cluster(1) as world:
        blocks, place = free_blocks(world.hosts[0]), (SPACE, world.subnet)
        taken: list[int] = []

        async def one_more() -> None:
            await asyncio.sleep(0)
            taken.append(1)

        async def none_left() -> None:
            taken.append(1)
            raise Exhausted("none is left")

        async def many(count: int, enough: int, take: Callable[[], Awaitable[None]]) -> list[BaseException | None]:
            taken.clear()
            works = (blocks.for_all(place, enough, 0.0, lambda: 0, take) for _ in range(count))
            return await asyncio.gather(*works, return_exceptions=True)

        assert await many(33, 1, one_more) == [None] * 33
        assert len(taken) == 3
        assert await many(1, 1, one_more) == [None]
        assert len(taken) == 1
        await many(1000, 1, one_more)
        assert len(taken) == AT_ONCE
        refusals = await many(20, 1, none_left)
        assert [str(each) for each in refusals] == ["none is left"] * 20
        assert len(taken) == 2
        await blocks.for_all(place, 5, 0.0, lambda: 5, none_left)


@pytest.mark.parametrize(("text", "counts"), [("10.0.0.0/16", [1, 2, 3, 4, 1, 2]), ("10.0.0.0/26", [1] * 6)])
async def test_who_has_to_wait_again_soon_has_more_where_there_is_plenty(text: str, counts: list[int]) -> None:
    """Not of a small subnet, nor after a while; and never more than so many at once."""
    async with cluster(1, text) as world:
        blocks, place = free_blocks(world.hosts[0]), (SPACE, world.subnet)
        await take(world, blocks)
        taken: list[int] = []

        async def one_more() -> None:
            taken[-1] += 1

        for now in (0.0, 1.0, 2.0, 3.0, 14.0, 15.0):
            taken.append(0)
            await blocks.for_all(place, 1, now, lambda: 0, one_more)
        assert taken == counts
        for now in range(16, 26):
            taken.append(0)
            await blocks.for_all(place, 1, now, lambda: 0, one_more)
        assert max(taken) == (AT_ONCE if len(set(counts)) > 1 else 1)


async def test_what_is_done_together_ends_together() -> None:
    """The first fault is raised when nothing is under way any more; of most things, when all have failed."""
    done: list[int] = []

    async def work(number: int, fault: bool) -> None:
        await asyncio.sleep(0)
        done.append(number)
        if fault:
            raise Conflict(f"the {number}th")

    with pytest.raises(Conflict, match="the 1th"):
        await together([work(1, True), work(2, False), work(3, True)])
    assert done == [1, 2, 3]
    await together([work(1, True), work(2, False)], most=True)
    with pytest.raises(Conflict, match="the 4th"):
        await together([work(4, True), work(5, True)], most=True)
