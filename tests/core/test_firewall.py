"""Our nftables table and its elements, as text."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network

import pytest

from mooring.core import firewall
from mooring.core.networks import GatewayMode, Network, NetworkOptions, Segment
from mooring.core.plumbing import Add, Alter, Member, Remove
from mooring.core.port_bindings import PortBinding, Protocol

ID = "0123456789ab" + "0" * 52
SEGMENT = Segment(ip_network("10.1.0.0/24"), ip_interface("10.1.0.1/24"), "", "")
SEGMENT6 = Segment(ip_network("fd00:1::/64"), ip_interface("fd00:1::1/64"), "", "")
NETWORK = Network(ID, NetworkOptions(), False, (SEGMENT,), (SEGMENT6,), created=0.0)
BRIDGE = '"mr-0123456789ab"'
PUBLICATION = PortBinding(Protocol.TCP, None, 8080, IPv4Address("10.1.0.2"), 80)


def containers(network: Network) -> set[str]:
    """Which sets and maps the network is in."""
    return {member.container for member in firewall.network_members(network)}


def test_every_element_names_a_container_of_the_table() -> None:
    """No element is for a set that the table does not have, and maps have values."""
    told = {line.split()[1] for line in firewall.SETS.splitlines() if line.split()[0] in ("set", "map")}
    options = [
        NetworkOptions(gateway_mode4=mode, gateway_mode6=mode, icc=icc, peers="red", source4=source)
        for mode in GatewayMode
        for icc in (True, False)
        for source in (None, IPv4Address("198.18.0.1"))
    ]
    for option in options:
        for internal in (True, False):
            network = replace(NETWORK, options=option, internal=internal)
            members = [*firewall.network_members(network), *firewall.port_members(network, PUBLICATION)]
            for member in members:
                assert member.container in told
                assert bool(member.value) == bool(firewall.FIREWALL.containers[member.container].value)


def test_a_plain_network_is_masqueraded_and_its_containers_see_each_other() -> None:
    """The defaults, in both families."""
    expected = {"bridges", "within", "masquerade4", "masquerade6", "hairpin4", "hairpin6"}
    assert containers(NETWORK) == expected


def test_an_internal_network_has_no_way_out() -> None:
    """It is in no set that lets anything pass but among its own containers, and publishes nothing."""
    internal = replace(NETWORK, internal=True, options=NetworkOptions(peers="red"))
    assert containers(internal) == {"bridges", "within", "internal"}
    assert list(firewall.port_members(internal, PUBLICATION)) == []


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (NetworkOptions(icc=False), {"apart"}, {"within"}),
        (NetworkOptions(masquerade=False), {"hairpin4"}, {"masquerade4", "masquerade6"}),
        (NetworkOptions(source4=IPv4Address("198.18.0.1")), {"source4", "masquerade6"}, {"masquerade4"}),
        (NetworkOptions(source6=IPv6Address("fd00::1")), {"source6", "masquerade4"}, {"masquerade6"}),
        (NetworkOptions(peers="red"), {"groups", "members"}, set()),
        (NetworkOptions(gateway_mode4=GatewayMode.ROUTED), {"pingable4", "masquerade6"}, {"masquerade4", "hairpin4"}),
        (NetworkOptions(gateway_mode6=GatewayMode.NAT_UNPROTECTED), {"open6", "masquerade6"}, {"open4"}),
    ],
)
def test_options_decide_where_a_network_is(options: NetworkOptions, present: set[str], absent: set[str]) -> None:
    """Each option moves the bridge into and out of sets."""
    found = containers(replace(NETWORK, options=options))
    assert present <= found
    assert not absent & found


def test_a_word_of_peers_has_one_number() -> None:
    """The group of a bridge and the bridges of the group agree, and other words have other numbers."""
    members = set(firewall.network_members(replace(NETWORK, options=NetworkOptions(peers="red"))))
    group = firewall.peer_group("red")
    assert {Member("groups", BRIDGE, group), Member("members", f"{group} . {BRIDGE}")} <= members
    assert group != firewall.peer_group("blue")


@pytest.mark.parametrize(
    ("mode", "host", "expected"),
    [
        (GatewayMode.NAT, None, [Member("wildcard4", "6 . 8080", "10.1.0.2 . 80")]),
        (GatewayMode.NAT, "198.18.0.1", [Member("published4", "6 . 198.18.0.1 . 8080", "10.1.0.2 . 80")]),
        (GatewayMode.ROUTED, None, [Member("routed4", "6 . 10.1.0.2 . 80")]),
        (GatewayMode.ISOLATED, None, []),
    ],
)
def test_a_publication_is_one_element(mode: GatewayMode, host: str | None, expected: list[Member]) -> None:
    """In which map it is depends on the gateway mode and the host address."""
    network = replace(NETWORK, options=NetworkOptions(gateway_mode4=mode))
    port_binding = replace(PUBLICATION, host=ip_address(host) if host else None)
    assert list(firewall.port_members(network, port_binding)) == expected


def test_a_prefix_of_full_length_is_spelled_as_an_address() -> None:
    """As nftables shows it, so that observed and desired are equal."""
    segment = Segment(ip_network("10.1.0.7/32"), None, "", "")
    members = set(firewall.network_members(replace(NETWORK, ipv4=(segment,), ipv6=())))
    assert Member("hairpin4", f"10.1.0.7 . {BRIDGE}") in members


def test_uplinks_are_the_bridges_named_but_never_dockers_two() -> None:
    """Each once; what cannot be a plain interface name is not written into the table."""
    named = ["lan0", "docker0", "docker_gwbridge", "br0", 'a" }; flush ruleset', "br-*", "", "a-name-too-long-"]
    assert list(firewall.foreign_bridge_members(named)) == [Member("uplinks", '"br0"'), Member("uplinks", '"lan0"')]


def test_ops_tell_which_ports_open_and_close() -> None:
    """A port that moves does both; elements of other kinds say nothing."""
    one, two = (Member("wildcard4", "17 . 514", f"10.1.0.{number} . 514") for number in (2, 3))
    to_one, to_two = firewall.port_binding_of(one), firewall.port_binding_of(two)
    assert firewall.port_changes([Add(one), Add(Member("bridges", BRIDGE))]) == ([to_one], [])
    assert firewall.port_changes([Remove(one)]) == ([], [to_one])
    assert firewall.port_changes([Alter(one, two)]) == ([to_two], [to_one])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, Member("ingress4", "6 . 8080", "10.1.0.2 . 80")),
        ("198.18.0.1", Member("ingress_at4", "6 . 198.18.0.1 . 8080", "10.1.0.2 . 80")),
    ],
)
def test_what_leads_to_another_host_is_beside_what_is_published_here(host: str | None, expected: Member) -> None:
    """So that this comes first. It says whose answers have to come back, and flows follow it as they follow that."""
    port_binding = replace(PUBLICATION, host=ip_address(host) if host else None)
    led, there = firewall.ingress_members(NETWORK, port_binding)
    assert (led, there) == (expected, Member("elsewhere4", f"10.1.0.2 . {BRIDGE}"))
    assert firewall.is_ingress(led)
    assert firewall.is_ingress(there)
    assert not any(map(firewall.is_ingress, firewall.port_members(NETWORK, port_binding)))
    assert firewall.port_binding_of(led) is None
    assert firewall.port_changes([Add(led), Remove(there)]) == ([port_binding], [])


@pytest.mark.parametrize("mode", [GatewayMode.NAT, GatewayMode.ROUTED])
@pytest.mark.parametrize(
    ("host", "target"),
    [(None, "10.1.0.2"), ("192.0.2.1", "10.1.0.2"), (None, "fd00:1::2"), ("2001:db8::1", "fd00:1::2")],
)
def test_an_element_says_which_port_it_publishes(mode: GatewayMode, host: str | None, target: str) -> None:
    """All of it; where nothing is translated, that is the target alone."""
    options = NetworkOptions(gateway_mode4=mode, gateway_mode6=mode)
    at = ip_address(host) if host else None
    binding = PortBinding(Protocol.UDP, at, 8080, ip_address(target), 80)
    (element,) = firewall.port_members(replace(NETWORK, options=options), binding)
    routed = replace(binding, host=None, host_port=0)
    assert firewall.port_binding_of(element) == (binding if mode is GatewayMode.NAT else routed)


@pytest.mark.parametrize(
    ("container", "element", "value"),
    [
        ("bridges4", "6 . 80", "10.1.0.2 . 80"),
        ("wildcard5", "6 . 80", "10.1.0.2 . 80"),
        ("wildcard4", "7 . 80", "10.1.0.2 . 80"),
        ("wildcard4", "6 . 80", "10.1.0.2"),
        ("wildcard4", "6 . x", "10.1.0.2 . 80"),
        ("published4", "6 . x . 80", "10.1.0.2 . 80"),
        ("routed4", "6 . 10.1.0.2", ""),
    ],
)
def test_what_is_no_published_port_is_told_as_none(container: str, element: str, value: str) -> None:
    """Somebody may have written into the table by hand."""
    assert firewall.port_binding_of(Member(container, element, value)) is None


def test_a_network_without_a_way_out_is_told_by_its_bridge() -> None:
    """So that the table can say which ones are."""
    inner = firewall.network_members(replace(NETWORK, internal=True))
    assert {member.element for member in inner if member.container == "internal"} == {BRIDGE}
