"""What the contract of Cluster needs of its servers, and those in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from mooring.ports import Change, Cluster
from mooring.testing.memory_cluster import MemoryCluster


class Servers(Protocol):
    """Servers that clients of one cluster ask. ttl: the shortest time to live that they can do, in seconds."""

    ttl: float

    def client(self, name: str) -> Cluster:
        """A client of its own."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """At least so much time goes by."""
        ...

    async def compact(self, revision: int) -> None:
        """The history up to the revision is forgotten."""
        ...

    async def close(self) -> None:
        """The end of the test."""
        ...


class InMemory:
    """A MemoryCluster."""

    ttl = 2.0

    def __init__(self) -> None:
        self.servers = MemoryCluster()

    def client(self, name: str) -> Cluster:
        """See Servers."""
        return self.servers.client(name)

    async def pass_time(self, seconds: float) -> None:
        """See Servers."""
        self.servers.clock.advance(seconds)

    async def compact(self, revision: int) -> None:
        """See Servers."""
        self.servers.compact(revision)

    async def close(self) -> None:
        """See Servers."""


async def changes(cluster: Cluster, prefix: str, after: int, count: int) -> list[Change]:
    """The first so many changes that a watch tells."""
    seen: list[Change] = []
    async with aclosing(cluster.watch(prefix, after)) as batches:
        while len(seen) < count:
            seen += await anext(batches)
    return seen[:count]


async def next_batch(batches: AsyncGenerator[Sequence[Change], None]) -> Sequence[Change]:
    """The next batch that has changes."""
    while not (batch := await anext(batches)):
        pass
    return batch
