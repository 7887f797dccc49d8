"""Outages, lost answers and races of the cluster in memory; that it is a Cluster is tested by its contract."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from mooring.core.faults import StaleRevision, Unavailable
from mooring.ports import Cluster
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster, Step
from mooring.testing.memory_store import When


async def test_a_fault_is_before_or_after_taking_effect() -> None:
    """The caller cannot tell; the record can."""
    servers = MemoryCluster()
    host = servers.client("a")
    servers.fail_next()
    servers.fail_next(When.AFTER)
    for key in ("before", "after"):
        with pytest.raises(Unavailable):
            await host.put(key, b"1", 0)
    assert servers.records == {"after": b"1"}


async def test_a_delayed_write_happens_later_if_it_still_can() -> None:
    """The caller has given up long before; where somebody else came first it does nothing."""
    servers = MemoryCluster()
    host = servers.client("a")
    servers.delay_next(2)
    for key in ("free", "taken"):
        with pytest.raises(Unavailable):
            await host.put(key, b"late", 0)
    await host.put("taken", b"first", 0)
    assert servers.deliver() == 1
    assert servers.records == {"free": b"late", "taken": b"first"}
    assert servers.deliver() == 0


async def test_who_is_cut_off_is_alone_in_it() -> None:
    """Calls and watches of that client end in Unavailable, others are served; and so is it, mended."""
    servers = MemoryCluster()
    alone, other = servers.client("alone"), servers.client("other")
    async with aclosing(alone.watch("", 1)) as batches:
        await other.put("a", b"1", 0)
        assert len(await anext(batches)) == 1
        servers.cut("alone")
        with pytest.raises(Unavailable, match="no member"):
            await anext(batches)
    assert await alone.complaints() == ["no member of the cluster's store answers"]
    assert await other.complaints() == []
    assert (await other.get("a")) is not None
    servers.mend()
    assert (await alone.get("a")) is not None


async def test_without_a_majority_nobody_is_served_and_no_time_to_live_ends() -> None:
    """What had one has it again when there is a leader."""
    servers = MemoryCluster(ManualClock())
    host = servers.client("a")
    await host.put("session", b"1", 0, 10)
    servers.lose_majority()
    servers.clock.advance(60)
    with pytest.raises(Unavailable, match="leader"):
        await host.get("session")
    servers.regain_majority()
    servers.clock.advance(9)
    assert await host.get("session") is not None
    servers.clock.advance(1)
    assert await host.get("session") is None


async def increment(host: Cluster) -> None:
    """Add one to the number, however long it takes."""
    while True:
        entry = await host.get("n")
        assert entry is not None
        try:
            await host.put("n", str(int(entry.value) + 1).encode(), entry.revision)
        except StaleRevision:
            continue
        return


async def test_a_scheduler_decides_who_comes_first() -> None:
    """The same seed, the same history; reads and writes are apart, so that races are lost, none of them silently."""
    histories = []
    for seed in (1, 1, 2):
        chance = random.Random(seed)
        steps: list[Step] = []

        async def pause(step: Step, chance: random.Random = chance, steps: list[Step] = steps) -> None:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            steps.append(step)

        servers = MemoryCluster(pause=pause)
        await servers.client("first").put("n", b"0", 0)
        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(increment(servers.client(name)))
        assert servers.records == {"n": b"3"}
        histories.append(steps)
    assert histories[0] == histories[1] != histories[2]
    assert len(histories[0]) > 2 + 3 * 4  # somebody had to try again
