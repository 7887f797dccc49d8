"""What the kernel tells of one interface of the host, in a namespace of the test's own."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from mooring.adapters.linux.links import Links
from mooring.adapters.linux.seen_links import host_link
from mooring.core.plumbing import Veth
from tests.adapters.test_links import BRIDGE
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def test_an_interface_is_told_with_its_kind_port_and_addresses(namespace: Namespace) -> None:
    """A tap, a macvlan, both ends of a pair."""
    sh(
        "ip link add v0 type veth peer name v1; ip link add br0 type bridge; ip link set v0 master br0",
        "ip tuntap add mode tap dev tap0; ip link set tap0 mtu 9000",
        "ip address add 198.18.0.1/24 dev v1; ip link add link v1 name mac0 type macvlan mode bridge",
    )
    links = Links()
    try:
        found = {name: host_link(links, name) for name in ("v0", "v1", "tap0", "mac0", "br0", "nothing")}
    finally:
        links.close()
    assert found.pop("nothing") is None
    told = {name: (link.kind, link.port, link.ours) for name, link in found.items() if link is not None}
    assert told == {
        "v0": ("veth", True, False), "v1": ("veth", False, False), "tap0": ("tun", False, False),
        "mac0": ("macvlan", False, False), "br0": ("bridge", False, False),
    }  # fmt: skip
    v1, tap = found["v1"], found["tap0"]
    assert v1 is not None
    assert v1.addresses == (ip_interface("198.18.0.1/24"),)
    assert tap is not None
    assert (tap.mtu, tap.addresses) == (9000, ())


def test_both_ends_of_a_pair_of_ours_are_ours_and_go_together(namespace: Namespace) -> None:
    """One that is on its way out is not there, nor is its other end."""
    links = Links()
    try:
        links.add_bridge(BRIDGE)
        bridge = links.find(BRIDGE.name)
        assert bridge is not None
        veth = Veth("mh-1", "mooring:vnic:x", BRIDGE.name, False, "mi-1", "02:00:00:00:00:07", 1400)
        links.add_veth(veth, bridge.index)
        told = host_link(links, "mi-1")
        assert told is not None
        assert (told.ours, told.mac, told.mtu) == (True, "02:00:00:00:00:07", 1400)
        assert [host_link(links, name, {"mh-1"}) for name in ("mh-1", "mi-1")] == [None, None]
    finally:
        links.close()
