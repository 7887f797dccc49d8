"""Locks by name."""

from __future__ import annotations

import asyncio

from mooring.services.locks import KeyedLocks


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
