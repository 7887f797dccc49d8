"""Network namespaces as files: a folder of those that we made, and any other by its path.

Rules: a namespace is open before a thread goes into it, and a thread says where it goes, never where it came from;
what is in the folder is a namespace only when the kernel says so, since plain files outlive a reboot. Every function
here may block, and belongs to a worker thread.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mooring.core.faults import BadRequest, NotFound, Unavailable

_CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH, _UMOUNT_NOFOLLOW = 0x2, 0x8
# Where the calling thread is.
_HERE = "/proc/thread-self/ns/net"
# What the kernel says of a path that leads nowhere: a process that has ended, a link that turns in a circle, a name
# that no file can have.
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter(namespace: int) -> None:
    """The calling thread is in the namespace of the file descriptor. Raises OSError."""
    _check(_libc.setns(namespace, _CLONE_NEWNET))


def leave_for_new() -> None:
    """The calling thread is alone in a new namespace. Raises OSError."""
    _check(_libc.unshare(_CLONE_NEWNET))


def current_namespace() -> int:
    """A file descriptor of the namespace in which the calling thread is. Raises OSError."""
    return os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)


def open_namespace(path: str) -> int:
    """A file descriptor of the namespace; as long as it is open, the namespace stays.

    Raises NotFound when the path is no network namespace, Unavailable.
    """
    missing = NotFound(f"{path!r} is not a network namespace")
    try:
        # Namespaces look like regular files; opening other things might wait, or do something.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise missing
        found = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except ValueError:  # a NUL byte, or no text
        raise missing from None
    except OSError as error:
        if error.errno in _NOWHERE:
            raise missing from None
        raise Unavailable(f"namespace {path} cannot be opened: {error.strerror}") from error
    try:
        if fcntl.ioctl(found, _NS_GET_NSTYPE) != _CLONE_NEWNET:
            raise missing
    except OSError:  # ENOTTY: another file system's file
        os.close(found)
        raise missing from None
    except BaseException:
        os.close(found)
        raise
    return found


@contextmanager
def opened(path: str) -> Iterator[int | None]:
    """A file descriptor of the namespace for the length of the block, None for "". Raises as `open_namespace`."""
    found = open_namespace(path) if path else None
    try:
        yield found
    finally:
        if found is not None:
            os.close(found)


def is_namespace(path: str) -> bool:
    """Whether the path is a network namespace. Raises Unavailable."""
    try:
        os.close(open_namespace(path))
    except NotFound:
        return False
    return True


class NamespaceFolder:
    """The namespaces that we made: files with a namespace mounted on each, named by id. Raises OSError and Faults."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)

    def path(self, ident: str) -> str:
        """Where the id's namespace is. Raises BadRequest for what can be no file's name."""
        name = ident.encode(errors="replace")
        if ident in ("", ".", "..") or "/" in ident or not ident.isprintable() or len(name) > 255:
            raise BadRequest(f"{ident!r} cannot name a namespace")
        return f"{self._path}/{ident}"

    def check_ours(self, path: str) -> None:
        """Raises BadRequest when a namespace of ours cannot have the path."""
        folder, _, name = path.rpartition("/")
        if folder != self._path:
            raise BadRequest(f"namespace {path!r} is not one of {self._path}")
        self.path(name)

    def keep(self, path: str) -> None:
        """The calling thread's namespace is at the path, unless another got there first."""
        os.makedirs(self._path, mode=0o755, exist_ok=True)
        with self._alone():
            self._share()
            if is_namespace(path):
                return
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444))
            _mount(_HERE, path, _MS_BIND)

    def is_private(self, path: str) -> bool:
        """Whether the namespace at the path is there for this process only, whose mounts the system's first process
        does not see, as under a unit with ProtectSystem= or PrivateTmp=. Where that cannot be told, it is not so."""
        try:
            seen = Path("/proc/1/mountinfo").read_text(errors="replace")
            return f" net:[{os.stat(path).st_ino}] " not in seen
        except OSError:
            return False

    def drop(self, path: str) -> None:
        """Nothing is at the path. The namespace ends a little later when nothing else is in it, in the kernel's own
        time."""
        try:
            with self._alone():
                _unmount(path)
                os.unlink(path)
        except FileNotFoundError:
            return

    def made(self) -> Mapping[str, str]:
        """Id -> path of each that is there. A file without a namespace, as a crash or a reboot leaves it, is gone."""
        found: dict[str, str] = {}
        with suppress(FileNotFoundError), self._alone():
            for name in os.listdir(self._path):
                path = f"{self._path}/{name}"
                if is_namespace(path):
                    found[name] = path
                elif stat.S_ISREG(os.lstat(path).st_mode):
                    os.unlink(path)
        return found

    def tidy(self) -> None:
        """A folder in which nothing is left is no mount any more, so that it can be removed. Raises OSError."""
        with suppress(FileNotFoundError), self._alone():
            if not os.listdir(self._path):
                _unmount(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process changes what is in the folder meanwhile."""
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _share(self) -> None:
        """The folder is a shared mount: what is unmounted here goes from other mount namespaces as well.

        Else a copy of the mount, taken along by whoever made a mount namespace meanwhile, would keep the network
        namespace for as long as that one lives (ip-netns(8) does so too).
        """
        try:
            _mount(None, self._path, _MS_SHARED)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no mount point yet
                raise
            _mount(self._path, self._path, _MS_BIND | _MS_REC)
            _mount(None, self._path, _MS_SHARED)


def _mount(source: str | None, target: str, flags: int) -> None:
    what = None if source is None else os.fsencode(source)
    _check(_libc.mount(what, os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _unmount(path: str) -> None:
    """No mount is on the path, however many were."""
    while True:
        try:
            _check(_libc.umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW))
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
            raise
