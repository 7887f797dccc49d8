"""What the kernel tells of by itself, in a namespace of the test's own."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pytest

from mooring.adapters.netlink.route_events import RouteEvents
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE = 16, 17, 20, 21, 24, 25


@pytest.fixture
def events(namespace: Namespace) -> Iterator[RouteEvents]:
    """A listener in a namespace of its own."""
    made = RouteEvents()
    made.drain()
    yield made
    made.close()


def assert_told(events: RouteEvents, *kinds: int) -> None:
    """Waits: IPv6 addresses are told of from a queue of the kernel (net/ipv6/addrconf.c, addrconf_dad_work)."""
    told: set[int] = set()
    deadline = time.monotonic() + 15
    while not told.issuperset(kinds):
        select.select([events], [], [], 1)
        found = events.drain()
        assert found is not None
        told |= {kind for kind, _, _ in found}
        assert time.monotonic() < deadline, f"of {kinds} only {told} was told of"


def test_links_addresses_and_routes_are_told_of(events: RouteEvents) -> None:
    """When they come and when they go, in both families."""
    sh("ip link add br0 type bridge; ip link set br0 up; ip address add 198.18.0.1/24 dev br0")
    assert_told(events, NEWLINK, NEWADDR, NEWROUTE)
    sh("ip -6 address add fd00:18::1/64 dev br0 nodad; ip -6 route add 2001:db8::/32 dev br0")
    assert_told(events, NEWADDR, NEWROUTE)
    sh("ip -6 route delete 2001:db8::/32; ip address delete 198.18.0.1/24 dev br0; ip link delete br0")
    assert_told(events, DELROUTE, DELADDR, DELLINK)


def test_what_was_missed_is_said(events: RouteEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel throws away what does not fit."""
    monkeypatch.setattr("mooring.adapters.netlink.route_events._ROOM", 4096)
    small = RouteEvents()
    try:
        sh(*(f"ip route add 203.0.113.{number}/32 dev lo" for number in range(200)))
        assert small.drain() is None
        assert small.drain() == []
    finally:
        small.close()
