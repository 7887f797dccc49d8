"""The lease: the record of one address, and the rules of who may take what. A released one cools before it is chosen
again (COOLING); in which order, core/addresses.py says.

Rules: at most one lease per (address space, address); no record means that the address is free; `changed` and `ended`
alone make, change and end what an address is held as, and do what `TRANSITIONS` says. (The key, the holders and the
MAC of a fixed lease are core/claims.py's.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypedDict, Unpack

import msgspec

from mooring.core.faults import Conflict
from mooring.core.networks import Address
from mooring.core.states import State as State
from mooring.core.states import TableKey
from mooring.core.whom import means, whom_in_words


class Active(msgspec.Struct, frozen=True, gc=False):
    """Where a fixed lease is in use: endpoint id, host and boot id."""

    endpoint: str
    host: str
    boot: str


class Place(NamedTuple):
    """The address of a lease, and the PoolID that it is from."""

    space: str
    address: Address
    pool: str


class Lease(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One address that is not free.

    space: address space. pool: the PoolID it was taken from. since: seconds since the epoch of the last change of
    state. owner: who asked for it, as far as the call said: `gateway:<pool>`, `aux:<pool>`, `mac:<mac>` or
    `name:<container>`. mac: the one that belongs to it, "" if none. key, holders, active, hold: fixed leases only
    (design: the key owns the address; holders are full container ids; hold: seconds the key keeps it without holders).
    until: when a reservation, a cooldown, or the hold time of a key without holders ends, None for never. whom, note:
    of a reservation, also of the one to which a dynamic or fixed lease goes back.
    """

    space: str
    address: Address
    pool: str
    state: State
    since: float
    owner: str = ""
    mac: str = ""
    name: str = ""
    key: str = ""
    holders: frozenset[str] = frozenset()
    active: Active | None = None
    hold: float = 0.0
    until: float | None = None
    whom: str = ""
    note: str = ""


class Fields(TypedDict, total=False):
    """What an event says of a lease, besides the state; see Lease."""

    since: float
    owner: str
    mac: str
    name: str
    key: str
    holders: frozenset[str]
    active: Active | None
    hold: float
    until: float | None
    whom: str
    note: str


class Phase(TableKey):
    """Where an address is in its life: the stored states, "no record", and the two sides of a fixed lease."""

    FREE = "free"
    GATEWAY = "a gateway"
    AUXILIARY = "an auxiliary address"
    DYNAMIC = "dynamic"
    IDLE = "fixed and idle"
    ACTIVE = "fixed and in use"
    RESERVED = "reserved"
    COOLING = "cooling"


class Event(TableKey):
    """What can happen to an address."""

    APPOINT = "be made a gateway"
    SET_ASIDE = "be made an auxiliary address"
    CHOOSE = "be chosen automatically"
    REQUEST = "be given by request"
    CLAIM = "be fixed"
    START = "be used"
    RELEASE = "be released"
    RESTORE = "return to its reservation"
    UNCLAIM = "be abandoned"
    ROLL_BACK = "be as before it was fixed"
    EXPIRE = "expire"
    RESERVE = "be reserved"
    UNRESERVE = "lose its reservation"
    DROP = "be dropped"


# A pair that is missing is refused. RELEASE succeeds where nothing is used, because every plugin call may come twice
# and late; it is what Docker does when a container stops, so a fixed lease outlives it. CHOOSE reaches FREE and COOLING
# only: a fixed address is never chosen. UNCLAIM means that the last holder is gone for good, ROLL_BACK that the address
# was fixed for a container which never came. DROP means that the pool is gone, and ends everything.
TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.FREE, Event.APPOINT): Phase.GATEWAY,
    (Phase.FREE, Event.SET_ASIDE): Phase.AUXILIARY,
    (Phase.FREE, Event.CHOOSE): Phase.DYNAMIC,
    (Phase.FREE, Event.REQUEST): Phase.DYNAMIC,
    (Phase.FREE, Event.CLAIM): Phase.IDLE,
    (Phase.FREE, Event.RESERVE): Phase.RESERVED,
    (Phase.GATEWAY, Event.RELEASE): Phase.FREE,
    (Phase.GATEWAY, Event.DROP): Phase.FREE,
    (Phase.AUXILIARY, Event.RELEASE): Phase.FREE,
    (Phase.AUXILIARY, Event.DROP): Phase.FREE,
    (Phase.DYNAMIC, Event.REQUEST): Phase.DYNAMIC,
    (Phase.DYNAMIC, Event.CLAIM): Phase.IDLE,
    (Phase.DYNAMIC, Event.RELEASE): Phase.COOLING,
    (Phase.DYNAMIC, Event.RESTORE): Phase.RESERVED,
    (Phase.DYNAMIC, Event.DROP): Phase.FREE,
    (Phase.IDLE, Event.CLAIM): Phase.IDLE,
    (Phase.IDLE, Event.START): Phase.ACTIVE,
    (Phase.IDLE, Event.RELEASE): Phase.IDLE,
    (Phase.IDLE, Event.RESTORE): Phase.RESERVED,
    (Phase.IDLE, Event.UNCLAIM): Phase.COOLING,
    (Phase.IDLE, Event.ROLL_BACK): Phase.FREE,
    (Phase.IDLE, Event.EXPIRE): Phase.FREE,
    (Phase.IDLE, Event.DROP): Phase.FREE,
    (Phase.ACTIVE, Event.CLAIM): Phase.ACTIVE,
    (Phase.ACTIVE, Event.START): Phase.ACTIVE,
    (Phase.ACTIVE, Event.RELEASE): Phase.IDLE,
    (Phase.ACTIVE, Event.RESTORE): Phase.RESERVED,
    (Phase.ACTIVE, Event.UNCLAIM): Phase.COOLING,
    (Phase.ACTIVE, Event.DROP): Phase.FREE,
    (Phase.RESERVED, Event.REQUEST): Phase.DYNAMIC,
    (Phase.RESERVED, Event.CLAIM): Phase.IDLE,
    (Phase.RESERVED, Event.RELEASE): Phase.RESERVED,
    (Phase.RESERVED, Event.EXPIRE): Phase.FREE,
    (Phase.RESERVED, Event.RESERVE): Phase.RESERVED,
    (Phase.RESERVED, Event.UNRESERVE): Phase.FREE,
    (Phase.RESERVED, Event.DROP): Phase.FREE,
    (Phase.COOLING, Event.APPOINT): Phase.GATEWAY,
    (Phase.COOLING, Event.SET_ASIDE): Phase.AUXILIARY,
    (Phase.COOLING, Event.CHOOSE): Phase.DYNAMIC,
    (Phase.COOLING, Event.REQUEST): Phase.DYNAMIC,
    (Phase.COOLING, Event.CLAIM): Phase.IDLE,
    (Phase.COOLING, Event.RELEASE): Phase.COOLING,
    (Phase.COOLING, Event.EXPIRE): Phase.FREE,
    (Phase.COOLING, Event.RESERVE): Phase.RESERVED,
    (Phase.COOLING, Event.DROP): Phase.FREE,
}

_STATES = {
    Phase.GATEWAY: State.GATEWAY,
    Phase.AUXILIARY: State.AUXILIARY,
    Phase.DYNAMIC: State.DYNAMIC,
    Phase.IDLE: State.FIXED,
    Phase.ACTIVE: State.FIXED,
    Phase.RESERVED: State.RESERVED,
    Phase.COOLING: State.COOLING,
}
_PHASES = {state: phase for phase, state in _STATES.items()}


def phase(lease: Lease | None) -> Phase:
    """Where the address of the lease is in its life; None is a free address."""
    if lease is None:
        return Phase.FREE
    if lease.state is State.FIXED:
        return Phase.IDLE if lease.active is None else Phase.ACTIVE
    return _PHASES[lease.state]


def advance(before: Phase, event: Event, address: object) -> Phase:
    """The phase after the event. Raises Conflict that names the address when the table does not allow it."""
    try:
        return TRANSITIONS[before, event]
    except KeyError:
        raise Conflict(f"address {address} cannot {event.value}: it is {before.value}") from None


def changed(lease: Lease | None, event: Event, place: Place | Lease, now: float, **fields: Unpack[Fields]) -> Lease:
    """The lease after an event after which the address is not free. place: the lease itself is one, too.

    What stays in its state keeps what the fields do not say. What comes to another one has the fields, and nothing of
    before but the reservation that it came from. Raises Conflict when the table does not allow it.
    """
    before = phase(lease)
    after = advance(before, event, place.address)
    state = _STATES[after]
    if lease is not None and lease.state is state:
        if before is Phase.ACTIVE and after is Phase.IDLE:
            fields["active"], fields["since"] = None, now
        return msgspec.structs.replace(lease, **fields) if fields else lease
    if lease is not None and lease.state is not State.COOLING and state is not State.COOLING:
        fields["whom"], fields["note"], fields["until"] = lease.whom, lease.note, lease.until
    fields.setdefault("since", now)
    return Lease(space=place.space, address=place.address, pool=place.pool, state=state, **fields)


def ended(lease: Lease, event: Event) -> None:
    """The address is free after the event: its record is to be deleted. Raises Conflict when the table says no."""
    after = advance(phase(lease), event, lease.address)
    assert after is Phase.FREE


class ClaimPolicy(Enum):
    """Whether a stranger who names an idle fixed address gets it (EXPLICIT) or is refused (HOLDERS)."""

    EXPLICIT = "explicit"
    HOLDERS = "holders"


class MovePolicy(Enum):
    """Whether a fixed address of a shared subnet moves by itself from a host that is not heard (AUTO), or an operator
    says so (MANUAL)."""

    MANUAL = "manual"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who names an address, as far as the call says; "" and empty where it does not. container: full id."""

    name: str = ""
    mac: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    key: str = ""


_STOP = "stop that container, or choose another address"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an address may be taken. rule: which one decided; holder, hint: for the refusal."""

    allowed: bool
    rule: str
    holder: str = ""
    hint: str = ""


def may_take(lease: Lease | None, claimant: Claimant, policy: ClaimPolicy, now: float) -> Verdict:
    """Whether who names the address gets it. Automatic choice does not ask: it takes what is free or cooling only."""
    if lease is None:
        return Verdict(True, "the address is free")
    match phase(lease):
        case Phase.COOLING:
            return Verdict(True, "a container that requests a cooling address gets it at once")
        case Phase.GATEWAY | Phase.AUXILIARY:
            hint = "choose another address, or leave the choice to Mooring"
            return Verdict(False, f"it is {phase(lease).value}", holder=f"pool {lease.pool}", hint=hint)
        case Phase.DYNAMIC:
            if same_owner(lease, claimant):
                return Verdict(True, "asking twice is one allocation")
            return Verdict(False, "it is in use", holder=holder(lease), hint=_STOP)
        case Phase.IDLE | Phase.ACTIVE:
            return _may_take_fixed(lease, claimant, policy, now)
        case _:
            return _may_take_reserved(lease, claimant, now)


def _may_take_fixed(lease: Lease, claimant: Claimant, policy: ClaimPolicy, now: float) -> Verdict:
    if lease.active is not None:
        return Verdict(False, "it is fixed and in use", holder=holder(lease), hint=_STOP)
    if is_holder(lease, claimant):
        return Verdict(True, "it is fixed for the container that requests it")
    if policy is ClaimPolicy.EXPLICIT:
        return Verdict(True, "any container that requests an idle fixed address gets it (claim policy explicit)")
    if is_over(lease, now) or (lease.until is None and not lease.holders and now >= lease.since + lease.hold):
        return Verdict(True, "its last holder was removed and its hold time is over")
    if claimant.mac and not lease.mac:
        return Verdict(True, "its MAC could not be put into the container, so the container cannot prove who it is")
    hint = "remove that container, or choose another address"
    return Verdict(False, "it is fixed and the claim policy is `holders`", holder=holder(lease), hint=hint)


def may_hold(lease: Lease | None, claimant: Claimant, policy: ClaimPolicy, now: float) -> Verdict:
    """Whether a container that is being made may become a holder of the address that it names.

    As `may_take`, but that another holder uses the address at the moment is no hindrance for who may have it: a
    successor is made while its predecessor still runs, and starts after it has stopped.
    """
    return may_take(at_rest(lease) if lease is not None else None, claimant, policy, now)


def _may_take_reserved(lease: Lease, claimant: Claimant, now: float) -> Verdict:
    if lease.until is not None and now >= lease.until:
        return Verdict(True, "its reservation is over")
    if is_reserved_for(lease.whom, claimant):
        return Verdict(True, f"it is reserved for {whom_in_words(lease.whom)}")
    note = f" ({lease.note})" if lease.note else ""
    hint = f"choose another address, or end the reservation with `mooring lease release {lease.address}`"
    return Verdict(False, f"an operator reserved it for {whom_in_words(lease.whom)}{note}", hint=hint)


def same_owner(lease: Lease, claimant: Claimant) -> bool:
    """Whether the lease was given to who asks: the same MAC, or the same name where the lease and the call have one."""
    if claimant.mac and claimant.mac == lease.mac:
        return not (claimant.name and lease.name) or claimant.name == lease.name
    return bool(claimant.name) and claimant.name == lease.name


def is_holder(lease: Lease, claimant: Claimant) -> bool:
    """Whether a fixed lease belongs to who asks: by its key, its holders, or its MAC, unique in its network."""
    if claimant.key and claimant.key == lease.key:
        return True
    return claimant.container in lease.holders or (bool(claimant.mac) and claimant.mac == lease.mac)


def is_reserved_for(whom: str, claimant: Claimant) -> bool:
    """Whether a reservation's `whom` means who asks; see core.whom."""
    return means(whom, claimant.name, claimant.labels, claimant.container)


def holder(lease: Lease) -> str:
    """Who has the address, for a person."""
    if lease.holders:
        return ", ".join(f"container {each[:12]}" for each in sorted(lease.holders))
    if lease.key:
        return f"key {lease.key}"
    if lease.name:
        return f"container {lease.name}"
    return f"MAC {lease.mac}" if lease.mac else lease.owner or f"pool {lease.pool}"


def at_rest(lease: Lease) -> Lease:
    """The lease as if nobody used it at the moment, for rules that do not mind whether somebody does."""
    return msgspec.structs.replace(lease, active=None) if lease.active is not None else lease


def released(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The lease after Docker let go of the address; None when it is free then.

    Dynamic: cools for `cooldown` seconds (0: free at once), or goes back to the reservation that it came from. Fixed:
    idle, or cooling when its time was over already. Gateway and auxiliary: free. Everything else: as it was.
    """
    if lease.state in (State.GATEWAY, State.AUXILIARY):
        ended(lease, Event.RELEASE)
        return None
    if lease.whom and (lease.state is State.DYNAMIC or (lease.state is State.FIXED and not lease.holders)):
        return changed(lease, Event.RESTORE, lease, now)
    if lease.state is State.DYNAMIC:
        return cooled(lease, Event.RELEASE, now, cooldown)
    if lease.state is State.FIXED and is_over(at_rest(lease), now):
        return cooled(lease, Event.UNCLAIM, now, cooldown)
    return changed(lease, Event.RELEASE, lease, now)


def cooled(lease: Lease, event: Event, now: float, cooldown: float) -> Lease | None:
    """The lease after an event with which its address cools for so many seconds; None when that is no time at all."""
    after = changed(lease, event, lease, now, owner=lease.owner, mac=lease.mac, name=lease.name, until=now + cooldown)
    return after if cooldown > 0 else None


def is_over(lease: Lease, now: float) -> bool:
    """Whether the lease ends by itself and its time has come: cooling, reserved, or fixed for a key without holders."""
    if lease.until is None or now < lease.until:
        return False
    if lease.state is State.FIXED:
        return not lease.holders and lease.active is None
    return lease.state in (State.COOLING, State.RESERVED)
