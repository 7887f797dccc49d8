"""Whether the host's own addresses and routes may be others than they were, at the price of one system call.

Rules: nobody is waited for; what cannot be an address of the host's, nor lead to one of ours, is no news, as are the
link-local addresses of every veth that comes up and what is made at a bridge of ours; what was missed is news.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from struct import Struct

from mooring.adapters.linux.host_networks import Kind, is_somewhere, route_of
from mooring.adapters.netlink.route_events import IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, RouteEvents
from mooring.adapters.netlink.sockets import NetlinkError, attributes
from mooring.core.networks import BRIDGE_PREFIX, Address

# Bytes: of some hundred events. More of them cost more to read than everything anew.
_ROOM = 1 << 17
# Seconds that what follows on something new is waited for, so that a thousand routes are one look.
_PAUSE = 1.0
# Routers that are remembered: a host that meets more of them looks more often than it must.
_MOST_ROUTERS = 1024
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFADDR = Struct("=BBBBi")


class HostNews:
    """Of the network namespace in which it is made and used. Raises OSError at its making.

    all_routes: also a route is news that leads to no single address, and by a router that is known already.
    """

    def __init__(self, *, all_routes: bool = False) -> None:
        self._events = RouteEvents(IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE, _ROOM)
        self._all_routes = all_routes
        self._routers: set[Address] = set()

    def close(self) -> None:
        """Let go of the socket."""
        self._events.close()

    def any(self) -> bool:
        """Whether there was any since the last call. Never raises."""
        try:
            events = self._events.drain()
        except NetlinkError:
            return True
        # Each of them is looked at: what was known at one is no news at the next call.
        return events is None or sum(self._is_news(kind, payload) for kind, _, payload in events) > 0

    async def come(self) -> None:
        """Returns when there was any since it returned last, soon after it came; costs nothing until then."""
        loop = asyncio.get_running_loop()
        while not self.any():
            readable = asyncio.Event()
            loop.add_reader(self._events.fileno(), readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._events.fileno())
            await asyncio.sleep(_PAUSE)

    def _is_news(self, kind: int, payload: bytes) -> bool:
        if kind in (Kind.NEWADDR, Kind.DELADDR):
            index = _IFADDR.unpack_from(payload)[4]
            given = attributes(payload[_IFADDR.size :])
            packed = [each for key in (_IFA_ADDRESS, _IFA_LOCAL) if (each := given.get(key)) is not None]
            return any(is_somewhere(ip_address(each)) for each in packed) and not _is_ours(index)
        if kind not in (Kind.NEWROUTE, Kind.DELROUTE):
            return True
        route = route_of(payload)[2]
        if route is None or (len(route.links) == 1 and _is_ours(route.links[0])):
            return False
        if kind == Kind.DELROUTE:
            # One that has other routes, too, stays the host's until the next look, which harms nobody.
            self._routers.difference_update(route.routers)
        single = route.subnet is None or route.subnet.prefixlen == route.subnet.max_prefixlen
        new = kind == Kind.NEWROUTE and not self._routers.issuperset(route.routers)
        if new and len(self._routers) < _MOST_ROUTERS:
            self._routers.update(route.routers)
        return self._all_routes or single or new


def _is_ours(index: int) -> bool:
    """By its name, as most of ours have it: taken for the host's, the others cost a look."""
    try:
        return socket.if_indextoname(index).startswith(BRIDGE_PREFIX)
    except OSError:
        return False
