"""Who of several on one host has which links and which table, and that each of them is one process only.

Rules: what an owner has in the kernel bears his name, and each sees, changes and removes only his own; the daemon is
the owner "", whose things bear none; an owner is claimed for one network namespace, as links and tables belong to one;
a process that is forked has no part in its parent's claims, or it would keep them when the parent ends.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from mooring.core import firewall
from mooring.core.datapath import MARK
from mooring.core.faults import BadRequest, Conflict, Unavailable

_NAME = re.compile(r"[A-Za-z0-9-]{1,20}", re.ASCII)
_PREFIX = MARK.removesuffix(":")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred, unix(7)
# Nobody ever accepts: who is refused stays in the backlog until the holder ends, and when it is full the next are
# refused without learning whom by.
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner by name: "" for the daemon, else 1 to 20 of ASCII letters, digits and `-`. Raises BadRequest.

    Facts say `mooring:` whoever has them; `mark` is what stands in the kernel in its place.
    """

    name: str = ""

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise BadRequest(f"name {self.name!r} is not 1 to 20 letters, digits and '-'")

    @property
    def mark(self) -> str:
        """How the alias of every link of his begins."""
        return f"{_PREFIX}.{self.name}:" if self.name else MARK

    @property
    def table(self) -> str:
        """The name of his nftables table."""
        return f"{firewall.TABLE}-{self.name}" if self.name else firewall.TABLE

    def marked(self, alias: str) -> str:
        """A fact's alias as it stands in the kernel."""
        return self.mark + alias.removeprefix(MARK)

    def unmarked(self, alias: str) -> str | None:
        """The kernel's alias as facts say it, None when the link is not his."""
        return MARK + alias.removeprefix(self.mark) if alias.startswith(self.mark) else None


DAEMON = Owner()


class Claim:
    """That this process is the owner, until `close` or the process's end. In a forked one it is closed."""

    def __init__(self, lock: socket.socket) -> None:
        self._lock = lock
        _claims.add(self)

    def close(self) -> None:
        """Others may be the owner now. Twice is fine."""
        _claims.discard(self)
        self._lock.close()


_claims: WeakSet[Claim] = WeakSet()


def _give_up_claims() -> None:
    for held in list(_claims):
        held.close()


os.register_at_fork(after_in_child=_give_up_claims)


def claim(owner: str) -> Claim:
    """This process is the owner in the calling thread's network namespace, and no other is, nor this one twice.

    The kernel lets go of it when the process ends in whatever way. Raises Conflict with the process that is the owner,
    BadRequest for what is no owner's name, Unavailable.
    """
    address = f"\0mooring/{Owner(owner).name}"
    # Abstract names belong to the network namespace and end with their socket (unix(7)).
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(address)
        lock.listen(_BACKLOG)  # so that others can ask who we are
    except OSError as error:
        lock.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"the name {owner!r} is in use in this network namespace",
                holder=_holder(address),
                hint="end that process, or choose another owner",
            ) from None
        raise Unavailable(f"the name {owner!r} cannot be claimed: {error.strerror}") from error
    return Claim(lock)


def _holder(address: str) -> str:
    """The process that listens there. It may have ended meanwhile, or be out of sight in another PID namespace."""
    pid = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking, suppress(OSError):
        asking.connect(address)
        pid, _, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if not pid:
        return "a process that Mooring cannot identify"
    try:
        return f"process {Path(f'/proc/{pid}/comm').read_text(errors='replace').strip()} ({pid})"
    except OSError:
        return f"process {pid}"
