"""Locks by name, made when wanted and gone when nobody waits.

Rules: operations on one thing queue, in the order of asking; operations on different things do not know of each other;
what needs a thing to stay shares it, and who changes or ends the thing holds it alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Lock:
    """Shared by many or held by one; nobody overtakes."""

    def __init__(self) -> None:
        self._shared = 0
        self._held = False
        self._queue: deque[tuple[bool, asyncio.Future[None]]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nobody has it or waits for it."""
        return not (self._shared or self._held or self._queue)

    async def enter(self, alone: bool) -> None:
        """Wait for one's turn."""
        if not self._queue and self._fits(alone):
            self._take(alone)
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((alone, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(alone)  # it was our turn already
            else:
                self._queue.remove((alone, turn))
                self._wake()
            raise

    def leave(self, alone: bool) -> None:
        """Let the next in."""
        if alone:
            self._held = False
        else:
            self._shared -= 1
        self._wake()

    def _fits(self, alone: bool) -> bool:
        return not self._held and not (alone and self._shared)

    def _take(self, alone: bool) -> None:
        if alone:
            self._held = True
        else:
            self._shared += 1

    def _wake(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            alone, turn = self._queue.popleft()
            if not turn.done():
                self._take(alone)
                turn.set_result(None)


class KeyedLocks:
    """One fair lock for each key. It cannot be entered twice by one task."""

    def __init__(self) -> None:
        self._locks: dict[str, _Lock] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Be the only one inside for the key."""
        async with self._inside(key, alone=True):
            yield

    @asynccontextmanager
    async def share(self, key: str) -> AsyncIterator[None]:
        """Be inside for the key together with others who share it, and nobody who holds it."""
        async with self._inside(key, alone=False):
            yield

    @asynccontextmanager
    async def _inside(self, key: str, alone: bool) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, _Lock())
        try:
            await lock.enter(alone)
            try:
                yield
            finally:
                lock.leave(alone)
        finally:
            if lock.idle and self._locks.get(key) is lock:
                del self._locks[key]

    def __len__(self) -> int:
        return len(self._locks)
