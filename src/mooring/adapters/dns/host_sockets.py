"""Sockets of the host's DNS server, which tell by which interface of the namespace that they are in something came."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from ipaddress import IPv4Address
from typing import Any

from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol

_IP_PKTINFO, _IP_PKTOPTIONS = 8, 9  # linux/in.h
_IPV6_2292PKTOPTIONS, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 6, 49, 50  # linux/in6.h
_FREEBIND = 15
# Bytes beside a datagram.
ANCILLARY = socket.CMSG_SPACE(20)
_PKTINFO_BYTES, _INDEX, _INDEX6 = 12, struct.Struct("=i"), struct.Struct("=16xi")
_CONTROL = struct.Struct("@Nii")  # struct cmsghdr
_GET_NAME, _NAME_BYTES, _BY_INDEX = 0x8910, 16, struct.Struct("=16xi20x")  # linux/sockios.h, struct ifreq


class PortTaken(OSError):
    """Somebody else has the port. protocol: which of the two."""

    def __init__(self, error: OSError, protocol: Protocol) -> None:
        super().__init__(error.errno, error.strerror)
        self.protocol = protocol


def host_sockets(address: Address, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets at the address, whether it is there already or not, that tell by which interface something came: in the
    namespace that the thread is in. Raises OSError; PortTaken where another has the port."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    made: list[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
            made.append(one)
            one.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
            if family == socket.AF_INET:
                one.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            else:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            if kind == socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of before a restart
            one.bind((str(address), port))
        made[1].listen(128)
    except OSError as error:
        for one in made:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(error, Protocol.UDP if len(made) == 1 else Protocol.TCP) from error
        raise
    return made[0], made[1]


def stream_interface(connected: Any) -> int:
    """The index of the interface that the connection came in by, 0 where the kernel does not tell."""
    level, option = (
        (socket.IPPROTO_IP, _IP_PKTOPTIONS)
        if connected.family == socket.AF_INET
        else (socket.IPPROTO_IPV6, _IPV6_2292PKTOPTIONS)
    )
    try:
        told = connected.getsockopt(level, option, 256)
    except OSError:
        return 0
    at = 0
    while at + _CONTROL.size <= len(told):
        length, where, what = _CONTROL.unpack_from(told, at)
        data = told[at + _CONTROL.size : at + length]
        if (where, what) in ((socket.IPPROTO_IP, _IP_PKTINFO), (socket.IPPROTO_IPV6, _IPV6_PKTINFO)):
            return arrival_interface([(where, what, data)])
        at += max(length + 7 & ~7, _CONTROL.size)
    return 0


def arrival_interface(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The index in what came beside a datagram, 0 for none: first in in_pktinfo, last in in6_pktinfo. Nothing else was
    asked for, so nothing else is there."""
    if not ancillary:
        return 0
    _, _, data = ancillary[0]
    index: int = (_INDEX if len(data) == _PKTINFO_BYTES else _INDEX6).unpack_from(data)[0]
    return index


def interface_name(served: socket.socket, index: int) -> str:
    """What the interface is called in the namespace that the socket is in, wherever the thread is. Raises OSError."""
    told: bytes = fcntl.ioctl(served, _GET_NAME, _BY_INDEX.pack(index))
    return os.fsdecode(told[:_NAME_BYTES].partition(b"\0")[0])
