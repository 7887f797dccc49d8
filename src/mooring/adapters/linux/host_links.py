"""Links of the host, and its routes to what is in routing domains, by rtnetlink.

Rules: a route of ours bears a number of ours as the protocol that made it (`ip route show proto 109`) and leaves by a
line of ours; where another route to the subnet is, whoever made it, it stays.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network

from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.sockets import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    NetlinkError,
    as_u32,
    attribute,
    attributes,
    u32,
)
from mooring.core.faults import Conflict, Unavailable
from mooring.core.networks import Subnet
from mooring.core.plumbing import Route

# linux/rtnetlink.h. Protocol numbers above RTPROT_STATIC are anybody's, and the kernel makes nothing of them.
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _PROTOCOL, _UNIVERSE, _UNICAST = 254, 109, 0, 1
_ROUTE = struct.Struct("=BBBBBBBBI")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class HostLinks(Links):
    """Made in the host's namespace. Raises NetlinkError."""

    def routes(self) -> set[Route]:
        """Those of ours. Raises NetlinkError."""
        found = [each for family in _FAMILIES.values() for each in self._routes(family)]
        if not found:
            return set()
        names = {link.index: link.name for link in self.ours()}
        return {Route(names[index], subnet, ip_address(via)) for index, subnet, via in found if index in names}

    def _routes(self, family: int) -> Iterator[tuple[int, Subnet, bytes]]:
        """Link, destination and next hop of each with our number. The kernel picks them out where it can."""
        question = Message(_GETROUTE, 0, _ROUTE.pack(family, 0, 0, 0, 0, _PROTOCOL, 0, 0, 0))
        for _, payload in self._netlink.dump(question, lambda payload: payload[5] == _PROTOCOL):
            told = attributes(payload[_ROUTE.size :])
            if payload[4] == _TABLE_MAIN and _RTA_DST in told and _RTA_GATEWAY in told:
                yield as_u32(told.get(_RTA_OIF)), ip_network((told[_RTA_DST], payload[1])), told[_RTA_GATEWAY]

    def add_route(self, route: Route) -> bool:
        """The host has the route; False when it had. Raises Conflict when it has another one to the subnet that is not
        ours, Unavailable without the link, NetlinkError."""
        payload = self._route(route)
        try:
            self._netlink.request(Message(_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, payload))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise
        else:
            return True
        there = [each for each in self.routes() if each.subnet == route.subnet]
        if route in there:
            return False
        if not there:
            raise Conflict(
                f"this host has a route to {route.subnet} already",
                holder=f"`ip -{route.subnet.version} route show {route.subnet}` shows it",
                hint="remove that, or give the network another --subnet",
            )
        self._netlink.request(Message(_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, payload))
        return True

    def delete_route(self, route: Route) -> None:
        """The host does not have the route. Raises NetlinkError."""
        with suppress(Unavailable):  # it has gone with its link
            payload = self._route(route)
            try:
                self._netlink.request(Message(_DELROUTE, 0, payload))
            except NetlinkError as error:
                if error.errno != errno.ESRCH:
                    raise

    def _route(self, route: Route) -> bytes:
        link = self.find(route.link)
        if link is None:
            raise Unavailable(f"interface {route.link} is missing", hint="try again in a few seconds")
        family, length = _FAMILIES[route.subnet.version], route.subnet.prefixlen
        head = _ROUTE.pack(family, length, 0, 0, _TABLE_MAIN, _PROTOCOL, _UNIVERSE, _UNICAST, 0)
        words = attribute(_RTA_DST, route.subnet.network_address.packed) + attribute(_RTA_GATEWAY, route.via.packed)
        return head + words + u32(_RTA_OIF, link.index)
