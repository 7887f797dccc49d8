"""What the kernel tells of the host's bridges, in a namespace of the test's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.adapters.linux.host_bridges import host_bridges
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
    assert bridges() == {"mr-web": True}
    assert bridges(Owner("web")) == {}
