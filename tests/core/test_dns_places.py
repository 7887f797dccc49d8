"""Which networks may have the DNS server, and by which way they reach it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.dns_places import (
    ADDRESS4,
    ADDRESS6,
    LINK,
    PEER,
    Serving,
    check_dns,
    dns_routes,
    reachable_from,
    served_domains,
    served_otherwise,
)
from mooring.core.faults import BadRequest
from mooring.core.networks import Dns, GatewayMode, Network, NetworkOptions, Origin, Segment
from mooring.core.options import RESERVED_NAMES

FOUR = Segment(ip_network("10.9.0.0/24"), ip_interface("10.9.0.1/24"), "default", "p4")
SIX = Segment(ip_network("fd00:9::/64"), ip_interface("fd00:9::1/64"), "default", "p6")
WEB = Network("n1", NetworkOptions(dns=Dns.ON), False, (FOUR,), (SIX,), 0.0)
INNER = replace(WEB, internal=True)


def test_a_network_reaches_the_server_of_its_families_by_its_gateway() -> None:
    """Also where subnets come later; without a gateway not at all."""
    assert reachable_from(WEB) == (ADDRESS4, ADDRESS6)
    assert reachable_from(replace(WEB, ipv4=())) == (ADDRESS6,)
    assert reachable_from(replace(WEB, ipv4=(), ipv6=(), on_demand=(4,))) == (ADDRESS4,)
    assert reachable_from(replace(WEB, ipv4=(replace(FOUR, gateway=None),))) == (ADDRESS6,)
    isolated = NetworkOptions(dns=Dns.ON, gateway_mode4=GatewayMode.ISOLATED)
    assert reachable_from(replace(INNER, options=isolated)) == (ADDRESS6,)
    assert reachable_from(replace(WEB, options=NetworkOptions(gateway=False))) == ()


def test_an_internal_network_has_a_route_to_it_and_no_other_needs_one() -> None:
    """For each family that the endpoint has."""
    addresses = [ip_address("10.9.0.2"), ip_address("fd00:9::2")]
    assert [str(route) for route in dns_routes(INNER, addresses)] == [
        "169.254.53.53/32 via 10.9.0.1",
        "fd6d:6f6f:7269:6e67:ffff::53/128 via fd00:9::1",
    ]
    assert [str(route) for route in dns_routes(INNER, addresses[:1])] == ["169.254.53.53/32 via 10.9.0.1"]
    assert dns_routes(WEB, addresses) == ()
    assert dns_routes(replace(INNER, options=NetworkOptions()), addresses) == ()


@pytest.mark.parametrize(
    ("network", "served", "words"),
    [
        (WEB, False, 'the daemon is set to `dns = "off"`'),
        (replace(WEB, options=NetworkOptions(dns=Dns.ON, gateway=False)), True, "the network has no gateway"),
        (replace(WEB, domain=3, options=NetworkOptions(dns=Dns.ON, gateway=False)), True, "the network has no gateway"),
        (replace(WEB, origin=Origin.LIBRARY), True, "a resolver of their own"),
        (replace(WEB, driver="null"), True, "the network has no gateway"),
    ],
)
def test_what_could_not_keep_its_word_is_refused(network: Network, served: bool, words: str) -> None:
    """In one line, with what to do; the same network without the option is fine."""
    with pytest.raises(BadRequest, match="dns=on") as refusal:
        check_dns(network, served)
    assert words in str(refusal.value)
    check_dns(replace(network, options=replace(network.options, dns=Dns.OFF)), served)


@pytest.mark.parametrize(
    ("serving", "every_container", "found"),
    [
        (Serving.AUTO, False, {0: True, 1: True, 2: False}),
        (Serving.AUTO, True, {0: True, 1: True, 2: True}),
        (Serving.ON, False, {0: True, 1: True, 2: False}),
        (Serving.OFF, True, {0: False, 1: False, 2: False}),
    ],
)
def test_a_server_is_where_somebody_asks_it(serving: Serving, every_container: bool, found: dict[int, bool]) -> None:
    """In the routing domains of networks that want it, in all where every container asks, and on the host for any."""
    quiet = replace(WEB, options=NetworkOptions())
    networks = [replace(WEB, domain=1), replace(quiet, domain=1), replace(quiet, domain=2), quiet]
    assert served_domains(networks, serving, every_container, False) == found
    assert served_domains([quiet], serving, False, False) == {0: serving is Serving.ON}
    assert served_domains([quiet], serving, False, True) == {0: serving is not Serving.OFF}


def test_a_change_matters_that_changes_where_a_server_is() -> None:
    """A network comes or goes, begins to ask or moves; nothing else about it."""
    quiet = replace(WEB, options=NetworkOptions())
    for before, after in ((None, WEB), (WEB, None), (quiet, WEB), (WEB, quiet), (quiet, replace(quiet, domain=2))):
        assert served_otherwise(before, after)
    assert not served_otherwise(WEB, replace(WEB, internal=True, ipv4=()))


def test_nobodys_bridge_is_called_like_the_link_of_the_hosts_resolver() -> None:
    """Who asks by that link is the host."""
    assert {LINK, PEER} <= RESERVED_NAMES


def test_all_others_are_fine() -> None:
    """Internal ones, too, and both in a tenant's routing domain."""
    for domain in (0, 3):
        check_dns(replace(WEB, domain=domain), True)
        check_dns(replace(INNER, domain=domain), True)
