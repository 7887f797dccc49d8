"""What is read from a kernel; tests/services/test_overlays.py and test_ingress_ports.py have what follows from it."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.overlays import Overlay, Remote, flood, overlay_facts, remote_facts, vxlan_name
from mooring.core.plumbing import Bridge, LinkAddress, Member, Vxlan
from mooring.services.networking.recovered_overlays import by_link, overlay_of

IPV4 = Segment(ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), "", "")
NETWORK = Network("a" * 64, NetworkOptions(), False, (IPV4,), (), created=0.0)
OVERLAY = Overlay(7, ip_address("192.0.2.1"), 1500, (ip_interface("10.9.0.201/24"),))
THERE = Remote("02:00:00:00:00:0c", (ip_address("10.9.0.12"),), ip_address("192.0.2.2"))
LED = Member("ingress4", "6 . 80", "10.9.0.12 . 80")


async def test_an_overlay_is_read_as_it_was_made() -> None:
    """With its own addresses, without the gateway's; who is elsewhere, and what leads there. Nothing of other links."""
    facts = [
        *overlay_facts(NETWORK, OVERLAY), *remote_facts(NETWORK, THERE), flood(NETWORK, ip_address("192.0.2.3")), LED,
        Bridge(NETWORK.bridge, "", 1450, ""), LinkAddress(NETWORK.bridge, ip_interface("10.9.0.1/32")),
        LinkAddress("eth0", ip_interface("192.0.2.1/24")), Member("wildcard4", "6 . 81", "10.9.0.11 . 80"),
    ]  # fmt: skip
    (device,) = [fact for fact in facts if isinstance(fact, Vxlan)]
    there, led = await by_link({vxlan_name(NETWORK), NETWORK.bridge}, facts)
    assert overlay_of(NETWORK, device, there) == (OVERLAY, {f"kernel/{THERE.mac}": THERE})
    assert led == {LED.key: LED}


async def test_nothing_is_looked_at_without_a_device() -> None:
    """There may be thousands of facts."""
    assert await by_link((), [LED]) == ({}, {})
