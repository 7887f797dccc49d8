"""What we need to work inside sandboxes: namespaces, a resolver, files. Rules: see mooring.ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mooring.core.names import Answer, Question
from mooring.core.sandboxes import NamespaceOp, NamespaceState


@dataclass(frozen=True, slots=True)
class Counters:
    """What an interface has carried since it was made."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class Namespaces(Protocol):
    """Network namespaces: those that we make, and others by their path (`/proc/<pid>/ns/net`, `/run/netns/<name>`).

    Every method may raise Unavailable, and NotFound for a path that is no network namespace.
    """

    async def create(self, ident: str) -> str:
        """A namespace of ours for the id exists, its loopback up; returns its path. Twice is once."""
        ...

    async def remove(self, path: str) -> None:
        """The path of a namespace that `create` made is gone, and so is the namespace when nothing else is in it. Gone
        already is fine. Raises BadRequest for a path that is not ours."""
        ...

    async def made(self) -> Mapping[str, str]:
        """Id -> path of every namespace of ours that is there."""
        ...

    async def exists(self, path: str) -> bool:
        """Whether the path is a network namespace."""
        ...

    async def identify(self, path: str) -> str:
        """A word for the namespace, "" for the host's own path, that no other ever has: neither after this one is gone
        nor after a reboot."""
        ...

    async def observe(self, path: str) -> NamespaceState:
        """What is in the namespace, and which one it is."""
        ...

    async def apply(self, path: str, ops: Sequence[NamespaceOp]) -> None:
        """Carry out the ops in order. On a fault the rest is left, what was done stays, and the fault is raised: the
        caller plans again. Raises Conflict when a name or an address is taken by somebody else. Calls for one path are
        carried out one after another."""
        ...

    async def statistics(self, path: str) -> Mapping[str, Counters]:
        """Counters of every link in the namespace but loopback, by name."""
        ...

    async def close(self) -> None:
        """Let go of threads and sockets; namespaces stay."""
        ...


Lookup = Callable[[Question], Answer]


class Resolver(Protocol):
    """Answers DNS inside sandboxes, at 127.0.0.11 port 53, UDP and TCP."""

    async def serve(
        self, path: str, lookup: Lookup, upstreams: Callable[[], Sequence[IPv4Address | IPv6Address]]
    ) -> None:
        """The namespace's queries are answered by `lookup` until `stop`; what it does not know is asked of the
        upstreams, from within the namespace, or from the host for a loopback address. Again: the new ones count. Raises
        Unavailable, NotFound."""
        ...

    async def stop(self, path: str) -> None:
        """Nothing answers there. Not served, or the namespace gone, is fine."""
        ...

    async def close(self) -> None:
        """Stop everywhere."""
        ...


class Files(Protocol):
    """Text files that containers mount: changed in place, so that a bind mount sees it. Whoever can write into a folder
    of theirs may put anything there, so no symbolic link is followed anywhere on the way."""

    async def read_host(self, path: str) -> str | None:
        """The text of a file of the host's own, links followed, or None when there is none. Raises Unavailable."""
        ...

    async def update(
        self, paths: Sequence[str], change: Callable[[Mapping[str, str | None]], Mapping[str, str | None]]
    ) -> None:
        """`change` is given the text of every path, None for no file, and returns the new text, or None, of those that
        are to change; they are changed in its order, with nobody else's update of them in between.

        A file keeps its inode, and has its old text or the new one, also after a death in between, but for empty lines
        at its end, as long as it fits into a page of memory; its folder is made. The last file takes a folder along
        that is the library's own. `change` may be called in any thread, and must not raise. Raises BadRequest, and
        changes nothing, when something else is in the place of a file or of a folder (a symbolic link is named),
        Unavailable.
        """
        ...
