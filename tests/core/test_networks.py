"""Networks as values."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.networks import GatewayMode, Network, NetworkOptions, Segment, StaticRoute, overlap, stable_mac


def network(**options: object) -> Network:
    """A dual-stack network with the options."""
    return Network(
        id="3f9a2c0d41e2" + "0" * 52,
        options=NetworkOptions(**options),  # type: ignore[arg-type]
        internal=False,
        ipv4=(
            Segment(ip_network("10.32.0.0/24"), ip_interface("10.32.0.1/24"), "default", "p1"),
            Segment(ip_network("10.32.1.0/24"), None, "default", "p2"),
        ),
        ipv6=(Segment(ip_network("fd00::/64"), ip_interface("fd00::1/64"), "default", "p3"),),
        created=0.0,
    )


def test_bridge_name_and_mac_follow_from_the_id() -> None:
    """A bridge that was deleted comes back as the same neighbour, under a name that the kernel takes."""
    assert network().bridge == "mr-3f9a2c0d41e2"
    assert len(network().bridge) <= 15
    assert network().mac == network().mac
    assert network(bridge="web0").bridge == "web0"


def test_mtu_is_1500_unless_said_otherwise() -> None:
    """Bytes."""
    assert network().mtu == 1500
    assert network(mtu=9000).mtu == 9000


def test_gateway_modes_are_apart_for_the_families() -> None:
    """IPv6 may be routed while IPv4 is translated."""
    mixed = network(gateway_mode6=GatewayMode.ROUTED)
    assert (mixed.gateway_mode(4), mixed.gateway_mode(6)) == (GatewayMode.NAT, GatewayMode.ROUTED)


@pytest.mark.parametrize(
    ("address", "pool"), [("10.32.0.9", "p1"), ("10.32.1.9", "p2"), ("fd00::9", "p3"), ("10.33.0.1", None)]
)
def test_an_address_belongs_to_the_segment_whose_subnet_holds_it(address: str, pool: str | None) -> None:
    """Several subnets, two families, or none."""
    segment = network().segment_of(ip_address(address))
    assert (segment.pool if segment else None) == pool


@given(st.text())
def test_a_stable_mac_is_local_unicast_and_always_the_same(key: str) -> None:
    """IEEE 802: the second-lowest bit of the first octet set, the lowest clear."""
    mac = stable_mac(key)
    assert mac == stable_mac(key)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert len(mac) == 17


@given(st.integers(0, 2**16 - 1), st.integers(16, 32), st.integers(0, 2**16 - 1), st.integers(16, 32))
def test_overlap_agrees_with_the_standard_library(one: int, p: int, other: int, q: int) -> None:
    """Same family: ipaddress is the oracle."""
    a = IPv4Network((one << 8, p), strict=False)
    b = IPv4Network((other << 8, q), strict=False)
    assert overlap(a, b) == a.overlaps(b)


def test_families_never_overlap() -> None:
    """Not even the subnets that hold everything."""
    assert not overlap(IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def test_a_route_reads_as_it_is_written() -> None:
    """With what it goes by, if anything."""
    assert str(StaticRoute(ip_network("10.0.0.0/8"), ip_address("10.32.0.9"))) == "10.0.0.0/8 via 10.32.0.9"
    assert str(StaticRoute(ip_network("10.0.0.0/8"), None)) == "10.0.0.0/8"


def test_a_stable_mac_is_the_same_in_every_version() -> None:
    """It is in configurations of containers: local and unicast, and of this text always this one."""
    assert stable_mac("key:web:key:db") == "06:ba:9c:a7:01:38"
    assert int(stable_mac("x")[:2], 16) & 3 == 2
