"""A resolver in memory, asked by a test instead of a container.

Rule: it forwards nothing: what a test sees is what the lookup said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address

from mooring.core.faults import NotFound, Unavailable
from mooring.core.names import Answer, Question
from mooring.ports import Lookup, Resolver

Upstreams = Callable[[], Sequence[IPv4Address | IPv6Address]]


class MemoryResolver(Resolver):
    """served: path -> its lookup and upstreams. absent: paths that are no namespace."""

    def __init__(self) -> None:
        self.served: dict[str, tuple[Lookup, Upstreams]] = {}
        self.absent: set[str] = set()
        self.closed = False

    async def serve(self, path: str, lookup: Lookup, upstreams: Upstreams) -> None:
        """See Resolver."""
        if self.closed:
            raise Unavailable("the resolver is closed")
        if path in self.absent:
            raise NotFound(f"{path} is not a network namespace")
        self.served[path] = (lookup, upstreams)

    async def stop(self, path: str) -> None:
        """See Resolver."""
        self.served.pop(path, None)

    async def close(self) -> None:
        """See Resolver."""
        self.served.clear()
        self.closed = True

    def ask(self, path: str, name: str, kind: int) -> Answer:
        """What the lookup of the namespace says to a client there. Raises NotFound when nothing answers."""
        return self._of(path)[0](Question(name.lower().removesuffix("."), kind))

    def upstreams(self, path: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Who would be asked what is not known. Raises NotFound when nothing answers."""
        return tuple(self._of(path)[1]())

    def _of(self, path: str) -> tuple[Lookup, Upstreams]:
        if path not in self.served:
            raise NotFound(f"nothing answers names in {path}")
        return self.served[path]
