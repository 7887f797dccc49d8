"""core/subnet_index: what overlaps is found as if each subnet were asked in turn, whatever came and went before."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.addresses import RangeSet, span
from mooring.core.networks import Subnet, overlap
from mooring.core.subnet_index import Holdings
from tests.counting import counting

SUBNETS = st.one_of(
    st.integers(20, 32).flatmap(
        lambda length: st.integers(0, 2 ** (length - 20) - 1).map(
            lambda number: ip_network((0x0A000000 + (number << (32 - length)), length))
        )
    ),
    st.integers(60, 64).flatmap(
        lambda length: st.integers(0, 2 ** (length - 60) - 1).map(
            lambda number: ip_network(((0xFD << 120) + (number << (128 - length)), length))
        )
    ),
)
HELD = st.tuples(SUBNETS, st.sampled_from("ab"))


@given(st.lists(st.tuples(st.booleans(), HELD), max_size=40), SUBNETS)
def test_what_overlaps_is_found_as_by_asking_each(steps: list[tuple[bool, tuple[Subnet, str]]], asked: Subnet) -> None:
    """Equal ones and those in one another too, of both families, after additions and removals in any order."""
    holdings, model = Holdings(), list[tuple[Subnet, str]]()
    for adds, held in steps:
        if adds:
            holdings.add(*held)
            model.append(held)
        else:
            holdings.remove(*held)
            if held in model:
                model.remove(held)
    found = holdings.overlapping(asked)
    assert sorted(found, key=str) == sorted((held for held in model if overlap(held[0], asked)), key=str)
    places = [span(held) for held, _ in found]
    assert places == sorted(places, key=lambda place: (place[0], -place[1]))
    assert sorted(holdings.at(asked)) == sorted(name for held, name in model if held == asked)
    assert set(holdings) == {held for held, _ in model}
    assert len(holdings) == len(set(holdings))
    for version in (4, 6):
        expected = RangeSet(span(held) for held, _ in model if held.version == version)
        assert list(holdings.ranges(version)) == list(expected)


def test_a_copy_is_its_own() -> None:
    """What comes to one of them is not in the other."""
    one = Holdings([ip_network("10.0.0.0/24")])
    other = one.copy()
    one.add(ip_network("10.0.1.0/24"))
    other.remove(ip_network("10.0.0.0/24"))
    assert (len(one), len(other)) == (2, 0)
    assert one.overlapping(ip_network("10.0.0.0/25"))
    assert not list(other.ranges(4))


def test_the_last_of_thousands_costs_what_the_first_one_does() -> None:
    """In calls of functions: to find, to add and to remove."""
    holdings = Holdings()

    def turn(number: int) -> int:
        subnet = ip_network((0x0A000000 + (number << 8), 24))

        with counting() as calls:
            holdings.add(subnet, "a")
            assert holdings.overlapping(subnet) == [(subnet, "a")]
            holdings.remove(subnet, "a")
        holdings.add(subnet, "a")
        return calls[0]

    first = turn(0)
    for number in range(1, 5000):
        holdings.add(ip_network((0x0A000000 + (number << 8), 24)), "a")
    assert turn(5000) <= first + 10
