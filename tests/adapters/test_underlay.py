"""The underlay's MTU, in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.underlay import underlay_mtu
from mooring.adapters.netlink.sockets import Netlink
from tests.netns.rigs import private_namespace, sh

pytestmark = pytest.mark.netns


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    """Two interfaces with MTUs of 1500 and 9000."""
    with private_namespace():
        sh(
            "ip link set lo up; for n in 1 2; do ip link add br$n type bridge; ip link set br$n up; done",
            "ip address add 192.0.2.1/24 dev br1; ip address add 198.51.100.1/24 dev br2; ip link set br2 mtu 9000",
            "ip -6 address add fd00:192::1/64 dev br1 nodad",
        )
        made = Netlink()
        yield made
        made.close()


@pytest.mark.parametrize(
    ("local", "hosts", "mtu"),
    [
        ("192.0.2.1", (), 1500),
        ("fd00:192::1", (), 1500),
        ("198.51.100.1", (), 9000),
        ("198.51.100.1", ("198.51.100.2",), 9000),
        ("198.51.100.1", ("198.51.100.2", "192.0.2.2"), 1500),
        ("192.0.2.1", ("192.0.2.9",), 1400),
        ("fd00:192::1", ("fd00:192::9", "fd00:192::2"), 1380),
        ("192.0.2.1", ("203.0.113.1",), 1500),
        ("192.0.2.1", ("203.0.114.1",), None),
        ("192.0.2.2", (), None),
    ],
)
def test_the_route_counts_and_not_the_interface(
    netlink: Netlink, local: str, hosts: tuple[str, ...], mtu: int | None
) -> None:
    """A route's own MTU, else that of the interface it leads to, of several next hops one's; what has no route does not
    count."""
    sh(
        "ip route add 192.0.2.9/32 dev br1 mtu 1400; ip -6 route add fd00:192::9/128 dev br1 mtu 1380",
        "ip route add 203.0.113.0/24 nexthop via 192.0.2.4 nexthop via 192.0.2.5",
    )
    assert underlay_mtu(netlink, ip_address(local), [ip_address(each) for each in hosts]) == mtu
