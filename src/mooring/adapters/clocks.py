"""The host's clock and its source of chance.

Rule: what the wall clock's lead over the boot clock was is kept in a file that ends with the boot, so that a restart
while the clock is wrong is not fooled either.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from mooring.core.steady_time import LEAST, SteadyTime


class SystemClock:
    """The Clock port over the real time. A token is 48 random bits of the kernel's: twice the same is never seen.

    note: a file below /run where the lead is kept, None for nowhere.
    """

    def __init__(self, note: Path | None = None) -> None:
        self._note = note
        lead = time.time() - self.boot()
        known = self._noted()
        self._time = SteadyTime(lead if known is None else known)
        self._written = known
        self.now()

    def now(self) -> float:
        """Seconds since the epoch."""
        now = self._time.at(time.time(), self.boot())
        if self._written is None or abs(self._time.offset - self._written) >= LEAST:
            self._write()
        return now

    def boot(self) -> float:
        """Seconds since the boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def step(self) -> float:
        """Seconds by which the wall clock is off at the moment."""
        self.now()
        return self._time.step

    def token(self) -> str:
        """Twelve random hexadecimal digits."""
        return secrets.token_hex(6)

    async def sleep(self, seconds: float) -> None:
        """Come back after that long; not affected by changes of the wall clock."""
        await asyncio.sleep(seconds)

    def _noted(self) -> float | None:
        with suppress(OSError, ValueError):
            if self._note is not None:
                return float(self._note.read_text())
        return None

    def _write(self) -> None:
        self._written = self._time.offset
        if self._note is not None:
            draft = self._note.with_suffix(".new")
            with suppress(OSError):  # then a restart believes the wall clock
                draft.write_text(f"{self._time.offset:.3f}\n")
                os.replace(draft, self._note)
