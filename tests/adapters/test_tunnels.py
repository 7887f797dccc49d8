"""VXLAN devices, in a namespace of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.links import Links
from mooring.adapters.linux.tunnels import Tunnels
from mooring.core.faults import Conflict
from mooring.core.plumbing import Add, Bridge, RemoteFact, RemoteMac, Vxlan
from tests.netns.rigs import private_namespace, sh

pytestmark = pytest.mark.netns

BRIDGE = Bridge("mr-one", "mooring:network:one", 1450, "02:00:00:00:00:01")
DEVICE = Vxlan("mx-one", "mooring:overlay:one", "mr-one", 77, ip_address("192.0.2.1"), 4790, 1450)
NO_FLOOD = ("mcast_flood off", "bcast_flood off")
REMOTE = RemoteMac("mx-one", "02:00:00:00:01:02", ip_address("192.0.2.2"))


class Place:
    """A bridge, and what makes devices there."""

    def __init__(self, stack: ExitStack) -> None:
        self.links = Links()
        stack.callback(self.links.close)
        self.tunnels = Tunnels(self.links)
        self.links.add_bridge(BRIDGE)

    @property
    def bridge(self) -> int:
        """Its index."""
        found = self.links.find("mr-one")
        assert found is not None
        return found.index

    def facts(self) -> set[Vxlan | RemoteFact]:
        """Of all devices that are ours."""
        return set(self.tunnels.facts(self.links.ours()))


@pytest.fixture
def place() -> Iterator[Place]:
    """In a namespace of its own."""
    with private_namespace(), ExitStack() as stack:
        yield Place(stack)


@pytest.mark.parametrize("device", [DEVICE, replace(DEVICE, local=ip_address("fd00::1"), isolated=True, offload=False)])
def test_a_device_floods_and_learns_nothing_and_has_no_lower_link(place: Place, device: Vxlan) -> None:
    """Nor an address of its own, which would come with neighbour discovery."""
    list(place.tunnels.add(device, place.bridge))
    assert place.facts() == {device}
    shown = sh("ip -d link show mx-one; bridge -d link show dev mx-one")
    for word in ("nolearning", "dstport 4790", "id 77", "learning off flood off", "neigh_suppress on", *NO_FLOOD):
        assert word in shown, word
    assert " dev " not in shown.partition("vxlan id")[2].partition("\n")[0]
    assert "inet6" not in sh("ip address show dev mx-one")
    list(place.tunnels.add(device, place.bridge))  # once more is success


@pytest.mark.parametrize(
    "damage",
    [
        "ip link set mx-one down",
        "ip link set mx-one nomaster",
        "ip link set mx-one mtu 1400",
        "ip link set mx-one type vxlan learning",
        "bridge link set dev mx-one flood on",
        "bridge link set dev mx-one learning on",
        "bridge link set dev mx-one neigh_suppress off",
        "bridge link set dev mx-one isolated on",
        "ip link set mx-one type vxlan local 192.0.2.9",
    ],
)
def test_what_somebody_changed_differs_and_is_put_right(place: Place, damage: str) -> None:
    """Whatever is not as it should be shows, and one alteration mends it."""
    list(place.tunnels.add(DEVICE, place.bridge))
    place.tunnels.change([Add(REMOTE)])
    sh(damage)
    (seen,) = [fact for fact in place.facts() if isinstance(fact, Vxlan)]
    assert seen != DEVICE
    list(place.tunnels.alter(seen, DEVICE, place.bridge))
    place.tunnels.change([Add(REMOTE)])  # a port that leaves its bridge takes the bridge's entries along
    assert place.facts() == {DEVICE, REMOTE}


def test_a_device_may_be_too_small_for_ipv6(place: Place) -> None:
    """The kernel has none on such a link, and refuses what is said of its addresses."""
    device = replace(DEVICE, mtu=600)
    list(place.tunnels.add(device, place.bridge))
    assert place.facts() == {device}


def test_the_device_that_has_the_vni_is_named(place: Place) -> None:
    """Somebody made one by hand."""
    sh("ip link add theirs type vxlan id 77 local 192.0.2.1 dstport 4790")
    with pytest.raises(Conflict) as refused:
        list(place.tunnels.add(DEVICE, place.bridge))
    assert refused.value.holder == "device theirs"
    sh("ip link add mx-two type vxlan id 78 local 192.0.2.1 dstport 4790")
    with pytest.raises(Conflict, match="not ours"):
        list(place.tunnels.add(replace(DEVICE, name="mx-two", vni=79), place.bridge))


def test_a_port_that_a_process_has_is_named(place: Place) -> None:
    """Nothing is left of the device, and with the port free it can be made."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 4790))
        with pytest.raises(Conflict, match="UDP port 4790"):
            list(place.tunnels.add(DEVICE, place.bridge))
        assert place.facts() == set()
    list(place.tunnels.add(DEVICE, place.bridge))
    assert place.facts() == {DEVICE}


def test_a_device_that_goes_while_it_is_looked_at_is_no_trouble(place: Place) -> None:
    """Links are listed first: what a network that is just being removed had is not there any more."""
    list(place.tunnels.add(DEVICE, place.bridge))
    listed = list(place.links.ours())
    sh("ip link del mx-one")
    assert set(place.tunnels.facts(listed)) <= {DEVICE}
