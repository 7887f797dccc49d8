"""What the kernel tells of the host's bridges, in a namespace of the test's own."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.host_bridges import ContainerBridges, host_bridges
from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import Netlink
from tests.adapters.test_links import BRIDGE
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def bridges(owner: Owner = DAEMON) -> dict[str, bool]:
    """As they are now."""
    netlink = Netlink()
    try:
        return host_bridges(netlink, owner)
    finally:
        netlink.close()


@pytest.mark.parametrize(
    "leading",
    [
        "ip tuntap add mode tap dev p0; ip link set p0 master br0",
        "ip address add 198.18.0.1/24 dev br0; ip route add default via 198.18.0.2",
        "ip address add 198.18.0.1/24 dev br0; ip route add 203.0.113.0/24 via 198.18.0.2 table 7",
        "ip route add default dev br0",
        "ip -6 address add fd00:18::1/64 dev br0 nodad; ip -6 route add 2001:db8::/32 via fd00:18::2",
        "ip address add 198.18.0.1/24 dev br0; ip route add default nexthop via 198.18.0.2 nexthop via 198.18.0.3",
        "ip address add 198.18.0.1/24 dev br0; ip route add 203.0.113.0/24 via inet6 fe80::1 dev br0",
    ],
)
def test_a_bridge_with_a_port_of_the_hosts_or_a_route_through_a_gateway_leads_somewhere(
    namespace: Namespace, leading: str
) -> None:
    """Whatever the route's family or table; the other bridge is not touched by it."""
    sh(
        "for name in br0 br1; do ip link add $name type bridge; ip link set $name up; done",
        "ip link add v0 type veth peer name v1; ip link set v0 master br0; ip link set v0 up; ip link set v1 up",
        "ip address add 172.18.0.1/16 dev br1",
    )
    assert bridges() == {"br0": False, "br1": False}
    sh(leading)
    assert bridges() == {"br0": True, "br1": False}


def test_bridges_of_ours_are_not_told_and_those_of_another_owner_lead_somewhere(namespace: Namespace) -> None:
    """Another owner guards his own."""
    for owner, bridge in (("", BRIDGE), ("web", replace(BRIDGE, name="mr-web"))):
        links = Links(Owner(owner))
        links.add_bridge(bridge)
        links.close()
        sh(f"ip address add 172.17.0.1/16 dev {bridge.name}")
        assert not holds(bridge.name, "172.17.0.2")
    assert bridges() == {"mr-web": True}
    assert bridges(Owner("web")) == {}


def holds(name: str, source: str) -> bool:
    """A look of its own, with nothing remembered."""
    return ContainerBridges(lambda: 1.0).holds(socket.if_nametoindex(name), ip_address(source))


@pytest.mark.parametrize(
    "leading",
    [
        "ip tuntap add mode tap dev p0; ip link set p0 master br0",
        "ip route add default via 172.17.0.9",
        "ip -6 route add default via fd00:17::9",
        "ip address flush dev br0",
    ],
)
def test_a_bridge_has_containers_behind_it_as_long_as_nothing_else_is(namespace: Namespace, leading: str) -> None:
    """Those in its own subnets; an interface of the host's that is no bridge has none."""
    sh(
        "ip link add br0 type bridge; ip link set br0 up",
        "ip link add v0 type veth peer name v1; ip link set v0 master br0; ip link set v0 up; ip link set v1 up",
        "ip address add 172.17.0.1/16 dev br0; ip -6 address add fd00:17::1/64 dev br0 nodad",
        "ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up",
        "ip address add 198.18.0.1/24 dev eth0",
        "ip route add 203.0.113.0/24 via 198.18.0.2",
    )
    assert holds("br0", "172.17.0.2")
    assert holds("br0", "fd00:17::2")
    assert not holds("br0", "198.18.0.2")
    assert not holds("eth0", "198.18.0.2")
    sh(leading)
    assert not holds("br0", "172.17.0.2")


def test_what_was_read_of_a_bridge_counts_for_a_while(namespace: Namespace) -> None:
    """So a flood of made-up sources costs nothing; one that is gone has nothing behind it."""
    sh("ip link add br0 type bridge; ip link set br0 up; ip address add 172.17.0.1/16 dev br0")
    index, now = socket.if_nametoindex("br0"), 1.0
    known = ContainerBridges(lambda: now)
    assert known.holds(index, ip_address("172.17.0.2"))
    sh("ip link delete br0")
    assert known.holds(index, ip_address("172.17.0.3"))
    now = 3.5
    assert not known.holds(index, ip_address("172.17.0.2"))
