"""The few messages of etcd's API that we use, as protocol buffers, written and read by hand.

Source: etcd, api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto; https://protobuf.dev/programming-guides/encoding.
Fields that are not named here are skipped, as protocol buffers want it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mooring.core.faults import Unavailable
from mooring.ports import Change, Entry

Field = tuple[int, int | bytes]
MASK = (1 << 64) - 1
RANGE, TRANSACTION = 1, 4
"""Fields of RequestOp and of ResponseOp: what kind of request is within a transaction."""
# Varints of one byte, which tags and most lengths are.
_SHORT = [bytes([value]) for value in range(0x80)]


def message(*fields: tuple[int, int | bytes | None]) -> bytes:
    """A message of these fields: numbers as varints, the rest as lengths and bytes; what is None is left out."""
    out: list[bytes] = []
    for number, value in fields:
        if isinstance(value, int):
            out += _encoded(number << 3), _encoded(value & MASK)
        elif value is not None:
            out += _encoded(number << 3 | 2), _encoded(len(value)), value
    return b"".join(out)


def _encoded(value: int) -> bytes:
    """A varint."""
    if value < len(_SHORT):
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields_of(data: bytes) -> Iterator[Field]:
    """Each field of a message: its number and value. Raises Unavailable for what is none."""
    place, end = 0, len(data)
    try:
        while place < end:
            tag, place = _varint(data, place)
            kind = tag & 7
            if kind == 0:
                value, place = _varint(data, place)
                yield tag >> 3, value
                continue
            length = 8 if kind == 1 else 4
            if kind == 2:
                length, place = _varint(data, place)
            if kind not in (1, 2, 5) or place + length > end:
                raise IndexError
            place += length
            yield tag >> 3, data[place - length : place]
    except IndexError:
        raise Unavailable("the answer is not one of etcd's") from None


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    byte = data[place]
    place += 1
    value, shift = byte & 0x7F, 7
    while byte > 0x7F:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, place


def numbers(data: bytes) -> dict[int, int]:
    """The fields that are numbers; of one that comes twice, the last."""
    return {number: value for number, value in fields_of(data) if isinstance(value, int)}


def parts(data: bytes, wanted: int) -> list[bytes]:
    """The fields of that number which are messages or texts."""
    return [value for number, value in fields_of(data) if number == wanted and isinstance(value, bytes)]


def header_number(data: bytes, wanted: int) -> int:
    """A number of the header that each answer has as its field 1: 1 the cluster's, 2 the member's, 3 the revision."""
    header = next((value for number, value in fields_of(data) if number == 1 and isinstance(value, bytes)), b"")
    return numbers(header).get(wanted, 0)


def after_prefix(prefix: bytes) -> bytes:
    """The end of the range of keys that begin with the prefix, which is text and not empty."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def range_request(key: bytes, end: bytes = b"", limit: int = 0, revision: int = 0) -> bytes:
    """RangeRequest; no end: of the one key. revision: as of that one, 0 for the last one that is acknowledged."""
    return message((1, key), (2, end or None), (3, limit), (4, revision))


@dataclass(frozen=True, slots=True)
class Found:
    """RangeResponse. more: the limit cut it off."""

    entries: list[Entry]
    revision: int
    more: bool


def found(data: bytes, cut: int) -> Found:
    """Read a RangeResponse. cut: how many bytes of each key are not told."""
    entries, revision, more = [], 0, False
    for number, content in fields_of(data):
        if isinstance(content, int):
            more = bool(content) if number == 3 else more
        elif number == 2:
            key, value, changed = _key_value(content)
            entries.append(Entry(key[cut:].decode(errors="replace"), value, changed))
        elif number == 1:
            revision = numbers(content).get(3, 0)
    return Found(entries, revision, more)


def _key_value(data: bytes) -> tuple[bytes, bytes, int]:
    """Key, value and the revision of its last change, of a KeyValue."""
    key = value = b""
    revision = 0
    for number, content in fields_of(data):
        if number == 1 and isinstance(content, bytes):
            key = content
        elif number == 5 and isinstance(content, bytes):
            value = content
        elif number == 3 and isinstance(content, int):
            revision = content
    return key, value, revision


def _where_revision(key: bytes, expect: int) -> bytes:
    """Compare: the key was last changed by that revision, 0: it is not there."""
    equal, mod = 0, 2
    return message((1, equal), (2, mod), (3, key), (6, expect))


def put_request(key: bytes, value: bytes, expect: int, lease: int) -> bytes:
    """TxnRequest that writes the key where it has the revision. Its form is one of the few that kine knows."""
    put = message((1, key), (2, value), (3, lease))
    otherwise = None if expect == 0 else message((1, range_request(key)))
    return message((1, _where_revision(key, expect)), (2, message((2, put))), (3, otherwise))


def put_with_request(key: bytes, value: bytes, expect: int, new: Mapping[bytes, bytes]) -> bytes:
    """TxnRequest that writes the key as above and, with it, each of the others that is not there."""
    first = message((2, message((1, key), (2, value))))
    others = [message((TRANSACTION, put_request(each, its, 0, 0))) for each, its in new.items()]
    return message((1, _where_revision(key, expect)), *((2, each) for each in (first, *others)))


def delete_request(key: bytes, expect: int) -> bytes:
    """TxnRequest that deletes the key where it has the revision; as above."""
    delete = message((3, message((1, key))))
    return message((1, _where_revision(key, expect)), (2, delete), (3, message((1, range_request(key)))))


def succeeded(data: bytes) -> bool:
    """Whether what a TxnRequest asked for was done."""
    return any(number == 2 and value for number, value in fields_of(data))


def transaction_request(kind: int, requests: Sequence[bytes]) -> bytes:
    """TxnRequest of requests that have nothing to do with each other. kind: the field of RequestOp that each is."""
    return message(*((2, message((kind, request))) for request in requests))


def answers_of(data: bytes, kind: int) -> list[bytes]:
    """What a TxnResponse answers to such requests, in their order."""
    return [answer for response in parts(data, 3) for answer in parts(response, kind)]


def lease_request(seconds: int) -> bytes:
    """LeaseGrantRequest."""
    return message((1, seconds))


def lease_of(data: bytes) -> int:
    """The id in a LeaseGrantResponse."""
    return numbers(data).get(2, 0)


def watch_request(prefix: bytes, start: int) -> bytes:
    """WatchRequest that begins to tell what is under the prefix from the revision on, that one too."""
    return message((1, message((1, prefix), (2, after_prefix(prefix)), (3, start))))


PROGRESS_REQUEST = message((3, b""))
"""WatchRequest that wants an answer without events."""


@dataclass(frozen=True, slots=True)
class Told:
    """WatchResponse. canceled: there will be no more, and why. compacted: the history begins after this revision."""

    changes: list[Change]
    canceled: str | None
    compacted: int


def told(data: bytes, cut: int) -> Told:
    """Read a WatchResponse. cut: how many bytes of each key are not told."""
    changes = []
    for event in parts(data, 11):
        deleted = numbers(event).get(1) == 1
        for key, value, revision in map(_key_value, parts(event, 2)):
            changes.append(Change(key[cut:].decode(errors="replace"), None if deleted else value, revision))
    plain = numbers(data)
    reason = b"".join(parts(data, 6)).decode(errors="replace") or "no reason given"
    return Told(changes, reason if plain.get(4) else None, plain.get(5, 0))


def authenticate_request(user: str, password: str) -> bytes:
    """AuthenticateRequest."""
    return message((1, user.encode()), (2, password.encode()))


def token_of(data: bytes) -> str:
    """The token in an AuthenticateResponse."""
    return b"".join(parts(data, 2)).decode()


@dataclass(frozen=True, slots=True)
class Status:
    """StatusResponse: what a member says of itself. cluster, member: ids, 0 where it stands in for an etcd.
    size: bytes on its disk."""

    cluster: int
    member: int
    version: str
    leader: int
    learner: bool
    size: int

    @property
    def old(self) -> bool:
        """Whether it is older than 3.4."""
        words = self.version.split(".")
        return tuple(int(word) for word in words[:2] if word.isdecimal()) < (3, 4)


def status(data: bytes) -> Status:
    """Read a StatusResponse."""
    plain = numbers(data)
    version = b"".join(parts(data, 2)).decode(errors="replace")
    return Status(
        header_number(data, 1), header_number(data, 2), version, plain.get(4, 0), bool(plain.get(10)), plain.get(3, 0)
    )


def alarms(data: bytes) -> list[tuple[int, str]]:
    """The members and what they cry, of an AlarmResponse."""
    words = {1: "has no space left", 2: "has damaged data"}
    each = [numbers(alarm) for alarm in parts(data, 2)]
    return [(alarm.get(1, 0), words.get(alarm.get(2, 0), f"alarm {alarm.get(2, 0)}")) for alarm in each]
