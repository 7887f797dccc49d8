"""The lease: the record of one address, and the rules of who may take what.

Rules: at most one lease per (address space, address); no record means that the address is free; every change goes
through `TRANSITIONS`, and a test tries every (state, event) pair.
"""

from __future__ import annotations

from enum import Enum

import msgspec

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


class Active(msgspec.Struct, frozen=True):
    """Where a fixed lease is in use: endpoint id, host and boot id."""

    endpoint: str
    host: str
    boot: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One address that is not free.

    space: address space. pool: the PoolID it was taken from. since: seconds since the epoch of the last change of
    state. owner: who asked for it, as far as the call said: `gateway:<pool>`, `aux:<pool>`, `mac:<mac>` or
    `name:<container>`. mac: the one that belongs to it, "" if none. key, holders, active, hold: fixed leases only
    (design: the key owns the address; holders are full container ids; hold: seconds the key keeps it without holders).
    until: when a reservation or a cooldown ends, None for never. whom, note: reservations. seen: MAC of a foreign host.
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
