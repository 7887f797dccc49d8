"""What the host has and reaches, in a namespace of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

import pytest

from mooring.adapters.linux.host_networks import HostNetworks
from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.sockets import Netlink
from tests.adapters.test_links import BRIDGE
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

PAIR = "ip link add w0 type veth peer name w1; ip link set w0 up; ip link set w1 up"
UPLINK = "ip address add 198.18.0.1/24 dev w0; ip -6 address add fd00:18::1/64 dev w0 nodad"


@pytest.fixture
def host_networks(namespace: Namespace) -> Iterator[HostNetworks]:
    """A socket in a namespace of its own."""
    sh("ip link set lo up")
    made = HostNetworks()
    yield made
    made.close()


def test_routes_are_destinations_that_pools_must_avoid(host_networks: HostNetworks) -> None:
    """Of all tables and both families, also blackholes; no default, link-local, multicast or loopback."""
    sh(
        PAIR,
        UPLINK,
        "ip route add default via 198.18.0.2; ip route add 203.0.113.0/24 via 198.18.0.2 table 100",
        "ip route add blackhole 192.0.2.0/24; ip -6 route add 2001:db8::/32 via fd00:18::2",
        "ip route add local 10.99.0.0/24 dev lo",
    )
    expected = ["198.18.0.0/24", "203.0.113.0/24", "192.0.2.0/24", "fd00:18::/64", "2001:db8::/32", "10.99.0.0/24"]
    assert set(host_networks.host_net().routes) == {ip_network(subnet) for subnet in expected}


def test_parts_of_a_default_route_are_no_destinations(host_networks: HostNetworks) -> None:
    """As OpenVPN and WireGuard write them; a private network of the widest kind is one."""
    sh(
        PAIR,
        UPLINK,
        "ip route add 0.0.0.0/1 via 198.18.0.2; ip route add 128.0.0.0/1 via 198.18.0.2",
        "ip route add 8.0.0.0/7 dev w0; ip route add 64.0.0.0/2 dev w0 table 51820; ip route add 160.0.0.0/5 dev w0",
        "ip -6 route add ::/1 dev w0; ip -6 route add 8000::/1 dev w0; ip -6 route add 2000::/3 dev w0",
    )
    assert set(host_networks.host_net().routes) == {ip_network("198.18.0.0/24"), ip_network("fd00:18::/64")}
    sh("ip route add 10.0.0.0/8 dev w0; ip -6 route add fc00::/7 dev w0")
    assert {ip_network("10.0.0.0/8"), ip_network("fc00::/7")} <= set(host_networks.host_net().routes)


def everything_but(*spared: str) -> list[str]:
    """What a VPN's configuration has that spares some subnets, as AllowedIPs calculators write it."""
    parts = [ip_network("::/0" if ":" in spared[0] else "0.0.0.0/0")]
    for subnet in map(ip_network, spared):
        parts = [
            left
            for part in parts
            for left in (part.address_exclude(subnet) if subnet.subnet_of(part) else [part])  # type: ignore[arg-type]
        ]
    return sorted(map(str, parts))


@pytest.mark.parametrize(
    "spared",
    [
        ["10.0.0.0/24"],
        ["192.168.1.0/24", "10.32.5.7/32"],
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"],
        ["fd12:3456::/48"],
    ],
)
def test_a_default_route_around_some_subnets_is_one(host_networks: HostNetworks, spared: list[str]) -> None:
    """What a VPN has for itself besides, inside of these parts, is not, nor what leaves by another way."""
    sh(PAIR, UPLINK, *(f"ip route add {part} dev w1" for part in everything_but(*spared)))
    before = {ip_network("198.18.0.0/24"), ip_network("fd00:18::/64")}
    assert set(host_networks.host_net().routes) == before
    own = ("10.8.0.0/24", "fd08::/64")
    sh(*(f"ip route add {route} dev w1" for route in own), "ip route add 10.64.0.0/10 dev w0 metric 50")
    found = set(host_networks.host_net().routes) - before
    assert found == {ip_network("10.64.0.0/10"), *map(ip_network, own)}
    sh(f"ip route delete {everything_but(*spared)[0]} dev w1; ip address add 10.99.0.1/24 dev w1")
    assert ip_network("10.99.0.0/24") in set(host_networks.host_net().routes)


def test_what_the_host_has_is_known_wherever_it_is(host_networks: HostNetworks) -> None:
    """On loopback, beside others, at the end of a line, in a VRF; not what every host has."""
    sh(
        PAIR,
        UPLINK,
        "ip address add 10.32.0.2/32 dev lo; ip -6 address add fd00:32::2/128 dev lo",
        "ip address add 127.0.0.9/8 dev lo",
        "ip address add 10.33.0.7/24 dev w0; ip address add 10.8.0.6 peer 10.8.0.5/32 dev w1",
        "ip link add v0 type veth peer name v1; ip address add 10.34.0.1/24 dev v0 noprefixroute; ip link set v0 up",
    )
    found = host_networks.host_net().addresses
    expected = ["198.18.0.1/24", "fd00:18::1/64", "10.33.0.7/24", "10.34.0.1/24"]
    expected += ["10.32.0.2", "fd00:32::2", "10.8.0.6", "10.8.0.5"]
    assert set(found) == {ip_interface(address) for address in expected}
    assert found[ip_interface("10.32.0.2")] == "interface lo of this host"


def test_our_own_bridges_addresses_are_not_the_hosts(host_networks: HostNetworks) -> None:
    """They are gateways of networks, which have records."""
    links = Links()
    try:
        links.add_bridge(BRIDGE)
        bridge = links.find(BRIDGE.name)
        assert bridge is not None
        links.add_address(bridge.index, ip_interface("10.1.0.1/24"))
    finally:
        links.close()
    assert host_networks.host_net().addresses == {}


def test_only_routes_by_our_own_links_are_ours(host_networks: HostNetworks) -> None:
    """Another route to the same subnet is the host's, also one that leads nowhere."""
    links = Links()
    links.add_bridge(BRIDGE)
    links.close()
    sh(
        PAIR,
        "ip link set mr-one up; ip address add 10.1.0.1/24 dev mr-one; ip -6 address add fd00:1::1/64 dev mr-one nodad",
        "ip route add 10.1.0.0/24 dev mr-one table 100",
    )
    assert list(host_networks.host_net().routes) == []
    sh("ip route add 10.1.0.0/24 dev w0 metric 50; ip route add blackhole 10.2.0.0/24")
    assert set(host_networks.host_net().routes) == {ip_network("10.1.0.0/24"), ip_network("10.2.0.0/24")}


def test_the_hosts_routers_are_not_free(host_networks: HostNetworks) -> None:
    """Also one that no route of its own and no address of the host shows the network of, as at some hosters; not one
    behind a link of ours, which may be a container."""
    links = Links()
    links.add_bridge(BRIDGE)
    links.close()
    sh(
        PAIR,
        UPLINK,
        "ip route add default via 172.31.1.1 dev w0 onlink; ip -6 route add default via fd00:99::1 dev w0 onlink",
        "ip -6 route add 2001:db8::/32 via fe80::1 dev w0",
        "ip link set mr-one up; ip address add 10.1.0.1/24 dev mr-one; ip route add 10.2.0.0/16 via 10.1.0.7",
    )
    host = host_networks.host_net()
    own = {ip_interface("198.18.0.1/24"), ip_interface("fd00:18::1/64")}
    assert set(host.addresses) - own == {ip_interface("172.31.1.1"), ip_interface("fd00:99::1")}
    assert host.addresses[ip_interface("172.31.1.1")] == "a router of this host on w0"
    assert {ip_network("172.31.1.1/32"), ip_network("10.1.0.0/24"), ip_network("10.2.0.0/16")} <= set(host.occupied)


@pytest.mark.parametrize(
    "change",
    [
        "ip route delete 203.0.113.0/24",
        "ip link set w0 down",
        "ip link delete w0",
        "ip address delete 198.18.0.1/24 dev w0",
        "ip route replace 203.0.113.0/24 dev w1",
        "ip route flush table 100; ip -6 route delete 2001:db8::/32",
        "ip address add 10.8.0.6 peer 10.8.0.5/32 dev w1; ip route add 10.99.0.0/16 dev w1",
        "ip link delete u0",
        "ip link set w1 name renamed; ip address add 10.7.0.1/24 dev renamed",
        "ip route add 192.0.2.0/24 nexthop via 198.18.0.2 nexthop via 198.18.0.3; ip link set w0 down",
        "ip link add br9 type bridge; ip link set u1 master br9; ip address add 10.6.0.1/16 dev br9",
        "for n in $(seq 1500); do echo route add 10.77.$((n/250)).$((n%250)) dev w1; done | ip -batch -",
        "ip link set u0 alias mooring:network:1; ip route add 10.4.0.0/16 via 10.5.0.1 dev u0 onlink",
        "ip link add mr9 type bridge; ip address add 10.6.0.1/16 dev mr9; ip link set mr9 up alias mooring:network:9",
        "ip nexthop add id 1 via 198.18.0.2 dev w0; ip route add 192.0.2.0/24 nhid 1; ip nexthop delete id 1",
    ],
)
def test_whatever_changes_is_known_at_the_next_look(host_networks: HostNetworks, change: str) -> None:
    """As one who looks for the first time sees it, also what the kernel does not tell of in full."""
    sh(
        PAIR,
        UPLINK,
        "ip route add 203.0.113.0/24 via 198.18.0.2 table 100; ip route add 203.0.113.0/24 via 198.18.0.2",
        "ip -6 route add 2001:db8::/32 via fd00:18::2",
        "ip link add u0 type veth peer name u1; ip link set u0 up; ip route add 10.5.0.0/16 dev u0",
    )
    assert ip_network("10.5.0.0/16") in host_networks.host_net().routes
    for line in change.split("; ") if change.startswith("ip") else [change]:
        sh(line)
        host_networks.host_net()
    fresh = HostNetworks()
    try:
        known, there = host_networks.host_net(), fresh.host_net()
        assert (known.addresses, list(known.occupied)) == (there.addresses, list(there.occupied))
        assert set(known.routes) == set(there.routes)
    finally:
        fresh.close()


def test_a_look_at_what_did_not_change_reads_nothing(
    host_networks: HostNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one after a network of ours was made: that is followed."""
    host_networks.host_net()
    links = Links()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Netlink, "dump", None)
            links.add_bridge(BRIDGE)
            bridge = links.find(BRIDGE.name)
            assert bridge is not None
            links.add_address(bridge.index, ip_interface("10.1.0.1/24"))
            found = host_networks.host_net()
            assert (found.addresses, list(found.routes)) == ({}, [])
            assert ip_network("10.1.0.0/24") in found.occupied
    finally:
        links.close()


@pytest.mark.parametrize(
    "change",
    [
        "ip route add 203.0.113.0/24 via 198.18.0.2",
        "ip route delete 100.64.7.0/24",
        "ip route replace 100.64.8.0/24 via 198.18.0.3",
        "ip route add unreachable 203.0.112.0/24",
        "ip -6 route add 2001:db8:1::/48 via fd00:18::2; ip -6 route delete 2001:db8:1::/48",
        "ip route add 203.0.111.0/24 nexthop via 198.18.0.2 nexthop via 198.18.0.3; ip route delete 203.0.111.0/24",
        "ip link add w2 type veth peer name w3; ip link set w2 up; ip link set w3 up; ip link delete w2",
        "ip link add mr9 type bridge; ip link set mr9 up alias mooring:network:9; ip address add 10.6.0.1/16 dev mr9; "
        "ip link delete mr9",
        "ip address add 10.8.0.1/32 dev lo; ip address delete 10.8.0.1/32 dev lo",
        "ip link set w1 down",
        "ip link add br9 type bridge; ip address add 10.6.0.1/16 dev br9; ip link set br9 up; ip link delete br9",
    ],
)
def test_one_more_or_less_of_a_large_table_is_followed(
    host_networks: HostNetworks, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Nothing is read anew, as a router's table that changes all day would have it, nor for what containers and
    networks do that come and go; and what is known is what there is."""
    lines = "for n in $(seq 0 4000); do echo route add 100.$((64+n/250)).$((n%250)).0/24 via 198.18.0.2; done"
    sh(PAIR, UPLINK, f"({lines}) | ip -batch -")
    assert len(host_networks.host_net().routes) > 4000
    for line in change.split("; "):
        sh(line)
        with monkeypatch.context() as patch:
            patch.setattr(Netlink, "dump", None)
            host_networks.host_net()
    with monkeypatch.context() as patch:
        patch.setattr(Netlink, "dump", None)
        known = host_networks.host_net()
    fresh = HostNetworks()
    try:
        there = fresh.host_net()
        assert (known.addresses, set(known.occupied), set(known.routes)) == (
            there.addresses, set(there.occupied), set(there.routes),
        )  # fmt: skip
    finally:
        fresh.close()
