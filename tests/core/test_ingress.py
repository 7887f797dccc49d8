"""Which ports of a host lead to containers of other hosts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

import msgspec
import pytest

from mooring.core.advertisements import Advertisement
from mooring.core.endpoints import Endpoint
from mooring.core.ingress import MOST, chosen, told_ports, ways
from mooring.core.networks import GatewayMode, Ingress, Network, NetworkOptions, Segment
from mooring.core.overlays import Overlay
from mooring.core.port_bindings import PortBinding, Protocol

IPV4 = Segment(ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), "", "")
IPV6 = Segment(ip_network("fd00:9::/64"), ip_interface("fd00:9::1/64"), "", "")
OPTIONS = NetworkOptions(overlay=True, ingress=Ingress.ANY)
NETWORK = Network("a" * 64, OPTIONS, False, (IPV4,), (IPV6,), created=0.0)
OWN4, OWN6 = ip_interface("10.9.0.201/24"), ip_interface("fd00:9::201/64")
OVERLAY = Overlay(7, ip_address("192.0.2.1"), 1500, (OWN4, OWN6))
WEB = PortBinding(Protocol.TCP, None, 8080, ip_address("10.9.0.12"), 80)
WEB6 = replace(WEB, target=ip_address("fd00:9::12"))
ENDPOINT = Endpoint(
    "e1", NETWORK.id, IPv4Interface("10.9.0.12/24"), IPv6Interface("fd00:9::12/64"), "02:00:00:00:00:0c", created=0.0,
    published=(WEB, WEB6),
)  # fmt: skip
TOLD = Advertisement(
    network="n1", host="B", endpoint="e1", mac=ENDPOINT.mac, addresses=ENDPOINT.addresses,
    underlay=ip_address("192.0.2.2"), ports=(WEB, WEB6),
)  # fmt: skip


def test_the_others_are_told_what_may_lead_from_each_host() -> None:
    """Nothing of a network without `ingress=any`, of an internal one, of a port that nothing leads to, or at an address
    that means another thing on each host."""
    local = [replace(WEB, host=ip_address(text)) for text in ("127.0.0.1", "169.254.0.9")]
    routed, stranger = replace(WEB, host_port=0), replace(WEB, target=ip_address("10.9.0.99"))
    endpoint = replace(ENDPOINT, published=(WEB, *local, routed, stranger, WEB6))
    assert told_ports(NETWORK, endpoint) == (WEB, WEB6)
    assert told_ports(replace(NETWORK, options=replace(OPTIONS, ingress=Ingress.HOST)), endpoint) == ()
    assert told_ports(replace(NETWORK, internal=True), endpoint) == ()


def test_an_advertisement_has_room_for_so_many_ports() -> None:
    """The first ones."""
    many = tuple(replace(WEB, host_port=port) for port in range(20000, 20000 + MOST + 5))
    told = told_ports(NETWORK, replace(ENDPOINT, published=many[::-1]))
    assert told == many[:MOST]


@pytest.mark.parametrize(
    ("network", "overlay", "told", "expected"),
    [
        (NETWORK, OVERLAY, TOLD, [WEB, WEB6]),
        (NETWORK, replace(OVERLAY, own=(OWN6,)), TOLD, [WEB6]),
        (replace(NETWORK, options=replace(OPTIONS, gateway_mode6=GatewayMode.ISOLATED)), OVERLAY, TOLD, [WEB]),
        (replace(NETWORK, internal=True), OVERLAY, TOLD, []),
        (replace(NETWORK, options=NetworkOptions()), OVERLAY, TOLD, []),
        (replace(NETWORK, ipv4=()), OVERLAY, TOLD, [WEB6]),
        (NETWORK, replace(OVERLAY, local=ip_address("fd00::1")), TOLD, []),
    ],
)
def test_a_port_leads_where_an_answer_comes_back_from(
    network: Network, overlay: Overlay, told: Advertisement, expected: list[PortBinding]
) -> None:
    """In the families in which this host speaks in the network, to an endpoint that is in it and can be reached."""
    assert [way.port_binding for way in ways(network, overlay, told)] == expected


@pytest.mark.parametrize("text", [OWN4.ip, IPV4.gateway.ip if IPV4.gateway else "", "10.9.0.13"], ids=str)
def test_no_port_leads_to_a_host_whatever_is_advertised(text: object) -> None:
    """Neither to this one's own address nor to the gateway, which each host has, nor to whom the endpoint is not."""
    target = ip_address(str(text))
    told = msgspec.structs.replace(TOLD, ports=(replace(WEB, target=target),))
    if str(text) != "10.9.0.13":
        told = msgspec.structs.replace(told, addresses=(target,))
    assert list(ways(NETWORK, OVERLAY, told)) == []


def test_no_other_host_has_ports_of_this_hosts_loopback() -> None:
    """Whatever it advertises."""
    local = [replace(WEB, host=ip_address(text)) for text in ("127.0.0.1", "169.254.0.9")]
    assert list(ways(NETWORK, OVERLAY, msgspec.structs.replace(TOLD, ports=tuple(local)))) == []


def test_of_several_each_host_chooses_the_same() -> None:
    """Who is heard before who is not, the healthy before others, and then the order of hosts and endpoints."""
    found = [way for way in ways(NETWORK, OVERLAY, TOLD) if way.port_binding == WEB]
    (way,) = found
    other, sick = replace(way, host="C"), replace(way, host="A", healthy=False)
    assert chosen([other, sick, way]) == {way.place: [way, other, sick]}
    assert chosen([sick, other, way], {"B"}) == {way.place: [other, sick, way]}
