"""What we need of the store that hosts share: single keys, by compare-and-swap; and of a host that is in a cluster.
Rules: see mooring.ports.

No more than etcd and everything that stands in for it (kine) can do: no transaction over several keys, no locks, no
leases to keep alive. What hosts agree on is decided by the services in terms of this, the same over each adapter.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from mooring.core.cluster_hosts import ClusterAccess, Membership, Underlay
from mooring.core.wireguard import KeyPair, KeyRing, WireGuardDevice
from mooring.ports.stores import Entry


@dataclass(frozen=True, slots=True)
class Change:
    """One key as it was left by one write. value: None when it was deleted or its time to live was over."""

    key: str
    value: bytes | None
    revision: int


class Cluster(Protocol):
    """A shared key-value store with revisions, consistent whatever member answers.

    Keys and prefixes are as in Store. Revisions are the whole store's, grow, and are never used again;
    writes of one moment to several keys may share one.
    Every method raises Unavailable within seconds when no majority answers. After it, and after cancellation, a write
    may have happened or may yet happen: nothing repeats it, the caller reads again and looks whose the key is.
    """

    async def get(self, key: str) -> Entry | None:
        """The key as of the last acknowledged write, or None."""
        ...

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """All keys under the prefix in key order, as of one moment, and the store's revision then."""
        ...

    async def put(self, key: str, value: bytes, expect: int, ttl: float | None = None) -> int:
        """Write the key where it has the revision `expect` (0: where it is not there); the revision of the write.

        ttl: seconds for which the key is there at least, unless it is written again; it goes some seconds after them,
        and later where the servers chose a leader meanwhile. None keeps it. On a majority's disks before it returns.
        Raises StaleRevision, and changes nothing, where the revision is another; BadRequest for what is no key.
        """
        ...

    async def put_with(self, key: str, value: bytes, expect: int, new: Mapping[str, bytes]) -> tuple[int, Set[str]]:
        """As `put`, and then, if it was done, each of those keys that is not there; the revision of the first write,
        and which of the others were done. Nobody sees them without the first; who reads in between may see that
        without them. After Unavailable any of it may have happened. Raises as `put`."""
        ...

    async def delete(self, key: str, expect: int) -> None:
        """Remove the key where it has the revision. Raises StaleRevision where it is another, or there is no key."""
        ...

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Change], None]:
        """What is written under the prefix after the revision: each write once, in order, one revision's together.

        An empty sequence comes now and then while nothing changes: the store was heard. Raises Compacted when the
        history after the revision is gone, or is not the one that was seen (scan, and watch from there), and
        Unavailable when the member has no majority or nothing was heard of it for seconds (watch again from the last
        revision seen). Ends only so, or by aclose.
        """
        ...

    async def complaints(self) -> Sequence[str]:
        """What is wrong with it now, a line each: members that do not answer, no leader, no space. Raises no Fault."""
        ...

    async def close(self) -> None:
        """Let go. Later calls raise Unavailable. Closing twice is fine."""
        ...


class ClusterSetup(Protocol):
    """What joining needs of this host: where it keeps whose it is, its place on the network, the way to the servers."""

    def kept(self) -> Membership | None:
        """The membership that was kept last; None for none. Raises Unavailable."""
        ...

    def keep(self, membership: Membership | None) -> None:
        """Keep it, readable for root alone, also after a crash; None: forget what was. Raises Unavailable."""
        ...

    async def underlay(self, given: str, endpoints: Sequence[str]) -> Underlay:
        """Where others reach this host; within seconds, whatever a nameserver does. given: an interface, an address of
        the host, or "" for the address that it reaches the first of the endpoints with. Raises BadRequest for what the
        host has not, Unavailable."""
        ...

    def connect(self, access: ClusterAccess) -> Cluster:
        """The cluster's store; nothing is asked yet. Raises BadRequest for endpoints that are none, Unavailable where
        what it takes is not installed."""
        ...

    async def offset(self, access: ClusterAccess) -> float | None:
        """Seconds by which this host's wall clock is ahead of that of a server; None when none tells the time."""
        ...


class WireGuard(Protocol):
    """WireGuard of the host: its one device, and the file that has its keys."""

    async def check(self) -> str:
        """What carries it out, in words. Raises Unavailable where nothing does, with what to install."""
        ...

    def kept(self) -> KeyRing | None:
        """This host's keys. Raises Unavailable for a file that cannot be read."""
        ...

    def keep(self, ring: KeyRing) -> None:
        """These are this host's keys, whatever happens to the host. Raises Unavailable."""
        ...

    async def make_pair(self) -> KeyPair:
        """A new one. Raises Unavailable."""
        ...

    async def settle(self, wanted: WireGuardDevice) -> Mapping[str, int]:
        """The device is like that, made anew where it was gone; when each peer was heard last, by key: a number that
        grows. What flows goes on. Raises Unavailable, Conflict."""
        ...

    async def greet(self, wanted: WireGuardDevice) -> None:
        """The peers hear this host soon, by the key that it has now. Best effort."""
        ...

    async def remove(self, name: str) -> None:
        """There is no such device of ours. Raises Unavailable."""
        ...
