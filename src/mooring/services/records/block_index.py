"""Which subnets are the cluster's, and what this host may give of them: an index of the cache.

Rules: nothing in here is a record, but for what may not be used at the moment, although the records say so; without an
address plan nothing is given, nor of a block that the cluster has not called this host's own in this boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mooring.core.addresses import RangeSet
from mooring.core.blocks import HostBlock, SharedSubnet, division
from mooring.core.networks import Address, Subnet
from mooring.services.records.record_cache import Record, RecordCache

Place = tuple[str, Subnet]
Ranges = Sequence[tuple[int, int]]


class BlockIndex:
    """Build it before the cache is loaded. any: whether a subnet is the cluster's at all."""

    def __init__(self, cache: RecordCache) -> None:
        self.any = False
        self._blocks: dict[Place, dict[int, HostBlock]] = {}
        self._held_back: set[tuple[Place, int]] = set()
        self._without_boot: dict[Place, set[int]] = {}
        self._parts: dict[Place, dict[int, Ranges]] = {}  # what may be given of each block
        self._ranges: dict[Place, Ranges | None] = {}  # None: to be joined when they are asked for
        self._boot: str | None = None
        cache.listen(self._follow, SharedSubnet, HostBlock)

    def __contains__(self, place: Place) -> bool:
        return self.any and place in self._ranges

    def ranges(self, space: str, subnet: Subnet) -> Ranges | None:
        """What this host may give of the subnet, in order; None for a subnet that is not the cluster's."""
        place = (space, subnet)
        found = self._ranges.get(place)
        if found is None and place in self._ranges:
            found = self._ranges[place] = self._joined(place)
        return found

    def blocks(self, space: str, subnet: Subnet) -> list[HostBlock]:
        """The host's blocks of the subnet, in order."""
        found = self._blocks.get((space, subnet), {})
        return [found[index] for index in sorted(found)]

    def block(self, space: str, subnet: Subnet, index: int) -> HostBlock | None:
        """The host's block of that number."""
        return self._blocks.get((space, subnet), {}).get(index)

    def without_boot(self, space: str, subnet: Subnet) -> int | None:
        """The number of a block of the host's that is given from in no boot of its own."""
        return min(self._without_boot.get((space, subnet), ()), default=None)

    def block_of(self, space: str, subnet: Subnet, address: Address) -> HostBlock | None:
        """The host's block that has the address."""
        divided = division(subnet) if address in subnet else None
        return self._blocks.get((space, subnet), {}).get(divided.index_of(address)) if divided is not None else None

    def serve(self, boot: str | None) -> None:
        """This host has an address plan, in that boot; None: it has none, and gives nothing of the cluster's."""
        self._boot = boot
        for place in self._ranges:
            self._reckon_all(place)

    def hold_back(self, block: HostBlock) -> None:
        """Nothing of the block is given until `let_go`, whatever the records say."""
        self._held_back.add(((block.space, block.subnet), block.index))
        self._reckon((block.space, block.subnet), block.index)

    def let_go(self, block: HostBlock) -> None:
        """Only the records count for the block again."""
        which = ((block.space, block.subnet), block.index)
        if which in self._held_back:
            self._held_back.discard(which)
            self._reckon(*which)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, SharedSubnet) and after is None:
            self._ranges.pop((before.space, before.subnet), None)
            self.any = bool(self._ranges)
        elif isinstance(after, SharedSubnet):
            self._ranges.setdefault((after.space, after.subnet), ())
            self.any = True
            self._reckon_all((after.space, after.subnet))
        elif isinstance(block := after or before, HostBlock):
            blocks = self._blocks.setdefault((block.space, block.subnet), {})
            parted = self._without_boot.setdefault((block.space, block.subnet), set())
            if after is None or block.boot:
                parted.discard(block.index)
            else:
                parted.add(block.index)
            if after is None:
                blocks.pop(block.index, None)
                self._held_back.discard(((block.space, block.subnet), block.index))
            else:
                blocks[block.index] = block
            self._reckon((block.space, block.subnet), block.index)

    def _reckon_all(self, place: Place) -> None:
        self._parts[place] = {}
        for index in self._blocks.get(place, {}):
            self._part(place, index)
        self._ranges[place] = None

    def _reckon(self, place: Place, index: int) -> None:
        """Of the block that has changed, so that it costs no more for many blocks."""
        if place in self._ranges:
            self._part(place, index)
            self._ranges[place] = None

    def _part(self, place: Place, index: int) -> None:
        block = self._blocks.get(place, {}).get(index)
        given = block is not None and self._boot is not None and block.boot == self._boot and not block.leaving
        if block is None or not given or (place, index) in self._held_back:
            self._parts[place].pop(index, None)
            return
        own = RangeSet([block.numbers()])
        for address in block.carved:
            own.remove(int(address), int(address) + 1)
        self._parts[place][index] = tuple(own)

    def _joined(self, place: Place) -> Ranges:
        parts = self._parts[place]
        joined: list[tuple[int, int]] = []
        for start, end in (each for index in sorted(parts) for each in parts[index]):
            if joined and joined[-1][1] == start:
                start = joined.pop()[0]
            joined.append((start, end))
        return tuple(joined)


def within(ranges: Iterable[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of the ranges that lie in [start, end)."""
    return [(max(low, start), min(high, end)) for low, high in ranges if low < end and high > start]
