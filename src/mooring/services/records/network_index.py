"""Networks found by what no two of them may share: an index of the cache.

Rule: nothing in here is a record; it is rebuilt from the cache's changes, so it can never disagree with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from mooring.core.faults import Conflict
from mooring.core.networks import HostAccess, Network, Segment, Subnet
from mooring.core.subnet_index import Holdings
from mooring.services.records.record_cache import Record, RecordCache

K = TypeVar("K")


class NetworkIndex:
    """Of the networks that the cache has and will have."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._bridges: dict[str, dict[str, Network]] = {}
        self._subnets: dict[Subnet, dict[str, Network]] = {}
        # Of bridged networks only.
        self._bridged = Holdings()
        for network in cache.every(Network):
            self._note(network)
        cache.listen(self._follow, Network)

    def __len__(self) -> int:
        """How many different subnets bridged networks have."""
        return len(self._bridged)

    def subnets(self) -> Iterator[Subnet]:
        """Each different one of them."""
        yield from self._bridged

    def with_bridge(self, name: str) -> list[Network]:
        """The bridged networks whose bridge has the name."""
        return list(self._bridges.get(name, {}).values())

    def with_subnets(self, subnets: Iterable[Subnet]) -> list[Network]:
        """The networks that have one of exactly these subnets."""
        found: dict[str, Network] = {}
        for subnet in subnets:
            found |= self._subnets.get(subnet, {})
        return list(found.values())

    def overlapping(self, subnet: Subnet) -> Iterator[tuple[Network, Segment]]:
        """The segments of bridged networks that overlap the subnet."""
        for held, ident in self._bridged.overlapping(subnet):
            if (network := self._cache.network(ident)) is not None:
                yield network, next(segment for segment in network.segments if segment.subnet == held)

    def check_room(self, network: Network) -> None:
        """Raises Conflict when another network has the bridge's name, or any what overlaps a subnet of it."""
        if not network.bridged:
            return
        for other in self.with_bridge(network.bridge):
            if other.id != network.id:
                raise Conflict(
                    f"bridge name {network.bridge} is in use",
                    holder=f"network {other.id[:12]}",
                    hint="choose another name with -o bridge=",
                )
        for mine in network.segments:
            for other, theirs in self.overlapping(mine.subnet):
                if other.domain != network.domain and not _both_in_host(network, other):
                    continue
                where = f"tenant {network.tenant}" if network.domain and other.domain == network.domain else "a host"
                whose = f" of tenant {other.tenant}" if other.domain != network.domain and other.tenant else ""
                hint = "choose another --subnet, or omit it so that Mooring picks one"
                if network.domain and other.domain != network.domain:
                    hint = "choose another --subnet, omit it, or leave out host_access=addresses"
                raise Conflict(
                    f"subnet {mine.subnet} overlaps {theirs.subnet}: {where} can route an address to one network only",
                    holder=f"network {other.id[:12]}{whose}",
                    hint=hint,
                )

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Network):
            self._drop(before)
        if isinstance(after, Network):
            self._note(after)

    def _note(self, network: Network) -> None:
        if network.bridged:
            self._bridges.setdefault(network.bridge, {})[network.id] = network
        for segment in network.segments:
            self._subnets.setdefault(segment.subnet, {})[network.id] = network
            if network.bridged:
                self._bridged.add(segment.subnet, network.id)

    def _drop(self, network: Network) -> None:
        if network.bridged:
            _take(self._bridges, network.bridge, network.id)
        for segment in network.segments:
            self._bridged.remove(segment.subnet, network.id)
            _take(self._subnets, segment.subnet, network.id)


def _both_in_host(one: Network, other: Network) -> bool:
    """Whether the host has a way of its own to each."""
    return one.host_access is HostAccess.ADDRESSES and other.host_access is HostAccess.ADDRESSES


def _take(index: dict[K, dict[str, Network]], key: K, ident: str) -> None:
    found = index.get(key, {})
    found.pop(ident, None)
    if not found:
        index.pop(key, None)
