"""Which subnets are the cluster's, and what this host may give of them: an index of the cache.

Rules: nothing in here is a record, but for what may not be used at the moment, although the records say so; without an
address plan nothing is given, nor of a block that the cluster has not called this host's own in this boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mooring.core.addresses import RangeSet
from mooring.core.blocks import HostBlock, SharedSubnet
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
        self._ranges: dict[Place, Ranges] = {}
        self._boot: str | None = None
        cache.listen(self._follow)

    def __contains__(self, place: Place) -> bool:
        return self.any and place in self._ranges

    def ranges(self, space: str, subnet: Subnet) -> Ranges | None:
        """What this host may give of the subnet, in order; None for a subnet that is not the cluster's."""
        return self._ranges.get((space, subnet))

    def blocks(self, space: str, subnet: Subnet) -> list[HostBlock]:
        """The host's blocks of the subnet, in order."""
        found = self._blocks.get((space, subnet), {})
        return [found[index] for index in sorted(found)]

    def block_of(self, space: str, subnet: Subnet, address: Address) -> HostBlock | None:
        """The host's block that has the address."""
        return next((block for block in self._blocks.get((space, subnet), {}).values() if address in block), None)

    def serve(self, boot: str | None) -> None:
        """This host has an address plan, in that boot; None: it has none, and gives nothing of the cluster's."""
        self._boot = boot
        for place in self._ranges:
            self._reckon(place)

    def hold_back(self, block: HostBlock) -> None:
        """Nothing of the block is given until `let_go`, whatever the records say."""
        self._held_back.add(((block.space, block.subnet), block.index))
        self._reckon((block.space, block.subnet))

    def let_go(self, block: HostBlock) -> None:
        """Only the records count for the block again."""
        self._held_back.discard(((block.space, block.subnet), block.index))
        self._reckon((block.space, block.subnet))

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, SharedSubnet) and after is None:
            self._ranges.pop((before.space, before.subnet), None)
            self.any = bool(self._ranges)
        elif isinstance(after, SharedSubnet):
            self._ranges.setdefault((after.space, after.subnet), ())
            self.any = True
            self._reckon((after.space, after.subnet))
        elif isinstance(block := after or before, HostBlock):
            blocks = self._blocks.setdefault((block.space, block.subnet), {})
            if after is None:
                blocks.pop(block.index, None)
                self._held_back.discard(((block.space, block.subnet), block.index))
            else:
                blocks[block.index] = block
            self._reckon((block.space, block.subnet))

    def _reckon(self, place: Place) -> None:
        if place not in self._ranges:
            return
        own = RangeSet(
            block.numbers()
            for block in self._blocks.get(place, {}).values()
            if self._boot is not None
            and block.boot == self._boot
            and not block.leaving
            and (place, block.index) not in self._held_back
        )
        for block in self._blocks.get(place, {}).values():
            for address in block.carved:
                own.remove(int(address), int(address) + 1)
        self._ranges[place] = tuple(own)


def within(ranges: Iterable[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of the ranges that lie in [start, end)."""
    return [(max(low, start), min(high, end)) for low, high in ranges if low < end and high > start]
