"""Links, addresses and routes inside a namespace, by rtnetlink.

Rules: the socket stays in the namespace in which it was made, and is used for one piece of work, so that a thousand
namespaces cost nothing while nobody asks; what is ours bears a sign that the kernel keeps: a link its alias, a route
and an address their protocol number. Layouts are those of linux/if_link.h, linux/if_addr.h and linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from mooring.adapters.netlink.sockets import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    NetlinkError,
    as_text,
    as_u32,
    attribute,
    attributes,
    nest,
    text,
    u8,
    u32,
)
from mooring.core.networks import Address, Interface, Subnet
from mooring.ports import Counters

# In rtm_protocol and IFA_PROTO: who made a route or an address. Of those that linux/rtnetlink.h leaves to programs; no
# routing daemon is known to use it. "m" in ASCII.
OUR_PROTOCOL = 0x6D
KERNEL_PROTOCOL, ADVERTISED_PROTOCOL = 2, 9

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26

_LOOPBACK = 1  # its index in every namespace (net/core/dev.c)
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_IFALIAS, _IFLA_STATS64 = 1, 3, 20, 23
_IFLA_AF_SPEC, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 26, 28, 29
_FILTER_SKIP_STATS = 8
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_PROTO = 1, 2, 8, 11
_IFA_F_NODAD, _IFA_F_PERMANENT = 0x02, 0x80
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_TABLE_MAIN, _SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE, _RTN_UNICAST = 254, 0, 253, 255, 1

_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")
_STATS = struct.Struct("=8Q")


@dataclass(frozen=True, slots=True)
class Found:
    """A link as the kernel shows it. alias: "" for none."""

    index: int
    name: str
    alias: str
    mac: str
    up: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table. via None: on-link. index: of its link, 0 when it has several."""

    destination: Subnet
    via: Address | None
    index: int
    protocol: int
    priority: int


@dataclass(frozen=True, slots=True)
class Held:
    """An address on the link of that index, that is to stay. ours: we have made it."""

    index: int
    interface: Interface
    ours: bool


class NamespaceLinks:
    """What rtnetlink can do in the calling thread's namespace. Raises NetlinkError, OSError when there is no socket."""

    def __init__(self) -> None:
        self._netlink = Netlink()

    def close(self) -> None:
        """Let go of the socket."""
        self._netlink.close()

    def cookie(self) -> int | None:
        """The number that the namespace has until the next reboot, and no other after it (socket(7), SO_NETNS_COOKIE);
        None from a kernel before 5.14."""
        return self._netlink.cookie()

    def links(self) -> list[Found]:
        """Every link of the namespace."""
        request = Message(_GETLINK, 0, _info() + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS))
        return [_found(payload) for _, payload in self._netlink.dump(request)]

    def find(self, name: str) -> Found | None:
        """The link of that name, or None, also for what cannot be a link's name."""
        request = _info() + text(_IFLA_IFNAME, name) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS)
        try:
            return _found(self._netlink.ask(Message(_GETLINK, 0, request))[1])
        except NetlinkError as error:
            if error.errno in (errno.ENODEV, errno.ERANGE, errno.EINVAL):
                return None
            raise

    def counters(self) -> Mapping[str, Counters]:
        """What each link but the loopback has carried, by name."""
        found: dict[str, Counters] = {}
        for _, payload in self._netlink.dump(Message(_GETLINK, 0, _info())):
            flags = _IFINFO.unpack_from(payload)[4]
            told = attributes(payload[_IFINFO.size :])
            numbers = told.get(_IFLA_STATS64, b"")
            if flags & _IFF_LOOPBACK or len(numbers) < _STATS.size:
                continue
            rx, tx, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = _STATS.unpack_from(numbers)
            found[as_text(told.get(_IFLA_IFNAME))] = Counters(
                rx_bytes, rx, rx_errors, rx_dropped, tx_bytes, tx, tx_errors, tx_dropped
            )
        return found

    def raise_loopback(self) -> None:
        """The loopback is up."""
        self.set_up(_LOOPBACK, up=True)

    def set_up(self, index: int, *, up: bool) -> None:
        """The link is up, or down and without its routes."""
        flags = _IFF_UP if up else 0
        self._netlink.request(Message(_NEWLINK, 0, _IFINFO.pack(0, 0, 0, index, flags, _IFF_UP)))

    def name(self, index: int, name: str, alias: str, mac: str = "", *, namespace: int | None = None) -> None:
        """The link, which is down, has the name, the alias ("" for none) and, if it is told, the MAC.

        namespace: a file descriptor of the one that it is in afterwards, down and without addresses; all in one step.
        """
        payload = (
            _info(index)
            + (b"" if namespace is None else u32(_IFLA_NET_NS_FD, namespace))
            + text(_IFLA_IFNAME, name)
            + attribute(_IFLA_IFALIAS, alias.encode())
            + (attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b"")
        )
        self._netlink.request(Message(_SETLINK, 0, payload))

    def without_link_local(self, index: int) -> None:
        """The link, which is down, gets no link-local IPv6 address when it comes up."""
        mode = nest(socket.AF_INET6, u8(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE))
        try:
            self._netlink.request(Message(_SETLINK, 0, _info(index) + nest(_IFLA_AF_SPEC, mode)))
        except NetlinkError as error:
            if error.errno != errno.EAFNOSUPPORT:  # the kernel or the link is without IPv6
                raise

    def delete(self, index: int) -> None:
        """The link is gone, with its other end. Takes an RCU grace period."""
        try:
            self._netlink.request(Message(_DELLINK, 0, _info(index)))
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, index: int, interface: Interface) -> None:
        """The link has the address, usable at once."""
        flags = _IFA_F_PERMANENT | (_IFA_F_NODAD if interface.version == 6 else 0)
        payload = _address(index, interface) + u32(_IFA_FLAGS, flags) + u8(_IFA_PROTO, OUR_PROTOCOL)
        try:
            self._netlink.request(Message(_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, payload))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise

    def delete_address(self, index: int, interface: Interface) -> None:
        """The link does not have the address."""
        try:
            self._netlink.request(Message(_DELADDR, 0, _address(index, interface)))
        except NetlinkError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    def addresses(self) -> list[Held]:
        """Every address that somebody gave for good, of both families.

        Linux before 5.18 does not keep who made an address: there all count as ours but the link-local ones of IPv6.
        """
        told: list[tuple[Held, int | None]] = []
        for _, payload in self._netlink.dump(Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0))):
            _, prefix, _, _, index = _IFADDR.unpack_from(payload)
            found = attributes(payload[_IFADDR.size :])
            packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
            if packed is not None:
                protocol = found[_IFA_PROTO][0] if _IFA_PROTO in found else None
                permanent = bool(as_u32(found.get(_IFA_FLAGS)) & _IFA_F_PERMANENT)
                held = Held(index, ip_interface((packed, prefix)), ours=permanent)
                told.append((held, protocol))
        # The loopback's addresses have a protocol where the kernel knows of any.
        kept = any(protocol is not None for _, protocol in told)
        return [
            Held(held.index, held.interface, held.ours and (protocol == OUR_PROTOCOL if kept else _chosen(held)))
            for held, protocol in told
        ]

    def routes(self) -> Iterator[Route]:
        """The unicast routes of the main table, of both families."""
        for _, payload in self._netlink.dump(Message(_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
            family, prefix, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(payload)
            found = attributes(payload[_ROUTE.size :])
            if kind != _RTN_UNICAST or (as_u32(found.get(_RTA_TABLE)) or table) != _TABLE_MAIN:
                continue
            packed = found.get(_RTA_DST) or bytes(4 if family == socket.AF_INET else 16)
            gateway = found.get(_RTA_GATEWAY)
            yield Route(
                ip_network((packed, prefix)),
                None if gateway is None else ip_address(gateway),
                as_u32(found.get(_RTA_OIF)),
                protocol,
                as_u32(found.get(_RTA_PRIORITY)),
            )

    def put_route(self, destination: Subnet, via: Address | None, index: int) -> None:
        """There is such a route, in the place of another to the same destination: at no moment is there none."""
        scope = _SCOPE_LINK if via is None and destination.version == 4 else _SCOPE_UNIVERSE
        payload = _route(destination, via, index, scope)
        self._netlink.request(Message(_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, payload))

    def delete_route(self, destination: Subnet, via: Address | None, index: int) -> None:
        """There is no such route of ours; one by another way stays."""
        try:
            self._netlink.request(Message(_DELROUTE, 0, _route(destination, via, index, _SCOPE_NOWHERE)))
        except NetlinkError as error:
            if error.errno not in (errno.ESRCH, errno.ENODEV):
                raise


def _chosen(held: Held) -> bool:
    return held.interface.version == 4 or not held.interface.ip.is_link_local


def _info(index: int = 0) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, 0, index, 0, 0)


def _found(payload: bytes) -> Found:
    _, _, _, index, flags, _ = _IFINFO.unpack_from(payload)
    told = attributes(payload[_IFINFO.size :])
    mac = told.get(_IFLA_ADDRESS, b"").hex(":")
    return Found(index, as_text(told.get(_IFLA_IFNAME)), as_text(told.get(_IFLA_IFALIAS)), mac, bool(flags & _IFF_UP))


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _address(index: int, interface: Interface) -> bytes:
    packed = interface.ip.packed
    head = _IFADDR.pack(_family(interface.version), interface.network.prefixlen, 0, 0, index)
    return head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)


def _route(destination: Subnet, via: Address | None, index: int, scope: int) -> bytes:
    head = _ROUTE.pack(
        _family(destination.version), destination.prefixlen, 0, 0, _TABLE_MAIN, OUR_PROTOCOL, scope, _RTN_UNICAST, 0
    )
    payload = head + u32(_RTA_OIF, index)
    if destination.prefixlen:
        payload += attribute(_RTA_DST, destination.network_address.packed)
    if via is not None:
        payload += attribute(_RTA_GATEWAY, via.packed)
    return payload
