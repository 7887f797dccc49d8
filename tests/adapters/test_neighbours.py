"""Where MACs and addresses are, in a namespace of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.neighbours import Neighbours
from mooring.adapters.netlink.sockets import Netlink
from mooring.core.plumbing import Add, Flood, Neighbour, RemoteMac, Remove
from tests.netns.rigs import private_namespace, sh

pytestmark = pytest.mark.netns

MAC, OTHER = "02:00:00:00:00:09", "02:00:00:00:00:0a"
REMOTE = RemoteMac("vx", MAC, ip_address("192.0.2.2"))
THERE = Neighbour("br0", ip_address("10.1.0.2"), MAC)


@pytest.fixture
def neighbours() -> Iterator[Neighbours]:
    """A bridge with a VXLAN device."""
    with private_namespace():
        sh(
            "ip link add br0 type bridge; ip link set br0 up",
            "ip link add vx type vxlan id 7 local 192.0.2.1 dstport 4790 nolearning; ip link set vx master br0 up",
        )
        netlink = Netlink()
        yield Neighbours(netlink)
        netlink.close()


def index(*names: str) -> dict[str, int]:
    """Indexes of the links."""
    return {name: socket.if_nametoindex(name) for name in names}


def told(neighbours: Neighbours) -> set[object]:
    """What is there."""
    links = index("br0", "vx")
    return {*neighbours.remote_macs(links["vx"], "vx"), *neighbours.neighbours({links["br0"]: "br0"})}


def test_entries_are_as_the_tools_show_them(neighbours: Neighbours) -> None:
    """Static in the device and in the bridge; permanent, and with a number that says whose it is."""
    assert neighbours.change([Add(REMOTE), Add(THERE)], index("br0", "vx")) == [Remove(THERE), Remove(REMOTE)]
    shown = sh("bridge fdb show dev vx")
    assert f"{MAC} dst 192.0.2.2 self static" in shown
    assert f"{MAC} master br0 static" in shown
    assert "lladdr 02:00:00:00:00:09 PERMANENT proto 109" in sh("ip neigh show dev br0")
    assert told(neighbours) == {REMOTE, THERE}


@pytest.mark.parametrize("table", ["self", "master"])
def test_half_an_entry_is_told_as_such_and_made_whole_or_removed(neighbours: Neighbours, table: str) -> None:
    """Somebody took it out of one of the two tables."""
    links = index("br0", "vx")
    neighbours.change([Add(REMOTE)], links)
    sh(f"bridge fdb del {MAC} dev vx {table}")
    assert told(neighbours) == {RemoteMac("vx", MAC, None)}
    neighbours.change([Add(REMOTE)], links)
    assert told(neighbours) == {REMOTE}
    sh(f"bridge fdb del {MAC} dev vx {table}")
    neighbours.change([Remove(REMOTE)], links)
    assert told(neighbours) == set()


def test_what_others_put_there_is_told_where_it_is_ours_to_keep(neighbours: Neighbours) -> None:
    """Everything in the device, and nothing of the bridge's neighbours; ours takes the place of one of those."""
    sh("bridge fdb append 00:00:00:00:00:00 dev vx dst 192.0.2.7")
    sh(f"bridge fdb add {MAC} dev vx dst 192.0.2.3 self static")
    sh(f"ip neigh add 10.1.0.2 lladdr {OTHER} dev br0 nud permanent; ip neigh add 10.1.0.3 lladdr {OTHER} dev br0")
    everybody = Flood("vx", ip_address("192.0.2.7"))
    assert told(neighbours) == {everybody, RemoteMac("vx", MAC, None)}
    neighbours.change([Add(REMOTE), Add(THERE)], index("br0", "vx"))
    assert told(neighbours) == {REMOTE, THERE, everybody}
    assert "10.1.0.3" in sh("ip neigh show dev br0")
    neighbours.change([Remove(everybody)], index("vx"))
    assert told(neighbours) == {REMOTE, THERE}


def test_a_neighbour_is_forgotten_unless_we_said_so(neighbours: Neighbours) -> None:
    """One that the host has found out, a hundred times if need be; one that is not there is fine."""
    links = index("br0", "vx")
    sh(f"ip neigh add 10.1.0.9 lladdr {OTHER} dev br0 nud stale; ip neigh add fd00::9 lladdr {OTHER} dev br0 nud stale")
    neighbours.change([Add(THERE)], links)
    for address in ("10.1.0.9", "fd00::9", "10.1.0.2", "10.1.0.10"):
        neighbours.forget(links["br0"], ip_address(address))
    assert OTHER not in sh("ip neigh show dev br0")
    assert told(neighbours) == {THERE}


def test_neighbours_of_ours_do_not_count_against_the_host_s_limit(neighbours: Neighbours) -> None:
    """More than net.ipv4.neigh.default.gc_thresh3 of them, which is 1024."""
    many = [Neighbour("br0", ip_address(f"10.1.{n >> 8}.{n & 255}"), MAC) for n in range(1, 1300)]
    neighbours.change([Add(each) for each in many], index("br0"))
    assert told(neighbours) == set(many)
    sh("ip neigh flush all")
    assert told(neighbours) == set(many)
