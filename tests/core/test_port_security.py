"""What a port may say, as elements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.networks import StaticRoute
from mooring.core.plumbing import Add, Alter, GuardedPort, Member, Remove
from mooring.core.port_security import PORT_SECURITY, guards_of, link_local, member_ops, port_guards
from tests.core.test_firewall import NETWORK

MAC = "02:42:0a:01:00:02"
ENDPOINT = Endpoint("e", NETWORK.id, IPv4Interface("10.1.0.2/24"), IPv6Interface("fd00:1::2/64"), MAC, 0.0)


def test_a_port_may_say_its_own_addresses_and_that_it_has_none() -> None:
    """With its MAC alone."""
    mine = f'"mv-e" . {MAC}'
    (guard,) = port_guards(NETWORK, ENDPOINT, "mv-e")
    members = {op.fact for op in member_ops(Add(guard)) if isinstance(op, Add)}
    assert members == {
        Member("guarded", '"mv-e"'),
        Member("sources4", f"{mine} . 0.0.0.0"),
        Member("sources4", f"{mine} . 10.1.0.2"),
        Member("sources6", f"{mine} . ::"),
        Member("sources6", f"{mine} . fd00:1::2"),
        Member("sources6", f"{mine} . fe80::42:aff:fe01:2"),
        Member("links6", '"mv-e" . 0x2420a010002'),
        Member("targets6", f"{mine} . 0xfd000001000000000000000000000002"),
        Member("targets6", f"{mine} . 0xfe8000000000000000420afffe010002"),
    }
    assert {member.container for member in members if isinstance(member, Member)} == set(PORT_SECURITY.containers)
    assert list(guards_of(member for member in members if isinstance(member, Member))) == [guard]


def test_a_guard_that_differs_is_mended_in_its_elements() -> None:
    """Only what differs is written."""
    (guard,) = port_guards(NETWORK, ENDPOINT, "mv-e")
    gone, kept = sorted(guard.elements)[0], frozenset(sorted(guard.elements)[1:])
    other = ("sources4", '"mv-e" . 02:00:00:00:00:09 . 10.1.0.9')
    damaged = GuardedPort("mv-e", kept | {other})
    assert member_ops(Alter(damaged, guard)) == [Remove(Member(*other)), Add(Member(*gone))]
    assert member_ops(Remove(damaged)) == [Remove(Member(*element)) for element in sorted(damaged.elements)]
    assert member_ops(Add(Member("bridges", '"b"'))) == [Add(Member("bridges", '"b"'))]


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
    assert list(port_guards(network, endpoint, "mv-e")) == []
