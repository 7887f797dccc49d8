"""Gratuitous ARP and unsolicited neighbour advertisements, byte by byte and on a wire."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from mooring.adapters.linux.gratuitous_arp import Announcer, arp_announcement, neighbour_advertisement
from tests.netns.rigs import Namespace, sh

MAC = bytes.fromhex("020000000002")
BRIDGE = bytes.fromhex("020000000001")


def test_an_arp_announcement_is_the_rfcs() -> None:
    """RFC 5227: a broadcast request whose sender and target address are the announced one."""
    frame = arp_announcement(IPv4Address("10.1.0.2"), MAC, BRIDGE)
    assert frame.hex() == ("ffffffffffff020000000001080600010800060400010200000000020a0100020000000000000a010002")


def test_a_neighbour_advertisement_is_the_rfcs() -> None:
    """RFC 4861: to all nodes, hop limit 255, override flag, target link-layer address, a checksum that adds up."""
    address = IPv6Address("fd00:1::2")
    frame = neighbour_advertisement(address, MAC, BRIDGE)
    head, body = frame[14:54], frame[54:]
    assert frame[:14].hex() == "33330000000102000000000186dd"
    assert (head[6], head[7], head[8:24], len(body)) == (58, 255, address.packed, struct.unpack(">H", head[4:6])[0])
    assert (body[0], body[4], body[8:24], body[24:]) == (136, 0x20, address.packed, b"\x02\x01" + MAC)
    pseudo = head[8:40] + struct.pack(">II", len(body), 58)
    assert sum(struct.unpack(f">{(len(pseudo) + len(body)) // 2}H", pseudo + body)) % 0xFFFF == 0


@pytest.mark.netns
def test_neighbours_on_the_bridge_learn_the_new_mac(namespace: Namespace) -> None:
    """A neighbour's entry for the address changes with the announcement; the bridge learns no MAC at a port."""
    other = Namespace.new()
    sh("ip link add mr type bridge mcast_snooping 0; ip link set mr address 02:00:00:00:00:01 up")
    with other.inside():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    listener.settimeout(3)
    sh(f"ip link add v0 up master mr type veth peer name eth0 netns /proc/{os.getpid()}/fd/{other.fd}")
    other.sh(
        "ip address add 10.1.0.3/24 dev eth0; ip link set eth0 up",
        "ip neighbour add 10.1.0.2 lladdr 02:00:00:00:00:09 dev eth0 nud stale",
    )
    announcer = Announcer()
    try:
        announcer.announce("mr", IPv4Address("10.1.0.2"), "02:00:00:00:00:02", "02:00:00:00:00:01")
        while listener.recv(100)[12:14] != b"\x08\x06":
            continue
        assert "02:00:00:00:00:02" in other.sh("ip neighbour show 10.1.0.2")
        assert "02:00:00:00:00:02" not in sh("bridge fdb show br mr")
        announcer.announce("mr", IPv6Address("fd00:1::2"), "02:00:00:00:00:02", "02:00:00:00:00:01")
        while listener.recv(100)[54:55] != b"\x88":
            continue
        with pytest.raises(OSError, match="No such device"):
            announcer.announce("nowhere", IPv4Address("10.1.0.2"), "02:00:00:00:00:02", "02:00:00:00:00:01")
    finally:
        announcer.close()
        listener.close()
        other.close()
