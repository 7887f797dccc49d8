"""Locks by name, made when wanted and gone when nobody waits.

Rules: operations on one thing queue, in the order of asking; operations on different things do not know of each other;
what needs a thing to stay shares it, and who changes or ends the thing holds it alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, suppress


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
                with suppress(ValueError):  # who left meanwhile has passed us over
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


class _Turn:
    """One's turn at the lock of a key: a context manager, made for one use."""

    __slots__ = ("_alone", "_key", "_lock", "_locks")

    def __init__(self, locks: dict[Hashable, _Lock], key: Hashable, alone: bool) -> None:
        self._locks, self._key, self._alone = locks, key, alone

    async def __aenter__(self) -> None:
        self._lock = self._locks.setdefault(self._key, _Lock())
        try:
            await self._lock.enter(self._alone)
        except BaseException:
            self._forget()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.leave(self._alone)
        self._forget()

    def _forget(self) -> None:
        if self._lock.idle and self._locks.get(self._key) is self._lock:
            del self._locks[self._key]


class KeyedLocks:
    """One fair lock for each key. It cannot be entered twice by one task."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    def hold(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """Be the only one inside for the key."""
        return _Turn(self._locks, key, alone=True)

    def share(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """Be inside for the key together with others who share it, and nobody who holds it."""
        return _Turn(self._locks, key, alone=False)

    def __len__(self) -> int:
        return len(self._locks)


class OneForAll:
    """Whoever comes first does a thing for all who come meanwhile; all go on at the same moment, so that what they ask
    for next comes together as well. told: faults of the work that are raised to all; any other is his who did it."""

    def __init__(self, told: type[Exception] = Exception) -> None:
        self._told = told
        self._going: dict[Hashable, list[asyncio.Future[None]]] = {}

    async def do(self, key: Hashable, work: Callable[[], Awaitable[object]]) -> None:
        """The work was done once, or broken off, since this was called, or had begun before; raises what it raises."""
        if (waiting := self._going.get(key)) is not None:
            turn = asyncio.get_running_loop().create_future()
            waiting.append(turn)
            await turn
            return
        waiting = self._going[key] = []
        told: Exception | None = None
        try:
            await work()
        except self._told as fault:
            told = fault
            raise
        finally:
            del self._going[key]
            for turn in waiting:
                if turn.done():
                    continue
                if told is None:
                    turn.set_result(None)
                else:
                    turn.set_exception(told)
        if waiting:
            await asyncio.sleep(0)
