"""The one image of the lab: Debian's static busybox, imported, since no registry is reachable.

Rule: the archive is made in memory, and every applet is a link to the one binary.
"""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.e2e.lab.namespaces import LabError

IMAGE = "busybox:latest"
# `down` as an entry point is a container that ends at once on SIGTERM: the first process of a container ignores
# signals that it has no handler for, and the engine would wait ten seconds.
STAY = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"


@functools.cache
def archive() -> bytes:
    """A tar archive of the root file system."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LabError("busybox is not installed (packaging/debian-packages.txt)")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "www"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        _file(tar, "bin/busybox", Path(busybox).read_bytes(), 0o755)
        _file(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
        _file(tar, "www/index.html", b"hello from a container\n", 0o644)
        _file(tar, "bin/stay", f"#!/bin/sh\n{STAY}\n".encode(), 0o755)
        for applet in applets:
            if applet not in {"busybox", "stay"}:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return out.getvalue()


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
