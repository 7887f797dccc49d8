"""Zones as messages: the start of a zone, and all of its records in as many messages as they need (RFC 5936).

Rule: messages are made one after another, when they are asked for, and each is small: a zone of any size costs the
memory of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from mooring.core.zones import EXPIRE, NEGATIVE, REFRESH, RETRY, TTL, Record
from mooring.wire.dns import TO_QUESTION, encode_name, encode_record

# Bytes of records in one message: it is made within a turn of the loop.
MESSAGE_BYTES = 1024

_NUMBERS = {"A": 1, "NS": 2, "PTR": 12, "AAAA": 28}
_SOA = 6
_QR_AA = 0x8400
_HEADER = struct.Struct(">6H")


def encode_start(zone: str, server: str, serial: int) -> bytes:
    """The zone's SOA record (RFC 1035, 3.3.13), in a message that asks for the zone. server: the first nameserver."""
    names = encode_name(server) + encode_name(f"hostmaster.{zone}")
    times = struct.pack(">5I", serial, REFRESH, RETRY, EXPIRE, NEGATIVE)
    return encode_record(TO_QUESTION, _SOA, names + times, TTL)


def encode_zone_record(zone: str, name: str, record: Record) -> bytes:
    """The record of a name in the zone, in a message that asks for the zone. Raises ValueError for what is none."""
    kind, text = record
    data = ip_address(text).packed if kind in ("A", "AAAA") else encode_name(text.removesuffix("."))
    relative = name.removesuffix(zone).removesuffix(".")
    owner = encode_name(relative)[:-1] + TO_QUESTION if relative else TO_QUESTION
    return encode_record(owner, _NUMBERS[kind], data, TTL)


def encode_message(ident: int, question: bytes, records: Sequence[bytes], rcode: int = 0) -> bytes:
    """A reply with the records, from who is authoritative. question: as it was asked, as bytes."""
    return _HEADER.pack(ident, _QR_AA | rcode, 1, len(records), 0, 0) + question + b"".join(records)


def transfer_messages(ident: int, question: bytes, records: Iterable[bytes]) -> Iterator[bytes]:
    """The records in as many replies as they need."""
    some: list[bytes] = []
    size = 0
    for record in records:
        if size + len(record) > MESSAGE_BYTES:
            yield encode_message(ident, question, some)
            some, size = [], 0
        some.append(record)
        size += len(record)
    yield encode_message(ident, question, some)
