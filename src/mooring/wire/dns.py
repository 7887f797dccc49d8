"""DNS messages (RFC 1035, RFC 6891): bytes to queries, answers to bytes.

Rules: whatever the bytes are, reading them gives a query, a refusal that is ready to be sent, or None, and never an
exception; a reply repeats the question byte for byte, so that its letters keep their case (0x20 bits), and every record
about it points there; what does not fit is left out and TC says so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mooring.core.names import AAAA, ANY, PTR, SRV, A, Answer, Question, Verdict

# libnetwork/resolver.go
TTL = 600

# What a message can have: over UDP without EDNS (RFC 1035, 4.2.1), in one IPv4 datagram, and over TCP.
CLASSIC_BYTES, DATAGRAM_BYTES, STREAM_BYTES = 512, 65507, 65535
# What we read of a datagram, and say so.
READ_BYTES = 4096
# Records that a query may have: an OPT and a signature are usual, and each one more costs us time.
QUERY_RECORDS = 8

_IN, _SOA, _OPT = 1, 6, 41
_QR, _TC, _RD, _RA, _CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0010
_OPCODE, _RCODE = 0x7800, 0x000F
_DO = 0x8000  # in the low half of an OPT's TTL
_HEADER = struct.Struct(">6H")
_RECORD = struct.Struct(">HHIH")
# Points at the name in the question.
TO_QUESTION = struct.pack(">H", 0xC000 | _HEADER.size)
_PLAIN = re.compile(rb"[!-\-/-\[\]-~]+")


class Rcode(IntEnum):
    """How a query went (RFC 1035, 4.1.1; BADVERS: RFC 6891)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


@dataclass(frozen=True, slots=True)
class Query:
    """ident, flags: of its header. section: its question as bytes. in_class: whether it asks of class IN. edns: whether
    it has an OPT record, which the reply then needs, and with the same DO bit (RFC 3225, 3). udp_limit: bytes that a
    reply over UDP may have."""

    ident: int
    flags: int
    question: Question
    section: bytes
    in_class: bool
    edns: bool
    udp_limit: int
    dnssec: bool = False


class _Malformed(Exception):
    """The bytes are no message."""


def read_query(message: bytes) -> Query | bytes | None:
    """The query; or the reply that refuses it; or None when nobody should answer: no header, or itself a reply.

    Refused: anything but one question, or with more records than QUERY_RECORDS (FORMERR), other opcodes than QUERY
    (NOTIMP), EDNS versions but 0 (BADVERS).
    """
    if len(message) < _HEADER.size:
        return None
    ident, flags, questions, *counts = _HEADER.unpack_from(message)
    if flags & _QR:
        return None
    if flags & _OPCODE:
        return _refusal(ident, flags, Rcode.NOTIMP)
    try:
        if questions != 1 or sum(counts) > QUERY_RECORDS:
            raise _Malformed
        labels, end = _labels(message, _HEADER.size)
        kind, klass = struct.unpack_from(">HH", message, end)
        options = list(_options(message, end + 4, sum(counts)))
    except (_Malformed, struct.error):
        return _refusal(ident, flags, Rcode.FORMERR)
    if len(options) > 1:
        return _refusal(ident, flags, Rcode.FORMERR)
    size, extended = options[0] if options else (CLASSIC_BYTES, 0)
    query = Query(
        ident,
        flags,
        Question(".".join(map(_text, labels)), kind),
        message[_HEADER.size : end + 4],
        klass == _IN,
        bool(options),
        min(max(size, CLASSIC_BYTES), DATAGRAM_BYTES),
        bool(extended & _DO),
    )
    return encode_failure(query, Rcode.BADVERS) if extended >> 16 & 0xFF else query


def encode_reply(query: Query, answer: Answer, limit: int, ttl: int = TTL, zone: str = "") -> bytes:
    """The reply, in at most `limit` bytes. ttl: seconds for which it may be kept.

    EMPTY is NOERROR without records, ABSENT is NXDOMAIN; what is not known here, or is no name that a record can have,
    is SERVFAIL. zone: the one whose SOA says for how long somebody may remember that there is nothing (RFC 2308), ""
    for none. Of the addresses only those of the question's
    family are told, for ANY all. As libnetwork/resolver.go: not
    authoritative, recursion available. A question of another class than IN has no records here.
    """
    if answer.verdict not in (Verdict.FOUND, Verdict.EMPTY, Verdict.ABSENT):
        return encode_failure(query, Rcode.SERVFAIL)
    if answer.verdict is not Verdict.FOUND or not query.in_class:
        rcode = Rcode.NXDOMAIN if answer.verdict is Verdict.ABSENT else Rcode.NOERROR
        return _compose(query, rcode, (), (), limit, authority=[_start_of(zone, ttl)] if zone else ())
    try:
        answers, additional = _records(query.question.kind, answer, ttl)
    except ValueError:
        return encode_failure(query, Rcode.SERVFAIL)
    return _compose(query, Rcode.NOERROR, answers, additional, limit)


def encode_failure(query: Query, rcode: Rcode) -> bytes:
    """The reply without records that says why."""
    return _compose(query, rcode, (), (), CLASSIC_BYTES)


def encode_cut(query: Query) -> bytes:
    """The reply without records that says that there are too many for UDP: ask by TCP."""
    reply = encode_failure(query, Rcode.NOERROR)
    return reply[:2] + bytes([reply[2] | _TC >> 8]) + reply[3:]


def with_ident(message: bytes, ident: int) -> bytes:
    """The same message with another id."""
    return ident.to_bytes(2, "big") + message[2:]


def is_reply(message: bytes, query: Query, ident: int) -> bool:
    """Whether the message answers the query that was sent with the id. Also without the question, if it is an error:
    some servers do not repeat what they could not read."""
    if len(message) < _HEADER.size:
        return False
    got, flags, questions, *_ = _HEADER.unpack_from(message)
    if got != ident or not flags & _QR or flags & _OPCODE:
        return False
    if questions == 0:
        return bool(flags & _RCODE)
    end = _HEADER.size + len(query.section)
    section = message[_HEADER.size : end]
    # The name in any case; type and class as they are.
    return questions == 1 and section[-4:] == query.section[-4:] and section.lower() == query.section.lower()


def rcode_of(message: bytes) -> int:
    """The response code in the header."""
    return message[3] & _RCODE


def framed(message: bytes) -> bytes:
    """The message as it goes over TCP (RFC 1035, 4.2.2)."""
    return len(message).to_bytes(2, "big") + message


def take_frame(buffer: bytearray) -> bytes | None:
    """Take the first message out of what came over TCP; None when it is not complete yet."""
    if len(buffer) < 2:
        return None
    end = 2 + int.from_bytes(buffer[:2], "big")
    if len(buffer) < end:
        return None
    message = bytes(buffer[2:end])
    del buffer[:end]
    return message


def _labels(message: bytes, at: int) -> tuple[list[bytes], int]:
    """The name's labels and where it ends. Raises _Malformed, also for a pointer: before a question is no name."""
    labels: list[bytes] = []
    start = at
    while at < len(message):
        length = message[at]
        if length > 63 or (length and at - start + length > 253):
            break
        at += 1
        if not length:
            return labels, at
        labels.append(message[at : at + length])
        at += length
    raise _Malformed


def _options(message: bytes, at: int, count: int) -> Iterable[tuple[int, int]]:
    """Payload size, and version with flags (RFC 6891, 6.1.3), of each OPT among the records. Raises _Malformed or
    struct.error."""
    for _ in range(count):
        start = at
        at = _after_name(message, at)
        kind, klass, ttl, length = _RECORD.unpack_from(message, at)
        if kind == _OPT:
            if at - start != 1:  # its owner is the root
                raise _Malformed
            yield klass, ttl
        at += _RECORD.size + length
        if at > len(message):
            raise _Malformed


def _after_name(message: bytes, at: int) -> int:
    """Where a name ends; a pointer is its end, and is not followed."""
    while at < len(message):
        length = message[at]
        if length >= 0xC0:
            return at + 2
        if length > 63:
            break
        at += 1 + length
        if not length:
            return at
    raise _Malformed


def _text(label: bytes) -> str:
    """The label in lower case, with dots and what cannot be printed escaped (RFC 1035, 5.1)."""
    if _PLAIN.fullmatch(label):
        return label.decode().lower()
    return "".join(map(_character, label))


def _character(byte: int) -> str:
    if byte in b".\\":
        return "\\" + chr(byte)
    return chr(byte).lower() if 0x20 < byte < 0x7F else f"\\{byte:03}"


def encode_name(text: str) -> bytes:
    """The name as bytes. Raises ValueError for what no name can be, which includes what is no Unicode text."""
    encoded = b"".join(_label(label) for label in text.encode().split(b".")) + b"\0" if text else b"\0"
    if len(encoded) > 255:
        raise ValueError(f"{text} is too long for DNS")
    return encoded


def _label(label: bytes) -> bytes:
    if not 0 < len(label) < 64:
        raise ValueError(f"{label!r} is not a DNS label")
    return bytes([len(label)]) + label


def _records(kind: int, answer: Answer, ttl: int) -> tuple[list[bytes], list[bytes]]:
    """The answers, and what goes with them. Raises ValueError for what cannot be encoded."""
    if kind in (A, AAAA, ANY):
        told = [(A if address.version == 4 else AAAA, address.packed) for address in answer.addresses]
        told += [(PTR, encode_name(name)) for name in answer.names]
        return [encode_record(TO_QUESTION, each, data, ttl) for each, data in told if kind in (each, ANY)], []
    if kind == PTR:
        return [encode_record(TO_QUESTION, kind, encode_name(name), ttl) for name in answer.names], []
    if kind != SRV:
        return [], []
    answers, additional = [], []
    for target in answer.targets:
        owner = encode_name(target.name)
        # Priority and weight 0; the target is never compressed (RFC 2782).
        answers.append(encode_record(TO_QUESTION, kind, _srv(target.port) + owner, ttl))
        additional.append(encode_record(owner, A if target.address.version == 4 else AAAA, target.address.packed, ttl))
    return list(dict.fromkeys(answers)), list(dict.fromkeys(additional))


def _srv(port: int) -> bytes:
    if not 0 <= port < 65536:
        raise ValueError(f"{port} is not a port")
    return struct.pack(">HHH", 0, 0, port)


def _start_of(zone: str, ttl: int) -> bytes:
    """The zone's SOA (RFC 1035, 3.3.13), of which only the time matters here. Raises ValueError."""
    owner = encode_name(zone)
    times = struct.pack(">5I", 1, 3600, 600, 86400, ttl)
    return encode_record(owner, _SOA, _label(b"ns") + owner + _label(b"hostmaster") + owner + times, ttl)


def encode_record(owner: bytes, kind: int, data: bytes, ttl: int) -> bytes:
    """A record of class IN. owner, data: as bytes already. ttl: seconds."""
    return owner + _RECORD.pack(kind, _IN, ttl, len(data)) + data


def _compose(
    query: Query,
    rcode: Rcode,
    answers: Sequence[bytes],
    additional: Sequence[bytes],
    limit: int,
    authority: Sequence[bytes] = (),
) -> bytes:
    """The reply. Additional records that do not fit are left out silently (RFC 2181, 9), and so is the authority."""
    extended = rcode >> 4 << 24 | (_DO if query.dnssec else 0)
    option = b"\0" + _RECORD.pack(_OPT, READ_BYTES, extended, 0) if query.edns else b""
    left = limit - _HEADER.size - len(query.section) - len(option)
    flags = _QR | _RA | query.flags & (_RD | _CD) | rcode & _RCODE
    shown = _fitting(answers, left)
    if len(shown) < len(answers):
        flags |= _TC
        extra: list[bytes] = []
    else:
        extra = _fitting(additional, left - sum(map(len, shown)))
    authority = _fitting(authority, left)
    header = _HEADER.pack(query.ident, flags, 1, len(shown), len(authority), len(extra) + bool(option))
    return b"".join((header, query.section, *shown, *authority, *extra, option))


def _fitting(records: Sequence[bytes], left: int) -> list[bytes]:
    shown = []
    for record in records:
        left -= len(record)
        if left < 0:
            break
        shown.append(record)
    return shown


def _refusal(ident: int, flags: int, rcode: Rcode) -> bytes:
    """A reply to what cannot be read: the header only."""
    return _HEADER.pack(ident, _QR | _RA | flags & (_OPCODE | _RD) | rcode, 0, 0, 0, 0)
