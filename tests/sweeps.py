"""Sweeps: an operation is cut off at its first step, then at its second, and so on to its end.

Rule: the full tier tries every step; the fast one, which Hypothesis's profile tells, each fifth one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from hypothesis import settings

FIFTH = 5


def is_thorough() -> bool:
    """Whether this is not the fast tier."""
    return settings().max_examples >= settings.get_profile("default").max_examples


def stride() -> int:
    """How far it is from one step that is tried to the next."""
    return 1 if is_thorough() else FIFTH


def sweep(first: int, turn: int = 0) -> Iterator[int]:
    """Numbers of steps, without end. turn: of a sweep's kind, so that two kinds do not leave out the same steps."""
    return count(first + turn % stride(), stride())
