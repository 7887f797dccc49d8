"""What the host has and reaches beside what is ours, by rtnetlink and resolv.conf(5).

Rules: a route that is wider than any private network is a part of a default route, as VPNs write it (0.0.0.0/1 and
128.0.0.0/1), and says of no subnet that it is in use; so is each of several that lead the same way and are more than
half of all there is, as they are written to spare a LAN; what the host has itself is found by its addresses, of which
many are in no route of the main table; what is ours is not told.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from itertools import takewhile
from pathlib import Path
from socket import AF_INET, AF_UNSPEC
from struct import Struct

from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.route_events import RouteEvents
from mooring.adapters.netlink.sockets import NLM_F_REPLACE, Message, Netlink, as_text, as_u32, attributes, u32
from mooring.core.addresses import unmapped
from mooring.core.networks import Address, Interface, Subnet, overlap
from mooring.core.subnet_index import Holdings
from mooring.ports import HostNet

RESOLV_CONF = Path("/etc/resolv.conf")
# The longest prefix of a part of a default route: the widest private networks are 10.0.0.0/8 and fc00::/7.
_DEFAULT_PART = {4: 7, 6: 6}
# Of all addresses: who leads more of them one way leads all that way that he does not lead another.
_MOST = 0.5
# Seconds after which everything is read again, whatever was told.
_STALE = 60.0
_LENGTHS = {4: 32, 6: 128}

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_IFALIAS, _IFLA_EXT_MASK, _FILTER_SKIP_STATS = 3, 20, 29, 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 4, 5, 9
_RTN_UNICAST, _RTN_LOCAL, _RTN_PROHIBIT = 1, 2, 8
_TABLE_LOCAL = 255
_IFINFO = Struct("=BBHiII")
_IFADDR = Struct("=BBBBi")
_ROUTE = Struct("=BBBBBBBBI")


class Kind:
    """Of messages. linux/rtnetlink.h."""

    NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE = 16, 17, 20, 21, 24, 25


# Destination (None: of no subnet, as a default route's), link (0: none or several), next hop.
Route = tuple[Subnet | None, int, Address | None]


class HostNetworks:
    """Of the network namespace in which it is made. Raises NetlinkError, OSError at its making.

    Everything is read once; later only what the kernel tells of. What it does not tell of in full is a reason to read
    everything again, as is the time.
    """

    def __init__(self, owner: Owner = DAEMON) -> None:
        self._owner = owner
        self._netlink = Netlink()
        try:
            self._events = RouteEvents()
        except OSError:
            self._netlink.close()
            raise
        self._read = float("-inf")
        self._links: dict[int, tuple[str, bool]] = {}
        self._given: dict[int, dict[Interface, None]] = {}
        self._routes: dict[Route, None] = {}
        # Links by which these routes leave; 0 when there is a route of several.
        self._ways: set[int] = set()
        # What follows from all that, None when it is to be worked out anew. What comes with a bridge of ours is added
        # to it, so that a host's many networks cost the next one nothing.
        self._told: HostNet | None = None

    def close(self) -> None:
        """Let go of the sockets."""
        self._netlink.close()
        self._events.close()

    def host_net(self) -> HostNet:
        """See Kernel."""
        self._look()
        if self._told is None:
            self._told = self._worked_out()
        occupied = self._told.occupied.copy()
        for nameserver in nameservers():
            occupied.add(ip_network(nameserver))
        return HostNet(dict(self._told.addresses), self._told.routes, occupied)

    def _worked_out(self) -> HostNet:
        """What there is, without nameservers."""
        names: dict[int, str] = {}
        ours: set[int] = set()
        for index, (name, mine) in self._links.items():
            names[index] = name
            if mine:
                ours.add(index)
        addresses = {
            interface: f"interface {names[index]} of this host"
            for index, interfaces in self._given.items()
            if index in names and index not in ours
            for interface in interfaces
        }
        occupied, routes = set[Subnet](), dict[Subnet, None]()
        defaults = _parts_of_defaults(route for route in self._routes if route[1] not in ours)
        for route in self._routes:
            subnet, link, router = route
            if subnet is not None and route not in defaults:
                occupied.add(subnet)
            if link in ours:
                continue
            if subnet is not None and route not in defaults:
                routes[subnet] = None
            if router is not None:
                addresses.setdefault(
                    ip_interface(router), f"a router of this host on {names.get(link, 'no interface')}"
                )
        occupied.update(interface.network for interface in addresses)
        return HostNet(addresses, tuple(routes), Holdings(occupied))

    def _look(self) -> None:
        """What is known is what there is."""
        events = self._events.drain()
        if events is None or time.monotonic() - self._read > _STALE or not all(self._follow(*each) for each in events):
            self._read_everything()

    def _read_everything(self) -> None:
        self._read = float("-inf")
        self._told = None
        self._events.drain()  # what comes from now on is followed, though what is read may tell of it already
        self._links, self._given, self._routes, self._ways = {}, {}, {}, set()
        brief = _IFINFO.pack(0, 0, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS)
        for question in (
            Message(_GETLINK, 0, brief),
            Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0)),
            Message(_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)),
        ):
            for kind, payload in self._netlink.dump(question):
                self._follow(kind, 0, payload)
        self._read = time.monotonic()

    def _follow(self, kind: int, flags: int, payload: bytes) -> bool:
        """What is told is known; False when it may be the end of more than is told."""
        match kind:
            case Kind.NEWLINK | Kind.DELLINK:
                return self._follow_link(kind, payload)
            case Kind.NEWADDR:
                self._note_address(payload)
                return True
            case Kind.NEWROUTE:
                route = route_of(payload)
                if route is None:
                    return True
                self._note_route(route)
                if route[1] or _RTA_MULTIPATH in attributes(payload[_ROUTE.size :]):
                    self._ways.add(route[1])
                return not flags & NLM_F_REPLACE
            case Kind.DELROUTE:
                return route_of(payload) is None
            case _:
                # IPv4 routes that an address or a next hop took along are not told of (net/ipv4/fib_frontend.c).
                return False

    def _follow_link(self, kind: int, payload: bytes) -> bool:
        family, _, _, index, flags, _ = _IFINFO.unpack_from(payload)
        if family != AF_UNSPEC:
            return True  # of a port, for its bridge
        if kind == Kind.DELLINK:
            self._links.pop(index, None)
        else:
            found = attributes(payload[_IFINFO.size :])
            ours = self._owner.unmarked(as_text(found.get(_IFLA_IFALIAS))) is not None
            link = as_text(found.get(_IFLA_IFNAME)), ours
            if self._links.get(index) != link and (index in self._given or index in self._ways):
                self._told = None
            self._links[index] = link
        if kind == Kind.NEWLINK and flags & _IFF_UP:
            return True
        # Its IPv4 routes went with it, untold; most links, as the ends of veth pairs, have neither these nor addresses.
        return index not in self._given and self._ways.isdisjoint({index, 0})

    def _is_ours(self, index: int) -> bool:
        return self._links.get(index, ("", False))[1]

    def _note_route(self, route: Route) -> None:
        if route in self._routes:
            return
        self._routes[route] = None
        subnet, link, _ = route
        if not self._is_ours(link):
            self._told = None
        elif self._told is not None and subnet is not None:
            self._told.occupied.add(subnet)

    def _note_address(self, payload: bytes) -> None:
        """A prefix that is a part of a default route says nothing of a network."""
        _, prefix, _, _, index = _IFADDR.unpack_from(payload)
        given = attributes(payload[_IFADDR.size :])
        if not self._is_ours(index):
            self._told = None
        for packed in (given.get(_IFA_ADDRESS), given.get(_IFA_LOCAL)):
            if packed is not None and is_somewhere(address := ip_address(packed)):
                length = prefix if prefix > _DEFAULT_PART[address.version] else address.max_prefixlen
                self._given.setdefault(index, {})[ip_interface((packed, length))] = None


def route_of(payload: bytes) -> Route | None:
    """None for what says nothing of the networks of the host; of the local table there are only whole subnets."""
    family, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
    version = 4 if family == AF_INET else 6
    # Most of what there is, and none of it a subnet: quickly.
    if table == _TABLE_LOCAL and (kind != _RTN_LOCAL or prefix == _LENGTHS[version]):
        return None
    if not _RTN_UNICAST <= kind <= _RTN_PROHIBIT:
        return None
    found = attributes(payload[_ROUTE.size :])
    subnet: Subnet | None = None
    if prefix and _RTA_DST in found:
        subnet = ip_network((found[_RTA_DST], prefix), strict=False)
        subnet = subnet if is_somewhere(subnet.network_address) else None
    router = ip_address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None
    router = router if router is not None and is_somewhere(router) else None
    return (subnet, as_u32(found.get(_RTA_OIF)), router) if subnet is not None or router is not None else None


def _parts_of_defaults(routes: Iterable[Route]) -> set[Route]:
    """Those of the routes that are parts of a default route. What is inside of such a part is none."""
    ways: defaultdict[tuple[int, int, Address | None], list[Subnet]] = defaultdict(list)
    for subnet, link, router in routes:
        if subnet is not None:
            ways[subnet.version, link, router].append(subnet)
    found = set[Route]()
    for (version, link, router), subnets in ways.items():
        wide = [subnet for subnet in subnets if subnet.prefixlen <= _DEFAULT_PART[version]]
        outermost: list[Subnet] = []
        for subnet in sorted(subnets, key=_place) if wide else ():
            if not outermost or not overlap(outermost[-1], subnet):
                outermost.append(subnet)
        if sum(0.5**subnet.prefixlen for subnet in outermost) > _MOST:
            wide += (subnet for subnet in outermost if _covers_most(outermost, subnet))
        found.update((subnet, link, router) for subnet in wide)
    return found


def _covers_most(parts: Sequence[Subnet], part: Subnet) -> bool:
    """Whether most of what is around the part is in the parts, which are sorted: what is left out is the exception."""
    around = part.supernet(min(2, part.prefixlen))
    begin = bisect_left(parts, _place(around), key=_place)
    inside = takewhile(lambda each: overlap(each, around), parts[begin:])
    return sum(0.5 ** (each.prefixlen - around.prefixlen) for each in inside) > _MOST


def _place(subnet: Subnet) -> tuple[int, int, int]:
    return subnet.version, int(subnet.network_address), subnet.prefixlen


def is_somewhere(address: Address) -> bool:
    """It is not the same on every host."""
    return not (address.is_link_local or address.is_multicast or address.is_loopback)


def nameservers() -> Iterator[Address]:
    """Those of resolv.conf(5), wherever they are: a container may be one."""
    try:
        lines = RESOLV_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = unmapped(ip_address(words[1].partition("%")[0]))
        except ValueError:
            continue
        if is_somewhere(address):
            yield address
