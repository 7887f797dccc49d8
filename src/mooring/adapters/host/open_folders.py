"""Folders that are held open while files in them are worked on.

Rules: every component of a path is opened by itself, below the one before, and none may be a symbolic link; what has
been opened stays the folder that it was, whatever is renamed or planted meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenFolders:
    """A context manager: what it has opened is closed at its end. Not for several threads at once."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __enter__(self) -> OpenFolders:
        self._open[""] = os.open("/", os.O_PATH | _FOLDER)
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self._open.values():
            os.close(folder)
        self._open.clear()

    def at(self, path: str, *, make: bool = False) -> int:
        """A descriptor of the folder, good until the end. path: absolute, "" for the root. make: what is missing is
        made, with mode 0755.

        Raises OSError: ELOOP for a symbolic link, ENOTDIR for something else, with the component's path as filename.
        """
        there = self._open.get(path)
        if there is not None:
            return there
        at, here = self._open[""], ""
        for name in path.split("/")[1:]:
            here = f"{here}/{name}"
            below = self._open.get(here)
            if below is None:
                below = self._open[here] = _enter(at, name, here, make)
            at = below
        return at


def _enter(at: int, name: str, path: str, make: bool) -> int:
    made = False
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=at)
            made = True
    try:
        folder = os.open(name, (os.O_RDONLY if made else os.O_PATH) | _FOLDER, dir_fd=at)
    except NotADirectoryError as error:
        # Said of a link too; what it was is only for the message.
        reason = errno.ELOOP if _is_link(at, name) else errno.ENOTDIR
        raise OSError(reason, os.strerror(reason), path) from error
    if made:
        try:
            os.fchmod(folder, 0o755)  # the umask does not count: containers have other users
        except BaseException:
            os.close(folder)
            raise
    return folder


def _is_link(at: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except OSError:
        return False
