"""The host's bridges that are not ours, by rtnetlink, and what the kernel itself tells of whose they are.

Rules: a bridge of Docker's has nothing but the host ends of veth pairs as ports, and no route through a gateway leaves
by it; what has either is how the host reaches something else. The kernel filters, so that the cost in here grows with
the foreign bridges only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import Message, Netlink, as_text, as_u32, attributes, nest, text, u32
from mooring.core.datapath import MARK

_GETLINK, _GETROUTE = 18, 26
_IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_EXT_MASK = 3, 10, 18, 20, 29
_INFO_KIND, _FILTER_SKIP_STATS = 1, 8
_RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 4, 5, 9, 18
_IFINFO = struct.Struct("=BBHiII")
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
