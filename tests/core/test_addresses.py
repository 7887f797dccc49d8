"""core/addresses: parsing refuses what is not exact, ranges behave like sets, and the next address is the next one."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.addresses import (
    BitTree,
    Occupancy,
    RangeSet,
    address_of,
    interface,
    network,
    parse_address,
    parse_interface,
    parse_subnet,
    span,
    usable,
)
from mooring.core.faults import BadRequest

SMALL = st.integers(0, 60)
RANGE = st.tuples(SMALL, SMALL)


@pytest.mark.parametrize("text", ["10.0.0.1", "0.0.0.0", "::", "fd00::1", "2001:db8::ffff"])
def test_an_address_is_what_its_text_spells(text: str) -> None:
    """Text in canonical form comes back as it was."""
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/24", " 10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1",
     "::ffff:a00:1", "x" * 100_000, "1:2", "٣.0.0.1", "10.0.0.1\n"],
)  # fmt: skip
def test_what_is_not_an_address_is_refused_in_one_short_line(text: str) -> None:
    """A BadRequest without line breaks, of bounded length."""
    with pytest.raises(BadRequest) as caught:
        parse_address(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [5, None, b"10.0.0.1", ["10.0.0.1"]])
def test_what_is_not_text_is_no_address(value: object) -> None:
    """A number is not taken for an address (ip_address(5) would be 0.0.0.5)."""
    with pytest.raises((BadRequest, TypeError)):
        parse_subnet(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["10.0.0.0/24", "0.0.0.0/0", "10.1.2.3/32", "fd00::/64", "::/0", "fd00::1/128"])
def test_a_subnet_is_what_its_text_spells(text: str) -> None:
    """Text in canonical form comes back as it was."""
    assert parse_subnet(text) == ip_network(text)
    assert str(parse_interface(text)) == text


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/024", "10.0.0.0/255.255.255.0", "10.0.0.0/-1", "10.0.0.0/24/24",
     "fd00::/129", "fd00::%1/64", "/24", "", "10.0.0.0/٢٤"],
)  # fmt: skip
def test_what_is_not_a_subnet_is_refused(text: str) -> None:
    """A BadRequest, also as an interface."""
    with pytest.raises(BadRequest):
        parse_subnet(text)
    with pytest.raises(BadRequest):
        parse_interface(text)


def test_host_bits_are_refused_and_the_subnet_is_named() -> None:
    """The error says what the subnet would be."""
    with pytest.raises(BadRequest, match=r"10\.0\.0\.0/24"):
        parse_subnet("10.0.0.7/24")
    assert str(parse_interface("10.0.0.7/24")) == "10.0.0.7/24"


@given(st.sampled_from([4, 6]), st.data())
def test_numbers_and_addresses_are_the_same_thing(version: int, data: st.DataObject) -> None:
    """Address, interface and network keep number, length and family; text goes there and back."""
    bits = 32 if version == 4 else 128
    number = data.draw(st.integers(0, 2**bits - 1))
    length = data.draw(st.integers(0, bits))
    assert (int(address_of(version, number)), address_of(version, number).version) == (number, version)
    both = interface(version, number, length)
    assert (int(both.ip), both.network.prefixlen, both.version) == (number, length, version)
    start = number >> (bits - length) << (bits - length)
    subnet = network(version, start, length)
    assert parse_subnet(str(subnet)) == subnet
    assert span(subnet) == (start, start + 2 ** (bits - length))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.0.0.0/24", "10.0.0.1", "10.0.0.254"),
        ("10.0.0.8/30", "10.0.0.9", "10.0.0.10"),
        ("10.0.0.8/31", "10.0.0.8", "10.0.0.9"),
        ("10.0.0.8/32", "10.0.0.8", "10.0.0.8"),
        ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"),
        ("fd00::/126", "fd00::1", "fd00::3"),
        ("fd00::2/127", "fd00::2", "fd00::3"),
        ("fd00::2/128", "fd00::2", "fd00::2"),
    ],
)
def test_network_broadcast_and_anycast_addresses_are_not_usable(text: str, first: str, last: str) -> None:
    """And the small subnets follow RFC 3021 and RFC 6164."""
    start, end = usable(ip_network(text))
    assert (start, end) == (int(parse_address(first)), int(parse_address(last)) + 1)


@given(st.lists(RANGE), st.lists(st.tuples(st.booleans(), RANGE), max_size=20), RANGE)
def test_a_range_set_behaves_like_a_set_of_numbers(
    initial: list[tuple[int, int]], changes: list[tuple[bool, tuple[int, int]]], window: tuple[int, int]
) -> None:
    """After any additions and removals: same members, sorted, nothing overlaps or touches."""
    ranges = RangeSet(initial)
    model = {number for start, end in initial for number in range(start, end)}
    for adds, (start, end) in changes:
        if adds:
            ranges.add(start, end)
            model |= set(range(start, end))
        else:
            ranges.remove(start, end)
            model -= set(range(start, end))
    assert {number for number in range(70) if number in ranges} == model
    flat = [number for pair in ranges for number in pair]
    assert flat == sorted(set(flat))
    assert len(ranges) == len(flat) // 2
    inside = set(range(*window))
    assert ranges.overlaps(*window) == bool(inside & model)
    met = [end for start, end in ranges if inside & set(range(start, end))]
    assert ranges.end_of_last(*window) == (met[-1] if met else None)
    copy = ranges.copy()
    copy.add(0, 100)
    assert {number for number in range(70) if number in ranges} == model


EDGES = st.sampled_from([0, 1, 1022, 1023, 1024, 1025, 2047, 2048, 2**20 - 1, 2**20, 2**64, 2**127])


@given(st.lists(st.tuples(st.booleans(), EDGES, st.integers(1, 2100)), max_size=8), EDGES)
def test_a_bit_tree_finds_the_lowest_absent_number(changes: list[tuple[bool, int, int]], asked: int) -> None:
    """Whatever runs of numbers were added and discarded, across the edges of blocks too."""
    tree = BitTree()
    model: set[int] = set()
    for adds, start, count in changes:
        for number in range(start, start + count):
            if adds:
                tree.add(number)
                model.add(number)
            else:
                tree.discard(number)
                model.discard(number)
    expected = asked
    while expected in model:
        expected += 1
    assert tree.next_absent(asked) == expected
    assert asked not in tree or asked in model
    assert all(number in tree for number in list(model)[:50])


def test_a_bit_tree_climbs_over_full_blocks_of_full_blocks() -> None:
    """Three levels: more than 1024 full blocks are passed over, and one absent number in the middle is found."""
    tree = BitTree()
    for number in range(1024 * 1024 + 1500):
        tree.add(number)
    assert tree.next_absent(0) == 1024 * 1024 + 1500
    tree.discard(700_000)
    assert tree.next_absent(0) == 700_000
    assert tree.next_absent(700_001) == 1024 * 1024 + 1500


@pytest.mark.parametrize("start", [0, 5 << 10, 1 << 20, (1 << 64) + (7 << 10)])
def test_the_number_after_a_full_block_is_absent(start: int) -> None:
    """Wherever the first block is that is full, and nothing else is there."""
    tree = BitTree()
    for number in range(start, start + 1024):
        tree.add(number)
    assert tree.next_absent(start) == tree.next_absent(start + 1000) == start + 1024
    tree.discard(start + 5)
    assert (tree.next_absent(start), tree.next_absent(start + 6)) == (start + 5, start + 1024)


@pytest.mark.parametrize("start", [5 << 10, (1 << 20) - (1 << 10), (1 << 64) + (7 << 10)])
def test_a_full_block_is_passed_over_whichever_was_full_first(start: int) -> None:
    """The first full one begins the level above."""
    tree = BitTree()
    for number in (*range(start + 1024, start + 2048), *range(start, start + 1024)):
        tree.add(number)
    assert tree.next_absent(start) == start + 2048


def test_an_empty_range_is_nothing() -> None:
    """It is added to no set, takes nothing away, and overlaps nothing."""
    ranges = RangeSet([(1, 9)])
    ranges.add(12, 12)
    ranges.remove(5, 5)
    assert list(ranges) == [(1, 9)]
    assert not ranges.overlaps(5, 5)
    assert ranges.end_of_last(5, 5) is None


def test_a_bit_tree_keeps_nothing_of_what_is_gone() -> None:
    """However full its blocks were."""
    tree = BitTree()
    for number in range(3000):
        tree.add(number)
    for number in range(2999, -1, -1):
        tree.discard(number)
        tree.discard(number)
    assert not any(tree._levels)
    assert tree.next_absent(0) == 0


def test_what_is_held_and_what_is_recorded_are_two_reasons() -> None:
    """An address is free when it has neither, whichever ends first."""
    occupancy = Occupancy()
    occupancy.hold(5)
    occupancy.record(5)
    occupancy.delete(5)
    assert occupancy.choose(5, 6) is None
    occupancy.record(5)
    occupancy.unhold(5)
    assert occupancy.choose(5, 6) is None
    occupancy.hold(5)
    occupancy.unhold(5)
    assert occupancy.choose(5, 6) is None
    occupancy.delete(5)
    assert occupancy.choose(5, 6) == 5
    occupancy.hold(5)
    occupancy.unhold(5)
    assert occupancy.is_held(5), "whoever chose it has not let go"


def test_a_cooling_address_that_is_held_is_passed_over_and_keeps_its_turn() -> None:
    """The next one is chosen meanwhile; one that has gone on cooling, or cools no more, is where it belongs."""
    occupancy = Occupancy()
    for number in range(4):
        occupancy.record(number, cooling_since=float(number))
    occupancy.hold(0)
    assert occupancy.choose(0, 4) == 1
    occupancy.unhold(0)
    occupancy.record(2)
    occupancy.record(1, cooling_since=9.0)
    occupancy.unhold(1)
    assert [occupancy.choose(0, 4) for _ in range(4)] == [0, 3, 1, None]


def test_addresses_are_chosen_one_after_another_and_around() -> None:
    """What was given up is chosen after everything behind it."""
    occupancy = Occupancy()
    chosen = [occupancy.choose(10, 14) for _ in range(3)]
    for number in (10, 11, 12):
        occupancy.unhold(number)
    assert chosen == [10, 11, 12]
    assert [occupancy.choose(10, 14) for _ in range(5)] == [13, 10, 11, 12, None]


def test_cooling_addresses_come_last_and_the_oldest_first() -> None:
    """In the order of their release, whatever the order in which their records were seen."""
    occupancy = Occupancy()
    occupancy.record(3, cooling_since=30.0)
    occupancy.record(1, cooling_since=10.0)
    occupancy.record(2, cooling_since=20.0)
    occupancy.record(0)
    assert [occupancy.choose(0, 5) for _ in range(5)] == [4, 1, 2, 3, None]


def test_a_cooling_address_outside_the_range_is_not_chosen() -> None:
    """The range limits automatic choice in every case."""
    for outside in (1, 9):
        occupancy = Occupancy()
        occupancy.record(outside, cooling_since=1.0)
        occupancy.record(0)
        assert occupancy.choose(0, 1) is None


def test_the_first_address_of_a_range_is_chosen_first() -> None:
    """Be it number 0."""
    assert Occupancy().choose(0, 9) == 0


def test_the_queue_is_cleared_when_it_must_be_and_no_sooner() -> None:
    """A record that is seen again adds nothing; one that is deleted cools no more."""
    occupancy = Occupancy()
    for number in range(200):
        for since in (1.0, 1.0, 2.0):
            occupancy.record(number, cooling_since=since)
    assert len(occupancy._oldest) == 400
    for number in range(200):
        occupancy.delete(number)
    assert not occupancy._cooling
    for turn in range(60):
        occupancy.record(7, cooling_since=float(turn))
    assert len(occupancy._oldest) == 60


def test_a_cooling_address_whose_grant_failed_is_chosen_again() -> None:
    """Letting go puts it back into its place."""
    occupancy = Occupancy()
    occupancy.record(0, cooling_since=1.0)
    assert occupancy.choose(0, 1) == 0
    assert occupancy.choose(0, 1) is None
    occupancy.unhold(0)
    assert occupancy.choose(0, 1) == 0


def test_cooling_again_and_again_does_not_grow_the_queue() -> None:
    """Ten thousand releases of one address leave a queue of bounded length."""
    occupancy = Occupancy()
    for turn in range(10_000):
        occupancy.record(5, cooling_since=float(turn))
        assert len(occupancy._oldest) <= 2 + 64
        occupancy.record(5)


def test_the_order_outlives_a_queue_that_was_cleared_of_what_is_over() -> None:
    """Each that cools is still there, once, in its turn."""
    occupancy = Occupancy()
    for number in range(10):
        occupancy.record(number, cooling_since=100.0 - number)
    for turn in range(200):
        occupancy.record(10, cooling_since=float(turn))
    assert len(occupancy._oldest) <= 2 * 11 + 64
    assert [occupancy.choose(0, 11) for _ in range(12)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 10, None]


@given(
    st.sampled_from([(0, 6), (1020, 1030), (2**64 - 3, 2**64 + 3)]),
    st.lists(st.tuples(st.sampled_from(["choose", "record", "cool", "delete", "unhold"]), st.integers(0, 9))),
)
def test_nothing_taken_is_ever_chosen(bounds: tuple[int, int], steps: list[tuple[str, int]]) -> None:
    """A chosen number is in the range and neither recorded nor held, unless it cools and nothing else is free; None is
    answered only when nothing at all is left."""
    occupancy = Occupancy()
    recorded: dict[int, float | None] = {}
    held: set[int] = set()
    start, end = bounds
    for turn, (step, offset) in enumerate(steps):
        number = start + offset
        if step == "choose":
            free = {each for each in range(start, end) if each not in recorded and each not in held}
            cooling = [
                (since, each)
                for each, since in recorded.items()
                if since is not None and each not in held and start <= each < end
            ]
            got = occupancy.choose(start, end)
            if free:
                assert got in free
            else:
                assert got == (min(cooling)[1] if cooling else None)
            if got is not None:
                held.add(got)
        elif step == "record":
            occupancy.record(number)
            recorded[number] = None
        elif step == "cool":
            occupancy.record(number, cooling_since=float(turn))
            recorded[number] = float(turn)
        elif step == "delete":
            occupancy.delete(number)
            recorded.pop(number, None)
        else:
            occupancy.unhold(number)
            held.discard(number)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: parse_address("10.0.0.0/8"), "'10.0.0.0/8' is not an IP address; leave out the prefix length"),
        (lambda: parse_address("x", "--ip"), "--ip 'x' is not an IP address; write it as 10.32.0.2 or fd00::2"),
        (lambda: parse_address("fe80::1%eth0"), "'fe80::1%eth0' has a zone; leave out everything from the % on"),
        (lambda: parse_address("::ffff:10.0.0.1"), "'::ffff:10.0.0.1' is IPv4-mapped; write 10.0.0.1"),
        (lambda: parse_subnet("10.0.0.0"), "'10.0.0.0' is not a subnet; write it as ADDRESS/LENGTH"),
        (lambda: parse_subnet("10.0.0.1/8/8"), "'10.0.0.1/8/8' is not a subnet; write it as ADDRESS/LENGTH"),
        (lambda: parse_subnet("10.0.0.0/33"), "subnet 10.0.0.0/33: a prefix length of IPv4 is at most 32"),
        (lambda: parse_subnet("10.0.0.1/24"), "subnet 10.0.0.1/24 has host bits set; write 10.0.0.0/24"),
        (
            lambda: parse_interface("10.0.0.1"),
            "'10.0.0.1' is not an address with prefix length; write it as ADDRESS/LENGTH",
        ),
        (lambda: parse_address("x" * 99), "'" + "x" * 59 + "... is not an IP address"),
        (lambda: parse_address("x" * 58), "'" + "x" * 58 + "' is not an IP address"),
    ],
)
def test_a_refusal_shows_what_was_written_and_how_it_is_written(refused: Callable[[], object], words: str) -> None:
    """In a line; what is too long is cut."""
    with pytest.raises(BadRequest, match="^" + re.escape(words)):
        refused()
