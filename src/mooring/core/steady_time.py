"""The time of day that is not fooled by a clock that is wrong for a while.

Rules: time passes as the boot clock says, which nobody sets and which counts suspension too (clock_gettime(2),
CLOCK_BOOTTIME); the wall clock is followed at once in what it is slewed by, and a step of it only when it has lasted.
"""

from __future__ import annotations

# Seconds by which the wall clock may be off at once: slewing, and what nobody's deadline minds.
LEAST = 5.0
# Seconds that a step must have lasted before it is believed.
LASTING = 600.0


class SteadyTime:
    """Wall time by two clocks. offset: what is believed to be the wall clock's lead over the boot clock, in seconds.

    step: how far the wall clock is from that now, 0.0 while they agree.
    """

    def __init__(self, offset: float, lasting: float = LASTING) -> None:
        self.offset = offset
        self.step = 0.0
        self._lasting = lasting
        self._since = 0.0

    def at(self, wall: float, boot: float) -> float:
        """Seconds since the epoch, when the clocks show this."""
        step = wall - boot - self.offset
        if abs(step) < LEAST:
            self.offset += step
            self.step = 0.0
        elif not self.step or abs(step - self.step) >= LEAST:
            self.step, self._since = step, boot
        elif boot - self._since >= self._lasting:
            self.offset += step
            self.step = 0.0
        else:
            self.step = step
        return boot + self.offset
