"""Work that is tried, and what goes wrong with it."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import Conflict, Fault, Unavailable
from mooring.services.cluster.attempts import all_of, attempted


async def test_whatever_goes_wrong_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    """A fault as it is, a mistake of ours without its words, which are in the log."""
    noted: list[Fault] = []

    async def work(error: Exception | None = None) -> None:
        if error is not None:
            raise error

    assert await attempted("this", work, noted.append)
    assert not await attempted("this", lambda: work(Conflict("no")), noted.append)
    assert not await attempted("that", lambda: work(ValueError("secret")), noted.append)
    assert [fault.what for fault in noted] == ["no", "that failed with an internal error"]
    assert "secret" in caplog.text


async def test_who_is_cancelled_ends() -> None:
    """Also where a group of tasks has made another exception of that."""
    noted: list[Fault] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            raise ValueError("of a group") from None

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(attempted("this", work, noted.append))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert noted == []


async def test_who_is_cancelled_ends_also_when_a_part_of_it_fails_at_that_moment() -> None:
    """`asyncio.gather` tells of the failure instead, and whoever takes that for an outage goes on for ever."""
    gone = asyncio.get_running_loop().create_future()

    async def fail() -> None:
        await gone
        raise Unavailable("no member answers")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(all_of(fail(), asyncio.sleep(60.0)))
        for _ in range(2):
            await asyncio.sleep(0)
        gone.set_result(None)
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_what_works_together_give_comes_in_their_order() -> None:
    """And the first failure of theirs, when all have ended."""
    ended: list[str] = []

    async def work(name: str, turns: int, fault: Fault | None = None) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        ended.append(name)
        if fault is not None:
            raise fault
        return name

    assert await all_of(work("slow", 3), work("quick", 0)) == ["slow", "quick"]
    with pytest.raises(Conflict, match="first"):
        await all_of(work("a", 2, Conflict("first")), work("b", 0, Conflict("second")), work("c", 5))
    assert ended == ["quick", "slow", "b", "a", "c"]
