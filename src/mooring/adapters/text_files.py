"""Text files of the host.

Rules: a file is changed in place, never replaced, so that who has it mounted sees the change; a container may have
written the file, so only a regular file of moderate size is read, no symbolic link is written through, and
bytes that are no UTF-8 come back as they were; changes of one path queue, also when the caller has gone.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from mooring.core.faults import Unavailable
from mooring.ports import Files
from mooring.services.locks import KeyedLocks

# More than any hosts file or resolv.conf has; a container must not make the daemon read its whole disk.
_LIMIT = 1 << 20
# A pipe that a container has put there must not hold us up.
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

T = TypeVar("T")


class LocalFiles(Files):
    """Files in this mount namespace, worked on in threads."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()

    async def read(self, path: str) -> str | None:
        """See Files. Raises Unavailable also for what is no regular file, or larger than 1 MiB."""
        return await asyncio.to_thread(_guarded, "read", path, lambda: _read(path))

    async def write(self, path: str, text: str) -> None:
        """See Files. A new file has mode 0644, a new folder 0755. Raises Unavailable also for a symbolic link."""
        await self._change("write", path, lambda: _write(path, text))

    async def remove(self, path: str) -> None:
        """See Files. Of a symbolic link, the link itself goes."""
        await self._change("remove", path, lambda: _remove(path))

    async def _change(self, verb: str, path: str, work: Callable[[], None]) -> None:
        async with self._locks.hold(path):
            running = asyncio.get_running_loop().run_in_executor(None, _guarded, verb, path, work)
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                # A thread cannot be stopped, and it must not overtake the next change.
                while not running.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([running])
                running.exception()  # nobody is left who would want it
                raise


def _guarded(verb: str, path: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise Unavailable(f"cannot {verb} {path}: {reason}") from error
    except ValueError as error:  # what is no path, or text that no file can have
        raise Unavailable(f"cannot {verb} {path!r}: {error}") from error


def _read(path: str) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    try:
        _check_regular(file, path)
        content = b""
        while len(content) <= _LIMIT:
            more = os.read(file, _LIMIT)
            if not more:
                return content.decode(errors="surrogateescape")
            content += more
    finally:
        os.close(file)
    raise Unavailable(f"cannot read {path}: it is larger than {_LIMIT >> 20} MiB")


def _write(path: str, text: str) -> None:
    content = text.encode(errors="surrogateescape")
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | _FLAGS)
    except FileNotFoundError:
        file = _create(path)
    try:
        _check_regular(file, path)
        written = 0
        while written < len(content):
            written += os.write(file, content[written:])
        os.ftruncate(file, len(content))
    finally:
        os.close(file)


def _create(path: str) -> int:
    """A new file, open for writing, with its folder. The umask does not count: containers have other users."""
    folder = Path(path).parent
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _FLAGS, 0o644)
    os.fchmod(file, 0o644)
    return file


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    with suppress(OSError):  # mostly: there are other files in it
        os.rmdir(os.path.dirname(path))


def _check_regular(file: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise Unavailable(f"{path} is no regular file")
