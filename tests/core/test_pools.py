"""core/pools: a subnet is carved where nothing is, and pools of one space are found by what they overlap."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.addresses import span, usable
from mooring.core.faults import BadRequest, Exhausted
from mooring.core.networks import Subnet, overlap
from mooring.core.pools import SubnetPool, candidates, carve, check_address, check_range, check_subnet, default_pools
from mooring.core.subnet_index import Holdings

MACHINE = "0123456789abcdef0123456789abcdef"


def subnet_pool(*prefixes: str, length: int = 24, name: str = "p", shortest: int = 1, longest: int = 128) -> SubnetPool:
    """A subnet pool of these prefixes."""
    return SubnetPool(name, "default", tuple(ip_network(text) for text in prefixes), length, shortest, longest)


def taken(*subnets: str) -> list[Holdings]:
    """These are taken."""
    return [Holdings(map(ip_network, subnets))]


@st.composite
def small_subnets(draw: st.DrawFn) -> Subnet:
    """A subnet of 10.0.0.0/24 with at least two host bits."""
    length = draw(st.integers(24, 30))
    start = draw(st.integers(0, 2 ** (length - 24) - 1)) << (32 - length)
    return ip_network((0x0A000000 + start, length))


@given(st.lists(small_subnets(), max_size=12), st.lists(small_subnets(), max_size=12), st.integers(24, 30))
def test_carving_finds_the_first_subnet_that_overlaps_nothing(
    ours: list[Subnet], others: list[Subnet], length: int
) -> None:
    """The same as trying every subnet of the length in order; None only when there is none."""
    every = ip_network("10.0.0.0/24").subnets(new_prefix=length)
    pools = [subnet_pool("10.0.0.0/24", length=28)]
    expected = [(pools[0], each) for each in every if not any(each.overlaps(other) for other in (*ours, *others))]
    assert carve(pools, length, [Holdings(ours), Holdings(others)]) == (expected[0] if expected else None)


def test_every_prefix_of_every_subnet_pool_is_tried_in_turn() -> None:
    """In the order given, also when an earlier one is too small for the length."""
    pools = [
        subnet_pool("10.1.0.0/24", "10.0.0.0/23", name="a", length=24),
        subnet_pool("10.9.0.0/16", name="b", length=20),
    ]
    before = Holdings()
    got = []
    for _ in range(5):
        found = carve(pools, None, [before])
        assert found is not None
        got.append(f"{found[0].name} {found[1]}")
        before.add(found[1])
    assert got == ["a 10.1.0.0/24", "a 10.0.0.0/24", "a 10.0.1.0/24", "b 10.9.0.0/20", "b 10.9.16.0/20"]


def test_lengths_outside_the_bounds_are_refused_with_the_bounds() -> None:
    """BadRequest, because waiting does not help."""
    with pytest.raises(BadRequest, match="p: /20 to /28"):
        carve([subnet_pool("10.0.0.0/16", shortest=20, longest=28)], 30, [])


def test_without_a_subnet_pool_nothing_can_be_chosen() -> None:
    """Exhausted, with the way out."""
    with pytest.raises(Exhausted, match="--subnet"):
        carve([], None, [])


def test_other_families_are_not_in_the_way() -> None:
    """An IPv6 /0 that is busy does not hinder IPv4, and the other way round."""
    v4, v6 = [subnet_pool("10.0.0.0/16")], [subnet_pool("fd00::/48", length=64)]
    assert carve(v4, None, taken("fd00::/8")) == (v4[0], ip_network("10.0.0.0/24"))
    assert carve(v6, None, taken("10.0.0.0/8", "fd00::/64")) == (v6[0], ip_network("fd00:0:0:1::/64"))


def test_special_prefixes_are_never_carved() -> None:
    """Loopback and multicast stay out even when the configuration has a prefix around them."""
    origin = subnet_pool("127.0.0.0/8", "10.0.0.0/24", length=24)
    assert carve([origin], None, []) == (origin, ip_network("10.0.0.0/24"))


def test_thousands_of_busy_subnets_are_no_matter() -> None:
    """In a /8 with 5 000 networks and the whole first half gone, the next one is found."""
    held = Holdings(ip_network((0x0A000000 + (n << 8), 24)) for n in range(5000))
    held.add(ip_network("10.0.0.0/9"))
    pools = [subnet_pool("10.0.0.0/8")]
    assert carve(pools, None, [held]) == (pools[0], ip_network("10.128.0.0/24"))


@pytest.mark.parametrize(
    ("prefixes", "length"),
    [((), 24), (("10.0.0.0/16", "fd00::/48"), 24), (("10.0.0.0/24",), 20), (("10.0.0.0/8",), 33)],
)
def test_a_subnet_pool_that_cannot_work_is_not_built(prefixes: tuple[str, ...], length: int) -> None:
    """No prefixes, two families, too small, too long: BadRequest."""
    with pytest.raises(BadRequest):
        subnet_pool(*prefixes, length=length)


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0/0", "0.0.0.0/8", "127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "239.1.0.0/16", "255.255.255.255/32",
     "::/0", "::1/128", "ff00::/8", "fe80::/64", "::ffff:0:0/96"],
)  # fmt: skip
def test_subnets_that_no_network_can_have_are_refused(text: str) -> None:
    """Loopback, multicast, link-local, mapped, and what contains them."""
    with pytest.raises(BadRequest):
        check_subnet(ip_network(text))


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.0/31", "100.64.0.0/10", "fd00::/8", "2001:db8::/127"])
def test_ordinary_subnets_are_accepted(text: str) -> None:
    """Nothing is raised."""
    check_subnet(ip_network(text))


@given(small_subnets(), small_subnets())
def test_a_range_limits_the_choice_and_nothing_else(subnet: Subnet, limit: Subnet) -> None:
    """Accepted ranges lie within the subnet and leave something to choose, all of it usable and in the range."""
    try:
        check_range(subnet, limit)
    except BadRequest:
        assert not limit.subnet_of(subnet) or set(range(*candidates(subnet, limit))) == set()  # type: ignore[arg-type]
        return
    chosen = set(range(*candidates(subnet, limit)))
    assert chosen == set(range(*usable(subnet))) & set(range(*span(limit)))
    assert chosen


@pytest.mark.parametrize(
    ("subnet", "limit"),
    [
        ("10.0.0.0/24", "10.0.1.0/28"),
        ("10.0.0.0/24", "10.0.0.0/16"),
        ("10.0.0.0/24", "fd00::/64"),
        ("10.0.0.0/24", "10.0.0.255/32"),
    ],
)
def test_ranges_that_cannot_be_are_refused(subnet: str, limit: str) -> None:
    """Outside, larger, of the other family, and one that holds the broadcast address only."""
    with pytest.raises(BadRequest):
        check_range(ip_network(subnet), ip_network(limit))


@pytest.mark.parametrize(
    ("subnet", "address"),
    [("10.0.0.0/24", "10.0.0.0"), ("10.0.0.0/24", "10.0.0.255"), ("10.0.0.0/24", "10.0.1.1"), ("fd00::/64", "fd00::"),
     ("10.0.0.0/24", "fd00::1"), ("fd00::/64", "10.0.0.1")],
)  # fmt: skip
def test_addresses_that_no_interface_can_have_are_refused(subnet: str, address: str) -> None:
    """Network, broadcast, anycast, outside, of the other family."""
    with pytest.raises(BadRequest):
        check_address(ip_network(subnet), ip_address(address))


@pytest.mark.parametrize(("subnet", "address"), [("10.0.0.0/31", "10.0.0.0"), ("10.0.0.0/31", "10.0.0.1"),
                                                 ("10.0.0.7/32", "10.0.0.7"), ("fd00::/127", "fd00::"),
                                                 ("fd00::/64", "fd00::ffff:ffff:ffff:ffff")])  # fmt: skip
def test_small_subnets_give_all_they_have(subnet: str, address: str) -> None:
    """RFC 3021, RFC 6164, and the last address of an IPv6 subnet, which is no broadcast."""
    check_address(ip_network(subnet), ip_address(address))


@given(small_subnets(), small_subnets())
def test_overlap_agrees_with_the_standard_library(one: Subnet, other: Subnet) -> None:
    """For one family; across families there is none."""
    assert overlap(one, other) == one.overlaps(other)
    assert not overlap(one, ip_network("::/0"))


def test_the_default_ula_belongs_to_the_host() -> None:
    """The IPv6 pool is a /48 in fd00::/8, the same for the same machine id and another for another (RFC 4193)."""
    mine, again, theirs = (default_pools(text)[1].prefixes[0] for text in (MACHINE, MACHINE + "\n", "other"))
    assert isinstance(mine, IPv6Network)
    assert mine == again != theirs
    assert mine.prefixlen == 48
    assert mine.subnet_of(IPv6Network("fd00::/8"))
    assert MACHINE[:6] not in str(mine)


def test_a_host_without_configuration_has_a_pool_of_each_family() -> None:
    """10.32.0.0/12 into /24, a ULA into /64."""
    v4, v6 = default_pools(MACHINE)
    assert (v4.name, v4.space, v4.prefixes, v4.length) == ("default-v4", "default", (ip_network("10.32.0.0/12"),), 24)
    assert (v6.name, v6.space, v6.length, v6.version) == ("default-v6", "default", 64, 6)


def test_a_subnet_pool_may_allow_one_length_only() -> None:
    """Its own; and one that no prefix is large enough for is refused by name."""
    assert subnet_pool("10.0.0.0/16", shortest=24, longest=24).length == 24
    with pytest.raises(BadRequest, match="subnet pool p: no prefix is large enough for a /24"):
        subnet_pool("10.0.0.0/25", "10.1.0.0/26")
