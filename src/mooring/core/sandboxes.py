"""Sandboxes as values, and what a sandbox's namespace should look like, as facts.

Rules: what is in a namespace follows from the records of the endpoints that are attached to it, so it can be made again
at any time; the gateway is chosen anew from all of them, for IPv4 and IPv6 apart; what is not ours in the namespace is
never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Address, Interface, Network, Subnet
from mooring.core.publications import PortRequest, Protocol


class Kind(Enum):
    """Whose namespace a sandbox is: one that we made, one that somebody else made, or the host's."""

    OWN = "own"
    EXTERNAL = "external"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One container's network stack.

    name: unique among the sandboxes, as the id of the container whose it is. path: of the namespace, "" until an
    external one is told (`set_key`). dns: nameservers to forward to, () for the host's; search, dns_options: as in
    resolv.conf(5). hosts: extra lines of the hosts file, (name, address). hosts_path, resolv_conf_path: the files that
    are kept in step, "" for none. resolver: names are answered at 127.0.0.11. exposed, ports: what it listens on, and
    what it wants published. deleting: it is on its way out.
    """

    id: str
    name: str
    kind: Kind
    path: str
    created: float
    hostname: str = ""
    domain: str = ""
    dns: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hosts: tuple[tuple[str, Address], ...] = ()
    hosts_path: str = ""
    resolv_conf_path: str = ""
    resolver: bool = True
    exposed: tuple[tuple[Protocol, int], ...] = ()
    ports: tuple[PortRequest, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """An endpoint that is attached to the sandbox, with its network."""

    network: Network
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Interior:
    """What a namespace has: facts of ours, and the names of all links in it."""

    facts: frozenset[InsideFact]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class InsideLink:
    """The endpoint's interface is in the namespace, named and up.

    endpoint: its mark, `<network id>/<endpoint id>`. source: the name that the driver gave it, in the namespace or on
    the host, where it is fetched from and goes back to if `returns`; else its driver ends it from its own side. mac: ""
    to leave it. ipv6: whether the interface has that family; without, it gets no link-local address either.
    """

    endpoint: str
    name: str
    source: str = field(compare=False)
    mac: str = field(compare=False)
    ipv6: bool = field(compare=False)
    returns: bool = field(compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("link", self.endpoint)


@dataclass(frozen=True, slots=True)
class InsideAddress:
    """An address on the interface of that name, without duplicate address detection."""

    link: str
    interface: Interface

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("address", self.link, str(self.interface))


@dataclass(frozen=True, slots=True)
class InsideRoute:
    """A route of the main table with a protocol number of ours. via None: on-link."""

    destination: Subnet
    via: IPv4Address | IPv6Address | None
    link: str

    @property
    def key(self) -> tuple[str, ...]:
        """Identity: one route for each destination."""
        return ("route", str(self.destination))


InsideFact = InsideLink | InsideAddress | InsideRoute


@dataclass(frozen=True, slots=True)
class InsideAdd:
    """Make the fact true; it takes the place of another with the same key."""

    fact: InsideFact


@dataclass(frozen=True, slots=True)
class InsideRemove:
    """Make the fact untrue."""

    fact: InsideFact


InsideOp = InsideAdd | InsideRemove


def in_gateway_order(members: Iterable[Member]) -> list[Member]:
    """The members, that which should be the gateway first.

    Highest priority, then networks that are not internal, then gateways in both families, in one, in none, then the
    network's name (libnetwork/sandbox.go, Endpoint.Less).
    """
    raise NotImplementedError


def gateway(members: Iterable[Member], version: int) -> Member | None:
    """The member whose next hop is the sandbox's default route in the family (4 or 6): the first that has one."""
    raise NotImplementedError


def choose_name(prefix: str, taken: Iterable[str]) -> str:
    """The prefix with the lowest number that nobody has (libnetwork/osl/interface_linux.go)."""
    raise NotImplementedError


def inside_facts(members: Sequence[Member]) -> frozenset[InsideFact]:
    """What the namespace should have for its members: interfaces, addresses, static and default routes.

    A member without an interface of its own (attachment.link "") adds nothing. A static route to everything counts as
    the default route of its member and is left out when another is the gateway.
    """
    raise NotImplementedError


def plan_inside(desired: Iterable[InsideFact], observed: Iterable[InsideFact]) -> list[InsideOp]:
    """Ops that make observed into desired: links, addresses, routes, then removals the other way round. What goes with
    a link that goes is not removed by itself."""
    raise NotImplementedError
