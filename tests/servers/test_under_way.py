"""What was started ends, or is cancelled in the end."""

from __future__ import annotations

import asyncio

from mooring.servers.under_way import Ending, UnderWay


async def test_a_drain_waits_for_what_ends_and_cancels_what_does_not() -> None:
    """Both are gone afterwards."""
    ended: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
            ended.append(name)
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise

    async with asyncio.TaskGroup() as tasks:
        under_way = UnderWay[None, Ending](None, tasks, None)
        under_way.spawn(work("short", 0.0))
        under_way.spawn(work("long", 3600.0))
        await under_way.drain(0.1)
        assert (under_way.running, ended) == (set(), ["short", "long cancelled"])
