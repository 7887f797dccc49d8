"""Links, addresses and routes inside a namespace, by the socket alone."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.adapters.linux.namespace_links import KERNEL_PROTOCOL, OUR_PROTOCOL, Held, NamespaceLinks, Route
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

ADDRESS4, ADDRESS6 = ip_interface("10.1.0.2/24"), ip_interface("fd00:1::2/64")


@pytest.fixture
def links(namespace: Namespace) -> Iterator[NamespaceLinks]:
    """A socket in a namespace that has a veth pair, one and two, that is up."""
    sh("ip link add one type veth peer name two", "ip link set one up", "ip link set two up")
    made = NamespaceLinks()
    yield made
    made.close()


def index_of(links: NamespaceLinks, name: str) -> int:
    """The index of a link that is there."""
    found = links.find(name)
    assert found is not None
    return found.index


def test_links_are_found_by_name(links: NamespaceLinks) -> None:
    """Each as the whole list has it; a name that no link can have is none."""
    for found in links.links():
        assert links.find(found.name) == found
    for name in ("three", "a-name-that-is-far-too-long", ""):
        assert links.find(name) is None


def test_the_loopback_is_raised(links: NamespaceLinks) -> None:
    """It is the first link of every namespace."""
    sh("ip link set lo down")
    links.raise_loopback()
    assert "<LOOPBACK,UP" in sh("ip link show lo")


def test_a_link_is_named_and_bears_its_alias(links: NamespaceLinks) -> None:
    """With its MAC, or with the one it has; an alias of "" is none."""
    index = index_of(links, "one")
    links.set_up(index, up=False)
    links.name(index, "eth0", "ours", "02:00:00:00:00:0a")
    links.name(index, "eth1", "ours too")
    found = links.find("eth1")
    assert found is not None
    assert (found.alias, found.mac, found.up) == ("ours too", "02:00:00:00:00:0a", False)
    links.name(index, "one", "")
    assert "alias" not in sh("ip link show one")


def test_an_address_bears_our_sign(links: NamespaceLinks) -> None:
    """It is usable at once; the kernel's and other people's are not ours."""
    one, two = index_of(links, "one"), index_of(links, "two")
    sh("ip address add 10.9.0.1/24 dev two", "ip -6 address add fd00:9::1/64 dev two nodad")
    for address in (ADDRESS4, ADDRESS6):
        for _ in range(2):
            links.add_address(one, address)
    assert "tentative" not in sh("ip -6 address show dev one scope global")
    told = links.addresses()
    assert {held.interface for held in told if held.ours} == {ADDRESS4, ADDRESS6}
    assert Held(two, ip_interface("10.9.0.1/24"), False) in told
    for address in (ADDRESS4, ADDRESS6):
        for _ in range(2):
            links.delete_address(one, address)
    assert not [held for held in links.addresses() if held.index == one and held.ours]


def test_a_link_without_ipv6_gets_no_link_local_address(links: NamespaceLinks) -> None:
    """Others get one when they come up."""
    sh("ip link set one down", "ip link set two down")
    links.without_link_local(index_of(links, "one"))
    for name in ("one", "two"):
        links.set_up(index_of(links, name), up=True)
    assert "fe80" not in sh("ip -6 address show dev one")
    assert "fe80" in sh("ip -6 address show dev two")


def test_routes_are_put_and_deleted(links: NamespaceLinks) -> None:
    """They bear our sign and replace one another; deleting one by another way deletes nothing."""
    one, two = index_of(links, "one"), index_of(links, "two")
    for index, net in ((one, 1), (two, 2)):
        links.add_address(index, ip_interface(f"10.{net}.0.2/24"))
        links.add_address(index, ip_interface(f"fd00:{net}::2/64"))
    for to, by_one, by_two in (
        ("0.0.0.0/0", "10.1.0.1", "10.2.0.1"),
        ("::/0", "fd00:1::1", "fd00:2::1"),
        ("192.0.2.0/24", "10.1.0.1", "10.2.0.1"),
    ):
        links.put_route(ip_network(to), ip_address(by_one), one)
        links.put_route(ip_network(to), ip_address(by_two), two)
        links.delete_route(ip_network(to), ip_address(by_one), one)
        found = [route for route in links.routes() if route.destination == ip_network(to)]
        priority = 1024 if ":" in to else 0
        assert found == [Route(ip_network(to), ip_address(by_two), two, OUR_PROTOCOL, priority)]
        for _ in range(2):
            links.delete_route(ip_network(to), ip_address(by_two), two)
        assert not [route for route in links.routes() if route.destination == ip_network(to)]


def test_connected_routes_are_the_kernels(links: NamespaceLinks) -> None:
    """They came with an address."""
    one = index_of(links, "one")
    links.add_address(one, ADDRESS4)
    assert Route(ip_network("10.1.0.0/24"), None, one, KERNEL_PROTOCOL, 0) in list(links.routes())


def test_a_route_of_somebody_else_is_not_deleted(links: NamespaceLinks) -> None:
    """It differs from ours by nothing but the sign."""
    one = index_of(links, "one")
    links.add_address(one, ADDRESS4)
    sh("ip route add default via 10.1.0.1 dev one")
    links.delete_route(ip_network("0.0.0.0/0"), ip_address("10.1.0.1"), one)
    assert "default via 10.1.0.1" in sh("ip route show")


def test_counters_tell_what_was_carried(links: NamespaceLinks) -> None:
    """What one link sends the other receives; the loopback is left out."""
    links.add_address(index_of(links, "one"), ADDRESS4)
    sh("ping -c 1 -W 1 10.1.0.1 || true")  # an ARP request, which nobody answers
    counters = links.counters()
    assert set(counters) == {"one", "two"}
    assert counters["one"].tx_packets > 0
    assert counters["two"].rx_bytes >= counters["two"].rx_packets * 42 > 0
    assert counters["one"].rx_errors == counters["one"].tx_errors == 0
