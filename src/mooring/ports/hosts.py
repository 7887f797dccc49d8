"""What we need of the host and of its engine: the network stack, ports, time, containers. Rules: see mooring.ports."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Protocol, TypeVar

from mooring.core.containers import Container, EngineEvent, EngineNetwork
from mooring.core.engines import EngineView
from mooring.core.host_filters import HostFilter
from mooring.core.overlay_paths import Answer, Echo
from mooring.core.plumbing import Fact, HostLink, Inside, Op
from mooring.core.port_bindings import Protocol as IpProtocol
from mooring.core.subnet_index import Holdings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HostNet:
    """What the host has and reaches. addresses: with prefix lengths, those that the host itself has, the other ends of
    its point-to-point lines and its routers, each with the holder as faults name it; those of our bridges, loopback and
    link-local ones left out. routes: destinations of routes that do not go out by a link of ours; parts of default
    routes and link-locals left out. occupied: all these, the networks of our own bridges, and nameservers. lost: the
    addresses that a route of their own leads away. None of it is to be changed; what is the same is the same object."""

    addresses: Mapping[IPv4Interface | IPv6Interface, str] = field(default_factory=dict)
    routes: Holdings = field(default_factory=Holdings)
    occupied: Holdings = field(default_factory=Holdings)
    lost: frozenset[IPv4Address | IPv6Address] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lost", frozenset(self.routes.singles()))


class Kernel(Protocol):
    """The host's network stack: links, addresses, routes, settings, and our own nftables table; and those of its
    routing domains. domain: the number of one, 0 for the host's own.

    Only things that bear our mark are shown, changed or removed, but for what a Fact says otherwise.
    """

    async def observe(self) -> frozenset[Fact]:
        """Every fact of ours that holds now. Raises Unavailable."""
        ...

    async def insides(self, links: Collection[str]) -> Mapping[str, Inside]:
        """What the other ends of these veths of ours have, of those whose other end is in another namespace and can be
        read. Link-local IPv6 addresses are left out. Raises Unavailable."""
        ...

    async def apply(self, ops: Sequence[Op]) -> None:
        """Carry out the ops in order, all or nothing: on a fault what was done is undone, and the fault is raised.

        An Add of what is there already is success when it is the same and ours, and Conflict when it is foreign or
        differs; settings, tables and where other hosts' endpoints are it replaces. A Remove of what is not there is
        success. Calls are carried out one after another, in the order in which they were made. Not cancelled in the
        middle of an op. Flows that meant a host port whose port binding is added, altered or removed, and are tracked
        otherwise than a new one would be, are forgotten soon after.
        """
        ...

    async def discard(self, links: Sequence[str], domain: int = 0) -> None:
        """Delete links of ours soon, in groups, without waiting for it (an RCU grace period each time). A link that is
        wanted again under the same name is waited for by apply. Unknown names and domains are fine."""
        ...

    async def link(self, name: str) -> HostLink | None:
        """The interface of that name in the host's own namespace, ours or not; None when there is none. What was asked
        for before is done. Raises Unavailable."""
        ...

    async def is_lived_in(self, link: str, domain: int = 0) -> bool:
        """Whether a process runs in the network namespace, another than the host's, that the veth's other end is in;
        also True when that cannot be found out. Unknown names are not."""
        ...

    async def host_net(self) -> HostNet:
        """What the host has and reaches, at one look. Raises Unavailable."""
        ...

    def host_moved(self) -> bool:
        """Whether an address, router or route that `host_net` tells of may have come or gone since the last call. Does
        not wait; what a program did before it returned is known."""
        ...

    async def host_changed(self) -> None:
        """Returns when an address, router or route that `host_net` tells of may have come or gone since it returned
        last, a second after that at the latest; costs nothing until then. For one caller. Raises Unavailable."""
        ...

    async def underlay_mtu(self, local: IPv4Address | IPv6Address, hosts: Collection[IPv4Address | IPv6Address]) -> int:
        """The longest packet (bytes) that fits every route to the hosts, as routes and interfaces are set up; without
        hosts, that of the interface with the address `local`. A host without a route is passed over. Raises Unavailable
        when `local` is not the host's, or no host has a route."""
        ...

    async def host_bridges(self) -> Mapping[str, bool]:
        """Every bridge of the host that is neither ours nor the daemon's -> whether the kernel itself shows that it is
        none of Docker's: the host goes out by it, or it has a port that no container has, or it is another owner's.
        Raises Unavailable."""
        ...

    async def dropping_filters(self, bridges: Collection[str]) -> Sequence[HostFilter]:
        """Chains of the host's own nftables, neither ours nor Docker's, that surely drop what containers at one of
        these bridges send elsewhere. It takes long: only for a person who asks. Raises Unavailable."""
        ...

    async def announce(self, link: str, address: IPv4Address | IPv6Address, mac: str, domain: int = 0) -> None:
        """Tell neighbours on the link that the address is at the MAC now: gratuitous ARP or unsolicited NA, and the
        host's own stale neighbour entry is dropped. Soon, after the calls before it; best effort, never raises."""
        ...

    async def flush_connections(self, address: IPv4Address | IPv6Address, domain: int = 0) -> None:
        """Drop connection-tracking entries to or from the address. Soon, after the calls before it; best effort, never
        raises."""
        ...

    async def in_domain(self, domain: int, work: Callable[[], T]) -> T:
        """What the work returns or raises, which a thread does that is in the domain, 0 for the host; one work after
        another, and one that has begun goes on when its caller is cancelled. Sockets that it makes stay there. Raises
        NotFound when there is no such domain, Unavailable."""
        ...

    async def close(self) -> None:
        """Finish pending deletions and let go of sockets."""
        ...


class PortGuard(Protocol):
    """Holds host ports so that no other process of the host takes what is published."""

    async def hold(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """The port is ours until let go or the process ends. Holding twice is fine. Raises Conflict when it is taken,
        at once and without a holder: ask `holder`; Unavailable when the host does not have the address, with the words
        of core.refused_starts. A protocol that the kernel has no sockets for needs no holding: nobody can take the
        port."""
        ...

    async def holder(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> str:
        """Who has a port that hold refused, as a fault names its holder; never empty, also when it cannot be found
        out. It takes long (every process of the host is looked at): only for a refusal that somebody reads."""
        ...

    async def release(self, protocol: IpProtocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """The port is free again. Not held is fine."""
        ...

    async def has(self, host: IPv4Address | IPv6Address) -> bool:
        """Whether the host has the address now, so that a port of it can be held. Raises Unavailable."""
        ...

    async def ephemeral(self) -> tuple[int, int]:
        """First and last port of the kernel's ephemeral range, inclusive."""
        ...


class Echoes(Protocol):
    """Echo requests of this host's own."""

    async def ask(self, echoes: Collection[Echo]) -> Mapping[Echo, Answer]:
        """What becomes of each, asked all at once, within a second. Raises no Fault: what cannot be asked is
        unasked."""
        ...


class Clock(Protocol):
    """Time and chance, so that neither is in core or services."""

    def now(self) -> float:
        """Seconds since the epoch, for deadlines that survive a boot. A wall clock that is wrong for a while (minutes)
        does not show in it."""
        ...

    def boot(self) -> float:
        """Seconds since the boot, suspension included: how old things are. Nobody sets this one."""
        ...

    def step(self) -> float:
        """Seconds by which the host's wall clock is off from `now` at the moment, 0.0 while it is not."""
        ...

    def token(self) -> str:
        """Twelve random hexadecimal digits, never the same twice."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after that long."""
        ...


class Engine(Protocol):
    """The container engine of this host, as one asks it. Never called from within a plugin call: it would wait for us
    while we wait for it. Every method raises Unavailable when it does not answer within seconds."""

    async def view(self) -> EngineView:
        """Its networks, now."""
        ...

    async def containers(self) -> tuple[str, tuple[Container, ...]]:
        """The engine's own id, and all its containers, those that do not run too."""
        ...

    async def container(self, reference: str) -> Container | None:
        """The container with the full id, the name, or the beginning of an id, as the engine finds it (a full id before
        a name, a name before a beginning); None when it says that there is none. Raises Conflict for the beginning of
        several ids."""
        ...

    async def network(self, reference: str) -> EngineNetwork | None:
        """The network with the id, the name, or the beginning of an id; as `container`."""
        ...

    async def all_networks(self) -> tuple[EngineNetwork, ...]:
        """All its networks, as a list has them: without their endpoints."""
        ...

    async def identity(self) -> str:
        """The engine's own id."""
        ...

    async def api_version(self) -> tuple[int, int]:
        """The newest version of its API that it speaks, which is what a path without a version means."""
        ...

    async def release(self) -> tuple[int, int]:
        """Its own version, as (29, 1)."""
        ...

    async def place(self, container: str, network: str) -> str:
        """What the container's configuration (full id) says of the network (full id), for `reconnect`; a JSON object.
        Raises NotFound when it is not in it."""
        ...

    async def reconnect(
        self, container: str, network: str, place: str, addresses: Sequence[IPv4Address | IPv6Address]
    ) -> None:
        """The container (full id) is taken out of the network (full id) and put into it again, now with a configuration
        that names the addresses; all else of its place there stays. One that runs is out of it for a moment.

        Raises Conflict with the engine's words, and then it is in the network as it was; NotFound, Unavailable.
        """
        ...

    async def put_back(
        self, container: str, network: str, place: str, addresses: Sequence[IPv4Address | IPv6Address]
    ) -> None:
        """The second half of `reconnect`, for a container that is out of the network."""
        ...

    async def attach(
        self, container: str, network: str, addresses: Sequence[IPv4Address | IPv6Address], mac: str = ""
    ) -> None:
        """The container (full id) is in one more network (full id), with a configuration that names the addresses and
        the MAC, "" for none. Raises Conflict with the engine's words, and then it is not; Unavailable."""
        ...

    async def detach(self, container: str, network: str) -> None:
        """The container (full id) is out of the network (full id). Raises Conflict with the engine's words,
        Unavailable."""
        ...

    async def start_container(self, container: str) -> None:
        """The container (full id) runs, also where it did before, or is not there. Raises Conflict with the engine's
        words when it cannot be started, Unavailable."""
        ...

    async def create_network(self, wanted: EngineNetwork) -> str:
        """The network is there, which has no id yet; its full id. Raises Conflict with the engine's words, also where
        one of the name is there; Unavailable."""
        ...

    async def remove_network(self, network: str) -> None:
        """The network (full id) is not there. Raises Conflict with the engine's words, as where somebody is in it;
        Unavailable."""
        ...

    def events(self, since: int) -> AsyncGenerator[EngineEvent, None]:
        """What happens to containers from now on, after what the engine still remembers of the time after `since`
        (nanoseconds since its epoch; 0 for everything it remembers, a few hundred events). The first items may come at
        once; None is never among them. Ends with Unavailable when the connection does."""
        ...
