"""The forms of leases.

Rules: see mooring.wire.forms; a hundred thousand are read at a start, so nothing in here is slow.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

from mooring.core.leases import Active, Lease
from mooring.core.leases import State as LeaseState
from mooring.wire.forms.elements import Stored


@lru_cache(maxsize=1024)
def _lease_space(prefix: str) -> str:
    return unquote(prefix.split("/")[1])


class ActiveV1(Stored, tag="ActiveV1"):
    """Where a fixed lease is in use."""

    endpoint: str
    host: str
    boot: str


# A hundred thousand leases are read at a start; this and gc=False save a third of that time.
_NOBODY: frozenset[str] = frozenset()


class LeaseV1(Stored, tag=1, gc=False):
    """A lease; its space and address are in the key."""

    pool: str
    state: LeaseState
    since: float
    owner: str = ""
    mac: str = ""
    name: str = ""
    key: str = ""
    holders: tuple[str, ...] = ()
    active: ActiveV1 | None = None
    hold: float = 0.0
    until: float | None = None
    whom: str = ""
    note: str = ""

    def record(self, key: str) -> Lease:
        """The lease that is kept under the key."""
        prefix, _, digits = key.rpartition("/")
        number = int(digits, 16)
        active = self.active
        return Lease(
            space=_lease_space(prefix),
            address=IPv4Address(number) if prefix[-1] == "4" else IPv6Address(number),
            pool=self.pool,
            state=self.state,
            since=self.since,
            owner=self.owner,
            mac=self.mac,
            name=self.name,
            key=self.key,
            holders=frozenset(self.holders) if self.holders else _NOBODY,
            active=Active(active.endpoint, active.host, active.boot) if active is not None else None,
            hold=self.hold,
            until=self.until,
            whom=self.whom,
            note=self.note,
        )


def lease_form(lease: Lease) -> LeaseV1:
    """The newest form of a lease."""
    active = lease.active
    return LeaseV1(
        pool=lease.pool,
        state=lease.state,
        since=lease.since,
        owner=lease.owner,
        mac=lease.mac,
        name=lease.name,
        key=lease.key,
        holders=tuple(sorted(lease.holders)),
        active=ActiveV1(endpoint=active.endpoint, host=active.host, boot=active.boot) if active is not None else None,
        hold=lease.hold,
        until=lease.until,
        whom=lease.whom,
        note=lease.note,
    )
