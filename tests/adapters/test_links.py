"""Links, addresses and routes in a namespace of the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.ownership import Owner
from mooring.adapters.netlink.sockets import Message, NetlinkError
from mooring.core.plumbing import Bridge, Veth
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

BRIDGE = Bridge("mr-one", "mooring:network:one", 1400, "02:00:00:00:00:01")
VETH = Veth("mv-e", "mooring:endpoint:e", "mr-one", True, peer="mp-e", peer_mac="02:00:00:00:00:02", mtu=1400)


@pytest.fixture
def links(namespace: Namespace) -> Iterator[Links]:
    """Sockets in a namespace of its own."""
    made = Links()
    yield made
    made.close()


def shown(name: str) -> dict[str, Any]:
    """What `ip` says about the link."""
    found: dict[str, Any] = json.loads(sh(f"ip -d -j link show {name}"))[0]
    return found


def index_of(links: Links, name: str) -> int:
    """The index of a link that is there."""
    found = links.find(name)
    assert found is not None
    return found.index


def test_a_bridge_is_made_as_told(links: Links) -> None:
    """Up, marked, without spanning tree and snooping; its MTU is its own; it learns from no reserved group."""
    links.add_bridge(BRIDGE)
    bridge = shown("mr-one")
    data = bridge["linkinfo"]["info_data"]
    assert (bridge["mtu"], bridge["address"], bridge["ifalias"]) == (1400, BRIDGE.mac, BRIDGE.alias)
    assert "UP" in bridge["flags"]
    assert (data["stp_state"], data["mcast_snooping"], data["forward_delay"]) == (0, 0, 0)
    assert data["no_linklocal_learn"] == 1


@pytest.mark.parametrize("mtu", [1500, 1400, 1280, 65535])
def test_a_bridges_mtu_is_its_own_whatever_its_ports_have(links: Links, mtu: int) -> None:
    """1500 is what a bridge has by itself, and what is set so is not taken for set."""
    links.add_bridge(replace(BRIDGE, mtu=mtu))
    bridge = links.find("mr-one")
    assert bridge is not None
    links.add_veth(replace(VETH, mtu=1290), bridge.index)
    found = links.find("mr-one")
    assert found is not None
    assert found.mtu == mtu


def test_a_veth_pair_is_made_and_plugged(links: Links) -> None:
    """The host end is a marked, isolated port that is up; the peer has its MAC and waits for its container."""
    links.add_bridge(BRIDGE)
    links.add_veth(VETH, index_of(links, "mr-one"))
    host, peer = shown("mv-e"), shown("mp-e")
    port = host["linkinfo"]["info_slave_data"]
    assert (host["master"], host["ifalias"], host["mtu"]) == ("mr-one", VETH.alias, 1400)
    assert (port["isolated"], port["hairpin"]) == (True, True)
    assert "UP" in host["flags"]
    assert (peer["address"], peer["mtu"], "UP" in peer["flags"]) == (VETH.peer_mac, 1400, False)


@pytest.mark.parametrize("mtu", [68, 1279])
def test_a_pair_may_be_too_small_for_ipv6(links: Links, mtu: int) -> None:
    """The kernel has none on such a link, and refuses what is said of its addresses."""
    links.add_bridge(replace(BRIDGE, mtu=mtu))
    links.add_veth(replace(VETH, mtu=mtu), index_of(links, "mr-one"))
    assert (shown("mv-e")["mtu"], shown("mp-e")["mtu"]) == (mtu, mtu)


def test_a_pair_may_be_born_with_its_peer_elsewhere(links: Links) -> None:
    """The peer is in the other namespace at once, as told, and never on the host."""
    elsewhere = Namespace.new()
    links.add_bridge(BRIDGE)
    links.add_veth(VETH, index_of(links, "mr-one"), elsewhere.fd)
    assert shown("mv-e")["master"] == "mr-one"
    assert links.find("mp-e") is None
    assert VETH.peer_mac in elsewhere.sh("ip link show mp-e")
    elsewhere.close()


def test_a_failed_pair_leaves_no_half(links: Links) -> None:
    """Neither end is there when the peer's name is taken or the bridge is gone."""
    links.add_bridge(BRIDGE)
    sh("ip link add mp-e type bridge")
    with pytest.raises(NetlinkError):
        links.add_veth(VETH, index_of(links, "mr-one"))
    assert links.find("mv-e") is None
    sh("ip link delete mp-e")
    with pytest.raises(NetlinkError):
        links.add_veth(VETH, 9999)
    assert links.find("mv-e") is None
    assert links.find("mp-e") is None


def test_many_links_are_deleted_together(links: Links) -> None:
    """Those of the list and no others; indexes that are gone are fine."""
    links.add_bridge(BRIDGE)
    sh(*(f"ip link add v{number} type veth peer name w{number}" for number in range(4)))
    indexes = [index_of(links, f"v{number}") for number in range(3)]
    links.delete("v0")
    links.delete("v0")
    links.delete_together(indexes)
    assert [links.find(f"v{number}") is None for number in range(4)] == [True, True, True, False]
    links.delete_together([9999])


def test_addresses_are_usable_at_once_and_listed(links: Links) -> None:
    """No duplicate address detection; the kernel's link-local ones are not ours to list; adding twice tells."""
    links.add_bridge(BRIDGE)
    index = index_of(links, "mr-one")
    interfaces = [ip_interface("10.1.0.1/24"), ip_interface("169.254.9.1/24"), ip_interface("fd00:1::1/64")]
    assert [links.add_address(index, interface) for interface in interfaces * 2] == [True] * 3 + [False] * 3
    assert "tentative" not in sh("ip -6 address show dev mr-one scope global")
    assert {interface for found, interface, _ in links.addresses() if found == index} == set(interfaces)
    for interface in interfaces * 2:
        links.delete_address(index, interface)
    assert not [interface for found, interface, _ in links.addresses() if found == index]


def test_a_bridge_that_is_set_keeps_its_neighbours(links: Links) -> None:
    """Those of other hosts stay when its MTU changes."""
    links.add_bridge(BRIDGE)
    sh("ip neighbour add 10.1.0.2 lladdr 02:00:00:00:00:09 dev mr-one nud permanent")
    links.set_bridge(replace(BRIDGE, mtu=1300))
    assert "02:00:00:00:00:09" in sh("ip neighbour show dev mr-one")


def test_only_marked_links_are_shown(links: Links) -> None:
    """The mark has to be the beginning of the alias."""
    links.add_bridge(BRIDGE)
    sh("ip link add other type bridge; ip link set other alias not-mooring:x")
    assert [link.name for link in links.ours()] == ["mr-one"]


def test_an_owners_links_bear_his_name_and_facts_do_not(links: Links) -> None:
    """In the kernel the mark is another; whoever is not the owner sees a foreign link with its alias as it stands."""
    theirs = Links(Owner("web"))
    theirs.add_bridge(BRIDGE)
    theirs.add_veth(VETH, index_of(theirs, "mr-one"))
    aliases = [shown(name)["ifalias"] for name in ("mr-one", "mv-e")]
    assert aliases == ["mooring.web:network:one", "mooring.web:endpoint:e"]
    assert {(link.name, link.alias) for link in theirs.ours()} == {(each.name, each.alias) for each in (BRIDGE, VETH)}
    assert links.ours() == []
    foreign = links.find("mr-one")
    assert foreign is not None
    assert (foreign.ours, foreign.alias) == (False, "mooring.web:network:one")
    theirs.set_bridge(BRIDGE)
    theirs.set_veth(VETH, index_of(theirs, "mr-one"))
    assert [shown(name)["ifalias"] for name in ("mr-one", "mv-e")] == aliases
    theirs.close()


def test_what_died_before_it_was_marked_is_known_by_its_group(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's next process deletes it; what is marked is in the default group, and another owner's stays."""
    links.add_bridge(BRIDGE)
    bridge = index_of(links, "mr-one")
    other = Links(Owner("web-1"))
    for mine, name in ((links, "mv-dead"), (other, "mv-theirs")):
        with monkeypatch.context() as patch:
            patch.setattr(mine, "_port", lambda *_: Message(0xFFFF, 0, b""))  # the kernel refuses it
            patch.setattr(mine, "delete", lambda _: None)  # and we are dead by then
            with pytest.raises(NetlinkError):
                mine.add_veth(replace(VETH, name=name, peer=f"p-{name}"), bridge)
    links.add_veth(VETH, bridge)
    assert (shown("mr-one")["group"], shown("mv-e")["group"]) == ("default", "default")
    links.delete_newborn()
    assert [name for name in ("mv-dead", "p-mv-dead", "mv-theirs", "mv-e") if links.find(name)] == ["mv-theirs", "mv-e"]
    other.delete_newborn()
    assert links.find("mv-theirs") is None
    links.delete_newborn()
    other.close()
