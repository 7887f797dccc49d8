"""The host's bridges that are not ours, by rtnetlink, and what the kernel itself tells of whose they are.

Rules: a bridge of Docker's has nothing but the host ends of veth pairs as ports, and no route through a gateway leaves
by it; what has either is how the host reaches something else. The kernel filters, so that the cost in here grows with
the foreign bridges only.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from ipaddress import ip_address, ip_network

from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import (
    Message,
    Netlink,
    NetlinkError,
    as_text,
    as_u32,
    attribute,
    attributes,
    nest,
    text,
    u32,
)
from mooring.core.datapath import MARK
from mooring.core.networks import Address

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_EXT_MASK = 3, 10, 18, 20, 29
_INFO_KIND, _FILTER_SKIP_STATS = 1, 8
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 1, 4, 5, 9, 18
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6
# Addresses that are everywhere by the default route, if there is one (RFC 5737, RFC 3849).
_ELSEWHERE = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEXT_HOP = struct.Struct("=HBBi")
# Every owner's mark begins so (netlink/ownership).
_OURS = MARK.removesuffix(":")
# The head of the alias of a link of ours, without its length; no other attribute has such bytes in it.
_OUR_ALIAS = struct.pack("=H", _IFLA_IFALIAS) + MARK.encode()


def host_bridges(netlink: Netlink, owner: Owner = DAEMON) -> dict[str, bool]:
    """Name of each bridge that is neither the owner's nor the daemon's -> whether it cannot be Docker's: the host goes
    out by it, it has a port that no container has, or it is another owner's. Raises NetlinkError."""
    found: dict[str, bool] = {}
    foreign: dict[int, str] = {}
    for index, link in _links(netlink, nest(_IFLA_LINKINFO, text(_INFO_KIND, "bridge"))):
        alias = as_text(link.get(_IFLA_IFALIAS))
        name = as_text(link.get(_IFLA_IFNAME))
        if alias.startswith(MARK) or owner.unmarked(alias) is not None:
            continue  # every table has its own set for its own
        found[name] = alias.startswith(_OURS + ".")
        if not found[name]:
            foreign[index] = name
    for index, name in foreign.items():
        ports = _links(netlink, u32(_IFLA_MASTER, index))
        found[name] = any(_kind(port) != "veth" for _, port in ports if as_u32(port.get(_IFLA_MASTER)) == index)
    asked = {index for index, name in foreign.items() if not found[name]}
    for index in _gateways(netlink, asked) if asked else ():
        found[foreign[index]] = True
    return found


class ContainerBridges:
    """Whether who asks is a container on this host, as far as the kernel tells. now: steady seconds; what was read of a
    bridge counts for `period` of them."""

    def __init__(self, now: Callable[[], float], period: float = 2.0) -> None:
        self._now = now
        self._period = period
        self._known: dict[int, tuple[float, tuple[str, ...]]] = {}

    def holds(self, index: int, source: Address) -> bool:
        """The interface is a bridge that leads to nothing but containers, and the address is in a subnet of its own.

        Four questions to the kernel at the most. What it does not tell is a no.
        """
        until, subnets = self._known.get(index, (0.0, ()))
        if self._now() >= until:
            try:
                with closing(Netlink()) as netlink:
                    subnets = _subnets(netlink, index) if _holds_containers(netlink, index) else ()
            except OSError:
                subnets = ()
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            self._known[index] = self._now() + self._period, subnets
        return any(source in ip_network(subnet) for subnet in subnets)


# Bridges of which something is remembered.
_MOST_KNOWN = 1024


def _holds_containers(netlink: Netlink, index: int) -> bool:
    """As host_bridges, for one; of routes it looks for the default ones alone, however many there are."""
    request = _IFINFO.pack(0, 0, 0, index, 0, 0) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS)
    link = attributes(netlink.ask(Message(_GETLINK, 0, request))[1][_IFINFO.size :])
    if _kind(link) != "bridge" or as_text(link.get(_IFLA_IFALIAS)).startswith(_OURS):
        return False  # who is behind one of ours is on record
    ports = [port for _, port in _links(netlink, u32(_IFLA_MASTER, index)) if as_u32(port.get(_IFLA_MASTER)) == index]
    return all(_kind(port) == "veth" for port in ports) and index not in set(_default_links(netlink))


def _subnets(netlink: Netlink, index: int) -> tuple[str, ...]:
    found = list[str]()
    for _, payload in netlink.dump(Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, index))):
        _, length, _, _, link = _IFADDR.unpack_from(payload)
        told = attributes(payload[_IFADDR.size :])
        address = told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS)
        if link == index and address:
            found.append(str(ip_network((ip_address(address), length), strict=False)))
    return tuple(found)


def _default_links(netlink: Netlink) -> Iterator[int]:
    for version, address in _ELSEWHERE.items():
        route = _ROUTE.pack(_FAMILIES[version], address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        try:
            told = netlink.ask(Message(_GETROUTE, 0, route + attribute(_RTA_DST, address.packed)))[1]
        except NetlinkError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.EAFNOSUPPORT):
                continue
            raise
        yield as_u32(attributes(told[_ROUTE.size :]).get(_RTA_OIF))


def _links(netlink: Netlink, wanted: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Index and attributes of the links that the filter lets through and that are not the daemon's."""
    request = _IFINFO.pack(0, 0, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS) + wanted
    for _, payload in netlink.dump(Message(_GETLINK, 0, request)):
        if _OUR_ALIAS in payload:
            continue
        yield _IFINFO.unpack_from(payload)[3], dict(attributes(payload[_IFINFO.size :]))


def _kind(link: dict[int, bytes]) -> str:
    return as_text(attributes(link.get(_IFLA_LINKINFO, b"")).get(_INFO_KIND))


def _gateways(netlink: Netlink, links: AbstractSet[int]) -> Iterator[int]:
    """Those of the links by which a route through a gateway or a default route leaves."""
    for _, payload in netlink.dump(Message(_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
        prefix = payload[1]
        route = attributes(payload[_ROUTE.size :])
        if _RTA_MULTIPATH in route:
            yield from links & _hops(route[_RTA_MULTIPATH])
        elif not prefix or _RTA_GATEWAY in route or _RTA_VIA in route:
            yield from links & {as_u32(route.get(_RTA_OIF))}


def _hops(hops: bytes) -> set[int]:
    """The links of a route with several next hops. struct rtnexthop, linux/rtnetlink.h."""
    found, offset = set[int](), 0
    while offset + _NEXT_HOP.size <= len(hops):
        length, _, _, index = _NEXT_HOP.unpack_from(hops, offset)
        if length < _NEXT_HOP.size:
            break
        found.add(index)
        offset += length + (-length % 4)
    return found
