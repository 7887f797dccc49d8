"""What rtnetlink tells of by itself: links, addresses and routes that came, changed and went.

Rule: who listens before he reads everything knows of every change since; what was missed is said, never passed over.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from mooring.adapters.netlink.sockets import NetlinkError

# linux/rtnetlink.h, enum rtnetlink_groups; the last one is asked for by its number, the others fit into the mask.
LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE = (1 << (group - 1) for group in (1, 5, 7, 9, 11))
EVERYTHING = LINK | IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE
_GROUP_NEXTHOP = 32
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SO_RCVBUFFORCE = 33
_HEADER = struct.Struct("=IHHII")
_RECEIVE = 1 << 17
# Bytes: of the events of some hundred containers that come and go between two looks.
_ROOM = 1 << 22


class RouteEvents:
    """Of the network namespace of the thread that makes it. groups: what to listen to. room: bytes; None for much.
    Raises OSError."""

    def __init__(self, groups: int = EVERYTHING, room: int | None = None) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, room or _ROOM)
            self._socket.bind((0, groups))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NEXTHOP)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Of the socket, which is readable when something was told."""
        return self._socket.fileno()

    def drain(self) -> list[tuple[int, int, bytes]] | None:
        """(type, flags, payload) of all that happened since the last call, in order; None when some of it was lost.
        Raises NetlinkError."""
        found: list[tuple[int, int, bytes]] = []
        lost = False
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return None if lost else found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise NetlinkError(error.errno or 0, error.strerror) from error
                lost = True
                continue
            found.extend(_messages(data))


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += length + (-length % 4)
