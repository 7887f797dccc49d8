"""What we need of the world: a few methods each, in core's words.

Rules: a port says what is true afterwards and which faults it raises; the real adapter and the double in
mooring.testing pass the same contract tests (tests/contracts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from mooring.core.engines import EngineView
from mooring.core.faults import BadRequest
from mooring.core.plumbing import Fact, Op
from mooring.core.publications import Protocol as IpProtocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored record. revision: that of the commit which wrote it, always > 0."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """All or nothing.

    expect: key -> the revision that it must have, 0 for "must not exist". put: key -> new value. delete: keys, of which
    some may be absent. A key is in at most one of put and delete. Raises BadRequest for a transaction that could never
    be committed.
    """

    expect: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, bytes] = field(default_factory=dict)
    delete: Sequence[str] = ()

    def __post_init__(self) -> None:
        for key in (*self.expect, *self.put, *self.delete):
            if not key:
                raise BadRequest("a record needs a key")
            if not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key):
                raise BadRequest(f"key {key!r} is not Unicode text")
        for key in self.delete:
            if key in self.put:
                raise BadRequest(f"record {key} is both written and deleted")


@dataclass(frozen=True, slots=True)
class Change:
    """What a watcher sees: value None means deleted. revision: that of the commit."""

    key: str
    value: bytes | None
    revision: int


class Store(Protocol):
    """A small transactional key-value store with revisions, the shape of etcd.

    Keys are non-empty text; prefixes are plain text prefixes. Revisions grow with each commit and are never used again,
    also not after a restart. Every method may raise Unavailable.
    """

    async def get(self, key: str) -> Entry | None:
        """The record as of the last acknowledged commit, or None."""
        ...

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """All records under the prefix in key order, and the store's revision of that moment."""
        ...

    async def commit(self, transaction: Transaction) -> int:
        """Apply it and return its revision; durable before it returns.

        Raises StaleRevision, and changes nothing, when an expectation does not hold. After Unavailable the outcome is
        unknown unless the text says that nothing was written. So it is after cancellation; a get made later sees it.
        """
        ...

    def watch(self, prefix: str, since: int) -> AsyncIterator[Change]:
        """Changes under the prefix with a revision > since, in order, for ever. `since` must be a revision which this
        process got from scan or commit. Raises Unavailable when changes since then were forgotten: scan again."""
        ...

    async def backup(self, path: str) -> None:
        """Write a consistent copy to a new file, while others read and write. Raises Conflict when the file exists."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go. Later calls raise Unavailable. Closing twice is fine."""
        ...


class Kernel(Protocol):
    """The host's network stack: links, addresses, routes, settings, and our own nftables table.

    Only things that bear our mark are shown, changed or removed, but for what a Fact says otherwise.
    """

    async def observe(self) -> frozenset[Fact]:
        """Every fact of ours that holds now. Raises Unavailable."""
        ...

    async def apply(self, ops: Sequence[Op]) -> None:
        """Carry out the ops in order, all or nothing: on a fault what was done is undone, and the fault is raised.

        An Add of what is there already is success when it is the same and ours, and Conflict when it is foreign or
        differs. A Remove of what is not there is success. Calls are carried out one after another, in the order in
        which they were made. Not cancelled in the middle of an op.
        """
        ...

    async def discard(self, links: Sequence[str]) -> None:
        """Delete links of ours soon, in groups, without waiting for it (an RCU grace period each time). A link that is
        wanted again under the same name is waited for by apply. Unknown names are fine."""
        ...

    async def occupied(self) -> Sequence[IPv4Network | IPv6Network]:
        """Every destination that the host has a route to (default routes and link-locals left out) and the host's
        nameservers, our own bridges included."""
        ...

    async def announce(self, link: str, address: IPv4Address | IPv6Address, mac: str) -> None:
        """Tell neighbours on the link that the address is at the MAC now: gratuitous ARP or unsolicited NA, and the
        host's own stale neighbour entry is dropped. Soon, after the calls before it; best effort, never raises."""
        ...

    async def forget(self, address: IPv4Address | IPv6Address) -> None:
        """Drop connection-tracking entries to or from the address. Soon, after the calls before it; best effort, never
        raises."""
        ...

    async def close(self) -> None:
        """Finish pending deletions and let go of sockets."""
        ...


class PortGuard(Protocol):
    """Holds host ports so that no other process of the host takes what is published."""

    async def hold(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """The port is ours until let go or the process ends. Holding twice is fine. Raises Conflict when it is taken,
        at once and without a holder: ask `holder`; BadRequest when the host does not have the address. A protocol that
        the kernel has no sockets for needs no holding: nobody can take the port."""
        ...

    async def holder(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> str:
        """Who has a port that hold refused, as a fault names its holder; never empty, also when it cannot be found
        out. It takes long (every process of the host is looked at): only for a refusal that somebody reads."""
        ...

    async def let_go(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """The port is free again. Not held is fine."""
        ...

    async def ephemeral(self) -> tuple[int, int]:
        """First and last port of the kernel's ephemeral range, inclusive."""
        ...


class Clock(Protocol):
    """Time and chance, so that neither is in core or services."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def token(self) -> str:
        """Twelve random hexadecimal digits, never the same twice."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        ...


class Engine(Protocol):
    """The container engine of this host, as one asks it. Never called from within a plugin call: it would wait for us
    while we wait for it."""

    async def view(self) -> EngineView:
        """Its networks, now. Raises Unavailable when it does not answer within seconds."""
        ...
