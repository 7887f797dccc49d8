"""Long work in short steps: the loop has other things to do.

Rule: what grows with what somebody sends takes a step for each of its parts; a step costs next to nothing but for every
so many, which let everybody else go first.
"""

from __future__ import annotations

import asyncio

# Steps between two breaks: some milliseconds of what is done for one port, one lease or one container.
STRIDE = 128


class Pace:
    """Counts steps. stride: how many are made at a stretch."""

    def __init__(self, stride: int = STRIDE) -> None:
        self._stride = stride
        self._left = stride

    async def step(self) -> None:
        """One step is done. The caller may be cancelled here, every so many steps."""
        self._left -= 1
        if self._left <= 0:
            self._left = self._stride
            await asyncio.sleep(0)
