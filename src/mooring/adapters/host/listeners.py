"""Sockets that we listen on, and the lock of the one instance that may.

Rules: a socket is never open to more people than its mode says, not for a moment; the socket of a living process is
never taken; at the end only a file that is still ours is removed.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import socket
import stat
from contextlib import suppress
from pathlib import Path

from mooring.core.faults import Conflict, Unavailable

BACKLOG = 512
_FREEBIND = 15  # <linux/in.h> IP_FREEBIND, for IPv6 as well


class InstanceLock:
    """An exclusive lock on a file, held until closed or until the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Raises Conflict, naming the process, when another one holds it; Unavailable when the file cannot be made."""
        make_directory(path.parent, 0o755)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise Conflict(
                f"another mooring serves {path.parent}",
                holder=f"process {holder}" if holder else "",
                hint="stop it first, or give this one its own --run-dir, --state-dir and --plugin-socket",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of it. The file stays: removing it would let two processes lock two files of one name."""
        with suppress(OSError):
            os.close(self._descriptor)


def make_directory(path: Path, mode: int) -> None:
    """The directory is there; its parents too. Raises Unavailable when it cannot be made."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create the directory {path}: {error.strerror}") from error


def listen(path: Path, mode: int, group: str = "", owner: str = "") -> socket.socket:
    """Listen on a unix stream socket, not blocking. owner, group: names or numbers, "" for this process's own.

    A stale socket file is replaced. Raises Conflict when a living process listens there or the file is no socket,
    Unavailable for everything else.
    """
    make_directory(path.parent, 0o755)
    _refuse_if_taken(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    umask = os.umask(0o177)  # nobody else may connect before the mode is the right one
    try:
        uid, gid = _number(path, "user", owner), _number(path, "group", group)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        if uid >= 0 or gid >= 0:
            os.chown(path, uid, gid)
        path.chmod(mode)
        listener.listen(BACKLOG)
    except Unavailable:
        listener.close()
        raise
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {path}: {error.strerror}") from error
    finally:
        os.umask(umask)
    return listener


def _number(path: Path, what: str, name: str) -> int:
    """The id of the user or group, -1 for "". A number need not be known to this host."""
    if not name or (name.isascii() and name.isdecimal()):
        return int(name or -1)
    try:
        return grp.getgrnam(name).gr_gid if what == "group" else pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise Unavailable(f"cannot give {path} to the {what} {name}: there is no such {what}") from error


def has_address(host: str) -> bool:
    """Whether the address is the host's now, so that somebody may come by it."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as asked:
            asked.bind((host, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen on a TCP port, not blocking. host: an address; one that the host does not have is served as soon as it
    comes (`has_address`). Raises Conflict when the port is taken, Unavailable for everything else."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"cannot listen on {where}: {error.strerror}") from error
    try:
        # A restart must not wait for the connections of the process before it to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # One that DHCP or a VPN brings after the boot keeps nothing else waiting.
        listener.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"{where} is already in use",
                holder="a running process",
                hint=f"`ss -tlnp sport = {port}` shows which; stop it first",
            ) from error
        raise Unavailable(f"cannot listen on {where}: {error.strerror}") from error
    return listener


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the socket file, None when there is none; what `remove` asks for."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(path: Path, made: tuple[int, int] | None) -> None:
    """The socket file is gone if it is still the one that was made; another's stays."""
    if made is not None and identity(path) == made:
        with suppress(OSError):
            path.unlink()


def link(path: Path, to: Path) -> None:
    """The path leads to the socket, which is in the same folder; dockerd names a plugin by the file.

    A link or a stale socket file is replaced. Raises Conflict when a living process listens there or the file is
    neither, Unavailable for everything else.
    """
    make_directory(path.parent, 0o755)
    if not path.is_symlink():
        _refuse_if_taken(path)
    elif os.readlink(path) == to.name:
        return
    try:
        path.unlink(missing_ok=True)
        path.symlink_to(to.name)
    except OSError as error:
        raise Unavailable(f"cannot make the link {path}: {error.strerror}") from error


def _refuse_if_taken(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"cannot check {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise Conflict(f"{path} is in the way: it is not a socket", hint="move it away, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            pass  # EAGAIN: somebody listens and its backlog is full (unix(7))
        except OSError:
            return
    raise Conflict(
        f"{path} is already in use", holder="a running process", hint=f"`ss -xlp src {path}` shows which; stop it first"
    )
