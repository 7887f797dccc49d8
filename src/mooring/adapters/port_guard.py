"""Host ports held by sockets that are bound and never used.

Rules: a held port is refused to every other process by the kernel itself, also as an ephemeral one; nothing is ever
received on it, because published traffic is translated before it gets to a socket; a protocol that the kernel has no
sockets for needs no holding, since no process of the host can take the port either.
"""

from __future__ import annotations

import errno
import os
import socket
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
_TCP_LISTEN = "0A"


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
            guard.bind((str(host), port))
        except OSError as error:
            guard.close()
            if error.errno == errno.EADDRINUSE:
                raise Conflict(
                    f"{label} is taken at {host}",
                    holder=_holder(protocol, host, port) or "a process that cannot be told",
                    hint=f"stop it, or publish another port; see `ss -lnp 'sport = {port}'`",
                ) from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadRequest(
                    f"{label} cannot be published at {host}: the host has no such address", hint="see `ip address`"
                ) from error
            raise Unavailable(f"{label} cannot be held at {host}: {error.strerror}") from error
        self._held[place] = guard

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


def _holder(protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> str:
    """The process that has the port, "" when it cannot be found out."""
    inodes = set(_inodes(protocol, host, port))
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        if not wanted.isdisjoint(_open_files(process)):
            try:
                return f"process {(process / 'comm').read_text().strip()} ({process.name})"
            except OSError:
                continue  # it ended just now
    return ""


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


def _inodes(protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> Iterator[str]:
    """Sockets at the port whose address meets the host's. Documentation/networking/proc_net_tcp.rst."""
    for table in (protocol.label, f"{protocol.label}6"):
        try:
            lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if int(number, 16) != port or (protocol is Protocol.TCP and fields[3] != _TCP_LISTEN):
                continue
            if _meets(address, host):
                yield fields[9]


def _meets(shown: str, host: IPv4Address | IPv6Address) -> bool:
    """Whether a local address, as /proc shows it, is the host's, or either is the wildcard."""
    words = [bytes.fromhex(shown[at : at + 8])[::-1] for at in range(0, len(shown), 8)]
    packed = b"".join(words)
    if not any(packed) or int(host) == 0:
        return True
    return packed in (host.packed, b"\0" * 10 + b"\xff\xff" + host.packed)
