"""Typed access to what the cluster keeps of itself and of its hosts.

Rules: a write is one compare-and-swap, and never repeated after an unknown outcome; nothing is remembered here. Every
method may raise Unavailable, as the Cluster port says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import quote, unquote

from mooring.core.cluster_hosts import CLUSTER, HOSTS, SESSIONS, ClusterHost, ClusterRecord, host_key, session_key
from mooring.core.cluster_keys import placed
from mooring.core.cluster_marks import mark_key
from mooring.core.faults import StaleRevision
from mooring.core.networks import Subnet
from mooring.ports import Cluster
from mooring.wire.cluster_host_forms import decode_cluster, decode_host, encode_cluster, encode_host

# Kinds of keys by which a host has something in the cluster; their values say so by its id, or their keys.
HELD = ("block/", "addr/", "net/")


class HostRecords:
    """The records of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def cluster(self) -> ClusterRecord | None:
        """The cluster that is here, if any."""
        entry = await self._cluster.get(CLUSTER)
        return decode_cluster(entry.value) if entry is not None else None

    async def make_cluster(self, record: ClusterRecord) -> None:
        """Be a cluster. Raises StaleRevision where one is."""
        await self._cluster.put(CLUSTER, encode_cluster(record), 0)

    async def hosts(self) -> list[ClusterHost]:
        """Every host that has joined and not left, in the order of ids."""
        return [decode_host(entry.value) for entry in (await self._cluster.scan(HOSTS))[0]]

    async def host(self, host: str) -> tuple[ClusterHost | None, int]:
        """One of them, and its revision; (None, 0) where it is not."""
        entry = await self._cluster.get(host_key(host))
        return (decode_host(entry.value), entry.revision) if entry is not None else (None, 0)

    async def put_host(self, host: ClusterHost, expect: int) -> int:
        """Write it where it has the revision. Raises StaleRevision."""
        return await self._cluster.put(host_key(host.id), encode_host(host), expect)

    async def delete_host(self, host: str, expect: int) -> None:
        """It is not in the cluster any more. Raises StaleRevision."""
        await self._cluster.delete(host_key(host), expect)

    async def heard(self) -> frozenset[str]:
        """The ids of the hosts that have a session."""
        found, _ = await self._cluster.scan(SESSIONS)
        return frozenset(unquote(entry.key.removeprefix(SESSIONS)) for entry in found)

    async def session(self, host: str) -> tuple[str, int]:
        """The boot that the host's session is of, and the revision; ("", 0) for none."""
        entry = await self._cluster.get(session_key(host))
        return (entry.value.decode(errors="replace"), entry.revision) if entry is not None else ("", 0)

    async def put_session(self, host: str, boot: str, expect: int, ttl: float) -> int:
        """The host is heard for so many seconds. Raises StaleRevision."""
        return await self._cluster.put(session_key(host), boot.encode(), expect, ttl)

    async def end_session(self, host: str, boot: str) -> None:
        """The host is not heard any more, if that was of this boot."""
        found, revision = await self.session(host)
        if found != boot:
            return
        try:
            await self._cluster.delete(session_key(host), revision)
        except StaleRevision:
            return

    async def end_mark(self, host: str) -> None:
        """The host has no number any more (core/cluster_marks.py)."""
        entry = await self._cluster.get(mark_key(host))
        if entry is not None:
            with suppress(StaleRevision):
                await self._cluster.delete(entry.key, entry.revision)

    async def shared_subnets(self) -> frozenset[Subnet]:
        """The subnets of which some host has a part, or a network."""
        return frozenset(subnet for _, subnet in await self.places())

    async def places(self) -> frozenset[tuple[str, Subnet]]:
        """The same, with their address spaces."""
        return _places([entry.key for kind in HELD for entry in (await self._cluster.scan(kind))[0]])

    async def places_of(self, host: str) -> frozenset[tuple[str, Subnet]]:
        """Those of which the host has a part."""
        return _places(await self.held(host))

    async def held(self, host: str) -> Sequence[str]:
        """The keys of what the host has in the cluster: blocks, addresses, its part in networks."""
        mark, end = host.encode(), f"/{quote(host, safe='')}"
        found = [entry for kind in HELD for entry in (await self._cluster.scan(kind))[0]]
        return [entry.key for entry in found if mark in entry.value or entry.key.endswith(end)]


def _places(keys: Iterable[str]) -> frozenset[tuple[str, Subnet]]:
    found = set()
    for key in keys:
        with suppress(ValueError):  # of a newer Mooring
            found.add(placed(key if key.count("/") > 2 else f"{key}/")[:2])
    return frozenset(found)
