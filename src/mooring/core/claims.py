"""What becomes of a lease when a pool, an endpoint or a container takes its address, and when the container is gone.

Rules: an address stays with its key for as long as any holder is there; a successor that becomes a holder before its
predecessor goes inherits the address; what nobody has used yet is free again at once when it is released, and what
somebody had cools, or waits for its key.
"""

from __future__ import annotations

import msgspec

from mooring.core.intents import is_placeholder
from mooring.core.keys import CONTAINER_KEY, is_ports, outlives
from mooring.core.leases import Active, Event, Lease, Place, State, changed, cooled, ended


def appointed(lease: Lease | None, place: Place, now: float) -> Lease:
    """The address as its pool's gateway. Raises Conflict."""
    return changed(lease, Event.APPOINT, place, now, owner=f"gateway:{place.pool}")


def set_aside(lease: Lease | None, place: Place, now: float) -> Lease:
    """The address as an auxiliary one of its pool. Raises Conflict."""
    return changed(lease, Event.SET_ASIDE, place, now, owner=f"aux:{place.pool}")


def given(
    lease: Lease | None, place: Place, now: float, mac: str, name: str = "", event: Event = Event.REQUEST
) -> Lease:
    """The address as who asks has it, dynamic: also in the place of who had it. Raises Conflict."""
    owner = f"name:{name}" if name else f"mac:{mac}" if mac else ""
    return changed(lease, event, place, now, since=now, owner=owner, mac=mac, name=name)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes an address as its own.

    key: what the address belongs to from now on, unless others hold it for another key; "" to leave that, and the time
    that a waiting key has, for later: the claim may still come to nothing. holder: full container id, or
    a placeholder. mac: for a lease that has none yet. name: of the container, for people.
    """

    key: str
    holder: str
    mac: str = ""
    name: str = ""


def claimed(lease: Lease | None, place: Place | Lease, claim: Claim, now: float) -> Lease:
    """The lease after the claim: fixed, with the holder among its holders. Whether it may be is not asked here
    (leases.may_hold). place: of an address that is not fixed yet. Raises Conflict when the table forbids it."""
    if lease is not None and lease.state is State.FIXED:
        return changed(
            lease,
            Event.CLAIM,
            place,
            now,
            key=_key_with(lease, claim),
            holders=lease.holders | {claim.holder},
            mac=lease.mac or claim.mac,
            name=claim.name or lease.name,
            until=lease.until if lease.whom or not claim.key else None,
        )
    # The MAC of a dynamic one was drawn by the engine: it is another one at the next start, and would prove nothing.
    return changed(
        lease,
        Event.CLAIM,
        place,
        now,
        owner=claim.holder if lease is None or lease.state is State.COOLING else "",
        mac=claim.mac,
        name=claim.name,
        key=claim.key,
        holders=frozenset({claim.holder}),
    )


def held_for(lease: Lease | None, place: Place, claim: Claim, now: float, hold: float) -> Lease:
    """The lease that waits for a holder of the claim's key for so many seconds. lease: one that nobody has, if any.
    Raises Conflict when the table forbids it."""
    until = now + hold
    return changed(
        lease,
        Event.CLAIM,
        place,
        now,
        key=claim.key,
        mac=claim.mac,
        owner="",
        holders=frozenset(),
        hold=hold,
        until=until,
    )


def _key_with(lease: Lease, claim: Claim) -> str:
    """The key of a fixed lease with one holder more."""
    others = lease.holders - {claim.holder}
    if is_ports(lease.key):
        return lease.key
    stronger = outlives(claim.key) and not outlives(lease.key)
    return claim.key if claim.key and (stronger or not others) else lease.key


def renamed(lease: Lease, before: str, after: str) -> Lease:
    """The lease with another holder in the place of one: a placeholder's container, once its id is known."""
    holders = (lease.holders - {before}) | {after}
    key = CONTAINER_KEY + after if lease.key == CONTAINER_KEY + before else lease.key
    return msgspec.structs.replace(lease, holders=holders, key=key, owner="" if lease.owner == before else lease.owner)


def left(lease: Lease, holder: str, now: float, hold: float, cooldown: float) -> Lease | None:
    """The lease without the holder, None when the address is free then.

    hold: seconds that a key which outlives its containers keeps it. cooldown: seconds that it rests otherwise. An
    address that an endpoint still has stays fixed until that has gone.
    """
    if holder not in lease.holders:
        return lease
    rest = lease.holders - {holder}
    if rest:
        heir = min(rest, key=lambda each: (is_placeholder(each), each))
        key = CONTAINER_KEY + heir if lease.key == CONTAINER_KEY + holder else lease.key
        return msgspec.structs.replace(lease, holders=rest, key=key)
    if is_ports(lease.key):
        return msgspec.structs.replace(lease, holders=rest)
    if lease.owner == holder:  # fixed by who now releases it, and never used
        ended(lease, Event.ROLL_BACK)
        return None
    if is_placeholder(holder) and lease.until is not None and not lease.whom:
        return msgspec.structs.replace(lease, holders=rest)  # it waited for its key before, and goes on waiting
    if hold > 0 and outlives(lease.key) and not lease.whom:
        return msgspec.structs.replace(lease, holders=rest, hold=hold, until=now + hold)
    return unclaimed(lease, now, cooldown)


def unclaimed(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The fixed lease after its key has given it up for good: cooling, reserved again, or still in use to its end. A
    port never does: its lease has no holders then."""
    if is_ports(lease.key):
        return msgspec.structs.replace(lease, holders=frozenset())
    if lease.active is not None:
        # What becomes of it is settled when the endpoint lets go (leases.released).
        return msgspec.structs.replace(lease, holders=frozenset(), until=lease.until if lease.whom else now)
    if lease.whom:
        return changed(lease, Event.RESTORE, lease, now)
    return cooled(lease, Event.UNCLAIM, now, cooldown)


def started(lease: Lease, active: Active) -> Lease:
    """The fixed lease in use. Raises Conflict when the table forbids it."""
    # Whoever made it has used it now: released, it cools.
    return changed(lease, Event.START, lease, lease.since, active=active, owner="")


def proven(lease: Lease, mac: str) -> Lease:
    """The fixed lease with that MAC, "" for none: what the next request for it must have."""
    return msgspec.structs.replace(lease, mac=mac)
