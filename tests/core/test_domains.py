"""Routing domains: their numbers, their lines, what they publish, and what their networks cannot have."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.datapath import network_facts, own_facts, port_facts
from mooring.core.domains import (
    MOST,
    check_options,
    domain_at,
    domain_facts,
    domain_port_members,
    free_number,
    line,
    near_end,
    port_bindings_in,
)
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Exhausted
from mooring.core.firewall import port_members
from mooring.core.networks import GatewayMode, HostAccess, Network, NetworkOptions, Segment
from mooring.core.plumbing import Add, Domain, Member, Route, domain_of, plan
from mooring.core.port_bindings import PortBinding, Protocol


def network(tenant: str = "red", domain: int = 1, options: NetworkOptions | None = None) -> Network:
    """One of the tenant."""
    segment = Segment(ip_network("10.1.0.0/24"), ip_interface("10.1.0.1/24"), tenant or "default", "p")
    return Network("a" * 64, options or NetworkOptions(), False, (segment,), (), 0.0, domain=domain)


def binding(port: int, target: str = "10.1.0.2", host: str | None = None) -> PortBinding:
    """A published port."""
    return PortBinding(Protocol.TCP, ip_address(host) if host else None, port, ip_address(target), 80)


def test_a_tenant_is_told_by_its_address_space() -> None:
    """Default spaces are nobody's, and an option says it where there is no subnet."""
    assert network("red").tenant == "red"
    assert network("").tenant == ""
    assert replace(network("LocalDefault"), options=NetworkOptions()).tenant == ""
    assert replace(network(tenant=""), ipv4=(), options=NetworkOptions(tenant="blue")).tenant == "blue"


def test_a_number_is_a_tenants_as_long_as_it_has_a_network() -> None:
    """The lowest that is free and not reserved; a tenant's networks share one."""
    red, blue = network("red", 1), network("blue", 3)
    assert free_number([], "red") == 1
    assert free_number([red, blue], "red") == 1
    assert free_number([red, blue], "green") == 2
    assert free_number([red, blue], "green", [2]) == 4
    assert free_number([network("red", 0)], "red") == 1
    with pytest.raises(Exhausted, match="8191 tenants have networks on this host"):
        free_number([], "red", range(1, MOST + 1))


@given(number=st.integers(1, MOST), other=st.integers(1, MOST), version=st.sampled_from([4, 6]))
def test_lines_have_addresses_of_their_own(number: int, other: int, version: int) -> None:
    """Both ends are in one subnet, no two lines share one, and an address tells its domain."""
    near, far = line(number, version)
    assert near.network == far.network
    assert near.ip != far.ip
    assert domain_at(near.ip) == domain_at(far.ip) == number
    assert (near.network == line(other, version)[0].network) is (number == other)
    assert len(near_end(number)) <= 15


@pytest.mark.parametrize("address", ["169.254.64.1", "169.254.169.254", "10.1.0.2", "fd00::1", "169.254.128.0"])
def test_other_addresses_are_no_lines(address: str) -> None:
    """Not even those of clouds in the same range."""
    assert domain_at(ip_address(address)) == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (NetworkOptions(gateway_mode4=GatewayMode.ROUTED), "gateway_mode4=routed"),
        (NetworkOptions(gateway_mode4=GatewayMode.NAT_UNPROTECTED), "gateway_mode4=nat-unprotected"),
        (NetworkOptions(masquerade=False), "masquerade=off"),
        (NetworkOptions(source4=IPv4Address("192.0.2.1")), "a source address"),
    ],
)
def test_what_needs_the_hosts_own_routing_is_refused(options: NetworkOptions, what: str) -> None:
    """In a domain, and by name; elsewhere, of a family that the network has not, and of an internal one it is fine."""
    with pytest.raises(BadRequest, match=f"tenant red has addresses that this host does not route.*{what}"):
        check_options(network(options=options))
    check_options(network(domain=0, options=options))
    check_options(replace(network(options=options), internal=True))
    check_options(network(options=NetworkOptions(gateway_mode6=GatewayMode.ROUTED)))


def test_all_of_a_network_is_in_its_domain() -> None:
    """The host has the line's part in the firewall, the domain all else; of no tenant, nothing is as it was not."""
    red = network()
    facts = network_facts(red)
    assert {fact for fact in facts if domain_of(fact) == 0} == {
        Domain(1),
        Member("bridges", '"mt-1"'),
        Member("masquerade4", '"mt-1"'),
        Member("masquerade6", '"mt-1"'),
        Member("hairpin4", '169.254.64.2/31 . "mt-1"'),
        Member("hairpin6", 'fd6d:6f6f:7269:6e67::2/127 . "mt-1"'),
    }
    assert own_facts(red) == facts - domain_facts(1, False)
    assert {domain_of(fact) for fact in own_facts(red)} == {1}
    assert {domain_of(fact) for fact in network_facts(replace(red, domain=0))} == {0}
    ops = plan(facts, ())
    assert ops[0] == Add(Domain(1))


def test_the_host_reaches_addresses_where_that_is_chosen() -> None:
    """A route to each subnet with a gateway by the line, and a way in at its end; otherwise nothing of that."""
    asked = NetworkOptions(host_access=HostAccess.ADDRESSES)
    red = network(options=asked)
    bare = replace(red.ipv4[0], subnet=ip_network("10.2.0.0/24"), gateway=None)
    six = Segment(ip_network("fd00:1::/64"), ip_interface("fd00:1::1/64"), "red", "q")
    both = replace(red, ipv4=(*red.ipv4, bare), ipv6=(six,))
    bridge = f'"{red.bridge}"'
    assert own_facts(both) - own_facts(replace(both, options=NetworkOptions())) == {
        Route("mt-1", ip_network("10.1.0.0/24"), ip_address("169.254.64.3")),
        Route("mt-1", ip_network("fd00:1::/64"), ip_address("fd6d:6f6f:7269:6e67::3")),
        Member("open4", bridge, domain=1),
        Member("open6", bridge, domain=1),
        Member("from_host", f'"uplink" . {bridge}', domain=1),
    }
    assert (both.host_access, network().host_access) == (HostAccess.ADDRESSES, HostAccess.PUBLISHED)
    assert network(domain=0).host_access is HostAccess.ADDRESSES
    assert own_facts(replace(red, domain=0)) == own_facts(network(domain=0))


def test_a_choice_that_cannot_be_is_refused() -> None:
    """Where the containers could not answer, and where the host reaches them whatever is said."""
    asked = NetworkOptions(host_access=HostAccess.ADDRESSES)
    check_options(network(options=asked))
    check_options(network(domain=0, options=asked))
    check_options(replace(network(domain=0, options=asked), internal=True))
    for unreachable in (
        replace(network(options=asked), internal=True),
        network(options=replace(asked, gateway=False)),
        network(domain=0, options=replace(asked, gateway=False)),
    ):
        with pytest.raises(BadRequest, match=r"host_access=addresses: the network .*could not answer the host"):
            check_options(unreachable)
    published = NetworkOptions(host_access=HostAccess.PUBLISHED)
    check_options(network(options=published))
    with pytest.raises(BadRequest, match="host_access=published is for networks in a tenant's routing domain"):
        check_options(network(domain=0, options=published))


def test_a_port_is_translated_on_the_host_and_in_the_domain() -> None:
    """To the line's far end under the same number, and there to the container."""
    assert list(domain_port_members(1, binding(8080))) == [
        Member("wildcard4", "6 . 8080", "169.254.64.3 . 8080"),
        Member("wildcard4", "6 . 8080", "10.1.0.2 . 80", 1),
    ]
    assert list(domain_port_members(2, binding(8080, "fd00::2", "2001:db8::1"))) == [
        Member("published6", "6 . 2001:db8::1 . 8080", "fd6d:6f6f:7269:6e67::5 . 8080"),
        Member("wildcard6", "6 . 8080", "fd00::2 . 80", 2),
    ]
    endpoint = Endpoint("e" * 64, "a" * 64, ip_interface("10.1.0.2/24"), None, "", 0.0)  # type: ignore[arg-type]
    assert len(port_facts(network(), endpoint, [binding(8080)])) == 2
    assert not port_facts(replace(network(), internal=True), endpoint, [binding(8080)])


def test_what_is_published_is_read_back_by_domain() -> None:
    """Two domains may lead to the same address; what the host leads nowhere is not told."""
    red, blue = binding(8080), binding(8081, host="192.0.2.1")
    plain = binding(8082, "10.9.0.2")
    members = [*domain_port_members(1, red), *domain_port_members(2, blue), *port_members(network("", 0), plain)]
    assert port_bindings_in(members) == {1: [red], 2: [blue], 0: [plain]}
    assert port_bindings_in(domain_port_members(1, red)) == {1: [red]}
    assert port_bindings_in([*domain_port_members(1, red)][:1]) == {1: []}
    assert port_bindings_in([Member("bridges", '"mt-1"')]) == {}
