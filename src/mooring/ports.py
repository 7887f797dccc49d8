"""What we need of the world: a few methods each, in core's words.

Rules: a port says what is true afterwards and which faults it raises; the real adapter and the double in
mooring.testing pass the same contract tests (tests/contracts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.engines import EngineView
from mooring.core.faults import BadRequest
from mooring.core.names import Answer, Question
from mooring.core.networks import Interface, Network
from mooring.core.plumbing import Fact, Op
from mooring.core.publications import Protocol as IpProtocol
from mooring.core.requests import AddressRequest, EndpointGrant, JoinRequest, NetworkWish, PoolGrant, PoolRequest
from mooring.core.sandboxes import InsideOp, Interior


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


class Driver:
    """One way to make networks and endpoints real. Derive from it: what is not overridden does nothing.

    Told, not asked: an endpoint's addresses and MAC, where it has them, are used as they are, or the call is refused;
    what it leaves open the driver chooses and returns. Every call may come twice, and again after a crash in its
    middle; ending what is not known is success. Calls about different endpoints come at the same time. Raises Faults
    only.

    remembers: the driver keeps records of its own, so that it must be told of every end: an operation is noted before
    it is told, and told again at the next start. False: what it makes follows from its arguments.
    forwards: host ports are chosen and held for it, and it is told them; False: it publishes by itself, if at all.
    returns: its interfaces are given back to the host at leave; False: it ends them from its own side.
    """

    remembers: bool = False
    forwards: bool = False
    returns: bool = False

    async def wants_gateways(self, wish: NetworkWish) -> tuple[bool, bool]:  # noqa: ARG002
        """Whether such a network should have a gateway address, in IPv4 and in IPv6. Asked before it is made."""
        return True, True

    async def create_network(self, network: Network) -> None:
        """The network is there, as far as it has to be before an endpoint joins."""

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """The network is gone, and with it those endpoints."""

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:  # noqa: ARG002
        """The endpoint is there. Returns what it left open (an address None, a MAC ""), nothing else."""
        return EndpointGrant()

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint is gone."""

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:  # noqa: ARG002
        """The endpoint belongs to the sandbox; returns what is to be done there."""
        return Attachment("", "eth", None, None)

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint belongs to no sandbox."""

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """What endpoint.published says (if `forwards`), else what endpoint.ports asks for, leads to the endpoint."""

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:
        """Nothing of endpoint.published or endpoint.ports leads to the endpoint."""

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:  # noqa: ARG002
        """Operational data, for people."""
        return {}


class IpamDriver(Protocol):
    """Grants subnets and addresses.

    requires_mac: an endpoint's MAC is chosen before its address is asked for, and told with it.
    """

    @property
    def requires_mac(self) -> bool:
        """See above."""
        ...

    async def default_space(self) -> str:
        """The address space for networks of this host."""
        ...

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """A pool exists. gateway None in the answer: ask for one with Role.GATEWAY, if the network wants one."""
        ...

    async def release_pool(self, pool_id: str) -> None:
        """The pool and every address of it are given up; an unknown one is given up already."""
        ...

    async def request_address(self, request: AddressRequest) -> Interface:
        """The address is granted, with the prefix length of its subnet."""
        ...

    async def release_address(self, pool_id: str, address: IPv4Address | IPv6Address) -> None:
        """The address is given up; one that is not held is given up already."""
        ...


class PluginFinder(Protocol):
    """Finds the drivers that others made, by name."""

    async def network_driver(self, name: str) -> Driver:
        """Raises NotFound, BadRequest for what is found and cannot be read, Unavailable when it does not answer."""
        ...

    async def ipam_driver(self, name: str) -> IpamDriver:
        """As `network_driver`."""
        ...


@dataclass(frozen=True, slots=True)
class Counters:
    """What an interface has carried since it was made."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class Namespaces(Protocol):
    """Network namespaces: those that we make, and others by their path (`/proc/<pid>/ns/net`, `/run/netns/<name>`).

    Every method may raise Unavailable, and NotFound for a path that is no network namespace.
    """

    async def create(self, ident: str) -> str:
        """A namespace of ours for the id exists, its loopback up; returns its path. Twice is once."""
        ...

    async def remove(self, path: str) -> None:
        """The path of a namespace that `create` made is gone, and so is the namespace when nothing else is in it. Gone
        already is fine. Raises BadRequest for a path that is not ours."""
        ...

    async def made(self) -> Mapping[str, str]:
        """Id -> path of every namespace of ours that is there."""
        ...

    async def exists(self, path: str) -> bool:
        """Whether the path is a network namespace."""
        ...

    async def identify(self, path: str) -> str:
        """A word for the namespace, "" for the host's own path, that no other ever has: neither after this one is gone
        nor after a reboot."""
        ...

    async def observe(self, path: str) -> Interior:
        """What is in the namespace, and which one it is."""
        ...

    async def apply(self, path: str, ops: Sequence[InsideOp]) -> None:
        """Carry out the ops in order. On a fault the rest is left, what was done stays, and the fault is raised: the
        caller plans again. Raises Conflict when a name or an address is taken by somebody else. Calls for one path are
        carried out one after another."""
        ...

    async def statistics(self, path: str) -> Mapping[str, Counters]:
        """Counters of every link in the namespace but loopback, by name."""
        ...

    async def close(self) -> None:
        """Let go of threads and sockets; namespaces stay."""
        ...


Lookup = Callable[[Question], Answer]


class Resolver(Protocol):
    """Answers DNS inside sandboxes, at 127.0.0.11 port 53, UDP and TCP."""

    async def serve(
        self, path: str, lookup: Lookup, upstreams: Callable[[], Sequence[IPv4Address | IPv6Address]]
    ) -> None:
        """The namespace's queries are answered by `lookup` until `stop`; what it does not know is asked of the
        upstreams, from within the namespace, or from the host for a loopback address. Again: the new ones count. Raises
        Unavailable, NotFound."""
        ...

    async def stop(self, path: str) -> None:
        """Nothing answers there. Not served, or the namespace gone, is fine."""
        ...

    async def close(self) -> None:
        """Stop everywhere."""
        ...


class Files(Protocol):
    """Text files that containers mount: changed in place, so that a bind mount sees it. Whoever can write into a folder
    of theirs may put anything there, so no symbolic link is followed anywhere on the way."""

    async def read_host(self, path: str) -> str | None:
        """The text of a file of the host's own, links followed, or None when there is none. Raises Unavailable."""
        ...

    async def update(
        self, paths: Sequence[str], change: Callable[[Mapping[str, str | None]], Mapping[str, str | None]]
    ) -> None:
        """`change` is given the text of every path, None for no file, and returns the new text, or None, of those that
        are to change; they are changed in its order, with nobody else's update of them in between.

        A file keeps its inode, and has its old text or the new one, also after a death in between, but for empty lines
        at its end, as long as it fits into a page of memory; its folder is made. The last file takes a folder along
        that is the library's own. `change` may be called in any thread, and must not raise. Raises BadRequest, and
        changes nothing, when something else is in the place of a file or of a folder (a symbolic link is named),
        Unavailable.
        """
        ...
