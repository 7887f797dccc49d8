"""Whether the host's own addresses and routes may be others than they were, at the price of one system call.

Rules: nobody is waited for; what cannot be an address of the host's, nor lead to one of ours, is no news, as are the
link-local addresses of every veth that comes up and what is made at a bridge of ours; what was missed is news.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from struct import Struct

from mooring.adapters.linux.host_networks import Kind, is_somewhere, route_of
from mooring.adapters.netlink.route_events import IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, RouteEvents
from mooring.adapters.netlink.sockets import NetlinkError, attributes
from mooring.core.networks import BRIDGE_PREFIX

# Bytes: of some hundred events. More of them cost more to read than everything anew.
_ROOM = 1 << 17
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFADDR = Struct("=BBBBi")


class HostNews:
    """Of the network namespace in which it is made and used. Raises OSError at its making."""

    def __init__(self) -> None:
        self._events = RouteEvents(IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE, _ROOM)

    def close(self) -> None:
        """Let go of the socket."""
        self._events.close()

    def any(self) -> bool:
        """Whether there was any since the last call. Never raises."""
        try:
            events = self._events.drain()
        except NetlinkError:
            return True
        return events is None or any(_is_news(kind, payload) for kind, _, payload in events)


def _is_news(kind: int, payload: bytes) -> bool:
    if kind in (Kind.NEWADDR, Kind.DELADDR):
        index = _IFADDR.unpack_from(payload)[4]
        given = attributes(payload[_IFADDR.size :])
        packed = [each for key in (_IFA_ADDRESS, _IFA_LOCAL) if (each := given.get(key)) is not None]
        return any(is_somewhere(ip_address(each)) for each in packed) and not _is_ours(index)
    if kind in (Kind.NEWROUTE, Kind.DELROUTE):
        route = route_of(payload)
        return route is not None and not _is_ours(route[1])
    return True


def _is_ours(index: int) -> bool:
    """By its name, as most of ours have it: taken for the host's, the others cost a look."""
    try:
        return socket.if_indextoname(index).startswith(BRIDGE_PREFIX)
    except OSError:
        return False
