"""Sessions: whether a host of the cluster is heard, and what it may do while it does not reach the others.

Rules: only a clock counts that nobody sets (seconds since the boot); a host counts from before it asked, the others
from after they saw that its session was gone, so that neither needs the other's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.core.faults import Unavailable


@dataclass(frozen=True, slots=True)
class SessionRule:
    """Seconds. ttl: how long a session outlives its last refresh. margin: how much earlier its host gives up. grace:
    how long after the end of a session others wait. refresh: between two."""

    ttl: float = 15.0
    margin: float = 5.0
    grace: float = 5.0
    refresh: float = 4.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a host is heard, and for how many seconds it has not been, as long as the asker knows."""

    heard: bool
    silent: float = 0.0


def alone_until(confirmed: float | None, rule: SessionRule) -> float:
    """Until when a host may use what it has a claim of without asking: seconds since its boot. confirmed: when it
    asked for the last refresh that was confirmed, None for never in this boot."""
    return confirmed + rule.ttl - rule.margin if confirmed is not None else 0.0


def check_alone(what: str, now: float, confirmed: float | None, rule: SessionRule) -> None:
    """Raises Unavailable when the host may not start `what` without the cluster any more."""
    if now < alone_until(confirmed, rule):
        return
    since = f"for {now - confirmed:.0f} s" if confirmed is not None else "since this host's boot"
    raise Unavailable(
        f"{what} cannot be used: the cluster has not been reached {since}, and another host may have been given it",
        hint="try again when `mooring doctor` says that the cluster's store answers",
    )
