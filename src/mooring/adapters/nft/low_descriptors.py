"""Descriptors with low numbers, kept for a library that waits with select(2).

Rules: glibc ends the program when select(2) is given a descriptor of FD_SETSIZE or more, so such a socket must never
come into being; a new descriptor gets the lowest free number, so low ones are held from the beginning, before the
program has many files open, and given up for the moment in which the library opens its socket; one that somebody else
has closed, as programs do that become daemons, is not ours any more.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from mooring.core.faults import Unavailable

# What select(2) can wait for is below this: FD_SETSIZE of glibc's sys/select.h.
SELECTABLE = 1024
# Sockets that the library can still open when everything else is above: those of four controllers.
KEPT = 8
_libc = ctypes.CDLL(None)
_HINT = "raise the limit of open files (ulimit -n), or open fewer"


def check_room(what: str) -> None:
    """Raises Unavailable unless one more file can be opened."""
    try:
        os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror}", hint=_HINT) from error


class Reserve:
    """Holds up to `count` low descriptors. limit: what counts as low."""

    def __init__(self, count: int = KEPT, limit: int = SELECTABLE) -> None:
        self._count, self._limit = count, limit
        self._kept: dict[int, int] = {}
        self._lock = Lock()
        self.refill()

    def refill(self) -> None:
        """It holds as many as there may be, or as there are."""
        with self._lock:
            self._take()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The reserve is free for the length of the block, which is short: other threads open files, too."""
        with self._lock:
            for number in list(self._kept):
                self._give_up(number)
            try:
                yield
            finally:
                self._take()

    def close(self) -> None:
        """It holds none."""
        with self._lock:
            for number in list(self._kept):
                self._give_up(number)

    def _take(self) -> None:
        for number in [number for number in self._kept if not self._ours(number)]:
            del self._kept[number]
        while len(self._kept) < self._count:
            try:
                number = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()
            except OSError:
                return
            if number >= self._limit:
                os.close(number)
                return
            self._kept[number] = os.fstat(number).st_ino

    def _give_up(self, number: int) -> None:
        if self._ours(number):
            os.close(number)
        del self._kept[number]

    def _ours(self, number: int) -> bool:
        with suppress(OSError):
            return os.fstat(number).st_ino == self._kept[number]
        return False


def netlink_sockets_above(protocol: int, limit: int = SELECTABLE) -> set[str]:
    """The process's netlink sockets of the protocol whose descriptors are not below the limit, as /proc names them.
    Raises OSError."""
    found: set[str] = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        if number >= limit and _option(number, socket.SO_DOMAIN) == socket.AF_NETLINK:
            if _option(number, socket.SO_PROTOCOL) != protocol:
                continue
            with suppress(OSError):  # another thread has closed it meanwhile
                found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found


def _option(number: int, option: int) -> int:
    """The option of a socket that is not ours to wrap in an object; -1 for what is no socket."""
    value, size = ctypes.c_int(-1), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
    _libc.getsockopt(number, socket.SOL_SOCKET, option, ctypes.byref(value), ctypes.byref(size))
    return value.value
