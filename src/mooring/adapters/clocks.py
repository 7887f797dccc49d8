"""The host's clock and its source of chance."""

from __future__ import annotations

import asyncio
import secrets
import time


class SystemClock:
    """The Clock port over the real time. A token is 48 random bits of the kernel's: twice the same is never seen."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def token(self) -> str:
        """Twelve random hexadecimal digits."""
        return secrets.token_hex(6)

    async def sleep(self, seconds: float) -> None:
        """Come back after that long; not affected by changes of the wall clock."""
        await asyncio.sleep(seconds)
