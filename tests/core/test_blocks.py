"""Blocks: how a subnet is divided, who decides over an address, and when blocks come and go."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from mooring.core.address_claims import AddressClaim, Spec
from mooring.core.blocks import (
    Block,
    Decides,
    HostBlock,
    behind,
    carved_out,
    decides,
    dispensable,
    division,
    given_up,
    made_whole,
    noted,
    settled,
    taken_from,
    taken_over,
    wants_more,
)
from mooring.core.faults import Conflict

SUBNET = ip_network("10.32.0.0/24")
X, Y = ip_address("10.32.0.17"), ip_address("10.32.0.18")
FREE = Block(space="default", subnet=SUBNET, index=1)
OWNED = taken_over(FREE, "A", [])


def claim(host: str = "B", sequence: str = "s1", address: object = X) -> AddressClaim:
    return Spec("default", SUBNET, sequence, key="key:db", holder="c").claim(address, host, 5.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("subnet", "blocks"), [
    ("10.32.0.0/16", 4096), ("10.32.0.0/27", 2), ("10.32.0.0/28", 0), ("10.32.0.0/32", 0),
    ("fd00::/64", 1 << 56), ("fd00::/119", 2), ("fd00::/120", 0),
])  # fmt: skip
def test_a_subnet_has_blocks_of_16_or_256_addresses_and_one_no_larger_has_none(subnet: str, blocks: int) -> None:
    """0: single claims only."""
    divided = division(ip_network(subnet))
    assert (divided.count if divided is not None else 0) == blocks


def test_an_address_is_in_the_block_of_its_number() -> None:
    """The span of a block has just its addresses."""
    divided = division(SUBNET)
    assert divided is not None
    assert divided.index_of(X) == 1
    assert divided.first(1) == ip_address("10.32.0.16")
    assert divided.span(1) == (int(divided.first(1)), int(divided.first(1)) + 16)
    block = HostBlock(space="default", subnet=SUBNET, index=1, generation=1)
    assert X in block
    assert ip_address("10.32.0.32") not in block
    assert ip_address("fd00::1") not in block


@pytest.mark.parametrize(("subnet", "start", "end", "blocks"), [
    ("10.32.0.0/24", 0, 256, 16), ("10.32.0.0/24", 40, 90, 4), ("10.32.0.0/24", 250, 600, 1), ("10.32.0.0/24", 7, 7, 1),
])  # fmt: skip
def test_a_host_tries_every_block_with_addresses_that_may_be_given_once(
    subnet: str, start: int, end: int, blocks: int
) -> None:
    """Whatever part of the subnet a range leaves, and however many blocks that are."""
    divided = division(ip_network(subnet))
    assert divided is not None
    tried = Counter(divided.order("host", divided.start + start, divided.start + end))
    assert len(tried) <= blocks
    assert set(tried.values()) <= {1}
    first, last = start // 16, min(-(-end // 16), divided.count)
    assert set(tried) == set(range(first, last))


def test_hosts_begin_at_different_blocks() -> None:
    """So that they rarely want the same one."""
    divided = division(ip_network("10.32.0.0/16"))
    assert divided is not None
    start = divided.start
    begun = {next(iter(divided.order(f"host{number}", start, start + 65536))) for number in range(50)}
    assert len(begun) > 40


def test_a_block_of_a_v6_subnet_is_found_without_counting_them() -> None:
    """There are 2^56."""
    divided = division(ip_network("fd00::/64"))
    assert divided is not None
    start = divided.start
    order = divided.order("host", start, start + (1 << 64))
    assert len({next(order) for _ in range(100)}) == 100


def test_every_change_of_owner_raises_the_generation() -> None:
    """Claimed, given up, claimed by another, taken from it."""
    second = taken_over(given_up(OWNED), "B", [X])
    assert [b.generation for b in (FREE, OWNED, given_up(OWNED), second, taken_from(second))] == [0, 1, 2, 3, 4]
    assert (second.host, dict(second.carved)) == ("B", {X: None})
    with pytest.raises(Conflict, match="host A"):
        taken_over(OWNED, "B", [])


def test_what_is_carved_out_is_borne_until_it_has_a_key() -> None:
    """And is not lost with the block."""
    bearing = carved_out(OWNED, [claim()])
    assert bearing.carved == {X: claim()}
    with pytest.raises(Conflict):
        given_up(bearing)
    assert settled(bearing, X).carved == {X: None}
    assert settled(OWNED, X) == OWNED
    assert given_up(settled(bearing, X)).carved == {}
    assert made_whole(settled(bearing, X), [X]).carved == {}
    assert noted(bearing, [X, Y]).carved == {X: claim(), Y: None}


def test_an_address_is_carved_out_for_one_claim() -> None:
    """The same one again is fine; another one is refused with the holder."""
    bearing = carved_out(OWNED, [claim()])
    assert carved_out(bearing, [claim()]) == bearing
    with pytest.raises(Conflict, match="key db on host B, idle since"):
        carved_out(bearing, [claim("C", "s2")])
    with pytest.raises(Conflict):
        carved_out(settled(bearing, X), [claim("C", "s2")])


@pytest.mark.parametrize(("block", "key", "decided"), [
    (None, None, Decides()),
    (None, claim(), Decides(claim=claim())),
    (FREE, claim(), Decides(claim=claim())),
    (FREE, None, Decides()),
    (given_up(OWNED), claim(), Decides(claim=claim())),
    (given_up(OWNED), None, Decides(settled=True)),
    (OWNED, None, Decides(owner="A")),
    (OWNED, claim(), Decides(owner="A")),  # it came too late
    (noted(OWNED, [X]), claim(), Decides(claim=claim())),
    (noted(OWNED, [X]), None, Decides(owner="A", settled=True)),
    (carved_out(OWNED, [claim()]), None, Decides(claim=claim(), written=False)),
    (carved_out(OWNED, [claim()]), claim("C", "old"), Decides(claim=claim(), written=False)),
    (carved_out(OWNED, [claim()]), claim("C"), Decides(claim=claim("C"))),  # it moved
])  # fmt: skip
def test_exactly_one_decides_over_an_address(block: Block | None, key: AddressClaim | None, decided: Decides) -> None:
    """The owner of the block, or the claim."""
    assert decides(block, X, key) == decided


def test_the_next_block_is_claimed_below_the_low_watermark() -> None:
    """Fewer than 8 free addresses."""
    assert [wants_more(free) for free in (0, 7, 8)] == [True, True, False]


@pytest.mark.parametrize(("free", "empty", "gone"), [
    ({1: 16}, [1], None),  # one is kept
    ({1: 3, 2: 16}, [2], None),  # the next would be claimed at once
    ({1: 15, 2: 16}, [2], None),
    ({1: 16, 2: 16}, [1, 2], 2),
    ({1: 16, 2: 4}, [], None),
])  # fmt: skip
def test_an_empty_block_goes_when_enough_is_free_without_it(
    free: dict[int, int], empty: list[int], gone: int | None
) -> None:
    """Twice the low watermark."""
    assert dispensable(free, empty) == gone


def test_two_claims_are_the_same_by_their_sequence_and_generation() -> None:
    """A release of another allocation, or from before a move, is not meant."""
    now = claim("A", "s2")
    assert now.is_of("A", "s2", 1)
    later = msgspec.structs.replace(now, generation=2)
    assert not later.is_of("A", "s2", 1)
    assert not now.is_of("A", "s1", 1)
    assert not now.is_of("B", "s2", 1)


def test_what_is_behind_a_host_is_told_with_the_fewest_prefixes() -> None:
    """Blocks that lie side by side are one; an address in none of them is alone; one that is leaving is not told."""
    subnet = ip_network("10.9.0.0/24")

    def block(index: int, leaving: bool = False) -> HostBlock:
        return HostBlock(space="default", subnet=subnet, index=index, generation=1, leaving=leaving)

    addresses = [ip_address(f"10.9.0.{last}") for last in (35, 99, 81)]
    found = behind([block(2), block(3), block(6, leaving=True), block(9)], addresses)
    assert [str(prefix) for prefix in found] == ["10.9.0.32/27", "10.9.0.144/28", "10.9.0.81/32", "10.9.0.99/32"]
    assert behind([], []) == []
