"""Networks found by what no two of them may share: an index of the mirror.

Rule: nothing in here is a record; it is rebuilt from the mirror's changes, so it can never disagree with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from mooring.core.addresses import span
from mooring.core.networks import Network, Segment, Subnet
from mooring.services.mirror import Mirror, Record

K = TypeVar("K")


class Rooms:
    """Of the networks that the mirror has and will have."""

    def __init__(self, mirror: Mirror) -> None:
        self._networks: dict[str, Network] = {}
        self._bridges: dict[str, dict[str, Network]] = {}
        self._subnets: dict[Subnet, dict[str, Network]] = {}
        # Of bridged networks only. Numbers in a row: a thousand are looked at in some ten microseconds.
        self._spans: dict[int, dict[tuple[str, int], tuple[int, int]]] = {4: {}, 6: {}}
        for network in mirror.every(Network):
            self._note(network)
        mirror.listen(self._follow)

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
        start, end = span(subnet)
        spans = self._spans[subnet.version].items()
        met = [key for key, (low, high) in spans if low < end and start < high]
        for ident, number in met:
            network = self._networks[ident]
            yield network, network.segments[number]

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Network):
            self._drop(before)
        if isinstance(after, Network):
            self._note(after)

    def _note(self, network: Network) -> None:
        self._networks[network.id] = network
        if network.bridged:
            self._bridges.setdefault(network.bridge, {})[network.id] = network
        for number, segment in enumerate(network.segments):
            self._subnets.setdefault(segment.subnet, {})[network.id] = network
            if network.bridged:
                self._spans[segment.subnet.version][network.id, number] = span(segment.subnet)

    def _drop(self, network: Network) -> None:
        self._networks.pop(network.id, None)
        if network.bridged:
            _take(self._bridges, network.bridge, network.id)
        for number, segment in enumerate(network.segments):
            self._spans[segment.subnet.version].pop((network.id, number), None)
            _take(self._subnets, segment.subnet, network.id)


def _take(index: dict[K, dict[str, Network]], key: K, ident: str) -> None:
    found = index.get(key, {})
    found.pop(ident, None)
    if not found:
        index.pop(key, None)
