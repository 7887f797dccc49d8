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
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from mooring.core.faults import Conflict, Exhausted, Fault, Unavailable
from mooring.core.port_bindings import Protocol
from mooring.core.refused_starts import no_such_address
from mooring.ports import PortGuard

ANY4, ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")

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

# Seconds for which a port that we have just let go may look taken: a process that we start (iptables) has copies of all
# our sockets until it becomes its program. And seconds between two attempts.
_COPIED, _PAUSE = 0.05, 0.001

UNKNOWN_HOLDER = "a process that Mooring cannot identify"


class SocketPortGuard(PortGuard):
    """Holds ports of the network namespace of the calling thread. most: sockets that it may have for that.

    A port of every address of both families is held by one socket, which is half as many for what is published without
    an address. It holds both until both are let go.
    """

    def __init__(self, most: int = 1 << 20) -> None:
        self._held: dict[Place, socket.socket | None] = {}
        self._most = most
        self._open = 0
        self._both: set[socket.socket] = set()  # those that hold both families
        self._closed = float("-inf")  # when one was closed, time.monotonic()

    async def hold(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """See PortGuard. Raises also Exhausted for too many."""
        place = protocol, host, port
        if place in self._held:
            return
        twin = _twin(place)
        other = self._held.get(twin) if twin is not None else None
        if twin is not None and other is not None:
            self._held[place] = other if other in self._both else self._widened(place, twin, other)
            return
        if self._open >= self._most:
            raise Exhausted(
                f"{_label(place)} cannot be bound: {self._open} host ports are, the most that open files allow",
                hint="publish fewer ports, or raise LimitNOFILE of mooring.service",
            )
        self._held[place] = guard = self._held_socket(place, host.version == 6)
        self._open += guard is not None

    def _widened(self, place: Place, twin: Place, other: socket.socket) -> socket.socket | None:
        """One socket in the place of the twin's, for both families; None when the kernel has none for this one.

        The twin's port is nobody's for the moment between the two; who is quicker then has it, and is told as the
        holder. Raises as `hold`; the twin is held as before.
        """
        wide = _new_socket((place[0], ANY6, place[2]), alone=False)
        if wide is None:
            return None
        self._close(other)
        try:
            _bound(wide, (place[0], ANY6, place[2]), self._closed + _COPIED)
        except Fault as fault:
            try:
                self._held[twin] = self._held_socket(twin, alone=True)
            except Fault:
                del self._held[twin]
                self._open -= 1
            raise type(fault)(fault.what.replace(str(ANY6), str(place[1])), hint=fault.hint) from fault
        self._held[twin] = wide
        self._both.add(wide)
        return wide

    def _held_socket(self, place: Place, alone: bool) -> socket.socket | None:
        """A socket that has the place; None when the kernel has none. alone: in its own family only. As `hold`."""
        guard = _new_socket(place, alone)
        if guard is not None:
            _bound(guard, place, self._closed + _COPIED)
        return guard

    def _close(self, guard: socket.socket) -> None:
        guard.close()
        self._closed = time.monotonic()

    async def holder(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> str:
        """See PortGuard."""
        # A worker thread may be in another network namespace than we are; its view of ours goes through this thread.
        tables = Path(f"/proc/self/task/{threading.get_native_id()}/net")
        return await asyncio.to_thread(_holder, tables, protocol, host, port)

    async def release(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """See PortGuard."""
        place = protocol, host, port
        guard, twin = self._held.pop(place, None), _twin(place)
        if guard is not None and (twin is None or self._held.get(twin) is not guard):
            self._close(guard)
            self._both.discard(guard)
            self._open -= 1

    async def has(self, host: IPv4Address | IPv6Address) -> bool:
        """See PortGuard. The kernel is asked as `hold` does: an address of IPv6 that is still tentative is none yet."""
        place = Protocol.UDP, host, 0
        try:
            guard = _new_socket(place, alone=True)
            if guard is not None:
                with guard:
                    guard.bind((str(host), 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
        return guard is not None

    async def ephemeral(self) -> tuple[int, int]:
        """See PortGuard."""
        return _ephemeral_range()

    def close(self) -> None:
        """Every port is free again."""
        for guard in self._held.values():
            if guard is not None:
                guard.close()
        self._held.clear()
        self._both.clear()
        self._open = 0


def _label(place: Place) -> str:
    return f"host port {place[2]}/{place[0].label}"


def _twin(place: Place) -> Place | None:
    """Every address of the other family, for every address of one."""
    if place[1] not in (ANY4, ANY6):
        return None
    return place[0], ANY6 if place[1] == ANY4 else ANY4, place[2]


def _new_socket(place: Place, alone: bool) -> socket.socket | None:
    protocol, host, _ = place
    kind, number = _TYPES[protocol]
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    try:
        guard = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    except OSError as error:
        if error.errno in _NO_SUCH_SOCKETS:
            return None
        raise Unavailable(f"{_label(place)} cannot be bound: {error.strerror}") from error
    if family == socket.AF_INET6:
        guard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(alone))
    # The kernel's minimum: a datagram that does get here is not worth memory.
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    return guard


def _bound(guard: socket.socket, place: Place, until: float) -> None:
    """The socket has the place, or is closed. until: time.monotonic() up to which a place that is taken is tried again,
    without a turn for anybody else. Raises as `hold`."""
    protocol, host, port = place
    try:
        while not _bind(guard, protocol, host, port, time.monotonic() < until):
            time.sleep(_PAUSE)
    except OSError as error:
        guard.close()
        if error.errno == errno.EADDRINUSE:
            # The DNS server has port 53 of one address: nobody should stop Mooring for it.
            one = f"publish it at one address of the host (`-p ADDRESS:{port}:...`), " if host in (ANY4, ANY6) else ""
            raise Conflict(
                f"{_label(place)} is already in use on {host}",
                hint=f"{one}publish another port, or stop the other; see `ss -lnp 'sport = {port}'`",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise no_such_address(_label(place), host) from error
        raise Unavailable(f"{_label(place)} cannot be bound on {host}: {error.strerror}") from error


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = _RANGE.read_text().split()
    except (OSError, ValueError) as error:
        raise Unavailable(f"the ephemeral port range cannot be read: {error}") from error
    return int(low), int(high)


def _bind(
    guard: socket.socket, protocol: Protocol, host: IPv4Address | IPv6Address, port: int, patient: bool
) -> bool:  # fmt: skip
    """Whether the socket has the port. patient: that it is taken is no error. Raises OSError.

    Connections that have ended keep a TCP port for a minute (TIME_WAIT), and only who asks for SO_REUSEADDR gets it
    then. A socket that listens is in the way all the same. The option is taken back at once, because two sockets that
    have it and do not listen share a port (net/ipv4/inet_connection_sock.c, inet_csk_bind_conflict): who else is about
    to listen is refused when it does.
    """
    try:
        guard.bind((str(host), port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or (protocol is not Protocol.TCP and not patient):
            raise
        if protocol is not Protocol.TCP:
            return False
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            guard.bind((str(host), port))
        except OSError as again:
            if again.errno != errno.EADDRINUSE or not patient:
                raise
            return False
        finally:
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return True


def _holder(tables: Path, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> str:
    """The process that has the port. tables: /proc/net of the namespace."""
    sockets = list(_sockets(tables, protocol, host, port))
    inodes = {inode for state, inode in sockets if protocol is not Protocol.TCP or state == _TCP_LISTEN}
    if not inodes:
        ending = any(state == _TCP_TIME_WAIT for state, _ in sockets) and protocol is Protocol.TCP
        return "recently closed connections in TIME_WAIT, for a minute" if ending else UNKNOWN_HOLDER
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        if not wanted.isdisjoint(_open_files(process)):
            if int(process.name) == os.getpid():
                return f"Mooring's own process ({process.name})"  # the DNS server, a listener, a published port
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
