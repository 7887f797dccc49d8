"""The Namespaces port on Linux.

Rules: the loop's thread never changes its namespace: a few workers do, each piece of work says where it goes, and goes
back to the host's after it; what concerns one path is done by one worker, so in the order of the calls; "the host" is
the namespace in which the object was made. Sockets live as long as a piece of work, so a namespace costs nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from mooring.adapters.linux.namespace_facts import NamespaceWriter, Place, Signs, observe
from mooring.adapters.linux.namespace_files import (
    NamespaceFolder,
    current_namespace,
    enter,
    is_namespace,
    leave_for_new,
    open_namespace,
)
from mooring.adapters.linux.namespace_links import NamespaceLinks
from mooring.adapters.netlink.sockets import NetlinkError
from mooring.core.faults import Unavailable
from mooring.core.sandboxes import NamespaceOp, NamespaceState
from mooring.ports import Counters, Namespaces

T = TypeVar("T")

# The kernel makes most changes one after another (rtnetlink's lock); more workers would only wait there.
_WORKERS = 8


class LinuxNamespaces(Namespaces):
    """folder: where the files of our namespaces are; made when it is needed. mark: how aliases of our links begin.

    Raises Unavailable.
    """

    def __init__(self, folder: str, mark: str = "mooring") -> None:
        self._folder = NamespaceFolder(folder)
        self._signs = Signs(mark)
        try:
            self._host = current_namespace()
            self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError as error:
            raise Unavailable(f"network namespaces cannot be used: {error.strerror}") from error
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"namespaces-{n}") for n in range(_WORKERS)]
        self._closed = False

    async def create(self, ident: str) -> str:
        """See Namespaces."""
        path = self._folder.path(ident)
        await self._for(path, f"namespace {path} cannot be created", lambda: self._create(path))
        return path

    async def remove(self, path: str) -> None:
        """See Namespaces."""
        self._folder.check_ours(path)
        await self._for(path, f"namespace {path} cannot be removed", lambda: self._folder.drop(path))

    async def made(self) -> Mapping[str, str]:
        """See Namespaces."""
        return await self._for("", "the namespaces cannot be read", self._folder.made)

    async def exists(self, path: str) -> bool:
        """See Namespaces."""
        return await self._for(path, f"namespace {path} cannot be read", lambda: is_namespace(path))

    async def identify(self, path: str) -> str:
        """See Namespaces."""

        def look() -> str:
            if not path:
                with self._socket(self._host) as links:
                    return self._identity(links, self._host)
            with self._visit(path) as place:
                return self._identity(place.inside, place.namespace)

        return await self._for(path, f"namespace {path} cannot be read", look)

    def _identity(self, inside: NamespaceLinks, namespace: int) -> str:
        return _word(self._boot, inside, namespace)

    async def observe(self, path: str) -> NamespaceState:
        """See Namespaces."""

        def look() -> NamespaceState:
            with self._visit(path) as place:
                return observe(place.inside, self._signs, self._identity(place.inside, place.namespace))

        return await self._for(path, f"namespace {path} cannot be read", look)

    async def apply(self, path: str, ops: Sequence[NamespaceOp]) -> None:
        """See Namespaces. A caller that is cancelled leaves the ops to be finished, or not begun."""
        todo = list(ops)

        def work() -> None:
            with self._visit(path) as place:
                # That of a namespace which somebody else made may be down still (libnetwork/osl does so, too).
                place.inside.raise_loopback()
                NamespaceWriter(place, self._signs, todo).run()

        await self._for(path, f"namespace {path} cannot be changed", work)

    async def statistics(self, path: str) -> Mapping[str, Counters]:
        """See Namespaces."""

        def look() -> Mapping[str, Counters]:
            with self._visit(path) as place:
                return place.inside.counters()

        return await self._for(path, f"namespace {path} cannot be read", look)

    async def close(self) -> None:
        """See Namespaces. Closing twice is fine."""
        if self._closed:
            return
        with suppress(Unavailable):  # it is tried again when the next one closes
            await self._for("", "the folder of the namespaces cannot be unmounted", self._folder.tidy)
        self._closed = True
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(worker, _nothing) for worker in self._workers))
        for worker in self._workers:
            worker.shutdown()
        os.close(self._host)

    async def _for(self, path: str, what: str, work: Callable[[], T]) -> T:
        """What the work returns; it is done after what was asked for the path before. Raises Unavailable: what, why."""
        if self._closed:
            raise Unavailable("the namespaces adapter is closed")
        worker = self._workers[crc32(path.encode(errors="replace")) % _WORKERS]

        def attempt() -> T:
            try:
                return work()
            except OSError as error:
                raise Unavailable(f"{what}: {error.strerror or error}") from error

        return await asyncio.get_running_loop().run_in_executor(worker, attempt)

    def _create(self, path: str) -> None:
        if is_namespace(path):
            return
        leave_for_new()
        try:
            # Before the file, so that what has one is complete.
            with closing(NamespaceLinks()) as links:
                links.raise_loopback()
            self._folder.keep(path)
        finally:
            enter(self._host)

    @contextmanager
    def _visit(self, path: str) -> Iterator[Place]:
        """The worker has a socket in the namespace, and is back on the host. Raises NotFound, OSError."""
        namespace = open_namespace(path)
        try:
            with self._socket(namespace) as inside:
                yield Place(
                    path, namespace, self._host, inside, lambda: self._socket(self._host), lambda: self._in(namespace)
                )
        finally:
            os.close(namespace)

    @contextmanager
    def _socket(self, namespace: int) -> Iterator[NamespaceLinks]:
        """A socket that was made in the namespace; the worker is there no longer than that."""
        with self._in(namespace):
            made = NamespaceLinks()
        with closing(made):
            yield made

    @contextmanager
    def _in(self, namespace: int) -> Iterator[None]:
        """The worker is there for the length of the block, and on the host after it."""
        enter(namespace)
        try:
            yield
        finally:
            enter(self._host)


def _nothing() -> None:
    """So that what was asked before is done."""


def identity_here(boot: str) -> str:
    """What LinuxNamespaces.identify says of the namespace that the calling thread is in. boot: the id of this boot.
    Raises Unavailable."""
    try:
        with closing(NamespaceLinks()) as links:
            namespace = current_namespace()
            try:
                return _word(boot, links, namespace)
            finally:
                os.close(namespace)
    except (OSError, NetlinkError) as error:
        raise Unavailable(f"the daemon's own network namespace cannot be told: {error}") from error


def _word(boot: str, inside: NamespaceLinks, namespace: int) -> str:
    # Inode numbers come again; they are what kernels before 5.14 have.
    return f"{boot}:{inside.cookie() or os.fstat(namespace).st_ino}"
