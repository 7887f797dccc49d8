"""What the host has and reaches beside what is ours, by rtnetlink and resolv.conf(5).

Rules: everything is read once, and then what the kernel tells is followed, so that a look costs what has changed since
the last one; what the kernel does not tell of in full is worked out, and where it cannot be, or where the kernel says
that something was lost, everything is read again, as it is from time to time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNSPEC
from struct import Struct

from mooring.adapters.linux.host_table import DEFAULT_PART, HostTable, Route
from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.route_events import RouteEvents
from mooring.adapters.netlink.sockets import NLM_F_REPLACE, Message, Netlink, as_text, as_u32, attributes, u32
from mooring.core.addresses import unmapped
from mooring.core.networks import Address, Interface
from mooring.ports import HostNet

RESOLV_CONF = Path("/etc/resolv.conf")
# Seconds after which everything is read again, whatever was told; and how many times the time that the reading took.
_STALE = 60.0
_STALE_TIMES = 1000
_LENGTHS = {int(AF_INET): 32, int(AF_INET6): 128}

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_IFALIAS, _IFLA_EXT_MASK, _FILTER_SKIP_STATS = 3, 10, 20, 29, 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_MULTIPATH = 1, 4, 5, 6, 7, 9
_RTA_TABLE, _RTA_VIA, _RTA_NH_ID = 15, 18, 30
_RTN_UNICAST, _RTN_LOCAL, _RTN_PROHIBIT = 1, 2, 8
_RTPROT_KERNEL = 2
_TABLE_LOCAL = 255
_IFINFO = Struct("=BBHiII")
_IFADDR = Struct("=BBBBi")
_ROUTE = Struct("=BBBBBBBBI")
_HOP = Struct("=HBBi")
_NEXTHOP_ID = 1
_NEXTHOP_HEAD = 8
# Family, destination's length, type of service; table.
_PLACE = Struct("=BBBI")


class Kind:
    """Of messages. linux/rtnetlink.h."""

    NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE = 16, 17, 20, 21, 24, 25
    NEWNEXTHOP, DELNEXTHOP = 104, 105


class HostNetworks:
    """Of the network namespace in which it is made. Raises NetlinkError, OSError at its making."""

    def __init__(self, owner: Owner = DAEMON) -> None:
        self._owner = owner
        self._netlink = Netlink()
        try:
            self._events = RouteEvents()
        except OSError:
            self._netlink.close()
            raise
        self._table = HostTable()
        self._masters: dict[int, int] = {}
        self._good_until = float("-inf")

    def close(self) -> None:
        """Let go of the sockets."""
        self._netlink.close()
        self._events.close()

    def host_net(self) -> HostNet:
        """See Kernel."""
        events = self._events.drain()
        old = time.monotonic() > self._good_until
        if old or events is None or not all(self._follow(*each) for each in events):
            self._read_everything()
        return self._table.host_net(tuple(nameservers()))

    def _read_everything(self) -> None:
        started = time.monotonic()
        self._good_until = float("-inf")
        self._events.drain()  # what comes from now on is followed, though what is read may tell of it already
        self._table, self._masters = HostTable(), {}
        links = Message(_GETLINK, 0, _IFINFO.pack(0, 0, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS))
        addresses = Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0))
        routes = Message(_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))
        for question, wanted in ((links, None), (addresses, None), (routes, _says_something)):
            for kind, payload in self._netlink.dump(question, wanted):
                self._follow(kind, 0, payload)
        now = time.monotonic()
        self._good_until = now + max(_STALE, _STALE_TIMES * (now - started))

    def _follow(self, kind: int, flags: int, payload: bytes) -> bool:
        """What is told is known; False when it may be the end of more than is told."""
        match kind:
            case Kind.NEWLINK | Kind.DELLINK:
                return self._follow_link(kind, payload)
            case Kind.NEWADDR | Kind.DELADDR:
                return self._follow_address(kind, payload)
            case Kind.NEWROUTE | Kind.DELROUTE:
                return self._follow_route(kind, flags, payload)
            case Kind.NEWNEXTHOP if not flags & NLM_F_REPLACE:
                return True
            case _:
                # Routes that a next hop takes along, or that change with it, are not told of.
                ident = as_u32(attributes(payload[_NEXTHOP_HEAD:]).get(_NEXTHOP_ID))
                return not self._table.uses_nexthop(ident)

    def _follow_link(self, kind: int, payload: bytes) -> bool:
        family, _, _, index, flags, _ = _IFINFO.unpack_from(payload)
        if family != AF_UNSPEC:
            return True  # of a port, for its bridge
        whole = True
        if kind == Kind.DELLINK or not flags & _IFF_UP:
            # IPv4 routes go with it, untold (net/ipv4/fib_frontend.c); most links, as ends of veth pairs, have none.
            whole = self._table.drop_routes(index)
        if kind == Kind.DELLINK:
            self._table.drop_link(index)
            self._masters.pop(index, None)
        else:
            found = attributes(payload[_IFINFO.size :])
            ours = self._owner.unmarked(as_text(found.get(_IFLA_IFALIAS))) is not None
            self._table.note_link(index, as_text(found.get(_IFLA_IFNAME)), ours)
            # A master may be a routing domain: its routes go to another table, and only what is new is told.
            master = as_u32(found.get(_IFLA_MASTER))
            moved = self._masters.get(index, 0) != master
            self._masters[index] = master
            whole = whole and not (moved and self._table.has_routes(index))
        return whole

    def _follow_address(self, kind: int, payload: bytes) -> bool:
        index, interfaces = addresses_of(payload)
        if kind == Kind.NEWADDR:
            for interface in interfaces:
                self._table.note_address(index, interface)
            return True
        whole = True
        for interface in interfaces:
            whole = self._table.drop_address(index, interface) and whole
        return whole

    def _follow_route(self, kind: int, flags: int, payload: bytes) -> bool:
        if not _says_something(payload):
            return True
        place, hops, route = route_of(payload)
        if kind == Kind.DELROUTE:
            return self._table.drop_route(place, hops)
        # An IPv6 route of several next hops is told of whole, however many of them are new.
        alone = bool(flags & NLM_F_REPLACE) or (payload[0] != AF_INET and route is not None and len(route.links) > 1)
        return self._table.note_route(place, hops, route, alone)


def addresses_of(payload: bytes) -> tuple[int, list[Interface]]:
    """The link, and what it has by the message: its own end and the other one. A prefix that is a part of a default
    route says nothing of a network."""
    _, prefix, _, _, index = _IFADDR.unpack_from(payload)
    given = attributes(payload[_IFADDR.size :])
    found = dict[Interface, None]()
    for packed in (given.get(_IFA_LOCAL), given.get(_IFA_ADDRESS)):
        if packed is not None and is_somewhere(address := ip_address(packed)):
            length = prefix if prefix > DEFAULT_PART[address.version] else address.max_prefixlen
            found[ip_interface((packed, length))] = None
    return index, list(found)


def _says_something(payload: bytes) -> bool:
    """Whether a route may matter, by its head. Of the local table, which is most of what there is, only whole subnets
    do."""
    return payload[4] != _TABLE_LOCAL or (payload[7] == _RTN_LOCAL and payload[1] != _LENGTHS[payload[0]])


def route_of(payload: bytes) -> tuple[bytes, bytes, Route | None]:
    """The route's place in the kernel's tables, what tells it from others there, and what it says; None for one that
    says nothing of the networks of the host."""
    family, prefix, _, tos, table, protocol, _, kind, _ = _ROUTE.unpack_from(payload)
    found = attributes(payload[_ROUTE.size :])
    packed = found.get(_RTA_DST, b"")
    place = _PLACE.pack(family, prefix, tos, as_u32(found.get(_RTA_TABLE)) or table)
    place += found.get(_RTA_PRIORITY, b"") + b"/" + packed
    several = list(_hops(found.get(_RTA_MULTIPATH, b"")))
    if not several:
        several = [(as_u32(found.get(_RTA_OIF)), found.get(_RTA_GATEWAY, b"") or found.get(_RTA_VIA, b"")[2:])]
    ident = found.get(_RTA_NH_ID, b"")
    hops, links, routers = _ways(kind, ident, tuple(several))
    if not _RTN_UNICAST <= kind <= _RTN_PROHIBIT:
        return place, hops, None
    subnet = ip_network((packed, prefix), strict=False) if prefix and packed else None
    if subnet is not None and not is_somewhere(subnet.network_address):
        subnet = None
    if subnet is None and not routers:
        return place, hops, None
    source = found.get(_RTA_PREFSRC) if protocol != _RTPROT_KERNEL else None
    return place, hops, Route(subnet, links, routers, ip_address(source) if source else None, as_u32(ident))


@lru_cache(1024)
def _ways(
    kind: int, ident: bytes, several: tuple[tuple[int, bytes], ...]
) -> tuple[bytes, tuple[int, ...], tuple[Address, ...]]:
    """What tells the route from others in its place, its links and its routers: the same objects for routes that lead
    the same way, since of a hundred thousand there are only a few different ones."""
    hops = bytes((kind,)) + ident + b"".join(link.to_bytes(4, "big") + router for link, router in several)
    routers = tuple(each for _, router in several if router and is_somewhere(each := ip_address(router)))
    return hops, tuple(dict.fromkeys(link for link, _ in several if link)), routers


def _hops(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Link and router of each next hop of a route that has several. linux/rtnetlink.h, rtnexthop."""
    offset = 0
    while offset + _HOP.size <= len(data):
        length, _, _, link = _HOP.unpack_from(data, offset)
        if length < _HOP.size:
            return
        found = attributes(data[offset + _HOP.size : offset + length])
        yield link, found.get(_RTA_GATEWAY, b"") or found.get(_RTA_VIA, b"")[2:]
        offset += (length + 3) & ~3


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
