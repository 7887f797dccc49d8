"""Who is at the other end of a unix socket, as the kernel noted it when that connected (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("3i")


class Credentials(NamedTuple):
    """struct ucred. pid: 0 for a process of a PID namespace that cannot be seen from here."""

    pid: int
    uid: int
    gid: int


def credentials(transport: asyncio.BaseTransport) -> Credentials | None:
    """Of the peer; None where it is not known, or the socket is another than a unix socket."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    try:
        return Credentials(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))
    except OSError:
        return None
