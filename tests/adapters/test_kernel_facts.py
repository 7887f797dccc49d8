"""Facts read and ops carried out in one thread; tests/contracts/test_kernel.py holds the promises of the port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from mooring.adapters.linux.kernel_facts import FactReader, FactWriter, Tools
from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.sysctls import read_setting
from mooring.core.datapath import HOST_SETTINGS
from mooring.core.faults import Conflict, Fault, NotFound, Unavailable
from mooring.core.firewall import ruleset
from mooring.core.plumbing import Add, Alter, Bridge, Fact, LinkAddress, Member, Remove, Setting, Veth, plan
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

BRIDGE = Bridge("mr-one", "mooring:network:one", 1400, "02:00:00:00:00:01")
VETH = Veth("mv-e", "mooring:endpoint:e", "mr-one", False, peer="mp-e", peer_mac="", mtu=1400)
GATEWAY = LinkAddress("mr-one", ip_interface("10.1.0.1/24"))
SETTING = Setting("net/ipv4/conf/mr-one/route_localnet", "1")


class Bench:
    """A writer and a reader with the same tools."""

    def __init__(self, tools: Tools) -> None:
        self.discards = Discards()
        self.tools = tools
        self.writer = FactWriter(tools, self.discards)
        self.reader = FactReader(tools, self.discards)

    def add(self, *facts: Fact) -> None:
        """They hold."""
        self.writer.run([Add(fact) for fact in facts])


@pytest.fixture
def bench(namespace: Namespace) -> Iterator[Bench]:
    """Tools in a namespace of its own."""
    tools = Tools.open()
    yield Bench(tools)
    tools.close()


def test_a_link_that_is_down_or_unplugged_shows_as_different(bench: Bench) -> None:
    """So that a plan puts it right, and it does not look like a leftover."""
    bench.add(BRIDGE, VETH)
    sh("ip link set mv-e nomaster; ip link set mr-one down")
    assert {replace(BRIDGE, mtu=0), replace(VETH, bridge="")} <= bench.reader.observe()


def test_a_bridge_of_an_older_version_stops_to_learn_from_reserved_groups(bench: Bench) -> None:
    """It shows as different, and is put right where it is, by a plan as by an Add."""
    bench.add(BRIDGE, VETH)
    for mend in (plan({BRIDGE, VETH}, {replace(BRIDGE, linklocal_learn=True), VETH}), [Add(BRIDGE)]):
        sh("ip link set mr-one type bridge no_linklocal_learn 0")
        assert {replace(BRIDGE, linklocal_learn=True), VETH} <= bench.reader.observe()
        bench.writer.run(mend)
        assert {BRIDGE, VETH} <= bench.reader.observe()
        assert "stp_state 0" in sh("ip -d link show mr-one")


def test_adding_a_link_that_is_down_brings_it_up(bench: Bench) -> None:
    """An Add of the same means that it holds afterwards."""
    bench.add(BRIDGE, VETH)
    sh("ip link set mv-e nomaster; ip link set mv-e down; ip link set mr-one down")
    bench.add(BRIDGE, VETH)
    assert {BRIDGE, VETH} <= bench.reader.observe()


def test_a_taken_peer_name_is_a_conflict_that_names_it(bench: Bench) -> None:
    """The other end of the pair has a name as well."""
    sh("ip link add mp-e type bridge")
    bench.add(BRIDGE)
    with pytest.raises(Conflict, match="mp-e"):
        bench.add(VETH)


def test_a_peer_is_made_inside_a_namespace_or_not_at_all(bench: Bench) -> None:
    """By path; one that is no namespace is NotFound, a name that is taken there is a Conflict that says where."""
    space = Namespace.new()
    inside = replace(VETH, inside=f"/proc/self/fd/{space.fd}")
    bench.add(BRIDGE)
    with pytest.raises(NotFound, match="/nowhere"):
        bench.add(replace(VETH, inside="/nowhere"))
    space.sh("ip link add mp-e type bridge")
    with pytest.raises(Conflict, match=f"/proc/self/fd/{space.fd}"):
        bench.add(inside)
    assert bench.reader.observe().isdisjoint({VETH})
    space.sh("ip link delete mp-e")
    for _ in range(2):
        bench.add(inside)
        assert VETH in bench.reader.observe()
        assert VETH.peer_mac in space.sh("ip link show mp-e")
    space.close()


def test_doomed_links_do_not_count(bench: Bench) -> None:
    """What is on its way out is not observed, though the kernel still has it."""
    bench.add(BRIDGE, GATEWAY, VETH)
    bench.discards.add(["mv-e", "mr-one"])
    shown = bench.reader.observe()
    assert not [fact for fact in shown if isinstance(fact, Bridge | Veth | LinkAddress)]


def test_removals_are_undone_with_what_they_removed(bench: Bench) -> None:
    """After a fault the pair, the address, the element and the setting are as before."""
    element = Member("wildcard4", "6 . 80", "10.1.0.2 . 80")
    bench.add(BRIDGE, SETTING, GATEWAY, VETH, ruleset(), element)
    before = bench.reader.observe()
    sh("ip link add foreign type bridge")
    with pytest.raises(Fault):
        bench.writer.run(
            [
                Alter(BRIDGE, replace(BRIDGE, mtu=1300)),
                Alter(SETTING, replace(SETTING, value="0")),
                Remove(element),
                Remove(GATEWAY),
                Remove(VETH),
                Add(replace(BRIDGE, name="foreign")),
            ]
        )
    assert bench.reader.observe() == before


def test_a_name_that_the_kernel_refuses_is_a_fault(bench: Bench) -> None:
    """Too long, or with a slash: one line, no traceback, nothing left."""
    for name in ("a-name-that-is-far-too-long", "a/b"):
        with pytest.raises(Fault):
            bench.add(replace(BRIDGE, name=name))
    assert not [fact for fact in bench.reader.observe() if isinstance(fact, Bridge)]


@pytest.mark.parametrize(("family", "path"), [("ip", HOST_SETTINGS[0]), ("ip6", HOST_SETTINGS[1])])
def test_forwarding_is_the_administrators_where_docker_says_so(bench: Bench, family: str, path: str) -> None:
    """dockerd with nftables as its firewall refuses to switch it on, and so do we; what else was asked for is undone.
    What is on is fine, and the other family is not concerned."""
    sh(f"nft add table {family} docker-bridges", f"sysctl -qw {path.replace('/', '.')}=0")
    with pytest.raises(Unavailable, match=r"forwarding is off.*nftables.*sysctl -w " + path.replace("/", r"\.")):
        bench.add(BRIDGE, Setting(path, "1"))
    assert BRIDGE not in bench.reader.observe()
    assert read_setting(path) == "0"
    before = Setting(path, "0")
    with pytest.raises(Unavailable, match="forwarding is off"):
        bench.writer.run([Alter(before, Setting(path, "1"))])
    sh(f"sysctl -qw {path.replace('/', '.')}=1")
    bench.add(BRIDGE, Setting(path, "1"))
    assert BRIDGE in bench.reader.observe()


def test_forwarding_is_ours_where_docker_switches_it_on(bench: Bench) -> None:
    """Any other table is no reason."""
    sh("nft add table ip docker-other", f"sysctl -qw {HOST_SETTINGS[0].replace('/', '.')}=0")
    bench.add(Setting(HOST_SETTINGS[0], "1"))
    assert read_setting(HOST_SETTINGS[0]) == "1"
