"""Whether something of the host's addresses and routes changed, in a namespace of the test's own."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator

import pytest

from mooring.adapters.linux.host_events import HostNews
from mooring.adapters.netlink.route_events import IPV6_IFADDR, RouteEvents
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

PAIR = "ip link add w0 type veth peer name w1; ip link set w0 up; ip link set w1 up"


@pytest.fixture
def news(namespace: Namespace) -> Iterator[HostNews]:
    """A listener in a namespace of its own, with a pair of links."""
    sh(PAIR)
    made = HostNews()
    made.any()
    yield made
    made.close()


@pytest.mark.parametrize(
    "change",
    [
        "ip address add 10.32.0.9/32 dev lo",
        "ip -6 address add fd00:32::9/128 dev lo",
        "ip -6 address add fd00:32::9/64 dev w0 nodad",
        "ip address add 10.8.0.6 peer 10.8.0.5/32 dev w1",
        "ip route add 10.32.0.9/32 dev w0; ip route add default via 10.32.0.9",
        "ip route add 10.32.0.9/32 dev w0 table 51820",
        "ip link set w0 name wg0; ip address add 10.32.0.9/32 dev wg0",
    ],
)
def test_what_comes_is_news_once_and_what_goes_again(news: HostNews, change: str) -> None:
    """When the command has returned; of IPv6 addresses, when the kernel's own queue has come to them."""
    lines = change.split("; ")
    addresses = RouteEvents(IPV6_IFADDR)
    for line in lines:
        sh(line)
        if line.startswith("ip -6 address"):
            assert select.select([addresses], [], [], 15)[0]
        assert news.any() or " name " in line
        assert not news.any()
    addresses.close()
    sh(lines[-1].replace(" add ", " delete ").replace(" nodad", ""))
    assert news.any()


def test_what_containers_bring_is_none(news: HostNews) -> None:
    """Links that come up with their link-local addresses and routes, and bridges of ours with their gateways."""
    sh(
        "ip link add w2 type veth peer name w3; ip link set w2 up; ip link set w3 up; ip link delete w2",
        "ip link add mr-one type bridge; ip link set mr-one up; ip address add 10.1.0.1/24 dev mr-one",
        "ip -6 address add fd00:1::1/64 dev mr-one nodad; ip route add 127.5.0.0/16 dev lo",
    )
    assert not news.any()


def test_what_was_missed_is_news(news: HostNews) -> None:
    """The kernel throws away what does not fit."""
    sh("for n in $(seq 2000); do echo route add 203.0.$((n/250)).$((n%250)) dev w1; done | ip -batch -")
    sh("for n in $(seq 2000); do echo route delete 203.0.$((n/250)).$((n%250)) dev w1; done | ip -batch -")
    assert news.any()
    assert not news.any()


def test_a_route_to_elsewhere_by_a_known_router_is_none(news: HostNews) -> None:
    """As of a BGP feed, which is no reason to read anything for an address; the first one tells of the router, and one
    that may have been its last makes it new again. Who follows all routes hears of each."""
    every = HostNews(all_routes=True)
    sh("ip address add 198.18.0.1/24 dev w0")
    assert news.any()
    assert every.any()
    for line, told in (
        ("ip route add 203.0.113.0/24 via 198.18.0.2", True),
        ("ip route add 203.0.112.0/24 via 198.18.0.2", False),
        ("ip route replace 203.0.112.0/24 via 198.18.0.2 proto bird", False),
        ("ip route delete 203.0.112.0/24", False),
        ("ip route add 203.0.112.0/24 via 198.18.0.2", True),
        ("ip route add 203.0.111.7/32 via 198.18.0.2", True),
    ):
        sh(line)
        assert news.any() == told, line
        assert every.any()
    every.close()


async def test_who_waits_is_told_soon_after_and_not_of_containers(namespace: Namespace) -> None:
    """What happened before he waits counts, too."""
    sh(PAIR)
    made = HostNews(all_routes=True)
    sh("ip address add 10.32.0.9/32 dev lo")
    await asyncio.wait_for(made.come(), 5)
    sh("ip link add w2 type veth peer name w3; ip link set w2 up; ip link set w3 up; ip link delete w2")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(made.come(), 1.5)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(made.come())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        sh("ip address delete 10.32.0.9/32 dev lo")
        await asyncio.wait_for(waiting, 5)
    made.close()
