"""Sysctls, by their paths below /proc/sys, of the thread's network namespace.

Rules: a kernel without IPv6 counts as one that has it disabled; a host that listened to routers before we had it
forward goes on to, and so do interfaces that come later (ROUTERS): accept_ra=1 means not to listen while the host
forwards, 2 to listen all the same (Documentation/networking/ip-sysctl.rst). Where somebody else had the host forward,
it is his.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from mooring.adapters.netlink.sockets import Netlink
from mooring.core.datapath import HOST_SETTINGS, ROUTERS
from mooring.core.faults import Unavailable

_ROOT = Path("/proc/sys")
# Our bridges and the ends of veth pairs of ours and of Docker's, by their names: no router is heard there, and a host
# may have thousands, each of which would be read at every look.
_PORT = re.compile(r"m[rvpx]-[0-9a-f]{12}$|mt-\d+$|veth[0-9a-f]{7}$")
# Network namespaces in which this process has made the host forward and listen.
_listening: set[int] = set()


def read_setting(path: str) -> str | None:
    """The value, None when there is no such sysctl. Of ROUTERS: "2" when all listen that should."""
    if path == ROUTERS:
        return "1" if _deaf() else "2"
    try:
        file = os.open(f"/proc/sys/{path}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "1" if path.endswith("/disable_ipv6") and not (_ROOT / "net/ipv6").exists() else None
    try:
        return os.read(file, 4096).decode(errors="replace").strip()
    except OSError:
        return None
    finally:
        os.close(file)


def write_setting(path: str, value: str) -> str | None:
    """The sysctl has the value; returns what it had before, None when it was the same. Raises Unavailable."""
    if path == ROUTERS:
        _listen()
        return None
    before = read_setting(path)
    if before == value:
        return None
    try:
        (_ROOT / path).write_text(value)
    except OSError as error:
        raise Unavailable(f"cannot set {path.replace('/', '.')} to {value}: {error.strerror}") from error
    return before


def _listen() -> None:
    """Everything that should listen to routers does. There is nothing to take back: without forwarding 2 means 1."""
    if _is_ours():
        for path in _deaf():
            with contextlib.suppress(OSError):  # the interface went away
                (_ROOT / path).write_text("2")
        _listening.add(_namespace())


def _deaf() -> list[str]:
    """Paths of what would listen if the host did not forward, and of what comes later ("default")."""
    if not _is_ours():
        return []
    try:
        names = sorted(os.listdir(_ROOT / "net/ipv6/conf"))
    except OSError:
        return []
    asked = (f"net/ipv6/conf/{name}/accept_ra" for name in names if name != "all" and not _PORT.match(name))
    return [path for path in asked if read_setting(path) == "1"]


def _is_ours() -> bool:
    """Whether the host does not forward yet, or does so because of us, in this life or one before."""
    forwards, later = read_setting(HOST_SETTINGS[1]), read_setting("net/ipv6/conf/default/accept_ra")
    return forwards != "1" or later == "2" or _namespace() in _listening


def _namespace() -> int:
    """A number that no other namespace has before the next reboot, where the kernel has such ones (5.14)."""
    with contextlib.suppress(OSError), contextlib.closing(Netlink()) as links:
        if (cookie := links.cookie()) is not None:
            return cookie
    return os.stat("/proc/thread-self/ns/net").st_ino  # the number of a namespace that is gone may come again
