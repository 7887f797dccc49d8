"""What a port may say, as elements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.networks import StaticRoute
from mooring.core.plumbing import Member
from mooring.core.port_security import PORT_SECURITY, link_local, port_members
from tests.core.test_firewall import NETWORK

MAC = "02:42:0a:01:00:02"
ENDPOINT = Endpoint("e", NETWORK.id, IPv4Interface("10.1.0.2/24"), IPv6Interface("fd00:1::2/64"), MAC, 0.0)


def test_a_port_may_say_its_own_addresses_and_that_it_has_none() -> None:
    """With its MAC alone."""
    mine = f'"mv-e" . {MAC}'
    assert set(port_members(NETWORK, ENDPOINT, "mv-e")) == {
        Member("guarded", '"mv-e"'),
        Member("sources4", f"{mine} . 0.0.0.0"),
        Member("sources4", f"{mine} . 10.1.0.2"),
        Member("sources6", f"{mine} . ::"),
        Member("sources6", f"{mine} . fd00:1::2"),
        Member("sources6", f"{mine} . fe80::42:aff:fe01:2"),
        Member("targets6", f"{mine} . 0xfd000001000000000000000000000002"),
        Member("targets6", f"{mine} . 0xfe8000000000000000420afffe010002"),
    }
    assert {member.container for member in port_members(NETWORK, ENDPOINT, "mv-e")} == PORT_SECURITY.containers


def test_the_link_local_address_is_the_kernels() -> None:
    """RFC 4291, appendix A."""
    assert link_local(MAC) == IPv6Address("fe80::42:aff:fe01:2")


@pytest.mark.parametrize("why", ["option", "no address", "no MAC", "next hop"])
def test_who_speaks_for_others_is_not_guarded(why: str) -> None:
    """Nor who has nothing by which we would know it."""
    network, endpoint = NETWORK, ENDPOINT
    match why:
        case "option":
            network = replace(NETWORK, options=replace(NETWORK.options, port_security=False))
        case "no address":
            endpoint = replace(ENDPOINT, ipv4=None, ipv6=None)
        case "no MAC":
            endpoint = replace(ENDPOINT, mac="")
        case _:
            route = StaticRoute(ip_network("192.0.2.0/24"), ip_address("10.1.0.2"))
            network = replace(NETWORK, options=replace(NETWORK.options, routes=(route,)))
    assert list(port_members(network, endpoint, "mv-e")) == []
