"""Frames as an attacker writes them: nothing in them need be true."""

from __future__ import annotations

import json
import socket
import struct
from ipaddress import ip_address

from tests.netns.rigs import Namespace

ETH_IP, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
EVERYBODY = b"\xff" * 6


def mac(text: str) -> bytes:
    """Six octets."""
    return bytes.fromhex(text.replace(":", ""))


def macs(space: Namespace) -> bytes:
    """The MAC of eth0 there."""
    return mac(json.loads(space.sh("ip -j link show eth0"))[0]["address"])


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    folded = (total & 0xFFFF) + (total >> 16)
    return int(~folded & 0xFFFF)


def arp(source: bytes, operation: int, sender: str, target: str, claimed: bytes | None = None) -> bytes:
    """RFC 826. claimed: the sender's MAC in the packet, the frame's unless given."""
    head = struct.pack(">HHBBH", 1, ETH_IP, 6, 4, operation)
    ends = (claimed or source) + ip_address(sender).packed + bytes(6) + ip_address(target).packed
    return EVERYBODY + source + struct.pack(">H", ETH_ARP) + head + ends


def udp(source: bytes, target: bytes, sender: str, to: str, port: int, origin: int = 9999) -> bytes:
    """A datagram, with no checksum in IPv4. origin: its source port."""
    body = struct.pack(">HHHH", origin, port, 8 + 5, 0) + b"forge"
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0, *map(packed, (sender, to)))
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return target + source + struct.pack(">H", ETH_IP) + head + body


def udp6(source: bytes, sender: str, to: str, ports: tuple[int, int]) -> bytes:
    """A datagram to the multicast MAC of `to`. ports: its source and destination."""
    body = struct.pack(">HHHH", *ports, 8 + 5, 0xFFFF) + b"forge"
    head = struct.pack(">IHBB", 6 << 28, len(body), 17, 255)
    return (
        b"\x33\x33" + packed(to)[-4:] + source + struct.pack(">H", ETH_IPV6) + head + packed(sender) + packed(to) + body
    )


def icmp6(source: bytes, sender: str, to: str, kind: int, body: bytes) -> bytes:
    """RFC 4443, to the multicast MAC of `to`."""
    ends = packed(sender) + packed(to)
    pseudo = ends + struct.pack(">II", len(body) + 4, 58)
    message = struct.pack(">BBH", kind, 0, 0) + body
    sum_ = checksum(pseudo + message + b"\0" * (len(message) % 2))
    message = message[:2] + struct.pack(">H", sum_) + message[4:]
    head = struct.pack(">IHBB", 6 << 28, len(message), 58, 255)
    return b"\x33\x33" + packed(to)[-4:] + source + struct.pack(">H", ETH_IPV6) + head + ends + message


def advertisement(source: bytes, sender: str, target: str) -> bytes:
    """An unsolicited neighbour advertisement that overrides (RFC 4861, 4.4)."""
    return icmp6(source, sender, "ff02::1", 136, struct.pack(">I", 0x20000000) + packed(target) + b"\x02\x01" + source)


def packed(text: str) -> bytes:
    """The octets of an address."""
    return ip_address(text).packed


def utter(space: Namespace, *frames: bytes) -> None:
    """Send the frames, three times each, from eth0 there."""
    with space.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("eth0", 0))
        for frame in frames * 3:
            sender.send(frame)


# Where the checksum is, by protocol.
_SUM_AT = {1: 2, 6: 16, 17: 6, 58: 2}


def packet(source: bytes, target: bytes, sender: str, to: str, protocol: int, body: bytes) -> bytes:
    """A packet of either family with the protocol's message, whose checksum is made right."""
    ends = packed(sender) + packed(to)
    pseudo = ends + struct.pack(">II", len(body), protocol) if protocol != 1 else b""
    place = _SUM_AT.get(protocol)
    if place is not None:
        right = checksum(pseudo + body + b"\0" * (len(body) % 2))
        body = body[:place] + struct.pack(">H", right or 0xFFFF) + body[place + 2 :]
    if len(ends) == 8:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        return target + source + struct.pack(">H", ETH_IP) + head + body
    return target + source + struct.pack(">HIHBB", ETH_IPV6, 6 << 28, len(body), protocol, 64) + ends + body


SYN, RST, ACK = 0x02, 0x04, 0x10


def tcp(origin: int, port: int, flags: int, sequence: int = 1, said: bytes = b"") -> bytes:
    """A segment, without its checksum (RFC 9293, 3.1)."""
    return struct.pack(">HHIIBBHHH", origin, port, sequence, 1, 5 << 4, flags, 1024, 0, 0) + said


def datagram(origin: int, port: int, said: bytes = b"forged") -> bytes:
    """A datagram, without its checksum (RFC 768)."""
    return struct.pack(">HHHH", origin, port, 8 + len(said), 0) + said


def ends_of(frame: bytes) -> tuple[str, str] | None:
    """Source and destination of the packet in an Ethernet frame; None for neither family, and for what is said within a
    link only (neighbour discovery, groups)."""
    (kind,) = struct.unpack_from(">H", frame, 12)
    if kind == ETH_IP and len(frame) >= 34:
        return str(ip_address(frame[26:30])), str(ip_address(frame[30:34]))
    if kind == ETH_IPV6 and len(frame) >= 54:
        source, target = ip_address(frame[22:38]), ip_address(frame[38:54])
        if source.is_link_local or target.is_multicast or target.is_link_local:
            return None
        return str(source), str(target)
    return None


_OUTGOING = 4  # linux/if_packet.h, PACKET_OUTGOING
_RCVBUFFORCE = 33  # asm-generic/socket.h


class Ear:
    """Hears every frame that comes into one interface of the namespace, or into any that is Ethernet."""

    def __init__(self, space: Namespace, name: str) -> None:
        with space.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
            self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 64 << 20)
            self._socket.bind((name, 3))

    def heard(self) -> set[tuple[str, str]]:
        """Source and destination of each packet so far."""
        found = set[tuple[str, str]]()
        while True:
            try:
                frame, (_, _, kind, _, _) = self._socket.recvfrom(2000)
            except BlockingIOError:
                return found
            if kind != _OUTGOING and (ends := ends_of(frame)) is not None:
                found.add(ends)

    def arps(self) -> list[bytes]:
        """Senders' MACs of the ARP packets so far."""
        found = list[bytes]()
        while True:
            try:
                frame, (_, _, kind, _, _) = self._socket.recvfrom(2000)
            except BlockingIOError:
                return found
            if kind != _OUTGOING and frame[12:14] == b"\x08\x06":
                found.append(frame[22:28])

    def close(self) -> None:
        """No more."""
        self._socket.close()
