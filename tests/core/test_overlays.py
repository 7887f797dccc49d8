"""Overlays as facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.datapath import endpoint_facts, network_facts
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.overlays import (
    Overlay,
    Remote,
    fitted,
    fitted_mtu,
    host_member,
    overlay_facts,
    remote_facts,
    vxlan_name,
)
from mooring.core.plumbing import Bridge, LinkAddress, Member, Neighbour, RemoteMac, Veth, Vxlan

IPV4 = Segment(ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), "", "")
IPV6 = Segment(ip_network("fd00:9::/64"), ip_interface("fd00:9::1/64"), "", "")
NETWORK = Network("a" * 64, NetworkOptions(), False, (IPV4,), (IPV6,), created=0.0)
OWN4, OWN6 = ip_interface("10.9.0.201/24"), ip_interface("fd00:9::201/64")
OVERLAY = Overlay(7, ip_address("192.0.2.1"), 1500, (OWN4, OWN6))
THERE = Remote("02:00:00:00:00:0c", (ip_address("10.9.0.12"), ip_address("fd00:9::12")), ip_address("192.0.2.2"))


@pytest.mark.parametrize(
    ("local", "underlay", "asked", "mtu"),
    [
        ("192.0.2.1", 1500, 0, 1450),
        ("fd00::1", 1500, 0, 1430),
        ("192.0.2.1", 1420, 0, 1370),  # inside WireGuard
        ("192.0.2.1", 9000, 0, 8950),
        ("192.0.2.1", 9000, 1450, 1450),
        ("192.0.2.1", 1500, 9000, 1450),
        ("192.0.2.1", 1280, 0, 1280),  # inside Tailscale: IPv6 has to fit
        ("192.0.2.1", 1280, 1200, 1200),
    ],
)
def test_the_mtu_is_what_was_asked_for_as_far_as_there_is_room(local: str, underlay: int, asked: int, mtu: int) -> None:
    """Room is what the underlay leaves beside the tunnel's headers, whose length is that of the underlay's family."""
    network = replace(NETWORK, options=NetworkOptions(mtu=asked))
    overlay = Overlay(7, ip_address(local), underlay)
    assert fitted_mtu(network, overlay) == mtu
    assert fitted_mtu(replace(network, ipv6=()), overlay) == min(mtu, overlay.room)


@pytest.mark.parametrize(("vni", "underlay"), [(0, 1500), (1 << 24, 1500), (7, 100)])
def test_what_no_tunnel_can_be_is_refused(vni: int, underlay: int) -> None:
    """A VNI has 24 bits and is not 0; some packet must fit."""
    with pytest.raises(BadRequest):
        Overlay(vni, ip_address("192.0.2.1"), underlay)


def test_the_gateway_is_for_containers_and_the_host_speaks_for_itself() -> None:
    """Of the addresses on the bridge the own ones bring the route; the gateway's does not, nor is it spoken from."""
    facts = set(fitted(NETWORK, OVERLAY, network_facts(NETWORK))) | overlay_facts(NETWORK, OVERLAY)
    bridge = NETWORK.bridge
    assert {fact for fact in facts if isinstance(fact, LinkAddress)} == {
        LinkAddress(bridge, ip_interface("10.9.0.1/32")),
        LinkAddress(bridge, ip_interface("fd00:9::1/64"), spare=True),
        LinkAddress(bridge, OWN4),
        LinkAddress(bridge, OWN6),
    }


def test_without_an_own_address_the_gateway_is_as_ever() -> None:
    """Of each family by itself."""
    overlay = replace(OVERLAY, own=(OWN6,))
    facts = fitted(NETWORK, overlay, network_facts(NETWORK))
    addresses = {fact.interface for fact in facts if isinstance(fact, LinkAddress) and not fact.spare}
    assert addresses == {IPV4.gateway}


def test_interfaces_have_the_mtu_of_the_overlay() -> None:
    """Bridge and containers; all else is as it was."""
    endpoint = Endpoint("e" * 64, NETWORK.id, None, None, "02:00:00:00:00:01", created=0.0)
    facts = {*network_facts(NETWORK), *endpoint_facts(NETWORK, endpoint)}
    shaped = set(fitted(NETWORK, replace(OVERLAY, own=()), facts))
    assert {fact.mtu for fact in shaped if isinstance(fact, Bridge | Veth)} == {1450}
    assert {fact.key for fact in shaped} == {fact.key for fact in facts}


def test_a_remote_endpoint_is_a_mac_its_neighbours_and_a_host_that_may_speak() -> None:
    """All of it follows from what was published."""
    assert {*remote_facts(NETWORK, THERE), host_member(OVERLAY, THERE.host)} == {
        RemoteMac(vxlan_name(NETWORK), THERE.mac, THERE.host),
        Neighbour(NETWORK.bridge, THERE.addresses[0], THERE.mac),
        Neighbour(NETWORK.bridge, THERE.addresses[1], THERE.mac),
        Member("tunnels4", "192.0.2.2 . 4790"),
    }


@pytest.mark.parametrize("icc", [True, False])
def test_containers_that_must_not_meet_do_not_across_hosts(icc: bool) -> None:
    """The device is as isolated as the containers' ports."""
    network = replace(NETWORK, options=NetworkOptions(icc=icc), domain=3)
    (device,) = [fact for fact in overlay_facts(network, OVERLAY) if isinstance(fact, Vxlan)]
    assert (device.isolated, device.domain, device.alias) == (not icc, 3, f"mooring:overlay:{NETWORK.id}")
    assert len(device.name) == 15
