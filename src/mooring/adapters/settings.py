"""Sysctls, by their paths below /proc/sys, of the thread's network namespace.

Rule: a kernel without IPv6 counts as one that has it disabled.
"""

from __future__ import annotations

import os
from pathlib import Path

from mooring.core.faults import Unavailable

_ROOT = Path("/proc/sys")


def read_setting(path: str) -> str | None:
    """The value, None when there is no such sysctl."""
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
    before = read_setting(path)
    if before == value:
        return None
    if path == "net/ipv6/conf/all/forwarding" and value != "0":
        _keep_router_advertisements()
    try:
        (_ROOT / path).write_text(value)
    except OSError as error:
        raise Unavailable(f"cannot set {path.replace('/', '.')} to {value}: {error.strerror}") from error
    return before


def _keep_router_advertisements() -> None:
    """Interfaces that listen to routers go on to.

    A host that forwards stops listening unless accept_ra is 2 (Documentation/networking/ip-sysctl.rst): it would lose
    its own default route.
    """
    for entry in sorted((_ROOT / "net/ipv6/conf").glob("*/accept_ra")):
        if entry.parent.name in ("all", "default"):
            continue
        try:
            if entry.read_text().strip() == "1":
                entry.write_text("2")
        except OSError:
            continue  # the interface went away
