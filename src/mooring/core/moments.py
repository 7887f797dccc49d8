"""Points and spans of time as people read them. Pure: the clock is the caller's.

Rule: one unit is enough, rounded down, and points in time are UTC, as in the logs.
"""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def moment(seconds: float) -> str:
    """The point in time, seconds since the epoch, as `2026-11-20 23:52:51 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """The length of time as `3 hours`; anything below a second is `a moment`."""
    for unit, size in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "a moment"


def ago(seconds: float) -> str:
    """How long ago as `3 hours ago`; a clock that went backwards does not show."""
    return f"{span(seconds)} ago" if seconds >= 1 else "just now"
