"""Replies of other nameservers, as far as one must read them to keep them: for how long, and how they age.

Rules: what cannot be read is not kept; a reply that is kept is the same bytes but for its id, the case of its question
and the times in it.
"""

from __future__ import annotations

import struct

from mooring.wire.dns import Rcode, rcode_of

# Seconds that a reply is kept at the most: one with records, and one that says that there are none (RFC 2308, 5: up to
# three hours; people start what was missing, and ask again).
LONGEST, LONGEST_NEGATIVE = 3600, 60

_HEADER_BYTES, _SOA, _OPT = 12, 6, 41
_TRUNCATED = 0x02
_RECORD = struct.Struct(">HHIH")


class _Unreadable(Exception):
    """The bytes are no message."""


def kept_for(message: bytes) -> tuple[int, tuple[int, ...]] | None:
    """For how many seconds the reply may be kept, and where its records' times are; None when it may not be.

    A reply without records may be as long as the zone's SOA says (RFC 2308, 5), and not at all without one.
    """
    rcode = rcode_of(message)
    if rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN) or message[2] & _TRUNCATED:
        return None
    try:
        return _read(message, negative=rcode == Rcode.NXDOMAIN)
    except (_Unreadable, struct.error, IndexError):
        return None


def aged(message: bytes, times: tuple[int, ...], seconds: int) -> bytes:
    """The reply, so many seconds later. times: where they are, by `kept_for`."""
    if not seconds:
        return message
    changed = bytearray(message)
    for at in times:
        left = max(0, int.from_bytes(changed[at : at + 4], "big") - seconds)
        changed[at : at + 4] = left.to_bytes(4, "big")
    return bytes(changed)


def with_question(message: bytes, section: bytes) -> bytes:
    """The reply with the question as it was asked: the same name, its letters in the case that the client wrote."""
    return message[:_HEADER_BYTES] + section + message[_HEADER_BYTES + len(section) :]


def _read(message: bytes, *, negative: bool) -> tuple[int, tuple[int, ...]] | None:
    questions, answers, authorities, additional = struct.unpack_from(">4H", message, 4)
    if questions != 1:
        return None
    at = _after_name(message, _HEADER_BYTES) + 4
    negative = negative or not answers
    times: list[int] = []
    least = LONGEST_NEGATIVE if negative else LONGEST
    seen = not negative
    for number in range(answers + authorities + additional):
        at = _after_name(message, at)
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        end = at + _RECORD.size + length
        if end > len(message):
            raise _Unreadable
        if kind != _OPT:
            times.append(at + 4)
            least = min(least, 0 if ttl >> 31 else ttl)  # RFC 2181, 8
            if kind == _SOA and answers <= number < answers + authorities:
                seen = True
                least = min(least, int.from_bytes(message[end - 4 : end], "big"))
        at = end
    return (least, tuple(times)) if seen and least > 0 else None


def _after_name(message: bytes, at: int) -> int:
    while True:
        length = message[at]
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise _Unreadable
        at += 1 + length
        if not length:
            return at
