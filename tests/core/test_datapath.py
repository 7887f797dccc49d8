"""What hosts, networks and endpoints look like, as facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, ip_interface, ip_network

import pytest

from mooring.core.datapath import (
    BRIDGE_SETTINGS,
    HOST_SETTINGS,
    MARK,
    ROUTERS,
    endpoint_facts,
    host_end,
    host_facts,
    network_facts,
    port_facts,
    sandbox_end,
)
from mooring.core.endpoints import Endpoint
from mooring.core.firewall import foreign_bridge_members, ruleset
from mooring.core.networks import NULL, GatewayMode, Network, NetworkOptions, Segment
from mooring.core.plumbing import Bridge, DockerAccept, LinkAddress, Member, Setting, Veth
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.core.port_security import port_guards

ID = "0123456789ab" + "0" * 52
SEGMENT = Segment(ip_network("10.1.0.0/24"), ip_interface("10.1.0.1/24"), "", "")
SECOND = Segment(ip_network("10.2.0.0/24"), ip_interface("10.2.0.1/24"), "", "")
SEGMENT6 = Segment(ip_network("fd00:1::/64"), ip_interface("fd00:1::1/64"), "", "")
NETWORK = Network(ID, NetworkOptions(mtu=1400), False, (SEGMENT, SECOND), (SEGMENT6,), created=0.0)
PUBLICATION = PortBinding(Protocol.TCP, None, 8080, IPv4Address("10.1.0.2"), 80)
ENDPOINT = Endpoint(
    "fedcba9876543210" * 4, ID, IPv4Interface("10.1.0.2/24"), None, "02:00:00:00:00:02", 0.0, published=(PUBLICATION,)
)


def gateways(network: Network) -> set[str]:
    """The addresses on the bridge."""
    return {str(fact.interface) for fact in network_facts(network) if isinstance(fact, LinkAddress)}


def test_interface_names_fit_the_kernel() -> None:
    """At most 15 bytes, and the two ends differ."""
    names = {host_end(ENDPOINT.id), sandbox_end(ENDPOINT.id), NETWORK.bridge}
    assert len(names) == 3
    assert all(len(name.encode()) <= 15 for name in names)


def test_a_network_has_a_marked_bridge_with_its_gateways() -> None:
    """One bridge under our mark, every segment's gateway on it, with prefix lengths."""
    bridges = [fact for fact in network_facts(NETWORK) if isinstance(fact, Bridge)]
    assert bridges == [Bridge("mr-0123456789ab", f"{MARK}network:{ID}", 1400, NETWORK.mac)]
    assert gateways(NETWORK) == {"10.1.0.1/24", "10.2.0.1/24", "fd00:1::1/64"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (NetworkOptions(gateway=False), set()),
        (NetworkOptions(gateway_mode4=GatewayMode.ISOLATED), {"fd00:1::1/64"}),
        (NetworkOptions(gateway_mode4=GatewayMode.ISOLATED, gateway_mode6=GatewayMode.ISOLATED), set()),
    ],
)
def test_options_can_take_the_gateway_away(options: NetworkOptions, expected: set[str]) -> None:
    """No gateway at all, or none in a family that is isolated."""
    assert gateways(replace(NETWORK, options=options)) == expected


def test_a_segment_without_a_gateway_has_no_address_on_the_bridge() -> None:
    """A network made by hand need not have one."""
    assert gateways(replace(NETWORK, ipv4=(replace(SEGMENT, gateway=None),), ipv6=())) == set()


def test_a_network_of_mode_null_has_nothing_in_the_kernel() -> None:
    """Neither links nor rules."""
    null = replace(NETWORK, driver=NULL)
    assert not network_facts(null) | endpoint_facts(null, ENDPOINT) | port_facts(null, ENDPOINT, [PUBLICATION])


def test_an_endpoint_is_a_veth_and_what_it_publishes() -> None:
    """The peer bears the endpoint's MAC; icc off makes the port an isolated one."""
    facts = endpoint_facts(NETWORK, ENDPOINT)
    (veth,) = (fact for fact in facts if isinstance(fact, Veth))
    assert (veth.name, veth.bridge, veth.alias) == (
        "mv-fedcba987654",
        "mr-0123456789ab",
        f"{MARK}endpoint:{ID}/{ENDPOINT.id}",
    )
    assert (veth.peer, veth.peer_mac, veth.mtu, veth.isolated) == ("mp-fedcba987654", ENDPOINT.mac, 1400, False)
    published = {Member("wildcard4", "6 . 8080", "10.1.0.2 . 80")}
    assert facts - {veth} == published | set(port_guards(NETWORK, ENDPOINT, veth.name))
    apart = endpoint_facts(replace(NETWORK, options=NetworkOptions(icc=False)), ENDPOINT)
    assert [fact.isolated for fact in apart if isinstance(fact, Veth)] == [True]


def test_a_publication_of_another_address_opens_nothing() -> None:
    """What leads to an address that the endpoint does not have is left out."""
    stray = replace(PUBLICATION, target=IPv4Address("10.1.0.9"))
    assert port_facts(NETWORK, ENDPOINT, [stray]) == frozenset()


def test_the_host_forwards_ipv6_only_where_a_network_has_it() -> None:
    """IPv4 forwarding always, IPv6 forwarding on demand."""
    assert Setting(HOST_SETTINGS[1], "1") in host_facts(ipv6=True)
    assert host_facts(ipv6=True) - host_facts(ipv6=False) == {Setting(HOST_SETTINGS[1], "1"), Setting(ROUTERS, "2")}


def test_every_setting_is_one_that_the_kernel_adapter_reads() -> None:
    """Otherwise it would be found missing for ever."""
    known = {*HOST_SETTINGS, *(path.format(NETWORK.bridge) for path in BRIDGE_SETTINGS)}
    for network in (NETWORK, replace(NETWORK, ipv6=()), replace(NETWORK, internal=True)):
        settings = {fact.path for fact in network_facts(network) if isinstance(fact, Setting)}
        assert settings
        assert settings <= known


def test_a_bridge_below_the_least_mtu_of_ipv6_has_no_ipv6_settings() -> None:
    """The kernel has none there: writing them would fail (RFC 8200, section 5)."""
    small = replace(NETWORK, options=NetworkOptions(mtu=1000), ipv6=())
    assert not any(isinstance(fact, Setting) and "ipv6" in fact.path for fact in network_facts(small))


def test_what_every_network_rests_on() -> None:
    """The table, Docker's chains in both families, the bridges to keep out, and forwarding where it is wanted."""
    without = {ruleset(), DockerAccept(4), DockerAccept(6), *foreign_bridge_members(["lxcbr0"])}
    assert host_facts(ipv6=True, forwarding=False, foreign_bridges=["lxcbr0"]) == without
    forwarding = Setting("net/ipv4/ip_forward", "1")
    assert host_facts(ipv6=False, foreign_bridges=["lxcbr0"]) == without | {forwarding}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (NETWORK, {"route_localnet": "1", "disable_ipv6": "0", "accept_ra": "0", "accept_dad": "0"}),
        (replace(NETWORK, ipv6=()), {"route_localnet": "1", "disable_ipv6": "1"}),
        (replace(NETWORK, ipv6=(), internal=True), {"disable_ipv6": "1"}),
        (replace(NETWORK, ipv4=(), ipv6=()), {"disable_ipv6": "1"}),
        (replace(NETWORK, ipv6=(), options=NetworkOptions(gateway_mode4=GatewayMode.ROUTED)), {"disable_ipv6": "1"}),
    ],
)
def test_a_bridge_has_the_settings_of_its_network(network: Network, expected: dict[str, str]) -> None:
    """Loopback connections reach published IPv4 ports; a bridge with IPv6 hears no routers and probes nothing."""
    settings = [fact for fact in network_facts(network) if isinstance(fact, Setting)]
    assert {fact.path.rpartition("/")[2]: fact.value for fact in settings} == expected
    assert {fact.path.split("/")[3] for fact in settings} == {network.bridge}
