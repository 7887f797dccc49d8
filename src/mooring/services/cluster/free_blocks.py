"""Blocks that nobody owns, as far as this host has seen: from them it takes one more.

Rules: what was seen before says only where to try first, and the compare-and-swap decides; the cluster is asked anew
when that was wrong, and before anybody is told that there is none; no two here try the same one. No address has a claim
of its own before its block has a key (`opened`), so who makes that key need not look for any.
"""

from __future__ import annotations

from asyncio import gather, sleep
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from mooring.core.blocks import Block, Division, all_owned, division, taken_over
from mooring.core.faults import StaleRevision
from mooring.core.networks import Address, Subnet
from mooring.services.cluster.shared_values import Member, Seen, SharedValues
from mooring.services.records.locks import OneForAll

# Blocks that a host claims at once, at most.
AT_ONCE = 8
# Seconds within which who has to wait again has as many more as it took the last time; of what nobody owns, one in so
# many at most.
SOON = 10.0
SHARE = 16


class Taken(NamedTuple):
    """A block that has come to this host. first: nobody had it before, nor a claim in it."""

    seen: Seen[Block]
    first: bool


class FreeBlocks:
    """`take`, for any number at a time, and `for_all` who wait for addresses. member: this host."""

    def __init__(self, values: SharedValues, member: Member) -> None:
        self._values, self._member = values, member
        self._known: dict[tuple[str, Subnet], _Known] = {}
        self._trying: set[tuple[str, Subnet, int]] = set()
        self._waiting: Counter[tuple[str, Subnet]] = Counter()
        self._going = OneForAll()
        self._last: dict[tuple[str, Subnet], tuple[int, float]] = {}  # how many were claimed for who waited, and when

    def forget(self) -> None:
        """Nothing was seen: the cluster's store is another than it was, and its revisions mean others."""
        self._known.clear()

    async def for_all(
        self, place: tuple[str, Subnet], enough: int, now: float, free: Callable[[], int],
        take: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        """Who comes first has as many blocks as it takes for all who wait by then, and the others wait for that; soon
        after the last time some more, so that they wait ever more seldom.

        enough: how many addresses who asks waits for. now: seconds since the boot. free: how many there are. take: has
        one block more. Raises what that raises, to all of them.
        """
        self._waiting[place] += enough
        try:
            await self._going.do(place, partial(self._for_all, place, enough, now, free, take))
        finally:
            self._waiting[place] -= enough

    async def _for_all(
        self, place: tuple[str, Subnet], enough: int, now: float, free: Callable[[], int],
        take: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        await sleep(0)  # for who comes at the same moment
        if (there := free()) < enough:
            count = min(self.missing(place, there) + self._ahead(place, now), AT_ONCE)
            self._last[place] = count, now
            await together([take() for _ in range(count)], most=True)

    def missing(self, place: tuple[str, Subnet], free: int) -> int:
        """How many blocks it takes for all who wait, one at least. free: addresses that there are."""
        divided = division(place[1])
        size = divided.size if divided is not None else 1
        return max(min(-(-(self._waiting[place] - free) // size), AT_ONCE), 1)

    def _ahead(self, place: tuple[str, Subnet], now: float) -> int:
        """How many blocks more than it takes. None of a small subnet: other hosts want some as well."""
        count, when = self._last.get(place, (0, now))
        divided, known = division(place[1]), self._known.get(place)
        if divided is None or known is None or now - when > SOON:
            return 0
        return min(count, (divided.count - len(known.owned)) // SHARE)

    async def take(self, space: str, subnet: Subnet, start: int, end: int) -> Taken:
        """A block that has numbers of [start, end) is this host's, as the cluster says; the claims that it had are
        carved out. Raises Exhausted, Unavailable."""
        divided = division(subnet)
        assert divided is not None
        known, fresh = self._known.get((space, subnet)), False
        while True:
            if known is None:
                known, fresh = _Known(await self._values.blocks(space, subnet)), True
                self._known[space, subnet] = known
            taken = await self._first(known, (space, subnet), divided, (start, end), fresh)
            if taken is not None:
                return taken
            if fresh:
                raise all_owned(subnet, known.blocks)
            known = None

    async def _first(
        self, known: _Known, place: tuple[str, Subnet], divided: Division, bounds: tuple[int, int], fresh: bool
    ) -> Taken | None:
        """The first in this host's order that can be had; None where there is none, or what was known is wrong."""
        for index in known.untried(divided, self._member.host, bounds):
            if index in known.owned or (*place, index) in self._trying:
                continue
            self._trying.add((*place, index))
            try:
                return await self._try(known, place, divided, index)
            except StaleRevision:
                if not fresh:
                    return None
            finally:
                self._trying.discard((*place, index))
        return None

    async def _try(self, known: _Known, place: tuple[str, Subnet], divided: Division, index: int) -> Taken:
        space, subnet = place
        seen = known.free.get(index) or Seen(Block(space=space, subnet=subnet, index=index), 0)
        assert seen.value is not None
        claimed = await self._values.claims_in(space, subnet, divided, index) if seen.revision else ()
        block = taken_over(seen.value, self._member.host, claimed, self._member.boot)
        revision = await self._values.put(block, seen.revision)
        known.owned.add(index)
        return Taken(Seen(block, revision), not seen.revision)


class _Known:
    """Blocks of a subnet as they were seen: who owns which, and those that somebody had. Each is tried once."""

    def __init__(self, blocks: dict[int, Seen[Block]]) -> None:
        found = [seen.value for seen in blocks.values() if seen.value is not None and seen.value.host]
        self.blocks = [msgspec.structs.replace(block, carved={}) for block in found]
        self.owned = {block.index for block in found}
        self.free = {i: seen for i, seen in blocks.items() if seen.value is not None and not seen.value.host}
        self._order: tuple[tuple[int, int], Iterator[int]] = ((0, 0), iter(()))

    def untried(self, divided: Division, host: str, bounds: tuple[int, int]) -> Iterator[int]:
        """What was not tried yet within the bounds, in the host's order; who goes on where another stopped."""
        if self._order[0] != bounds:
            self._order = bounds, divided.order(host, *bounds)
        return self._order[1]


async def opened(values: SharedValues, space: str, subnet: Subnet, address: Address) -> None:
    """The block of the address has a key, be it as nobody's: a claim that is written after this is seen by whoever
    takes the block, or sees who has. Raises Unavailable."""
    if (divided := division(subnet)) is not None:
        seen = await values.block(space, subnet, divided.index_of(address))
        if seen.value is not None and not seen.revision:
            with suppress(StaleRevision):
                await values.put(seen.value, 0)


async def together(works: Sequence[Awaitable[None]], most: bool = False) -> None:
    """All are done, at once; none is under way any more when it ends. Raises what the first one raised; most: only when
    all have failed."""
    done = await gather(*works, return_exceptions=True)
    faults = [each for each in done if isinstance(each, BaseException)]
    if faults and not (most and len(faults) < len(done)):
        raise faults[0]
