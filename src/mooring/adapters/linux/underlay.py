"""How long a packet to other hosts may be, by rtnetlink.

Rule: what is set up counts, not what a path has turned out to bear a moment ago: that is forgotten after ten minutes
(net.ipv4.route.mtu_expires), and a network must not change with it.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection
from ipaddress import ip_address

from mooring.adapters.netlink.sockets import Message, Netlink, NetlinkError, as_u32, attribute, attributes
from mooring.core.networks import Address

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFLA_MTU = 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_METRICS = 1, 4, 8
_RTAX_MTU = 2
_FIB_MATCH = 0x2000
_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")


def underlay_mtu(netlink: Netlink, local: Address, hosts: Collection[Address]) -> int | None:
    """See Kernel; None where that raises Unavailable. Raises NetlinkError."""
    own = _has(netlink, local)
    if own is None:
        return None
    if not hosts:
        return _link_mtu(netlink, own)
    found = [mtu for host in hosts if (mtu := _route_mtu(netlink, host)) is not None]
    return min(found, default=None)


def _has(netlink: Netlink, address: Address) -> int | None:
    """The index of the link with the address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    for _, payload in netlink.dump(Message(_GETADDR, 0, _IFADDR.pack(family, 0, 0, 0, 0))):
        told = attributes(payload[_IFADDR.size :])
        packed = told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS)
        if packed is not None and ip_address(packed) == address:
            return int(_IFADDR.unpack_from(payload)[4])
    return None


def _link_mtu(netlink: Netlink, index: int) -> int | None:
    try:
        payload = netlink.ask(Message(_GETLINK, 0, _IFINFO.pack(0, 0, 0, index, 0, 0)))[1]
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise
        return None
    return as_u32(attributes(payload[_IFINFO.size :]).get(_IFLA_MTU))


def _route_mtu(netlink: Netlink, host: Address) -> int | None:
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    for flags in (_FIB_MATCH, 0):  # of several next hops, only a lookup names one
        question = _ROUTE.pack(family, host.max_prefixlen, 0, 0, 0, 0, 0, 0, flags) + attribute(_RTA_DST, host.packed)
        try:
            payload = netlink.ask(Message(_GETROUTE, 0, question))[1]
        except NetlinkError:
            return None
        told = attributes(payload[_ROUTE.size :])
        set_for_route = as_u32(attributes(told.get(_RTA_METRICS, b"")).get(_RTAX_MTU))
        if set_for_route:
            return set_for_route
        if link := as_u32(told.get(_RTA_OIF)):
            return _link_mtu(netlink, link)
    return None
