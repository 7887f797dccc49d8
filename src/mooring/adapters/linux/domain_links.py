"""Links and the way out in a routing domain, by rtnetlink.

Rule: the host's own namespace is nobody's sandbox, so an interface whose other end is there is nobody's yet.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from ipaddress import ip_address

from mooring.adapters.linux.links import Link, Links
from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import NLM_F_CREATE, NLM_F_REPLACE, Message, as_u32, attribute, attributes, u32
from mooring.core.networks import Address

# linux/rtnetlink.h, linux/net_namespace.h
_NEWROUTE, _GETROUTE, _GETNSID = 24, 26, 90
_RTA_OIF, _RTA_GATEWAY = 4, 5
_TABLE_MAIN, _PROTOCOL_STATIC, _UNICAST = 254, 4, 1
_NETNSA_NSID, _NETNSA_FD = 1, 3
_ROUTE = struct.Struct("=BBBBBBBBI")
_RTGEN = struct.pack("=B3x", socket.AF_UNSPEC)


class DomainLinks(Links):
    """Made in a domain. host: a file descriptor of the host's namespace. Raises NetlinkError."""

    def __init__(self, host: int, owner: Owner = DAEMON) -> None:
        super().__init__(owner)
        self._host = host
        self._home: int | None = None

    def home(self) -> int | None:
        """What the kernel calls the host's namespace in here; None while nothing joins the two."""
        if self._home is None:
            answer = self._netlink.ask(Message(_GETNSID, 0, _RTGEN + u32(_NETNSA_FD, self._host)))[1]
            told = attributes(answer[len(_RTGEN) :]).get(_NETNSA_NSID)
            number = struct.unpack("=i", told)[0] if told is not None and len(told) == 4 else -1
            self._home = number if number >= 0 else None
        return self._home

    def _link(self, payload: bytes) -> Link:
        link = super()._link(payload)
        return replace(link, beyond=None) if link.beyond is not None and link.beyond == self.home() else link

    def routers(self) -> set[tuple[int, Address]]:
        """Link index and next hop of each default route."""
        found = set[tuple[int, Address]]()
        for _, payload in self._netlink.dump(Message(_GETROUTE, 0, bytes(_ROUTE.size))):
            _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
            told = attributes(payload[_ROUTE.size :])
            if length == 0 and table == _TABLE_MAIN and kind == _UNICAST and _RTA_GATEWAY in told:
                found.add((as_u32(told.get(_RTA_OIF)), ip_address(told[_RTA_GATEWAY])))
        return found

    def set_default_route(self, index: int, router: Address) -> None:
        """What is for elsewhere goes there."""
        family = socket.AF_INET if router.version == 4 else socket.AF_INET6
        head = _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, 0, _UNICAST, 0)
        route = head + attribute(_RTA_GATEWAY, router.packed) + u32(_RTA_OIF, index)
        self._netlink.request(Message(_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route))
