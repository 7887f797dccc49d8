"""What a host may give of a shared subnet, by its records."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec

from mooring.core.blocks import HostBlock, SharedSubnet
from mooring.services.records.block_index import BlockIndex, within
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore

SUBNET = ip_network("10.0.0.0/25")
FIRST = int(SUBNET.network_address)
SHARED = SharedSubnet(space="default", subnet=SUBNET, since=0.0)


def block(index: int, *carved: str, leaving: bool = False) -> HostBlock:
    addresses = frozenset(map(ip_address, carved))
    return HostBlock(
        space="default", subnet=SUBNET, index=index, generation=1, carved=addresses, leaving=leaving, boot="b1"
    )


async def index_of(*records: SharedSubnet | HostBlock) -> tuple[RecordCache, BlockIndex]:
    cache = RecordCache(MemoryStore())
    index = BlockIndex(cache)
    index.serve("b1")
    await cache.commit(put=records)
    return cache, index


def ranges(index: BlockIndex) -> list[tuple[int, int]]:
    """Relative to the subnet."""
    return [(start - FIRST, end - FIRST) for start, end in index.ranges("default", SUBNET) or ()]


async def test_without_a_shared_subnet_there_is_nothing_to_ask() -> None:
    """So that nothing is slower on a host that is alone."""
    _, index = await index_of()
    assert not index.any
    assert index.ranges("default", SUBNET) is None
    assert ("default", SUBNET) not in index


async def test_own_blocks_are_given_but_for_what_is_carved_out() -> None:
    """In order; neighbours are one range."""
    cache, index = await index_of(SHARED, block(3), block(1, "10.0.0.20"), block(0))
    assert ranges(index) == [(0, 20), (21, 32), (48, 64)]
    assert [each.index for each in index.blocks("default", SUBNET)] == [0, 1, 3]
    found = index.block_of("default", SUBNET, ip_address("10.0.0.50"))
    assert found is not None
    assert found.index == 3
    assert index.block_of("default", SUBNET, ip_address("10.0.0.40")) is None
    assert index.block("default", SUBNET, 3) == found
    assert index.block("default", SUBNET, 2) is index.block("other", SUBNET, 3) is None
    await cache.commit(delete=[block(3)])
    assert ranges(index) == [(0, 20), (21, 32)]


async def test_what_is_leaving_or_held_back_is_not_given() -> None:
    """Whichever of it says so."""
    _, index = await index_of(SHARED, block(0), block(1, leaving=True), block(2))
    index.hold_back(block(2))
    assert ranges(index) == [(0, 16)]
    index.let_go(block(2))
    assert ranges(index) == [(0, 16), (32, 48)]


async def test_a_block_of_no_boot_is_known_until_it_has_one_or_is_gone() -> None:
    """Somebody else gives from it."""
    parted = [msgspec.structs.replace(block(number), boot="") for number in (5, 3)]
    cache, index = await index_of(SHARED, block(0), *parted)
    assert index.without_boot("default", SUBNET) == 3
    await cache.commit(put=[block(3)])
    assert index.without_boot("default", SUBNET) == 5
    await cache.commit(delete=[parted[0]])
    assert index.without_boot("default", SUBNET) is index.without_boot("other", SUBNET) is None


async def test_a_subnet_that_is_not_shared_any_more_is_as_any_other() -> None:
    """Its blocks count for nothing."""
    cache, index = await index_of(SHARED, block(0))
    await cache.commit(delete=[SHARED])
    assert index.ranges("default", SUBNET) is None
    assert not index.any


def test_ranges_are_cut_to_what_may_be_chosen() -> None:
    """Ends and whole ranges."""
    assert within([(0, 16), (32, 48), (64, 80)], 1, 40) == [(1, 16), (32, 40)]


async def test_without_a_plan_or_in_another_boot_than_a_blocks_nothing_is_given() -> None:
    """Whatever the records say, until the block is confirmed in this boot."""
    cache, index = await index_of(SHARED, block(2))
    assert ranges(index) == [(32, 48)]
    for boot in (None, "b2"):
        index.serve(boot)
        assert ranges(index) == []
        assert ("default", SUBNET) in index
    await cache.commit(put=[msgspec.structs.replace(block(2), boot="b2")])
    assert ranges(index) == [(32, 48)]
