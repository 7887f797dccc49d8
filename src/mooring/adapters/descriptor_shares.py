"""Descriptors that several have together, so that who floods takes them neither from the others nor from the program.

Rule: nobody may have more than is left free: one alone gets half, two get a third each, and so on, and whoever comes
anew finds some.
"""

from __future__ import annotations

import resource


class Shares:
    """Of `total` descriptors. Everyone counts his own."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0

    def take(self, have: int) -> bool:
        """One more for him who has so many. False, and nothing taken, when that is beyond his share."""
        if have >= self._total - self._used:
            return False
        self._used += 1
        return True

    def give_back(self) -> None:
        """One that was taken is free again."""
        self._used -= 1


def part_of_limit(divisor: int) -> int:
    """This part of the files that the process may have open (RLIMIT_NOFILE, getrlimit(2)), one at least."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # No limit: what the kernel allows by default (fs.nr_open).
    return max(1, (1 << 20 if soft == resource.RLIM_INFINITY else soft) // divisor)
