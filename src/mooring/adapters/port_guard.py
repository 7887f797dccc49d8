"""Host ports held by sockets that are bound and never used.

Rules: a held port is refused to every other process by the kernel itself, also as an ephemeral one; nothing is ever
received on it, because published traffic is translated before it gets to a socket; a protocol that the kernel has no
sockets for needs no holding, since no process of the host can take the port either; who holds a taken port is looked
for in a thread and only when asked, since that means reading what every process has open.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.publications import Protocol
from mooring.ports import PortGuard

Place = tuple[Protocol, IPv4Address | IPv6Address, int]

_TYPES = {
    Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_NO_SUCH_SOCKETS = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT)
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# net/tcp_states.h, as /proc shows them.
_TCP_TIME_WAIT, _TCP_LISTEN = "06", "0A"

UNKNOWN_HOLDER = "a process that cannot be told"


class SocketPortGuard(PortGuard):
    """Holds ports of the network namespace of the calling thread."""

    def __init__(self) -> None:
        self._held: dict[Place, socket.socket | None] = {}

    async def hold(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """See PortGuard. Raises also BadRequest when the host does not have the address."""
        place = protocol, host, port
        if place in self._held:
            return
        kind, number = _TYPES[protocol]
        family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        label = f"host port {port}/{protocol.label}"
        try:
            guard = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
        except OSError as error:
            if error.errno in _NO_SUCH_SOCKETS:
                self._held[place] = None
                return
            raise Unavailable(f"{label} cannot be held: {error.strerror}") from error
        try:
            if family == socket.AF_INET6:
                guard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # The kernel's minimum: a datagram that does get here is not worth memory.
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            _bind(guard, protocol, host, port)
        except OSError as error:
            guard.close()
            if error.errno == errno.EADDRINUSE:
                raise Conflict(
                    f"{label} is taken at {host}",
                    hint=f"stop it, or publish another port; see `ss -lnp 'sport = {port}'`",
                ) from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadRequest(
                    f"{label} cannot be published at {host}: the host has no such address", hint="see `ip address`"
                ) from error
            raise Unavailable(f"{label} cannot be held at {host}: {error.strerror}") from error
        self._held[place] = guard

    async def holder(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> str:
        """See PortGuard."""
        # A worker thread may be in another network namespace than we are; its view of ours goes through this thread.
        tables = Path(f"/proc/self/task/{threading.get_native_id()}/net")
        return await asyncio.to_thread(_holder, tables, protocol, host, port)

    async def let_go(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """See PortGuard."""
        guard = self._held.pop((protocol, host, port), None)
        if guard is not None:
            guard.close()

    async def ephemeral(self) -> tuple[int, int]:
        """See PortGuard."""
        return _ephemeral_range()

    def close(self) -> None:
        """Every port is free again."""
        for guard in self._held.values():
            if guard is not None:
                guard.close()
        self._held.clear()


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = _RANGE.read_text().split()
    except (OSError, ValueError) as error:
        raise Unavailable(f"the ephemeral port range cannot be read: {error}") from error
    return int(low), int(high)


def _bind(guard: socket.socket, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
    """The socket has the port. Raises OSError.

    Connections that have ended keep a TCP port for a minute (TIME_WAIT), and only who asks for SO_REUSEADDR gets it
    then. A socket that listens is in the way all the same. The option is taken back at once, because two sockets that
    have it and do not listen share a port (net/ipv4/inet_connection_sock.c, inet_csk_bind_conflict): who else is about
    to listen is refused when it does.
    """
    try:
        guard.bind((str(host), port))
    except OSError as error:
        if protocol is not Protocol.TCP or error.errno != errno.EADDRINUSE:
            raise
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guard.bind((str(host), port))
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def _holder(tables: Path, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> str:
    """The process that has the port. tables: /proc/net of the namespace."""
    sockets = list(_sockets(tables, protocol, host, port))
    inodes = {inode for state, inode in sockets if protocol is not Protocol.TCP or state == _TCP_LISTEN}
    if not inodes:
        ending = any(state == _TCP_TIME_WAIT for state, _ in sockets) and protocol is Protocol.TCP
        return "connections that have just ended, for a minute" if ending else UNKNOWN_HOLDER
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        if not wanted.isdisjoint(_open_files(process)):
            try:
                return f"process {(process / 'comm').read_text().strip()} ({process.name})"
            except OSError:
                continue  # it ended just now
    return UNKNOWN_HOLDER


def _open_files(process: Path) -> Iterator[str]:
    """What a process has open, as far as we may look and it does not close it meanwhile."""
    try:
        entries = os.listdir(process / "fd")
    except OSError:
        return
    for entry in entries:
        try:
            yield os.readlink(process / "fd" / entry)
        except OSError:
            continue


def _sockets(tables: Path, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> Iterator[tuple[str, str]]:
    """State and inode of the sockets at the port whose address meets the host's (proc_net_tcp.rst of the kernel)."""
    for table in (protocol.label, f"{protocol.label}6"):
        try:
            lines = (tables / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if int(number, 16) == port and _meets(address, host):
                yield fields[3], fields[9]


def _meets(shown: str, host: IPv4Address | IPv6Address) -> bool:
    """Whether a local address, as /proc shows it, is the host's, or either is the wildcard."""
    words = [bytes.fromhex(shown[at : at + 8])[::-1] for at in range(0, len(shown), 8)]
    packed = b"".join(words)
    if not any(packed) or int(host) == 0:
        return True
    return packed in (host.packed, b"\0" * 10 + b"\xff\xff" + host.packed)
