"""Folders that are mounted on themselves, and no longer have to be.

Rule: what is in use stays: a folder with anything in it is left as it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

_MNT_DETACH, _UMOUNT_NOFOLLOW = 0x2, 0x8  # linux/fs.h

_libc = ctypes.CDLL(None, use_errno=True)


def unmount_if_empty(folder: str) -> None:
    """Nothing is mounted on the folder, so that it can be removed; not if there is something in it. Best effort: may
    block, never raises. Who makes things in the folder has it locked (flock(2)) meanwhile, and mounts it again."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        while not os.listdir(descriptor):
            # EINVAL: it is no mount point. Anything else will not change by trying again.
            if _libc.umount2(os.fsencode(folder), _MNT_DETACH | _UMOUNT_NOFOLLOW):
                return
    except OSError:
        return
    finally:
        os.close(descriptor)
