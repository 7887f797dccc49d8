"""What an operator does with an address by hand: reserve it, end that, give an idle one up, say to whom one belongs.

Rules: every change goes through the table of leases; an address that an endpoint has is never among what is given up;
what an operator writes is checked before anything is looked up.
"""

from __future__ import annotations

import msgspec

from mooring.core.claims import unclaimed
from mooring.core.faults import BadRequest
from mooring.core.leases import Event, Lease, Place, State, at_rest, changed, ended

# How the keys begin that outlive their containers; a key without one of these is the text of the label mooring.key.
_KINDS = ("key:", "name:", "compose:")
# More would neither fit on a line nor be read by anybody.
LONGEST = 200
# The end of the year 9999, in seconds since the epoch: a calendar has no later time.
LATEST = 253_402_300_799.0


def reserved(lease: Lease | None, place: Place, whom: str, note: str, until: float | None, now: float) -> Lease:
    """The lease after the reservation, which takes the place of another reservation. Raises Conflict."""
    return changed(lease, Event.RESERVE, place, now, whom=whom, note=note, until=until)


def unreserved(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The lease after an operator has let the address go; None when it is free then.

    A reservation and a cooldown end; a fixed one cools, or goes back to its reservation. The caller made
    sure that nobody uses it. Raises Conflict for what ends with its network or container only.
    """
    if lease.state is State.FIXED:
        return unclaimed(at_rest(lease), now, cooldown)
    ended(lease, Event.EXPIRE if lease.state is State.COOLING else Event.UNRESERVE)
    return None


def reserved_later(lease: Lease, whom: str, note: str) -> Lease:
    """The lease in use, which is reserved for whom it says when it is let go."""
    return msgspec.structs.replace(lease, whom=whom, note=note, until=None)


def without_reservation(lease: Lease) -> Lease | None:
    """The lease as if it had never been reserved; None when it was nothing else. Who uses it goes on using it."""
    if lease.state is State.RESERVED:
        ended(lease, Event.UNRESERVE)
        return None
    return msgspec.structs.replace(lease, whom="", note="", until=None) if lease.whom else lease


def belonging(lease: Lease, key: str, hold: float | None, now: float) -> Lease:
    """The fixed lease with another key ("" for its own), kept for so many seconds without holders (None: as before).

    Raises BadRequest for no time, or more than a calendar has.
    """
    after = msgspec.structs.replace(lease, key=key or lease.key)
    if hold is None:
        return after
    ending(now + hold, now)
    waits = not lease.holders and lease.active is None and not lease.whom
    return msgspec.structs.replace(after, hold=hold, until=now + hold if waits else lease.until)


def key_named(text: str) -> str:
    """The key that an operator writes: as it is shown, or the text of the label `mooring.key`. Raises BadRequest."""
    text = line(text, "a key")
    if not text or text.startswith(_KINDS):
        return text
    if text.startswith("container:"):
        raise BadRequest("a container's own key cannot be given", hint="leave --key out")
    return f"key:{text}"


def whom_named(text: str) -> str:
    """For whom a reservation is. Raises BadRequest for a label selector that could hold for nobody."""
    text = line(text, "a name, a pattern or a label selector")
    if "=" in text and not all("=" in term and term.partition("=")[0].strip("! ") for term in text.split(",")):
        raise BadRequest(f"{text!r} is not a label selector", hint="write it as key=value,other!=value")
    return text


def ending(until: float, now: float) -> float:
    """The end of something that ends. Raises BadRequest for a time that is past, or in no calendar."""
    if not now < until <= LATEST:
        raise BadRequest("the end is in the past, or in no calendar", hint="give a time in the future")
    return until


def line(text: str, what: str) -> str:
    """The text without spaces around it. Raises BadRequest when it is not one line of a size that people read."""
    text = text.strip()
    if len(text) > LONGEST or not text.isprintable():
        raise BadRequest(f"{what} is one line of at most {LONGEST} characters")
    return text
