"""What tells this host from others, also when it gets another name, and its present boot from those before.

Rule: the host's text is the same for ever, so that what follows from it is, too.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")

# In the daemon's folder, see first_name.
FIRST_NAME = "dns-owner"


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


def first_name(file: Path) -> str:
    """What the host was called when this was asked first: the file, in a folder that is there, has it from then on. Its
    name of now where the file can be neither read nor written."""
    with suppress(OSError, UnicodeDecodeError):
        if known := file.read_text("utf-8").strip():
            return known
    name, draft = os.uname().nodename, file.with_name(f"{file.name}.new")
    with suppress(OSError):
        draft.write_text(f"{name}\n", "utf-8")
        draft.replace(file)
    return name


def boot_id() -> str:
    """Text that belongs to this boot only (random(4))."""
    try:
        return BOOT.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "boot"
