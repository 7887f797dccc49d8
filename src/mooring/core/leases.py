"""The lease: the record of one address, and the rules of who may take what. A released one cools before it is chosen
again (COOLING); in which order, core/addresses.py says.

Rules: at most one lease per (address space, address); no record means that the address is free; every change goes
through `TRANSITIONS`, and a test tries every (state, event) pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

import msgspec

from mooring.core.faults import Conflict
from mooring.core.networks import Address


class State(Enum):
    """What an address is held as."""

    GATEWAY = "gateway"
    AUXILIARY = "auxiliary"
    DYNAMIC = "dynamic"
    FIXED = "fixed"
    RESERVED = "reserved"
    COOLING = "cooling"
    FOREIGN = "foreign"


class Active(msgspec.Struct, frozen=True, gc=False):
    """Where a fixed lease is in use: endpoint id, host and boot id."""

    endpoint: str
    host: str
    boot: str


class Lease(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One address that is not free.

    space: address space. pool: the PoolID it was taken from. since: seconds since the epoch of the last change of
    state. owner: who asked for it, as far as the call said: `gateway:<pool>`, `aux:<pool>`, `mac:<mac>` or
    `name:<container>`. mac: the one that belongs to it, "" if none. key, holders, active, hold: fixed leases only
    (design: the key owns the address; holders are full container ids; hold: seconds the key keeps it without holders).
    until: when a reservation, a cooldown, or the hold time of a key without holders ends, None for never. whom, note:
    reservations. seen: MAC of a foreign host.
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
    seen: str = ""


class Phase(Enum):
    """Where an address is in its life: the stored states, "no record", and the two sides of a fixed lease."""

    FREE = "free"
    GATEWAY = "a gateway"
    AUXILIARY = "an auxiliary address"
    DYNAMIC = "dynamic"
    IDLE = "fixed and idle"
    ACTIVE = "fixed and in use"
    RESERVED = "reserved"
    COOLING = "cooling"
    FOREIGN = "in use by a foreign host"


class Event(Enum):
    """What can happen to an address."""

    APPOINT = "be made a gateway"
    SET_ASIDE = "be made an auxiliary address"
    CHOOSE = "be chosen automatically"
    REQUEST = "be given by request"
    CLAIM = "be fixed"
    START = "be used"
    STOP = "be put out of use"
    RELEASE = "be released"
    GIVE_BACK = "return to its reservation"
    ABANDON = "be abandoned"
    EXPIRE = "expire"
    RESERVE = "be reserved"
    UNRESERVE = "lose its reservation"
    SIGHT = "be marked as foreign"
    VANISH = "be unmarked as foreign"
    DROP = "be dropped"


# A pair that is missing is refused. What ends a use succeeds where nothing is used, because every plugin call may come
# twice and late. CHOOSE reaches FREE and COOLING only: a fixed address is never chosen. RELEASE is what Docker does
# when a container stops, so a fixed lease outlives it; ABANDON means that the last holder is gone for good. DROP means
# that the pool is gone, and ends everything.
TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.FREE, Event.APPOINT): Phase.GATEWAY,
    (Phase.FREE, Event.SET_ASIDE): Phase.AUXILIARY,
    (Phase.FREE, Event.CHOOSE): Phase.DYNAMIC,
    (Phase.FREE, Event.REQUEST): Phase.DYNAMIC,
    (Phase.FREE, Event.CLAIM): Phase.IDLE,
    (Phase.FREE, Event.STOP): Phase.FREE,
    (Phase.FREE, Event.RELEASE): Phase.FREE,
    (Phase.FREE, Event.ABANDON): Phase.FREE,
    (Phase.FREE, Event.EXPIRE): Phase.FREE,
    (Phase.FREE, Event.RESERVE): Phase.RESERVED,
    (Phase.FREE, Event.UNRESERVE): Phase.FREE,
    (Phase.FREE, Event.SIGHT): Phase.FOREIGN,
    (Phase.FREE, Event.VANISH): Phase.FREE,
    (Phase.GATEWAY, Event.APPOINT): Phase.GATEWAY,
    (Phase.GATEWAY, Event.RELEASE): Phase.FREE,
    (Phase.AUXILIARY, Event.SET_ASIDE): Phase.AUXILIARY,
    (Phase.AUXILIARY, Event.RELEASE): Phase.FREE,
    (Phase.DYNAMIC, Event.REQUEST): Phase.DYNAMIC,
    (Phase.DYNAMIC, Event.CLAIM): Phase.IDLE,
    (Phase.DYNAMIC, Event.START): Phase.DYNAMIC,
    (Phase.DYNAMIC, Event.STOP): Phase.DYNAMIC,
    (Phase.DYNAMIC, Event.RELEASE): Phase.COOLING,
    (Phase.DYNAMIC, Event.GIVE_BACK): Phase.RESERVED,
    (Phase.DYNAMIC, Event.ABANDON): Phase.COOLING,
    (Phase.DYNAMIC, Event.SIGHT): Phase.FOREIGN,
    (Phase.IDLE, Event.REQUEST): Phase.IDLE,
    (Phase.IDLE, Event.CLAIM): Phase.IDLE,
    (Phase.IDLE, Event.START): Phase.ACTIVE,
    (Phase.IDLE, Event.STOP): Phase.IDLE,
    (Phase.IDLE, Event.RELEASE): Phase.IDLE,
    (Phase.IDLE, Event.GIVE_BACK): Phase.RESERVED,
    (Phase.IDLE, Event.ABANDON): Phase.COOLING,
    (Phase.IDLE, Event.EXPIRE): Phase.FREE,
    (Phase.ACTIVE, Event.REQUEST): Phase.ACTIVE,
    (Phase.ACTIVE, Event.CLAIM): Phase.ACTIVE,
    (Phase.ACTIVE, Event.START): Phase.ACTIVE,
    (Phase.ACTIVE, Event.STOP): Phase.IDLE,
    (Phase.ACTIVE, Event.RELEASE): Phase.IDLE,
    (Phase.ACTIVE, Event.GIVE_BACK): Phase.RESERVED,
    (Phase.ACTIVE, Event.ABANDON): Phase.COOLING,
    (Phase.RESERVED, Event.REQUEST): Phase.DYNAMIC,
    (Phase.RESERVED, Event.CLAIM): Phase.IDLE,
    (Phase.RESERVED, Event.RELEASE): Phase.RESERVED,
    (Phase.RESERVED, Event.GIVE_BACK): Phase.RESERVED,
    (Phase.RESERVED, Event.ABANDON): Phase.RESERVED,
    (Phase.RESERVED, Event.EXPIRE): Phase.FREE,
    (Phase.RESERVED, Event.RESERVE): Phase.RESERVED,
    (Phase.RESERVED, Event.UNRESERVE): Phase.FREE,
    (Phase.COOLING, Event.APPOINT): Phase.GATEWAY,
    (Phase.COOLING, Event.SET_ASIDE): Phase.AUXILIARY,
    (Phase.COOLING, Event.CHOOSE): Phase.DYNAMIC,
    (Phase.COOLING, Event.REQUEST): Phase.DYNAMIC,
    (Phase.COOLING, Event.CLAIM): Phase.IDLE,
    (Phase.COOLING, Event.STOP): Phase.COOLING,
    (Phase.COOLING, Event.RELEASE): Phase.COOLING,
    (Phase.COOLING, Event.ABANDON): Phase.COOLING,
    (Phase.COOLING, Event.EXPIRE): Phase.FREE,
    (Phase.COOLING, Event.RESERVE): Phase.RESERVED,
    (Phase.COOLING, Event.SIGHT): Phase.FOREIGN,
    (Phase.FOREIGN, Event.STOP): Phase.FOREIGN,
    (Phase.FOREIGN, Event.RELEASE): Phase.FOREIGN,
    (Phase.FOREIGN, Event.ABANDON): Phase.FOREIGN,
    (Phase.FOREIGN, Event.EXPIRE): Phase.FREE,
    (Phase.FOREIGN, Event.SIGHT): Phase.FOREIGN,
    (Phase.FOREIGN, Event.VANISH): Phase.FREE,
    **{(phase, Event.DROP): Phase.FREE for phase in Phase},
}

_PHASES = {
    State.GATEWAY: Phase.GATEWAY,
    State.AUXILIARY: Phase.AUXILIARY,
    State.DYNAMIC: Phase.DYNAMIC,
    State.RESERVED: Phase.RESERVED,
    State.COOLING: Phase.COOLING,
    State.FOREIGN: Phase.FOREIGN,
}


def phase(lease: Lease | None) -> Phase:
    """Where the address of the lease is in its life; None is a free address."""
    if lease is None:
        return Phase.FREE
    if lease.state is State.FIXED:
        return Phase.IDLE if lease.active is None else Phase.ACTIVE
    return _PHASES[lease.state]


def advance(before: Phase, event: Event, subject: str = "address") -> Phase:
    """The phase after the event. Raises Conflict, with the subject named, when the table does not allow it."""
    try:
        return TRANSITIONS[before, event]
    except KeyError:
        raise Conflict(f"{subject} cannot {event.value}: it is {before.value}") from None


class ClaimPolicy(Enum):
    """Whether a stranger who names an idle fixed address gets it (EXPLICIT) or is refused (HOLDERS)."""

    EXPLICIT = "explicit"
    HOLDERS = "holders"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who names an address, as far as the call says; "" and empty where it does not.

    container: full container id. key: of a fixed address. endpoint: the endpoint's id.
    """

    name: str = ""
    mac: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    key: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an address may be taken. rule: which one decided; holder, hint: for the refusal."""

    allowed: bool
    rule: str
    holder: str = ""
    hint: str = ""


def may_take(lease: Lease | None, claimant: Claimant, policy: ClaimPolicy, now: float) -> Verdict:
    """Whether who names the address gets it. Automatic choice does not ask: it takes what is free or cooling only."""
    match phase(lease):
        case _ if lease is None:
            return Verdict(True, "the address is free")
        case Phase.COOLING:
            return Verdict(True, "a container that requests a cooling address gets it at once")
        case Phase.GATEWAY | Phase.AUXILIARY:
            hint = "choose another address, or leave the choice to Mooring"
            return Verdict(False, f"it is {phase(lease).value}", holder=f"pool {lease.pool}", hint=hint)
        case Phase.DYNAMIC:
            if same_owner(lease, claimant):
                return Verdict(True, "asking twice is one allocation")
            hint = "stop that container, or choose another address"
            return Verdict(False, "it is in use", holder=holder(lease), hint=hint)
        case Phase.IDLE | Phase.ACTIVE:
            return _may_take_fixed(lease, claimant, policy, now)
        case Phase.RESERVED:
            return _may_take_reserved(lease, claimant, now)
        case _:
            hint = "find that machine, or choose another address"
            return Verdict(False, "another machine uses it", holder=f"MAC {lease.seen or 'unknown'}", hint=hint)


def _may_take_fixed(lease: Lease, claimant: Claimant, policy: ClaimPolicy, now: float) -> Verdict:
    if lease.active is not None:
        if claimant.endpoint and claimant.endpoint == lease.active.endpoint:
            return Verdict(True, "the endpoint already has it")
        hint = "stop that container, or choose another address"
        return Verdict(False, "it is fixed and in use", holder=holder(lease), hint=hint)
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
    if lease is None or phase(lease) is not Phase.ACTIVE:
        return may_take(lease, claimant, policy, now)
    return may_take(msgspec.structs.replace(lease, active=None), claimant, policy, now)


def _may_take_reserved(lease: Lease, claimant: Claimant, now: float) -> Verdict:
    if lease.until is not None and now >= lease.until:
        return Verdict(True, "its reservation is over")
    if is_reserved_for(lease.whom, claimant):
        return Verdict(True, f"it is reserved for {lease.whom}")
    note = f" ({lease.note})" if lease.note else ""
    hint = f"choose another address, or end the reservation with `mooring lease release {lease.address}`"
    return Verdict(False, f"an operator reserved it for {lease.whom or 'no container'}{note}", hint=hint)


def same_owner(lease: Lease, claimant: Claimant) -> bool:
    """Whether the lease was given to who asks: the same MAC, or the same name where the lease and the call have one."""
    if claimant.mac and claimant.mac == lease.mac:
        return not (claimant.name and lease.name) or claimant.name == lease.name
    return bool(claimant.name) and claimant.name == lease.name


def is_holder(lease: Lease, claimant: Claimant) -> bool:
    """Whether a fixed lease belongs to who asks: by its key, its holders, or its MAC, unique in its network."""
    if claimant.key and claimant.key == lease.key:
        return True
    return (bool(claimant.container) and claimant.container in lease.holders) or (
        bool(claimant.mac) and claimant.mac == lease.mac
    )


def is_reserved_for(whom: str, claimant: Claimant) -> bool:
    """Whether a reservation's `whom` means who asks.

    It is a container's name, a glob pattern for one (`web-*`), or, when it has a `=`, a label selector: `key=value` and
    `key!=value` terms joined by commas, of which all must hold. Empty means nobody.
    """
    if "=" not in whom:
        return bool(whom) and bool(claimant.name) and fnmatchcase(claimant.name.lstrip("/"), whom)
    return bool(claimant.labels) and all(_term_holds(term, claimant.labels) for term in whom.split(","))


def _term_holds(term: str, labels: Mapping[str, str]) -> bool:
    key, sign, value = term.partition("=")
    if not sign:
        return False
    if key.endswith("!"):
        return labels.get(key[:-1].strip()) != value.strip()
    return labels.get(key.strip()) == value.strip()


def holder(lease: Lease) -> str:
    """Who has the address, for a person."""
    if lease.holders:
        return ", ".join(f"container {each[:12]}" for each in sorted(lease.holders))
    if lease.key:
        return f"key {lease.key}"
    if lease.name:
        return f"container {lease.name}"
    return f"MAC {lease.mac}" if lease.mac else lease.owner or f"pool {lease.pool}"


def released(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The lease after Docker let go of the address; None when it is free then.

    Dynamic: cools for `cooldown` seconds (0: free at once), or goes back to the reservation that it came from. Fixed:
    idle, or cooling when its time was over already. Gateway and auxiliary: free. Everything else: as it was.
    """
    event = Event.RELEASE
    if lease.whom and (lease.state is State.DYNAMIC or (lease.state is State.FIXED and not lease.holders)):
        event = Event.GIVE_BACK
    elif lease.state is State.FIXED and is_over(msgspec.structs.replace(lease, active=None), now):
        event = Event.ABANDON
    match advance(phase(lease), event, str(lease.address)):
        case Phase.FREE:
            return None
        case Phase.IDLE:
            return msgspec.structs.replace(lease, active=None, since=now) if lease.active is not None else lease
        case after if after is phase(lease):
            return lease
        case Phase.RESERVED:
            return reserved_again(lease, now)
        case _:
            return cooled(lease, now, cooldown)


def reserved_again(lease: Lease, now: float) -> Lease:
    """The lease as the reservation that it came from: for the same, until the same time."""
    return Lease(
        space=lease.space, address=lease.address, pool=lease.pool, state=State.RESERVED, since=now,
        until=lease.until, whom=lease.whom, note=lease.note,
    )  # fmt: skip


def cooled(lease: Lease, now: float, cooldown: float) -> Lease | None:
    """The address cools from now on for so many seconds; None when that is no time at all."""
    if cooldown <= 0:
        return None
    return Lease(
        space=lease.space, address=lease.address, pool=lease.pool, state=State.COOLING, since=now, until=now + cooldown,
        owner=lease.owner, mac=lease.mac, name=lease.name,
    )  # fmt: skip


def is_over(lease: Lease, now: float) -> bool:
    """Whether the lease ends by itself and its time has come: cooling, reserved or foreign, with an end, or fixed for a
    key whose holders are gone."""
    if lease.until is None or now < lease.until:
        return False
    if lease.state is State.FIXED:
        return not lease.holders and lease.active is None
    return lease.state in (State.COOLING, State.RESERVED, State.FOREIGN)
