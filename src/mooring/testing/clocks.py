"""A clock that stands still until a test moves it.

Rule: nothing here depends on the real time or on chance, so that a test goes the same way each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from heapq import heappop, heappush


class ManualClock:
    """The Clock port, moved by hand."""

    def __init__(self, start: float = 1_750_000_000.0, tokens: int = 0) -> None:
        """start: seconds since the epoch. tokens: how many it has given, as it were: clocks that are to differ have
        different ones. off: what `step` tells. on_advance: called when the clock was moved."""
        self._now = start
        self._boot = 1000.0
        self.off = 0.0
        self._tokens = tokens
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0
        self.on_advance: list[Callable[[], None]] = []

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def now(self) -> float:
        """Where the clock stands, in seconds since the epoch."""
        return self._now

    def boot(self) -> float:
        """Seconds since the boot; `jump` does not move it."""
        return self._boot

    def step(self) -> float:
        """What a test says."""
        return self.off

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock, and that is believed: no time passes."""
        self._now += seconds

    def token(self) -> str:
        """Twelve hexadecimal digits that look random, the same sequence for each clock, never the same twice."""
        self._tokens += 1
        # The count makes it unique; what is before it keeps tests from relying on an order.
        return f"{sha256(str(self._tokens).encode()).hexdigest()[:6]}{self._tokens:06x}"

    async def sleep(self, seconds: float) -> None:
        """Come back when the clock was moved that far; at once, but not before others ran, for 0 or less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heappush(self._sleepers, (self._boot + seconds, self._order, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """The clock stands that much later; who slept until then wakes up, earliest first, as the loop comes to it.

        What wakes up sees the new time, also when it wanted to wake earlier.
        """
        self._now += seconds
        self._boot += seconds
        while self._sleepers and self._sleepers[0][0] <= self._boot:
            _, _, woken = heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        for told in self.on_advance:
            told()
