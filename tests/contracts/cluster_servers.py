"""What the contract of Cluster needs of its servers, and those in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.member import Credentials
from mooring.adapters.etcd.messages import message
from mooring.ports import Change, Cluster
from mooring.testing.memory_cluster import HEARD, MemoryCluster
from tests.e2e.lab.etcds import Etcds


class Servers(Protocol):
    """Servers that clients of one cluster ask. ttl: the shortest time to live that they can do, in seconds. quiet: when
    a new watch is heard that has nothing to tell, after so many seconds."""

    ttl: float
    quiet: float

    def client(self, name: str) -> Cluster:
        """A client of its own."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """At least so much time goes by."""
        ...

    async def compact(self, revision: int) -> None:
        """The history up to the revision is forgotten."""
        ...


class InMemory:
    """A MemoryCluster."""

    ttl = 2.0
    quiet = HEARD

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


class OnEtcd:
    """Real servers, shared by tests that each have a prefix of their own."""

    ttl = 1.0
    quiet = 0.0  # it says that it has begun

    def __init__(self, servers: Etcds, prefix: str) -> None:
        self.servers = servers
        self.prefix = prefix

    def client(self, name: str) -> EtcdCluster:
        """See Servers."""
        return EtcdCluster(self.servers.endpoints, credentials(self.servers), self.prefix, page=100)

    async def pass_time(self, seconds: float) -> None:
        """See Servers. A lease goes up to half a second late."""
        await asyncio.sleep(seconds)

    async def compact(self, revision: int) -> None:
        """See Servers."""
        client = self.client("operator")
        await client.ask("KV/Compact", message((1, revision)))
        await client.close()


def credentials(servers: Etcds) -> Credentials:
    """A client's, where the servers want any."""
    if servers.authority is None or servers.client is None:
        return Credentials()
    files = servers.authority.cert, servers.client.cert, servers.client.key
    ca, certificate, key = (path.read_bytes() for path in files)
    return Credentials(ca, certificate, key)


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
