"""Routing domains as network namespaces of ours: a folder of files, and threads that go in and come back.

Rules: a namespace is held open by this process from its making on, so that it outlives a file that somebody unmounts,
and by its file, so that it outlives this process; a thread is in a domain for the length of a block, and on the host
after it; what is on its way out in a domain is known to all threads.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.links import Links
from mooring.adapters.linux.namespace_files import (
    NamespaceFolder,
    current_namespace,
    enter,
    is_namespace,
    leave_for_new,
    open_namespace,
)
from mooring.core.faults import Unavailable

FOLDER = "/run/mooring/tenants"
_HINT = 'give the unit what docs/tenants.md says, or set `tenants = "shared"`'
_ALONE = "take what gives it a mount namespace out of the unit's drop-ins: ProtectSystem=, PrivateTmp= and others"


@dataclass(eq=False, slots=True)
class Held:
    """A domain's namespace while this process has it open. users: threads that are in it; gone: it is to be closed by
    the last of them."""

    namespace: int
    discards: Discards = field(default_factory=Discards)
    users: int = 0
    gone: bool = False


class Domains:
    """Those of the network namespace in which it is made ("the host"). folder: where their files are, one for each by
    its number; made when it is needed. Raises OSError. Safe to use from several threads."""

    def __init__(self, folder: str = FOLDER) -> None:
        self._path = folder
        self._folder = NamespaceFolder(folder)
        self._lock = threading.Lock()
        self._held: dict[int, Held] = {}
        self.host = current_namespace()
        self.host_discards = Discards()
        with suppress(OSError, Unavailable):
            for name, path in self._folder.made().items():
                if name.isdecimal():
                    self._held[int(name)] = Held(open_namespace(path))

    def numbers(self) -> list[int]:
        """Of every domain that there is."""
        with self._lock:
            return sorted(self._held)

    def held(self, number: int) -> Held | None:
        """The domain; None when there is none of the number."""
        with self._lock:
            return self._held.get(number)

    def discards(self, number: int) -> Discards | None:
        """What is on its way out in the domain, 0 for the host; None when there is no such domain."""
        held = self.held(number)
        return self.host_discards if number == 0 else held.discards if held is not None else None

    def has_file(self, number: int) -> bool:
        """Whether the domain would outlive this process. Raises Unavailable."""
        return is_namespace(self._folder.path(str(number)))

    def make(self, number: int) -> bool:
        """There is such a domain, with its file; False when it was there. Raises Unavailable, OSError."""
        path, held = self._folder.path(str(number)), self.held(number)
        if held is not None:
            if not is_namespace(path):
                with self.inside(number):
                    self._folder.keep(path)
            return False
        try:
            leave_for_new()
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            raise Unavailable("this process may not make network namespaces", hint=_HINT) from error
        try:
            with closing(Links()) as links:
                links.raise_link("lo")
            self._folder.keep(path)
            if self._folder.is_private(path):
                self._forget_file(path)
                raise Unavailable("a routing domain would end with this process, whose mounts nobody sees", hint=_ALONE)
            made = Held(current_namespace())
        finally:
            enter(self.host)
        with self._lock:
            self._held[number] = made
        return True

    def drop(self, number: int) -> None:
        """There is no such domain, nor what is in it. Raises OSError."""
        with self._lock:
            held = self._held.pop(number, None)
            if held is not None:
                held.gone = True
                self._close_unused(held)
        self._forget_file(self._folder.path(str(number)))

    def _forget_file(self, path: str) -> None:
        self._folder.drop(path)
        with suppress(OSError):
            self._folder.tidy()
            os.rmdir(self._path)  # the next domain makes it

    def _close_unused(self, held: Held) -> None:
        """With the lock held: a number that is closed too early may be another namespace's by the time of its use."""
        if held.gone and not held.users:
            os.close(held.namespace)

    @contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """The calling thread is in the domain for the length of the block; 0 is the host, where it is anyhow. Raises
        Unavailable when there is no such domain, or it may not go there."""
        if number == 0:
            yield
            return
        with self._lock:
            held = self._held.get(number)
            if held is None:
                raise Unavailable(f"routing domain {number} is missing", hint="try again in a few seconds")
            held.users += 1
        try:
            with self._in(held, number):
                yield
        finally:
            with self._lock:
                held.users -= 1
                self._close_unused(held)

    @contextmanager
    def _in(self, held: Held, number: int) -> Iterator[None]:
        try:
            enter(held.namespace)
        except OSError as error:
            hint = "give the unit what docs/tenants.md says"
            raise Unavailable(f"routing domain {number} cannot be entered: {error.strerror}", hint=hint) from error
        try:
            yield
        finally:
            enter(self.host)

    def close(self) -> None:
        """Let go of all; they stay."""
        with self._lock:
            held, self._held = self._held, {}
        for each in held.values():
            os.close(each.namespace)
        os.close(self.host)
