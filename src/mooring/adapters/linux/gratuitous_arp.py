"""Telling a link's neighbours where an address is: gratuitous ARP and unsolicited neighbour advertisements.

Rule: the frame's source is the bridge itself, so that no switch learns the container's MAC at the wrong port; the
payload names the container's MAC.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

_ETH_ARP = 0x0806
_ETH_IPV6 = 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES = IPv6Address("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_OVERRIDE = 0x20000000


def arp_announcement(address: IPv4Address, mac: bytes, source: bytes) -> bytes:
    """The Ethernet frame of an ARP announcement (RFC 5227, section 3: a request with both protocol addresses equal)."""
    ethernet = _BROADCAST + source + struct.pack(">H", _ETH_ARP)
    head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
    return ethernet + head + mac + address.packed + bytes(6) + address.packed


def neighbour_advertisement(address: IPv6Address, mac: bytes, source: bytes) -> bytes:
    """The Ethernet frame of an unsolicited neighbour advertisement to all nodes (RFC 4861, section 7.2.6)."""
    body = struct.pack(">I", _OVERRIDE) + address.packed + struct.pack(">BB", 2, 1) + mac
    length = 4 + len(body)
    pseudo = address.packed + _ALL_NODES.packed + struct.pack(">IHBB", length, 0, 0, socket.IPPROTO_ICMPV6)
    checksum = _checksum(pseudo + struct.pack(">BBH", 136, 0, 0) + body)
    icmp = struct.pack(">BBH", 136, 0, checksum) + body
    head = struct.pack(">IHBB", 6 << 28, length, socket.IPPROTO_ICMPV6, 255) + address.packed + _ALL_NODES.packed
    return _ALL_NODES_MAC + source + struct.pack(">H", _ETH_IPV6) + head + icmp


class Announcer:
    """Sends on any link of its namespace. One socket for good: closing such a one takes an RCU grace period."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def announce(self, link: str, address: IPv4Address | IPv6Address, mac: str, source: str) -> None:
        """Say on the link, whose own MAC is source, that the address is at mac. Raises OSError."""
        payload_mac, link_mac = (bytes.fromhex(value.replace(":", "")) for value in (mac, source))
        if isinstance(address, IPv4Address):
            frame = arp_announcement(address, payload_mac, link_mac)
        else:
            frame = neighbour_advertisement(address, payload_mac, link_mac)
        self._socket.sendto(frame, (link, 0))


def _checksum(data: bytes) -> int:
    """RFC 1071. data has an even length."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
