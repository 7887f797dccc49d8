"""What of a host is ready, and what is waited for.

Rule: ready is what the daemon needs to answer; what it only waits for, Docker say, is told and holds nobody up, since
dockerd itself starts when we are ready.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mooring.core.faults import Unavailable


class ReadinessPart(msgspec.Struct, frozen=True):
    """One thing that is ready or waited for. since: seconds since the epoch, of that. needed: to answer at all."""

    name: str
    ready: bool
    since: float
    text: str
    needed: bool = True


class Readiness(msgspec.Struct, frozen=True):
    """All of them. ready: everything that is needed. now: seconds since the epoch."""

    ready: bool
    now: float
    parts: list[ReadinessPart]


def waits(parts: Sequence[ReadinessPart], now: float) -> list[str]:
    """What is waited for, and for how long, one line each."""
    return [f"{part.text}, for {max(0.0, now - part.since):.1f} s" for part in parts if not part.ready]


def must_be_ready(parts: Sequence[ReadinessPart], now: float) -> Readiness:
    """The answer of a host that is. Raises Unavailable, with what is waited for and for how long."""
    if missing := waits([part for part in parts if part.needed], now):
        raise Unavailable(f"not ready: {'; '.join(missing)}", hint="`mooring status --wait` waits")
    return Readiness(True, now, list(parts))
