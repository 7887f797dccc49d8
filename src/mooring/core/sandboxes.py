"""Sandboxes as values, and what a sandbox's namespace should look like, as facts.

Rules: what is in a namespace follows from the records of the endpoints that are attached to it, so it can be made again
at any time; the gateway is chosen anew from all of them, for IPv4 and IPv6 apart; what is not ours in the namespace is
never touched, and what only claims to be ours is not either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_network

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Address, Interface, Network, Subnet
from mooring.core.port_bindings import PortRequest, Protocol


class Kind(Enum):
    """Whose namespace a sandbox is: one that we made, one that somebody else made, or the host's."""

    OWN = "own"
    EXTERNAL = "external"
    HOST = "host"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One container's network stack.

    name: unique among the sandboxes, as the id of the container whose it is. path: of the namespace, "" until an
    external one is told (`set_key`). dns: nameservers to forward to, () for the host's; search, dns_options: as in
    resolv.conf(5). hosts: extra lines of the hosts file, (name, address). hosts_path, resolv_conf_path: the files that
    are kept in step, "" for none. resolver: names are answered at 127.0.0.11. exposed, ports: what it listens on, and
    what it wants published. deleting: it is on its way out. identity: which namespace an external path meant when it
    was told, since a process id may be another process's later; "" is not checked.
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
    identity: str = ""

    @property
    def key(self) -> str:
        """The sandbox key: what endpoints that are attached to it have in their records."""
        return self.path or f"sandbox:{self.id}"


@dataclass(frozen=True, slots=True)
class Member:
    """An endpoint that is attached to the sandbox, with its network. returns: see ports.Driver."""

    network: Network
    endpoint: Endpoint
    returns: bool = False

    @property
    def link(self) -> str:
        """The name that the driver gave its interface, "" for none."""
        return self.endpoint.attachment.link if self.endpoint.attachment is not None else ""


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """What a namespace has: facts of ours, and the names of all links in it. identity: see ports.Namespaces.

    Whoever is in the namespace can write the sign of any endpoint on a link: facts are claims, until `only_of` has
    looked at them. strangers: marks of endpoints that were none of those. routed: where routes lead that are not ours.
    """

    facts: frozenset[NamespaceFact]
    names: frozenset[str]
    identity: str = ""
    strangers: frozenset[str] = frozenset()
    routed: frozenset[Subnet] = frozenset()


@dataclass(frozen=True, slots=True)
class NamespaceLink:
    """The endpoint's interface is in the namespace, named and up.

    endpoint: its mark, `<network id>/<endpoint id>`. source: the name that the driver gave it, in the namespace or on
    the host, where it is fetched from and goes back to if `returns`; else its driver ends it from its own side. Both
    come from records; an observed fact has neither. mac: "" to leave it. ipv6: whether the interface has that family;
    without, it gets no link-local address either.
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
class NamespaceAddress:
    """An address on the interface of that name, without duplicate address detection."""

    link: str
    interface: Interface

    @property
    def key(self) -> tuple[str, ...]:
        """Identity."""
        return ("address", self.link, str(self.interface))


@dataclass(frozen=True, slots=True)
class NamespaceRoute:
    """A route of the main table with a protocol number of ours. via None: on-link."""

    destination: Subnet
    via: IPv4Address | IPv6Address | None
    link: str

    @property
    def key(self) -> tuple[str, ...]:
        """Identity: one route for each destination."""
        return ("route", str(self.destination))


NamespaceFact = NamespaceLink | NamespaceAddress | NamespaceRoute


@dataclass(frozen=True, slots=True)
class NamespaceAdd:
    """Make the fact true; it takes the place of another with the same key."""

    fact: NamespaceFact


@dataclass(frozen=True, slots=True)
class NamespaceRemove:
    """Make the fact untrue."""

    fact: NamespaceFact


NamespaceOp = NamespaceAdd | NamespaceRemove


# What must be there before what; a next hop may be reachable by an on-link route only.
_ORDER: tuple[type, ...] = (NamespaceLink, NamespaceAddress, NamespaceRoute)
_EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


def in_gateway_order(members: Iterable[Member]) -> list[Member]:
    """The members, that which should be the gateway first.

    Highest priority, then networks that are not internal, then gateways in both families, in one, in none, then the
    network's name (libnetwork/sandbox.go, Endpoint.Less); ids decide what is left, so that the order is always one.
    """

    def rank(member: Member) -> tuple[int, bool, int, str, str, str]:
        network, endpoint = member.network, member.endpoint
        gateways = sum(default_route(member, version) is not None for version in (4, 6))
        return -endpoint.priority, network.internal, -gateways, network.name, network.id, endpoint.id

    return sorted(members, key=rank)


def default_route(member: Member, version: int) -> NamespaceRoute | None:
    """The way out that the member offers in the family (4 or 6): its gateway, else a static route to everything.

    None without an interface, or without an address of the family, as the kernel would refuse the route.
    """
    endpoint, attachment = member.endpoint, member.endpoint.attachment
    if attachment is None or not attachment.link:
        return None
    if (endpoint.ipv4 if version == 4 else endpoint.ipv6) is None:
        return None
    everything = _EVERYTHING[version]
    via = attachment.gateway(version)
    if via is not None:
        return NamespaceRoute(everything, via, endpoint.interface)
    for route in attachment.routes:
        if route.destination == everything:
            return NamespaceRoute(everything, route.via, endpoint.interface)
    return None


def gateway(members: Iterable[Member], version: int) -> Member | None:
    """The member whose next hop is the sandbox's default route in the family (4 or 6): the first that has one."""
    ordered = in_gateway_order(members)
    return next((member for member in ordered if default_route(member, version) is not None), None)


def choose_name(prefix: str, taken: Iterable[str]) -> str:
    """The prefix with the lowest number that nobody has (libnetwork/osl/interface_linux.go)."""
    used = set(taken)
    number = 0
    while f"{prefix}{number}" in used:
        number += 1
    return f"{prefix}{number}"


def mark_of(endpoint: Endpoint) -> str:
    """What the endpoint's interface bears."""
    return f"{endpoint.network}/{endpoint.id}"


def namespace_link(member: Member) -> NamespaceLink:
    """The member's interface; only for one that has a link."""
    endpoint = member.endpoint
    return NamespaceLink(
        mark_of(endpoint),
        endpoint.interface,
        source=member.link,
        mac=endpoint.mac,
        ipv6=endpoint.ipv6 is not None,
        returns=member.returns,
    )


def namespace_facts(members: Sequence[Member]) -> frozenset[NamespaceFact]:
    """What the namespace should have for its members: interfaces, addresses, static and default routes.

    A member without an interface of its own (attachment.link "") adds nothing. A static route to everything counts as
    the default route of its member and is left out when another is the gateway. Of several static routes to one
    destination that of the first in gateway order counts, and none to a subnet that an interface is in: the kernel has
    that route already, and ours would take its place.
    """
    ordered = [member for member in in_gateway_order(members) if member.link]
    facts: set[NamespaceFact] = set()
    routed: set[Subnet] = set(_EVERYTHING.values())
    for member in ordered:
        facts.add(namespace_link(member))
        for interface in (member.endpoint.ipv4, member.endpoint.ipv6):
            if interface is not None:
                facts.add(NamespaceAddress(member.endpoint.interface, interface))
                routed.add(interface.network)
    for member in ordered:
        for route in member.endpoint.attachment.routes if member.endpoint.attachment is not None else ():
            if route.destination not in routed:
                routed.add(route.destination)
                facts.add(NamespaceRoute(route.destination, route.via, member.endpoint.interface))
    for version in (4, 6):
        facts.update([way for member in ordered if (way := default_route(member, version)) is not None][:1])
    return frozenset(facts)


def only_of(namespace_state: NamespaceState, endpoints: Mapping[str, str]) -> NamespaceState:
    """The state without what links have that claim to be of other endpoints than those: they are foreign.

    endpoints: mark -> what its interface is called; of several links that claim it, only the one of that name counts.
    """
    links = {fact for fact in namespace_state.facts if isinstance(fact, NamespaceLink)}
    right = {link.endpoint for link in links if endpoints.get(link.endpoint) == link.name}
    in_doubt = endpoints.keys() - right
    ours = {link for link in links if link.endpoint in in_doubt or endpoints.get(link.endpoint) == link.name}
    names = {link.name for link in links - ours} - {link.name for link in ours}
    others = {fact for fact in namespace_state.facts if not isinstance(fact, NamespaceLink) and fact.link not in names}
    strangers = frozenset(link.endpoint for link in links - ours)
    return replace(namespace_state, facts=frozenset(ours | others), strangers=strangers)


def plan_namespace(desired: Iterable[NamespaceFact], observed: Iterable[NamespaceFact]) -> list[NamespaceOp]:
    """Ops that make observed into desired: links, addresses, routes, then removals the other way round. What goes with
    a link that goes is not removed by itself. Of several links that claim one endpoint that counts which is right."""
    want = {fact.key: fact for fact in desired}
    seen = frozenset(observed)
    have = {fact.key: fact for fact in seen} | {fact.key: fact for fact in want.values() if fact in seen}

    def rank(fact: NamespaceFact) -> tuple[int, bool, tuple[str, ...]]:
        return _ORDER.index(type(fact)), isinstance(fact, NamespaceRoute) and fact.via is not None, fact.key

    # What is on a link that is new, or was called otherwise, is made whatever was seen under that name: it was another
    # link's and goes with it, or did not outlive the renaming.
    new = {fact.name for fact in want.values() if isinstance(fact, NamespaceLink) and have.get(fact.key) != fact}
    gone = {fact.name for fact in have.values() if isinstance(fact, NamespaceLink) and want.get(fact.key) != fact}
    adds: list[NamespaceOp] = [
        NamespaceAdd(fact)
        for fact in sorted(want.values(), key=rank)
        if have.get(fact.key) != fact or (not isinstance(fact, NamespaceLink) and fact.link in new)
    ]
    removes: list[NamespaceOp] = [
        NamespaceRemove(fact)
        for fact in sorted(have.values(), key=rank, reverse=True)
        if fact.key not in want and (isinstance(fact, NamespaceLink) or fact.link not in gone)
    ]
    return adds + removes
