"""Sockets of the embedded resolver, made in other network namespaces.

Rules: only a thread of our own changes its namespace, never the loop's; each visit begins by saying where, so it does
not matter where a thread was before, also if it once could not come home; a socket stays where it was made, and tells
by itself where that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from mooring.adapters.dns.query_redirect import Late, lead_queries, table_number
from mooring.adapters.linux.namespace_files import current_namespace, enter, open_namespace
from mooring.adapters.linux.namespace_links import NamespaceLinks
from mooring.core.faults import Fault, Unavailable

T = TypeVar("T")

# Where containers look for a nameserver (libnetwork/sandbox_dns_unix.go).
ADDRESS, PORT = "127.0.0.11", 53
_BACKLOG = 128

_SIOCGSKNS = 0x894C  # linux/sockios.h: a descriptor of the socket's namespace


@dataclass(slots=True)
class Listeners:
    """The two sockets of one namespace. namespace: device and inode, by which the kernel knows it. owner: whose they
    are. table: the number of the table that leads to them."""

    datagram: socket.socket
    stream: socket.socket
    namespace: tuple[int, int]
    owner: str = ""
    table: int = 0

    def lead_queries(self, late: Late = lambda work: work(), *, anew: bool = False) -> None:
        """The table of the thread's namespace leads to these sockets; that of an earlier process is replaced. Port 53
        itself stays free for the container. late, anew: see query_redirect. Raises Conflict, Unavailable."""
        if self.table and table_number() == self.table:
            return
        ports = [one.getsockname()[1] for one in (self.datagram, self.stream)]
        self.table = lead_queries(ADDRESS, PORT, *ports, owner=self.owner, anew=anew, late=late)

    def close(self) -> None:
        """Both are closed."""
        self.datagram.close()
        self.stream.close()


class Visits:
    """Threads that go into namespaces, do one thing after another there, and come home: where this was
    made."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._home = current_namespace()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def home(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do it at home."""
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: self._visit(self._home, work))

    def beside(self, neighbour: socket.socket, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do it in the namespace of the open socket. Raises OSError."""
        space = fcntl.ioctl(neighbour.fileno(), _SIOCGSKNS)

        def go() -> T:
            try:
                return self._visit(space, work)
            finally:
                os.close(space)

        return asyncio.get_running_loop().run_in_executor(self._pool, go)

    def at(self, path: str, work: Callable[[tuple[int, int]], T]) -> asyncio.Future[T]:
        """Do it in the namespace at the path, whose device and inode are told. The future raises NotFound for no
        namespace, Unavailable when it cannot be entered, and what the work raises."""

        def go() -> T:
            space = open_namespace(path)
            try:
                facts = os.fstat(space)
                return self._visit(space, lambda: work((facts.st_dev, facts.st_ino)), path)
            finally:
                os.close(space)

        return asyncio.get_running_loop().run_in_executor(self._pool, go)

    def later(self, work: Callable[[], None]) -> None:
        """Do it at some time before `close` ends, wherever; may be called by any thread."""
        self._pool.submit(work)

    def close(self) -> None:
        """The thread has done what it was given and is gone."""
        self._pool.shutdown()
        if self._home >= 0:
            os.close(self._home)
            self._home = -1

    def _visit(self, space: int, work: Callable[[], T], path: str = "") -> T:
        try:
            enter(space)
        except OSError as error:
            if not path:
                raise
            raise Unavailable(f"namespace {path} cannot be entered: {error.strerror}") from error
        try:
            return work()
        finally:
            # Should it fail: see the module's rules. The namespace then lives until the next visit.
            with contextlib.suppress(OSError):
                enter(self._home)


def raise_loopback() -> None:
    """That of the thread's namespace is up; of one which somebody else made it may be down still. Raises OSError."""
    with contextlib.closing(NamespaceLinks()) as links:
        links.raise_loopback()


def open_listeners(
    namespace: tuple[int, int], owner: str = "", late: Late = lambda work: work(), *, anew: bool = False
) -> Listeners:
    """Sockets of the thread's namespace at the resolver's address, at ports that the kernel chooses, and the table that
    leads queries to them. late, anew: see query_redirect. Raises Conflict, Unavailable."""
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    made = Listeners(datagram, stream, namespace, owner)
    try:
        # Before: a socket that is bound while it is down may be taken, and then answers from 127.0.0.1 for ever.
        raise_loopback()
        datagram.bind((ADDRESS, 0))
        stream.bind((ADDRESS, 0))
        stream.listen(_BACKLOG)
        made.lead_queries(late, anew=anew)
    except OSError as error:
        made.close()
        raise Unavailable(f"names cannot be answered at {ADDRESS}: {error.strerror}") from error
    except Fault:
        made.close()
        raise
    return made


def upstream_socket(address: IPv4Address | IPv6Address, kind: socket.SocketKind, port: int = PORT) -> socket.socket:
    """A socket that is connected, or on its way to it, to the server's port. Raises OSError."""
    made = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            made.connect((str(address), port))
    except OSError:
        made.close()
        raise
    return made
