"""Text files of the host.

Rules: a file is changed in place, never replaced, so that who has it mounted sees the change; a container may have
written the file, or its folder, so no symbolic link is followed at any component of a path, only a regular file of
moderate size is read, and bytes that are no UTF-8 come back as they were; changes of one path queue, also when the
caller has gone.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import ParamSpec, TypeVar

from mooring.adapters.host.open_folders import OpenFolders
from mooring.core.faults import BadRequest, Unavailable
from mooring.ports import Files
from mooring.services.records.locks import KeyedLocks

# More than any hosts file or resolv.conf has; a container must not make the daemon read its whole disk.
_LIMIT = 1 << 20
# A pipe that a container has put there must not hold us up.
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
# What says that something else is in the place of a file, or of a folder on the way.
_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)

T = TypeVar("T")
P = ParamSpec("P")


class LocalFiles(Files):
    """Files in this mount namespace, worked on in threads.

    folder: absolute; the folders in it are the library's own, and each goes with its last file.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._locks = KeyedLocks()

    async def read_host(self, path: str) -> str | None:
        """See Files. Raises Unavailable also for what is no regular file, or larger than 1 MiB."""
        try:
            return await asyncio.to_thread(_guarded, "read", path, _read, path, _FLAGS)
        except BadRequest as fault:
            raise Unavailable(fault.what) from fault

    async def update(
        self, paths: Sequence[str], change: Callable[[Mapping[str, str | None]], Mapping[str, str | None]]
    ) -> None:
        """See Files. A new file has mode 0644, a new folder 0755. More than 1 MiB is no text file."""
        async with AsyncExitStack() as turn:
            for path in sorted(set(paths)):
                await turn.enter_async_context(self._locks.hold(path))
            running = asyncio.get_running_loop().run_in_executor(None, self._update, paths, change)
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                # A thread cannot be stopped, and it must not overtake the next change.
                while not running.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([running])
                running.exception()  # nobody is left who would want it
                raise

    def _update(
        self, paths: Sequence[str], change: Callable[[Mapping[str, str | None]], Mapping[str, str | None]]
    ) -> None:
        with OpenFolders() as folders:
            texts = {path: _guarded("read", path, _read_in, folders, path) for path in paths}
            for path, text in change(texts).items():
                if text == texts[path]:
                    continue
                if text is None:
                    _guarded("remove", path, self._remove, folders, path)
                else:
                    _guarded("write", path, _write, folders, path, text)

    def _remove(self, folders: OpenFolders, path: str) -> None:
        folder, _, name = path.rpartition("/")
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folders.at(folder))
        parent, _, own = folder.rpartition("/")
        if parent == self._folder:
            with suppress(OSError):  # mostly: there are other files in it
                os.rmdir(own, dir_fd=folders.at(parent))


def _guarded(verb: str, path: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return work(*args, **kwargs)
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise Unavailable(f"cannot {verb} {path}: {error.strerror}") from error
        if error.errno == errno.ELOOP:
            raise BadRequest(
                f"cannot {verb} {path}: {error.filename} is a symbolic link",
                hint="give a path without symbolic links, as realpath prints it",
            ) from error
        raise BadRequest(f"cannot {verb} {path}: {error.strerror}") from error
    except ValueError as error:  # what is no path, or text that no file can have
        raise BadRequest(f"cannot {verb} {path!r}: {error}") from error


def _read_in(folders: OpenFolders, path: str) -> str | None:
    folder, _, name = path.rpartition("/")
    try:
        at = folders.at(folder)
    except FileNotFoundError:
        return None
    try:
        return _read(name, _FLAGS | os.O_NOFOLLOW, at)
    except OSError as error:
        error.filename = path
        raise


def _read(path: str, flags: int, folder: int | None = None) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        _check_regular(file)
        content = b""
        while len(content) <= _LIMIT:
            more = os.read(file, _LIMIT)
            if not more:
                return content.decode(errors="surrogateescape")
            content += more
    finally:
        os.close(file)
    raise ValueError(f"it is larger than {_LIMIT >> 20} MiB")


def _write(folders: OpenFolders, path: str, text: str) -> None:
    """In place. Line feeds cover what is longer in the old text, in the same write: whoever looks in, or dies, between
    it and the end, finds the new text and empty lines."""
    content = text.encode(errors="surrogateescape")
    folder, _, name = path.rpartition("/")
    at = folders.at(folder, make=True)
    try:
        file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | _FLAGS, dir_fd=at)
    except FileNotFoundError:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _FLAGS, 0o644, dir_fd=at)
        os.fchmod(file, 0o644)  # the umask does not count: containers have other users
    except OSError as error:
        error.filename = path
        raise
    try:
        _check_regular(file)
        padded = content.ljust(min(os.fstat(file).st_size, _LIMIT), b"\n")
        written = 0
        while written < len(padded):
            written += os.write(file, padded[written:])
        os.ftruncate(file, len(content))
    finally:
        os.close(file)


def _check_regular(file: int) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise ValueError("it is not a regular file")
