"""Half of the steps of a test that tries hundreds, where another run tries the other half.

Rules: every step without the environment variable HALF; `odd` or `even` with it, so that CI's lanes, each on an engine
of its own, try all of them together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

FIRSTS = {"": (1, 1), "odd": (1, 2), "even": (2, 2)}


def steps(also: int = 0) -> Iterator[int]:
    """The numbers of the steps to try, from 1 on without an end.

    also: 1 gives the other half, for the second of two ways to try each step, so that a lane tries both ways.
    Raises KeyError if HALF is neither word.
    """
    half = os.environ.get("HALF", "")
    first, stride = FIRSTS[half]
    if half and also % 2:
        first = 3 - first
    return count(first, stride)
