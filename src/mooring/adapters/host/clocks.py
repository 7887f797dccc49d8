"""The host's clock and its source of chance.

Rules: what the wall clock's lead over the boot clock was is kept in a file that ends with the boot, so that a restart
while the clock is wrong is not fooled either; the time itself is kept in one that outlives the boot, so that a clock
which comes up years off, or before that time, is not believed until it comes right or has stayed so: a machine without
a clock of its own begins anywhere, and is told the time when its network is up.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import suppress
from math import isfinite
from pathlib import Path

from mooring.core.steady_time import LEAST, SteadyTime

# Seconds that a machine may have been off for without its clock being doubted: half a year.
LONGEST_OFF = 180 * 86400.0
# Seconds between two notes of the time that outlive the boot.
NOTED_EVERY = 600.0


class SystemClock:
    """The Clock port over the real time. A token is 48 random bits of the kernel's: twice the same is never seen.

    note: a file below /run where the lead is kept, None for nowhere. last: one that outlives the boot, for the time.
    """

    def __init__(self, note: Path | None = None, last: Path | None = None) -> None:
        self._note, self._last = note, last
        known, kept = _number(note), _number(last)
        # At the first start in a boot the time is what it was at least, until the wall clock says what it may be.
        self._doubtful = known is None and kept is not None
        self._time = SteadyTime(known if known is not None else (kept or time.time()) - self.boot())
        self._written = known
        self._kept = float("-inf")
        self.now()

    def now(self) -> float:
        """Seconds since the epoch."""
        wall, boot = time.time(), self.boot()
        if self._doubtful and -LEAST <= wall - boot - self._time.offset <= LONGEST_OFF:
            self._time = SteadyTime(wall - boot)
        now = self._time.at(wall, boot)
        self._doubtful = self._doubtful and self._time.step != 0
        if self._last is not None and boot - self._kept >= NOTED_EVERY:
            self._kept = boot
            _write(self._last, now)
        if self._written is None or abs(self._time.offset - self._written) >= LEAST:
            self._written = self._time.offset
            if self._note is not None:
                _write(self._note, self._time.offset)
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


def _number(path: Path | None) -> float | None:
    """What the file says, None when it says nothing."""
    with suppress(OSError, ValueError):
        if path is not None and isfinite(number := float(path.read_text())):
            return number
    return None


def _write(path: Path, number: float) -> None:
    draft = path.with_name(f"{path.name}.new")
    with suppress(OSError):  # then the next start believes the wall clock
        draft.write_text(f"{number:.3f}\n")
        os.replace(draft, path)
