"""The host's routes to subnets of routing domains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address, ip_network

import pytest

from mooring.adapters.linux.host_links import HostLinks
from mooring.core.faults import Conflict, Unavailable
from mooring.core.plumbing import Route
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

FOUR = Route("mt-1", ip_network("10.1.0.0/24"), ip_address("169.254.64.3"))
SIX = Route("mt-1", ip_network("fd00:1::/64"), ip_address("fd6d:6f6f:7269:6e67::3"))
OTHER = Route("mt-2", FOUR.subnet, ip_address("169.254.64.5"))


@pytest.fixture
def links(namespace: Namespace) -> Iterator[HostLinks]:
    """Of a host with two lines of ours, whose other ends are of no matter."""
    del namespace
    for number in (1, 2):
        name = f"mt-{number}"
        sh(
            f"ip link add {name} type veth peer name far{number}; ip link set {name} alias mooring:domain:{number}",
            f"ip address add 169.254.64.{2 * number}/31 dev {name}",
            f"ip -6 address add fd6d:6f6f:7269:6e67::{2 * number}/127 dev {name} nodad",
            f"ip link set {name} up; ip link set far{number} up",
        )
    with closing(HostLinks()) as made:
        yield made


def test_a_route_is_added_once_and_removed_once(links: HostLinks) -> None:
    """In both families; what others have is none of ours."""
    sh("ip route add 10.9.0.0/24 via 169.254.64.3", "ip route add 10.8.0.0/24 dev far2 proto 109")
    assert links.routes() == set()
    assert links.add_route(FOUR)
    assert links.add_route(SIX)
    assert not links.add_route(FOUR)
    assert not links.add_route(SIX)
    assert links.routes() == {FOUR, SIX}
    for _ in range(2):
        links.delete_route(FOUR)
        links.delete_route(SIX)
    assert links.routes() == set()
    assert "10.9.0.0/24" in sh("ip route")


def test_a_route_of_somebody_elses_stays(links: HostLinks) -> None:
    """It is named; one of ours by another line gives way, since the records have changed."""
    sh("ip route add 10.1.0.0/24 dev far2", "ip -6 route add fd00:1::/64 dev far2")
    for route in (FOUR, SIX):
        with pytest.raises(Conflict, match=f"this host has a route to {route.subnet} already"):
            links.add_route(route)
    sh("ip route del 10.1.0.0/24")
    links.add_route(FOUR)
    assert links.add_route(OTHER)
    assert links.routes() == {OTHER}


def test_without_its_line_there_is_no_route(links: HostLinks) -> None:
    """It cannot be made, and need not be removed."""
    gone = Route("mt-3", FOUR.subnet, FOUR.via)
    with pytest.raises(Unavailable, match="mt-3 is missing"):
        links.add_route(gone)
    links.delete_route(gone)
