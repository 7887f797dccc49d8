"""What a server has under way on one socket: its connections, and the work that outlives them.

Rule: what was started ends in its own time, or is cancelled when the drain is over, and never merely forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from mooring.servers.quotas import Quota

H = TypeVar("H")
C = TypeVar("C")


class UnderWay(Generic[H, C]):
    """What one `serve` has under way."""

    def __init__(self, handler: H, tasks: asyncio.TaskGroup, quota: Quota | None) -> None:
        self.handler = handler
        self.quota = quota
        self.open = True
        self.connections: set[C] = set()
        self.running: set[asyncio.Task[None]] = set()
        self._tasks = tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it ends, owned by `serve`."""
        task = self._tasks.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def drain(self, seconds: float) -> None:
        """Everything has ended, in its own time or cancelled."""
        if self.running:
            await asyncio.wait(list(self.running), timeout=seconds)
        for task in list(self.running):
            task.cancel()
        if self.running:
            await asyncio.wait(list(self.running))
