"""Subnet pools: their prefixes, what is left of them against counting it out, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import collapse_addresses, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.addresses import RangeSet, span
from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Subnet
from mooring.core.pools import Pool, SubnetPool, carve
from mooring.core.subnet_index import Holdings
from mooring.core.subnet_pools import (
    MOST_PREFIXES,
    Alteration,
    Busy,
    Room,
    altered,
    bounds,
    check_beside,
    covers,
    grown,
    holds,
    in_the_way,
    in_words,
    new_pool,
    no_room,
    origin_of,
    percent_of,
    room_of,
    shrunk,
)

# A small world: 10.0.0.0/24, whose 256 addresses can be counted.
WORLD = ip_network("10.0.0.0/24")
BASE = int(WORLD.network_address)


def nets(*texts: str) -> tuple[Subnet, ...]:
    """The subnets."""
    return tuple(ip_network(text) for text in texts)


def pool(*prefixes: str, length: int = 24, name: str = "p", longest: int = 30, space: str = "default") -> SubnetPool:
    """A stored subnet pool."""
    return SubnetPool(name, space, nets(*prefixes), length, 1, longest, None, declared=False)


def empty(subnet_pool: SubnetPool, *taken: str) -> Room:
    """What is left of it when networks have those."""
    return room_of(subnet_pool, RangeSet(span(ip_network(text)) for text in taken), [])


def pieces(shortest: int = 24, longest: int = 32) -> st.SearchStrategy[Subnet]:
    """Subnets of the small world."""
    return st.integers(shortest, longest).flatmap(
        lambda length: st.integers(0, (1 << (length - 24)) - 1).map(
            lambda number: ip_network((BASE + (number << (32 - length)), length))
        )
    )


def numbers(subnets: Iterable[Subnet]) -> set[int]:
    """Each address of them."""
    return {number for subnet in subnets for number in range(*span(subnet))}


# -- prefixes ----------------------------------------------------------------------------------------------------------


@given(st.lists(pieces(), max_size=6), st.lists(pieces(), max_size=6))
def test_growing_is_the_union_and_shrinking_the_difference(some: list[Subnet], more: list[Subnet]) -> None:
    """To the address, whatever overlaps what; and the prefixes of the result overlap nowhere."""
    base = grown((), some)
    for result, expected in (
        (base, numbers(some)),
        (grown(base, more), numbers(some) | numbers(more)),
        (shrunk(base, more), numbers(some) - numbers(more)),
    ):
        assert numbers(result) == expected
        assert sum(each.num_addresses for each in result) == len(expected)


@given(st.lists(pieces(), min_size=1, max_size=6), pieces())
def test_growing_or_shrinking_twice_is_doing_it_once(some: list[Subnet], one: Subnet) -> None:
    """A request whose answer was lost may come again."""
    base = grown((), some)
    assert grown(grown(base, [one]), [one]) == grown(base, [one])
    assert shrunk(shrunk(base, [one]), [one]) == shrunk(base, [one])


@given(pieces(24, 31).flatmap(lambda whole: st.tuples(st.just(whole), pieces(whole.prefixlen, 32))))
def test_what_was_taken_out_and_put_back_is_as_it_was(pair: tuple[Subnet, Subnet]) -> None:
    """Two halves become the whole, so that a subnet as large as before can be carved again."""
    whole, part = pair
    if covers(whole, part):
        left = shrunk([whole], [part])
        assert grown(left, [part]) == (whole,)
        assert tuple(collapse_addresses([*left, part])) == (whole,)  # type: ignore[type-var]


def test_prefixes_stay_in_the_order_in_which_they_are_tried() -> None:
    """A wider one stands where the first that it swallows stood; a new one comes last; parts stand where it stood."""
    base = nets("10.9.0.0/24", "10.1.0.0/24", "10.5.0.0/24")
    assert grown(base, nets("10.1.0.0/16")) == nets("10.9.0.0/24", "10.1.0.0/16", "10.5.0.0/24")
    assert grown(base, nets("10.0.0.0/24")) == (*base, *nets("10.0.0.0/24"))
    assert grown(base, nets("10.1.1.0/24")) == nets("10.9.0.0/24", "10.1.0.0/23", "10.5.0.0/24")
    assert shrunk(base, nets("10.1.0.0/25")) == nets("10.9.0.0/24", "10.1.0.128/25", "10.5.0.0/24")
    assert shrunk(nets("10.0.0.0/8"), nets("fd00::/8")) == nets("10.0.0.0/8")


# -- making and changing -----------------------------------------------------------------------------------------------


def test_a_new_one_has_what_is_usual() -> None:
    """/24 and /64, or the longest prefix; used by name only; two addresses at least."""
    v4 = new_pool("lab", "default", nets("10.64.0.0/16"))
    assert (v4.length, bounds(v4), v4.position, v4.declared) == (24, (16, 30), None, False)
    v6 = new_pool("lab6", "blue", nets("fd00:1::/48"), Alteration(position=7, note="n"), 5.5)
    assert (v6.length, bounds(v6), v6.position, v6.note, v6.since, v6.space) == (64, (48, 126), 7, "n", 5.5, "blue")
    assert new_pool("small", "default", nets("10.0.0.0/27")).length == 27
    assert new_pool("tiny", "default", nets("10.0.0.0/31")).length == 31


@pytest.mark.parametrize(
    ("name", "prefixes", "wish", "text"),
    [
        ("a b", nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("", nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("-a", nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("a" * 64, nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("a/b", nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("ä", nets("10.0.0.0/8"), Alteration(), "cannot be the name"),
        ("a", (), Alteration(), "needs a prefix"),
        ("a", nets("10.0.0.0/8", "fd00::/48"), Alteration(), "all of one family"),
        ("a", nets("127.0.0.0/8"), Alteration(), "no network can have"),
        ("a", nets("0.0.0.0/0"), Alteration(), "no network can have"),
        ("a", nets("10.0.0.0/24"), Alteration(length=23), "no prefix is large enough for a /23"),
        ("a", nets("10.0.0.0/24"), Alteration(length=33, longest=33), "prefix length 33"),
        ("a", nets("10.0.0.0/24"), Alteration(longest=33), "are none within /1 to /32"),
        ("a", nets("10.0.0.0/24"), Alteration(shortest=0), "prefix length 24 is not within 0"),
        ("a", nets("10.0.0.0/24"), Alteration(length=26, shortest=27), "prefix length 26 is not within 27 to 30"),
        ("a", nets("10.0.0.0/24"), Alteration(position=10000), "position 10000"),
        ("a", nets("10.0.0.0/24"), Alteration(position=-1), "position -1"),
    ],
)
def test_what_cannot_be_a_subnet_pool_is_refused(
    name: str, prefixes: tuple[Subnet, ...], wish: Alteration, text: str
) -> None:
    """In one line that says why."""
    with pytest.raises(BadRequest, match=text) as caught:
        new_pool(name, "default", prefixes, wish)
    assert "\n" not in str(caught.value)


def test_a_change_is_of_what_is_named_only() -> None:
    """The rest stays."""
    before = new_pool("lab", "default", nets("10.64.0.0/16"), Alteration(note="n", position=5), 1.0)
    assert altered(before, Alteration()) == before
    assert altered(before, Alteration(length=26)).length == 26
    after = altered(before, Alteration(name="labs", note="", position=0, longest=28, shortest=20))
    assert (after.name, after.note, after.position, after.longest, after.shortest) == ("labs", "", None, 28, 20)
    assert after.since == 1.0
    assert bounds(altered(before, Alteration(add=nets("10.128.0.0/9"))))[0] == 9


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (Alteration(remove=nets("10.0.0.0/8")), "no prefix left.*subnet-pool rm p"),
        (Alteration(add=nets("fd00::/48")), "all of one family"),
        (Alteration(add=nets("10.65.0.0/16"), remove=nets("10.65.1.0/24")), "to be added .* removed, which overlap"),
        (Alteration(name="a b"), "cannot be the name"),
        (Alteration(length=31), "is not within 1 to 30"),
        (Alteration(remove=nets("10.64.0.0/17"), length=16, shortest=16), "no prefix is large enough"),
    ],
)
def test_a_change_that_cannot_be_is_refused(wish: Alteration, text: str) -> None:
    """In one line."""
    with pytest.raises(BadRequest, match=text):
        altered(pool("10.64.0.0/16"), wish)


def test_a_subnet_pool_does_not_fall_to_dust() -> None:
    """Every carving tries each prefix, so that there is a bound on them."""
    many = tuple(ip_network((BASE + (n << 9), 24)) for n in range(MOST_PREFIXES))
    whole = new_pool("many", "default", many)
    with pytest.raises(BadRequest, match=f"may have {MOST_PREFIXES}"):
        altered(whole, Alteration(add=nets("10.128.0.0/24")))


def test_what_is_in_the_way_is_named() -> None:
    """The same name anywhere, an overlapping prefix in the same space only."""
    mine = pool("10.64.0.0/16", name="mine")
    assert in_the_way(mine, [pool("10.65.0.0/16", name="other")]) is None
    assert in_the_way(mine, [pool("10.64.0.0/16", name="other", space="blue")]) is None
    with pytest.raises(Conflict, match=r"pool other of the store has 10.64.3.0/24, which overlaps 10.64.0.0/16"):
        check_beside(mine, [pool("10.64.3.0/24", name="other")])
    declared = SubnetPool("mine", "blue", nets("10.1.0.0/16"), 24)
    with pytest.raises(Conflict, match="subnet pool mine of the configuration has the same name; choose another name"):
        check_beside(mine, [declared])


def test_a_pool_is_of_the_subnet_pool_that_it_was_carved_from_or_that_was_named_for_its_family() -> None:
    """A subnet that was typed by hand stays a typed one: Docker takes `--ip` for it."""
    words = {"pool": "lab", "pool6": "lab6"}
    assert origin_of(Pool(id="a", space="s", subnet=ip_network("10.0.0.0/24"), source="x", options=words)) == "x"
    assert origin_of(Pool(id="a", space="s", subnet=ip_network("10.0.0.0/24"), options=words)) == "lab"
    assert origin_of(Pool(id="a", space="s", subnet=ip_network("fd00::/64"), options=words)) == "lab6"
    assert origin_of(Pool(id="a", space="s", subnet=ip_network("fd00::/64"))) == ""


def test_a_subnet_is_one_of_a_subnet_pool_when_prefix_and_bounds_allow_it() -> None:
    """Both."""
    lab = pool("10.64.0.0/16", "10.70.0.0/24", longest=28)
    assert all(holds(lab, each) for each in nets("10.64.0.0/16", "10.64.255.0/28", "10.70.0.0/24"))
    assert not any(holds(lab, each) for each in nets("10.64.0.0/15", "10.64.255.0/29", "10.71.0.0/24", "fd00::/64"))


# -- what is left ------------------------------------------------------------------------------------------------------


@given(
    st.lists(pieces(24, 29), min_size=1, max_size=3), st.lists(pieces(25, 32), max_size=6),
    st.lists(pieces(25, 32), max_size=4), st.integers(29, 30),
)  # fmt: skip
def test_what_is_left_is_what_counting_it_out_gives(
    prefixes: list[Subnet], carved: list[Subnet], others: list[Subnet], length: int
) -> None:
    """Fill, the largest free block, and the number of subnets of each length, against every address one by one."""
    whole = grown((), prefixes)
    subnet_pool = SubnetPool("p", "default", whole, length, 1, 32)
    room = room_of(subnet_pool, RangeSet(map(span, carved)), [RangeSet([span(each)]) for each in others])
    size, mine, theirs = numbers(whole), numbers(carved), numbers(others)
    assert (room.size, room.carved, room.blocked) == (len(size), len(size & mine), len((size & theirs) - mine))
    free = size - mine - theirs
    count = {}
    for each in range(24, 33):
        # A subnet is of one prefix, so what is carved never lies across two.
        blocks = [b for prefix in whole if each >= prefix.prefixlen for b in prefix.subnets(new_prefix=each)]
        count[each] = sum(numbers([block]) <= free for block in blocks)
    largest = next((each for each in range(24, 33) if count[each]), None)
    assert (room.largest.prefixlen if room.largest else None) == largest
    assert room.largest is None or numbers([room.largest]) <= free
    assert dict(room.left) == {each: count[each] for each, _ in room.left}
    if largest is not None:
        low, high = bounds(subnet_pool)
        assert [each for each, _ in room.left] == list(
            range(max(largest, low), min(max(length, largest + 2), high) + 1)
        )


@given(st.lists(pieces(24, 29), min_size=1, max_size=3), st.lists(pieces(25, 32), max_size=6), st.integers(29, 30))
def test_as_many_subnets_can_be_carved_as_are_said_to_be_left(
    prefixes: list[Subnet], carved: list[Subnet], length: int
) -> None:
    """One after the other, by the function that carves; then none."""
    subnet_pool = SubnetPool("p", "default", grown((), prefixes), length, 1, 32)
    held = Holdings(carved)
    left = room_of(subnet_pool, held.ranges(4), []).number(length)
    for _ in range(left):
        found = carve([subnet_pool], None, [held])
        assert found is not None
        held.add(found[1])
    assert carve([subnet_pool], None, [held]) is None


def test_figures_of_a_huge_pool_with_many_networks_cost_little() -> None:
    """An IPv6 /48 has 65 536 /64; 2 000 networks of a /16 with a gap after each."""
    v6 = SubnetPool("v6", "default", nets("fd00:1::/48"), 64)
    start = int(ip_network("fd00:1::/48").network_address)
    taken = RangeSet((start + (2 * n << 64), start + (2 * n + 1 << 64)) for n in range(2000))
    room = room_of(v6, taken, [])
    assert room.number(64) == 65536 - 2000
    assert room.largest == ip_network("fd00:1:0:8000::/49")
    assert room.percent == 3.0
    v4 = SubnetPool("v4", "default", nets("10.0.0.0/8"), 24)
    ranges = RangeSet((BASE + (2 * n << 8), BASE + (2 * n + 1 << 8)) for n in range(2000))
    assert room_of(v4, ranges, []).number(24) == 65536 - 2000


def test_what_no_network_can_have_is_not_left() -> None:
    """A prefix around loopback, as a configuration may have it: those addresses are blocked, not free."""
    room = room_of(SubnetPool("p", "default", nets("126.0.0.0/7"), 24), RangeSet(), [])
    assert room.percent == 0.0
    assert (room.blocked, room.largest) == (1 << 24, ip_network("126.0.0.0/8"))


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [(0, 100, 0.0), (1, 10**9, 0.1), (1, 3, 33.3), (10**9 - 1, 10**9, 99.9), (5, 5, 100.0), (0, 0, 0.0)],
)
def test_a_percentage_is_full_or_empty_only_when_it_is(part: int, whole: int, percent: float) -> None:
    """Rounding hides neither the first network nor the last free address."""
    assert percent_of(part, whole) == percent


# -- in words ----------------------------------------------------------------------------------------------------------


def test_a_full_subnet_pool_says_so_and_what_to_do() -> None:
    """One line: how full, who has it, the next command."""
    lab = pool("10.9.0.0/24", length=26, name="lab")
    room = empty(lab, "10.9.0.0/26", "10.9.0.64/26", "10.9.0.128/25")
    text = str(no_room([(lab, room)], None, [Busy(ip_network("10.9.0.0/26"), "pool x of network y")]))
    assert text == (
        "subnet pool lab is full: it has no free /26 (100% carved, nothing left; in use: 10.9.0.0/26 by pool x of "
        "network y); remove a network, give a subnet with --subnet, "
        "or `mooring subnet-pool set lab --add-prefix SUBNET`"
    )


def test_a_subnet_pool_in_pieces_says_what_would_fit() -> None:
    """The largest free block, what is left of which length, and how to ask for that."""
    lab = pool("10.9.0.0/24", length=25, name="lab")
    room = empty(lab, "10.9.0.0/26", "10.9.0.128/26")
    assert in_words(room) == "50% carved; largest free block 10.9.0.64/26; left: 2 /26, 4 /27, 8 /28"
    assert "--ipam-opt prefixlen=26)" in str(no_room([(lab, room)], None, []))
    six = SubnetPool("six", "default", nets("fd00::/48"), 49)
    room6 = room_of(six, RangeSet([(int(ip_network("fd00::/50").network_address), (0xFD00 << 112) + (1 << 78))]), [])
    assert "prefixlen6=" in str(no_room([(six, room6)], 48, []))


def test_what_else_is_in_the_way_is_told_apart_from_networks() -> None:
    """Blocked by the host, a deny list or others."""
    lab = pool("10.9.0.0/24")
    whole = [RangeSet([span(ip_network("10.0.0.0/8"))])]
    assert in_words(room_of(lab, RangeSet(), whole)) == "0% carved, 100% blocked, nothing left"


def test_declared_ones_grow_in_the_configuration() -> None:
    """No command is offered that would be refused."""
    declared = SubnetPool("apps", "default", nets("10.9.0.0/24"), 24)
    text = str(no_room([(declared, empty(declared, "10.9.0.0/24"))], None, []))
    assert text.endswith("or add prefixes to the configuration")


def test_a_large_subnet_in_the_way_is_named() -> None:
    """Also when it covers the whole prefix; what is elsewhere is not."""
    pools = [pool("10.32.0.0/12")]
    ways = [Busy(each, f"pool of {each}") for each in nets("10.0.0.0/8", "11.0.0.0/8")]
    fault = no_room([(pools[0], empty(pools[0], "10.0.0.0/8"))], None, ways)
    assert "no free /24 (100% carved, nothing left; in use: 10.0.0.0/8 by pool of 10.0.0.0/8)" in fault.what


def test_exhaustion_names_a_few_holders_and_counts_the_rest() -> None:
    """One line, of bounded length, with what to do."""
    whole = pool("10.0.0.0/16")
    ways = [Busy(ip_network(f"10.0.{n}.0/24"), f"pool of 10.0.{n}.0/24") for n in range(256)]
    text = str(no_room([(whole, empty(whole, "10.0.0.0/16"))], None, ways))
    assert "and 253 more" in text
    assert "--subnet" in text
    assert len(text) < 500


def test_exhaustion_of_several_names_each_with_its_own_figures() -> None:
    """Each length once."""
    a, b = pool("10.0.0.0/24", name="a"), pool("10.1.0.0/16", length=25, name="b")
    full = empty(a, "10.0.0.0/24"), empty(b, "10.1.0.0/16")
    fault = no_room([(a, full[0]), (b, full[1])], None, [])
    assert fault.what == (
        "subnet pool a, b is full: it has no free /24 or /25 "
        "(a: 100% carved, nothing left; b: 100% carved, nothing left)"
    )
    assert "no free /26 (" in no_room([(a, full[0]), (b, full[1])], 26, []).what
    three = [Busy(each, "x") for each in nets("10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26")]
    assert "more" not in no_room([(a, full[0])], 24, three).what
