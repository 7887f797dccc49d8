"""Descriptors that several have together, so that who floods takes them neither from the others nor from the program.

Rule: nobody may have more than is left free: one alone gets half, two get a third each, and so on, and whoever comes
anew finds some.
"""

from __future__ import annotations

import resource

# What the kernel allows by default where there is no limit: fs.nr_open.
_UNLIMITED = 1 << 20


class Shares:
    """Of `total` descriptors. Everyone counts his own."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0

    @property
    def total(self) -> int:
        """How many there are for all."""
        return self._total

    def take(self, have: int) -> bool:
        """One more for him who has so many. False, and nothing taken, when that is beyond his share."""
        if have >= self.total - self._used:
            return False
        self._used += 1
        return True

    def release(self) -> None:
        """One that was taken is free again."""
        self._used -= 1


class SharesOfLimit(Shares):
    """Of a part of the files that the process may have open (RLIMIT_NOFILE, getrlimit(2)), one at least. The program
    may change the limit at any time."""

    def __init__(self, divisor: int) -> None:
        super().__init__(0)
        self._divisor = divisor

    @property
    def total(self) -> int:
        """See Shares."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(1, (_UNLIMITED if soft == resource.RLIM_INFINITY else soft) // self._divisor)
