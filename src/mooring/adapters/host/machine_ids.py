"""What tells this host from others, and its present boot from those before.

Rule: the host's text is the same for ever, so that what follows from it is, too.
"""

from __future__ import annotations

import socket
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def machine_id() -> str:
    """Text that belongs to this host for ever: machine-id(5), else its name."""
    for name in FILES:
        try:
            text = Path(name).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            return text
    return socket.gethostname()


def boot_id() -> str:
    """Text that belongs to this boot only (random(4))."""
    try:
        return BOOT.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "boot"
