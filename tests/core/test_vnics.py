"""VNICs as values: names, what there can be, what the kernel needs, and the alias that outlives a store."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from mooring.core.faults import BadRequest
from mooring.core.networks import StaticRoute
from mooring.core.plumbing import Bridge, LinkAddress, Member, Setting, Veth
from mooring.core.vnics import (
    Group,
    Vnic,
    VnicSpec,
    alias_of,
    all_facts,
    check_group,
    check_vnic,
    usual_gateway,
    vnic_of,
)

SUBNET = ip_network("172.16.5.0/24")
RED, BLUE = Group("red", SUBNET), Group("blue", SUBNET)
FIVE, ONE = ip_address("172.16.5.5"), ip_address("172.16.5.1")
ROUTE = StaticRoute(ip_network("10.0.0.0/8"), ip_address("172.16.5.9"))
SPEC = VnicSpec(RED, FIVE, gateway=ONE, instance="i-1")
VNIC = SPEC.vnic(5.0)


def test_names_of_links_fit_and_tell_tenants_apart() -> None:
    """A name has at most 15 bytes; equal subnets and addresses of two tenants share none."""
    other = replace(VNIC, tenant="blue")
    names = [name for each in (VNIC, other) for name in (each.host_end, each.link, each.group.bridge)]
    assert len(set(names)) == 6
    assert all(len(name) == 15 for name in names)
    assert replace(VNIC, adopted="eth7").link == "eth7"


def test_what_is_left_open_is_always_the_same() -> None:
    """MAC by the key, MTU 1500, the gateway the subnet's first."""
    assert VNIC.mac == SPEC.vnic(9.0).mac != VnicSpec(BLUE, FIVE).vnic(5.0).mac
    assert (VNIC.mtu, usual_gateway(SUBNET)) == (1500, ONE)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"address": ip_address("172.16.6.5")}, "not in subnet"),
        ({"address": ip_address("172.16.5.255")}, "broadcast"),
        ({"address": ONE}, "is the gateway's"),
        ({"gateway": ip_address("10.0.0.1")}, "gateway 10.0.0.1 is not in subnet"),
        ({"mtu": 60}, "MTU 60"),
        ({"mtu": 70000}, "MTU 70000"),
        ({"instance": "a b"}, "instance"),
        ({"instance": "x" * 65}, "instance"),
        ({"adopted": "a/b"}, "not the name of an interface"),
        ({"adopted": ".."}, "not the name of an interface"),
        ({"routes": (StaticRoute(ip_network("10.0.0.0/8"), ip_address("10.1.1.1")),)}, "next hop is not in subnet"),
        ({"routes": (StaticRoute(ip_network("fd00::/64"), None),)}, "route fd00::/64"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], words: str) -> None:
    """In one line that names it."""
    with pytest.raises(BadRequest, match=words):
        check_vnic(replace(VNIC, **wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tenant", "subnet", "words"),
    [("a b", "172.16.5.0/24", "tenant"), ("", "fd00::/64", "VNICs have IPv4"), ("", "127.0.0.0/24", "no network")],
)
def test_what_no_group_can_be_is_refused(tenant: str, subnet: str, words: str) -> None:
    """A tenant is a word, a subnet one of IPv4 that a network can have."""
    with pytest.raises(BadRequest, match=words):
        check_group(tenant, ip_network(subnet))
    assert check_group("default", SUBNET) == Group("", SUBNET)


def test_the_bridge_is_a_layer_two_and_nothing_more() -> None:
    """No address, no IPv6, no ARP for the host's other addresses; inside it all reach each other, and nothing else."""
    facts = all_facts([VNIC])
    name = VNIC.group.bridge
    assert not any(isinstance(fact, LinkAddress) for fact in facts)
    assert {fact.name for fact in facts if isinstance(fact, Bridge)} == {name}
    assert {(fact.path.rpartition("/")[2], fact.value) for fact in facts if isinstance(fact, Setting)} == {
        ("disable_ipv6", "1"), ("arp_ignore", "1"),
    }  # fmt: skip
    members = {(fact.container, fact.element) for fact in facts if isinstance(fact, Member)}
    assert members == {("bridges", f'"{name}"'), ("internal", f'"{name}"'), ("within", f'"{name}" . "{name}"')}
    veth = next(fact for fact in facts if isinstance(fact, Veth))
    assert (veth.name, veth.peer, veth.peer_mac, veth.mtu, veth.bridge) == (
        VNIC.host_end, VNIC.link, VNIC.mac, 1500, name,
    )  # fmt: skip


def test_of_an_adopted_link_nothing_is_made() -> None:
    """Not even a bridge."""
    assert all_facts([replace(VNIC, adopted="eth7")]) == frozenset()


@pytest.mark.parametrize("vnic", [VNIC, replace(VNIC, tenant="", gateway=None, instance="")], ids=["full", "bare"])
def test_the_alias_tells_all_but_mac_and_routes(vnic: Vnic) -> None:
    """It has room for 255 bytes."""
    told = vnic_of(alias_of(replace(vnic, routes=(ROUTE,))), 1500, 5.0)
    assert told == replace(vnic, mac="")
    longest = replace(vnic, tenant="t" * 63, instance="i" * 64)
    assert len(alias_of(longest)) < 255


@pytest.mark.parametrize("alias", ["", "mooring:vnic:", "mooring:vnic:a|b|c|d|e", "mooring:vnic:red|172.16.5.0/24|x||"])
def test_what_is_no_alias_of_a_vnic_tells_nothing(alias: str) -> None:
    """Whoever wrote it."""
    assert vnic_of(alias, 1500, 5.0) is None


def test_a_spec_knows_what_is_otherwise() -> None:
    """Nothing when the same is wanted again, also without what was left open the first time."""
    assert SPEC.differences(VNIC) == []
    assert replace(SPEC, mac=VNIC.mac, mtu=1500).differences(VNIC) == []
    assert SPEC.differences(replace(VNIC, mac="02:00:00:00:00:09", mtu=1400)) == []
    assert replace(SPEC, mac="02:00:00:00:00:09", mtu=1400, gateway=None, routes=(ROUTE,)).differences(VNIC) == [
        f"mac {VNIC.mac}", "mtu 1500", "gateway 172.16.5.1", "routes none",
    ]  # fmt: skip
