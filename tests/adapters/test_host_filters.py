"""Whom the host's own nftables cut off, in a namespace of the test's own."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from mooring.adapters.nft.host_filters import dropping
from mooring.core.host_filters import HostFilter
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

BRIDGE = "mr-000000000000"
ESTABLISHED = "ct state established,related accept"
MARKED = "meta mark and 0x20000000 == 0x20000000 accept"


def chain(*rules: str, policy: str = "drop", priority: int | str = "filter") -> str:
    """A chain as people write it."""
    lines = "; ".join((f"type filter hook forward priority {priority}", f"policy {policy}", *rules))
    return f"chain forward {{ {lines}; }}"


def load(*inside: str, table: str = "inet filter") -> None:
    """The table is there."""
    text = re.sub(r"(;|\}(?= chain)) ", r"\1\n", f"table {table} {{ {' '.join(inside)}\n}}")  # nft wants lines
    done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


DROPS = {
    "nothing but a policy": chain(),
    "answers and other interfaces": chain(ESTABLISHED, 'iifname "lan0" accept', 'iifname { "docker0", "br-*" } accept'),
    "a drop at the end": chain(ESTABLISHED, "drop", policy="accept"),
    "a rejection behind a jump": "chain more { counter reject; } " + chain("jump more", policy="accept"),
    "a map of states": chain("ct state vmap { established : accept, related : accept, invalid : drop }"),
    "what is translated": chain("ct status dnat accept"),
    "pings and datagrams": chain("meta l4proto icmp accept", "udp dport 53 accept"),
    "another's mark": chain("meta mark and 0x4000 == 0x4000 accept"),
    "a set of others": 'set own { type ifname; elements = { "lan0" }; } ' + chain("iifname @own accept"),
}
LETS_THROUGH = {
    "policy accept": chain(ESTABLISHED, 'iifname "lan0" drop', policy="accept"),
    "the mark": chain(ESTABLISHED, MARKED),
    "the mark before a drop": chain(MARKED, "drop", policy="accept"),
    "the bridge": chain(f'iifname "{BRIDGE}" accept'),
    "bridges like it": chain('iifname "mr-*" oifname != "lan0" accept'),
    "a set": f'set own {{ type ifname; elements = {{ "{BRIDGE}" }}; }} ' + chain("iifname @own accept"),
    "a chain of its own": "chain own { accept; } " + chain(f'iifname vmap {{ "{BRIDGE}" : jump own }}'),
    "new ones": chain("ct state new accept"),
    "some, nobody knows which": chain("ip saddr 10.0.0.0/8 tcp dport 443 accept"),
    "a drop of some": chain("ip daddr 10.0.0.1 drop", policy="accept"),
}


@pytest.mark.parametrize("rules", DROPS.values(), ids=DROPS.keys())
def test_a_chain_that_drops_what_comes_from_our_bridge_is_found(namespace: Namespace, rules: str) -> None:
    """By its policy or a rule, and whatever it accepts of others."""
    load(rules)
    (found,) = dropping([BRIDGE])
    by_policy = "policy drop" in rules
    assert found == HostFilter("inet filter", "forward", 0, by_policy, (BRIDGE,))
    sh(found.remedy.split("`")[1])
    assert dropping([BRIDGE]) == []


@pytest.mark.parametrize("rules", LETS_THROUGH.values(), ids=LETS_THROUGH.keys())
def test_a_chain_that_may_let_it_through_is_not_accused(namespace: Namespace, rules: str) -> None:
    """Nor one of which nobody can tell."""
    load(rules)
    assert dropping([BRIDGE]) == []


def test_the_rules_of_others_are_told_for_the_bridge_that_they_are_not_about(namespace: Namespace) -> None:
    """Each network by itself; without one there is nothing to find."""
    load(chain(f'iifname "{BRIDGE}" accept'))
    assert [each.bridges for each in dropping([BRIDGE, "mr-1"])] == [("mr-1",)]
    assert dropping([]) == []


def test_before_our_chain_nothing_bears_the_mark(namespace: Namespace) -> None:
    """So the rule alone does not help, and that is said."""
    load(chain(MARKED, priority=-10))
    (found,) = dropping([BRIDGE])
    assert "in a chain of a priority above -5" in found.remedy


def test_tables_of_ours_and_of_docker_and_other_families_are_left_out(namespace: Namespace) -> None:
    """Docker's own are looked after by repair."""
    for table in ("inet mooring", "inet mooring-lib", "ip docker-bridges", "ip6 docker-bridges", "bridge filter"):
        load(chain(), table=table)
    assert dropping([BRIDGE]) == []


@pytest.mark.parametrize("tool", ["iptables", "ip6tables"])
def test_iptables_is_not_meant_with_docker_or_ufw(namespace: Namespace, tool: str) -> None:
    """Its FORWARD drops, and our rules are in DOCKER-USER, or repair tells of it."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    sh(*(f"{tool} {line}" for line in ("-P FORWARD DROP", "-N ufw-before-forward", "-A FORWARD -j ufw-before-forward")))
    assert dropping([BRIDGE]) == []


FIREWALLD = """
    chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
        ct state established,related accept; ct status dnat accept; iifname "lo" accept;
        jump filter_FORWARD_ZONES; ct state invalid drop; reject with icmpx admin-prohibited; }
    chain filter_FORWARD_ZONES { %s iifname "eth0" goto filter_FWD_public; goto filter_FWD_public; }
    chain filter_FWD_public { meta l4proto { icmp, ipv6-icmp } accept; %s }
    chain filter_FWD_trusted { accept; }
"""


def test_firewalld_is_told_in_its_own_words(namespace: Namespace) -> None:
    """It writes its rules anew; with the bridge in zone trusted, or with forwarding between interfaces of the zone, all
    is well."""
    load(FIREWALLD % ("", ""), table="inet firewalld")
    (found,) = dropping([BRIDGE])
    assert (found.chain, found.by_policy) == ("filter_FORWARD", False)
    assert f"firewall-cmd --permanent --zone=trusted --add-interface={BRIDGE}" in found.remedy
    for trusted, within in ((f'iifname "{BRIDGE}" goto filter_FWD_trusted;', ""), ("", 'oifname "eth0" accept;')):
        sh("nft delete table inet firewalld")
        load(FIREWALLD % (trusted, within), table="inet firewalld")
        assert dropping([BRIDGE]) == []
