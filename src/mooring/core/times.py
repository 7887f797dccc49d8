"""Points and spans of time as people read them. Pure: the clock is the caller's.

Rule: one unit is enough, rounded down, and points in time are UTC, as in the logs.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from mooring.core.faults import BadRequest

_SIZES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,9}[smhdw])+")
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


def seconds_of(text: str) -> float:
    """The seconds of a length of time such as `90s`, `15m`, `24h`, `7d` or `1h30m`. Raises BadRequest."""
    if not _DURATION.fullmatch(text):
        raise BadRequest(f"{text[:40]!r} is not a length of time", hint="write it as 90s, 15m, 24h or 7d")
    return float(sum(int(count) * _SIZES[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", text)))


def point_of(text: str, now: float) -> float:
    """The point in time, seconds since the epoch: a length of time from now, or a date with or without a time of day.

    Without an offset it is UTC. Raises BadRequest.
    """
    if _DURATION.fullmatch(text):
        return now + seconds_of(text)
    try:
        point = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it as 7d, 2026-12-24 or 2026-12-24T18:00+01:00"
        raise BadRequest(f"{text[:40]!r} is not a time", hint=hint) from None
    return (point if point.tzinfo is not None else point.replace(tzinfo=UTC)).timestamp()
