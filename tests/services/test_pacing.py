"""Long work lets others go first."""

from __future__ import annotations

import asyncio

from mooring.services.records.pacing import Pace


async def test_somebody_else_gets_a_turn_every_so_many_steps() -> None:
    """Ten steps in strides of four are two breaks."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(other())
        pace = Pace(stride=4)
        for _ in range(10):
            await pace.step()
        assert turns == 2
        task.cancel()
