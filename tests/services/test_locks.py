"""Locks by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.services.records.locks import KeyedLocks, OneForAll


async def test_one_key_is_held_by_one_at_a_time_in_the_order_of_asking() -> None:
    """Three holders of one key are inside one after another."""
    locks = KeyedLocks()
    seen: list[str] = []

    async def work(name: str) -> None:
        async with locks.hold("n"):
            seen.append(f"+{name}")
            await asyncio.sleep(0)
            seen.append(f"-{name}")

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(work(name))
    assert seen == ["+a", "-a", "+b", "-b", "+c", "-c"]


async def test_different_keys_do_not_wait_for_each_other() -> None:
    """A holder of one key lets a holder of another in."""
    locks = KeyedLocks()
    async with locks.hold("a"), asyncio.timeout(1), locks.hold("b"):
        assert len(locks) == 2


async def test_a_lock_is_gone_when_nobody_wants_it() -> None:
    """No memory grows with the number of networks that ever were, also after a failure inside."""
    locks = KeyedLocks()
    try:
        async with locks.hold("a"):
            raise ValueError
    except ValueError:
        pass
    assert len(locks) == 0


async def test_many_share_and_who_holds_is_alone() -> None:
    """Sharers are inside together; a holder waits for them, and who asks after the holder waits for it."""
    locks = KeyedLocks()
    seen: list[str] = []

    async def share(name: str) -> None:
        async with locks.share("n"):
            seen.append(f"+{name}")
            for _ in range(3):
                await asyncio.sleep(0)
            seen.append(f"-{name}")

    async def hold() -> None:
        async with locks.hold("n"):
            seen.append("+held")
            await asyncio.sleep(0)
            seen.append("-held")

    async with asyncio.TaskGroup() as group:
        for work in (share("a"), share("b"), hold(), share("c")):
            group.create_task(work)
    assert seen == ["+a", "+b", "-a", "-b", "+held", "-held", "+c", "-c"]
    assert len(locks) == 0


async def test_all_that_are_cancelled_together_end_as_cancelled() -> None:
    """The holder and those behind it: nobody trips over another who is gone already."""
    locks = KeyedLocks()

    async def work() -> None:
        async with locks.hold("n"):
            await asyncio.sleep(60)

    tasks = [asyncio.get_running_loop().create_task(work()) for _ in range(4)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 4
    assert len(locks) == 0


async def test_who_gives_up_waiting_stands_in_nobodys_way() -> None:
    """A cancelled holder lets those through that waited behind it, also when its turn had just come."""
    for steps in range(4):
        locks = KeyedLocks()
        inside = asyncio.Event()

        async def wait(locks: KeyedLocks = locks) -> None:
            async with locks.hold("n"):
                pass

        async def share(locks: KeyedLocks = locks, inside: asyncio.Event = inside) -> None:
            async with locks.share("n"):
                inside.set()

        async with asyncio.TaskGroup() as group:
            async with locks.share("n"):
                waiting = group.create_task(wait())
                await asyncio.sleep(0)
                group.create_task(share())
                for _ in range(steps):
                    await asyncio.sleep(0)
                if steps % 2:
                    waiting.cancel()
                    await asyncio.sleep(0)
            waiting.cancel()
            async with asyncio.timeout(5):
                await inside.wait()
        assert len(locks) == 0


async def test_who_comes_first_does_it_for_all_who_come_meanwhile() -> None:
    """Whoever comes after that begins it anew; of another key, nobody waits."""
    once, done, gate = OneForAll(), list[str](), asyncio.Event()

    async def work(name: str) -> None:
        await gate.wait()
        done.append(name)

    async with asyncio.TaskGroup() as group:
        for key, name in (("a", "first"), ("a", "second"), ("b", "other"), ("a", "third")):
            group.create_task(once.do(key, partial(work, name)))
        await asyncio.sleep(0)
        gate.set()
    await once.do("a", partial(work, "later"))
    assert done == ["first", "other", "later"]


async def test_all_for_whom_a_thing_was_done_go_on_at_the_same_moment() -> None:
    """Who did it does not run ahead: what they ask for next would come one by one."""
    once, gate, loop = OneForAll(), asyncio.Event(), asyncio.get_running_loop()
    moments: list[int] = []
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if len(moments) < 4:
            loop.call_soon(tick)

    async def ask() -> None:
        await once.do("a", gate.wait)
        moments.append(ticks)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
        await asyncio.sleep(0)
        tick()
        gate.set()
    assert len(set(moments)) == 1


@pytest.mark.parametrize(("fault", "outcomes"), [(Unavailable("x"), 3), (Conflict("x"), 1), (None, 1)])
async def test_what_went_wrong_is_told_to_all_or_found_by_each(fault: Exception | None, outcomes: int) -> None:
    """As whoever made it wants; who breaks off (None) leaves the others to begin anew."""
    once, gate = OneForAll(Unavailable), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        if fault is not None:
            raise fault

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(outcome(once.do("a", work))) for _ in range(3)]
        await asyncio.sleep(0)
        if fault is None:
            asking[0].cancel()
        gate.set()
    found = [None if each.cancelled() else each.result() for each in asking]
    assert found == [fault] * outcomes + [None] * (3 - outcomes)


async def outcome(work: Awaitable[None]) -> Exception | None:
    """What it raised."""
    try:
        await work
    except Exception as fault:  # noqa: BLE001 - that is what is asked for
        return fault
    return None
