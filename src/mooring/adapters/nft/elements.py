"""Elements of sets and maps, between core's spelling (core/firewall, core/port_security) and the kernel's bytes.

Rules: parts that are joined begin at multiples of four bytes (NFT_REG32_SIZE); numbers are in network byte order, but
for marks; a prefix is its first and its last address; what core never writes has no spelling. Layouts are those of
linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from socket import inet_ntoa

from mooring.adapters.netlink.batches import LIST_ELEMENT
from mooring.adapters.netlink.sockets import attribute, attributes, nest
from mooring.core.plumbing import Member
from mooring.core.rulesets import Container

_KEY, _DATA, _KEY_END = 1, 2, 10
_VALUE = 1
_SIZE_OF_NAME = 16  # IFNAMSIZ
_HEADER = struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type. size: in bytes."""

    size: int
    pack: Callable[[str], bytes]
    spell: Callable[[bytes], str]


def _pack_name(name: str) -> bytes:
    packed = name[1:-1].encode()
    if len(packed) >= _SIZE_OF_NAME or name != f'"{name[1:-1]}"':
        raise ValueError(f"{name} is not the name of an interface in quotes")
    return packed.ljust(_SIZE_OF_NAME, b"\0")


def _spell_name(data: bytes) -> str:
    name = data.rstrip(b"\0").decode()
    if not name or '"' in name or "\0" in name:
        raise ValueError(f"nftables could not read {name!r} back")
    return f'"{name}"'


def _number(size: int, spelling: str = "{}") -> _Kind:
    return _Kind(
        size, lambda text: int(text, 0).to_bytes(size, "big"), lambda data: spelling.format(int.from_bytes(data, "big"))
    )


_KINDS = {
    "ifname": _Kind(_SIZE_OF_NAME, _pack_name, _spell_name),
    "ether_addr": _Kind(6, lambda mac: bytes.fromhex(mac.replace(":", "")), lambda data: data.hex(":")),
    "ipv4_addr": _Kind(4, lambda text: IPv4Address(text).packed, inet_ntoa),
    "ipv6_addr": _Kind(16, lambda text: IPv6Address(text).packed, lambda data: str(IPv6Address(data))),
    "inet_proto": _number(1),
    "inet_service": _number(2),
    "mark": _Kind(
        4,
        lambda text: int(text, 0).to_bytes(4, sys.byteorder),
        lambda data: f"0x{int.from_bytes(data, sys.byteorder):08x}",
    ),
}


@cache
def _kind(name: str) -> _Kind:
    """`@BASE,OFFSET,BITS` is a number from a packet."""
    return _number(int(name.rpartition(",")[2]) // 8, "{:#x}") if name.startswith("@") else _KINDS[name]


def _pack(types: Sequence[str], parts: Sequence[str]) -> bytes:
    packed = b""
    for name, part in zip(types, parts, strict=True):
        kind = _kind(name)
        data = kind.pack(part)
        if len(data) != kind.size:
            raise ValueError(f"{part} does not have the length of {name}")
        packed += data + bytes(-kind.size % 4 if len(types) > 1 else 0)
    return packed


def _cut(types: Sequence[str], data: bytes) -> list[bytes]:
    parts, at = [], 0
    for name in types:
        size = _kind(name).size
        parts.append(data[at : at + size])
        at += (size + 3) & ~3 if len(types) > 1 else size
    if at != len(data):
        raise ValueError("an element of another length")
    return parts


def packed(container: Container, member: Member, *, with_value: bool) -> bytes:
    """The element as one of a list. Raises ValueError or OverflowError for one that it cannot have."""
    parts = member.element.split(" . ")
    if container.ranges:
        first, last = zip(*(_bounds(part) for part in parts), strict=True)
        told = [_data(_KEY, _pack(container.key, first)), _data(_KEY_END, _pack(container.key, last))]
    else:
        told = [_data(_KEY, _pack(container.key, parts))]
    if with_value and container.value:
        told.append(_data(_DATA, _pack(container.value, member.value.split(" . "))))
    return nest(LIST_ELEMENT, *told)


def unpacked(name: str, container: Container, data: bytes) -> Member:
    """The inverse, of an element that the kernel tells of. Raises ValueError for what core never writes."""
    found = attributes(data)
    key = _cut(container.key, _read(found, _KEY))
    last = _cut(container.key, _read(found, _KEY_END)) if _KEY_END in found else key
    element = " . ".join(_spell(kind, *bounds) for kind, *bounds in zip(container.key, key, last, strict=True))
    value = _cut(container.value, _read(found, _DATA)) if container.value else []
    return Member(name, element, " . ".join(map(_spell, container.value, value, value)))


def _data(kind: int, data: bytes) -> bytes:
    return nest(kind, attribute(_VALUE, data))


def _read(found: dict[int, bytes], kind: int) -> bytes:
    """The bytes in a nested attribute; not those of a verdict."""
    data = found.get(kind, b"")
    if len(data) < 4 or _HEADER.unpack_from(data)[1] != _VALUE:
        raise ValueError("an element without a key, or with a verdict")
    return data[4 : _HEADER.unpack_from(data)[0]]


def _bounds(part: str) -> tuple[str, str]:
    """The first and the last that the part stands for."""
    if "/" not in part:
        return part, part
    subnet = ip_network(part)
    return str(subnet[0]), str(subnet[-1])


def _spell(kind: str, first: bytes, last: bytes) -> str:
    """Raises ValueError for a range that is no prefix."""
    text = _kind(kind).spell(first)
    if first == last:
        return text
    bits = (int.from_bytes(first, "big") ^ int.from_bytes(last, "big")).bit_length()
    subnet = ip_network(f"{text}/{8 * len(first) - bits}")
    if subnet[-1].packed != last:
        raise ValueError("a range that is no prefix")
    return str(subnet)
