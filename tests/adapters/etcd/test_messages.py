"""etcd's messages, against bytes that its own library writes and reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mooring.adapters.etcd.messages import (
    TRANSACTION,
    after_prefix,
    alarms,
    delete_request,
    fields_of,
    found,
    lease_of,
    message,
    put_request,
    put_with_request,
    range_request,
    status,
    succeeded,
    token_of,
    told,
    watch_request,
)
from mooring.core.faults import Unavailable
from mooring.ports import Change, Entry


def test_requests_are_what_etcd_reads() -> None:
    """Key, end, limit and revision of a range; the prefix and start of a watch; field numbers of rpc.proto."""
    assert range_request(b"k", b"l", 7, 300) == b"\x0a\x01k\x12\x01l\x18\x07\x20\xac\x02"
    assert range_request(b"k") == b"\x0a\x01k\x18\x00\x20\x00"
    assert watch_request(b"k/", 5) == b"\x0a\x0a" + b"\x0a\x02k/" + b"\x12\x02k0" + b"\x18\x05"
    assert after_prefix("ä".encode()) == b"\xc3\xa5"


def test_a_write_compares_the_revision_and_has_a_form_that_kine_knows() -> None:
    """One comparison of the last change; what is to be new has no else, what is to be changed reads in it."""
    compare = b"\x0a\x09" + b"\x08\x00\x10\x02\x1a\x01k\x30"
    put = b"\x0a\x01k\x12\x01v\x18\x09"
    assert put_request(b"k", b"v", 0, 9) == compare + b"\x00" + b"\x12\x0a" + b"\x12\x08" + put
    read = b"\x1a\x09" + b"\x0a\x07" + b"\x0a\x01k\x18\x00\x20\x00"
    assert put_request(b"k", b"v", 5, 9) == compare + b"\x05" + b"\x12\x0a" + b"\x12\x08" + put + read
    assert delete_request(b"k", 5) == compare + b"\x05" + b"\x12\x05" + b"\x1a\x03" + b"\x0a\x01k" + read


def test_what_goes_with_a_write_is_a_transaction_within_its_own() -> None:
    """After the first key, each with the condition that it is not there."""
    whole = put_with_request(b"k", b"v", 5, {b"l": b"w"})
    fields = list(fields_of(whole))
    assert [number for number, _ in fields] == [1, 2, 2]
    assert fields[0][1] == b"\x08\x00\x10\x02\x1a\x01k\x30\x05"
    assert [content for _, content in fields[1:]] == [
        message((2, message((1, b"k"), (2, b"v")))),
        message((TRANSACTION, put_request(b"l", b"w", 0, 0))),
    ]


def key_value(key: bytes, value: bytes, revision: int) -> bytes:
    """A KeyValue as etcd sends it, with fields that we do not read."""
    return message((1, key), (2, 1), (3, revision), (4, 2), (5, value), (6, 77))


HEADER = message((1, 14), (2, 15), (3, 42), (4, 2))


def test_answers_are_read_by_the_fields_that_matter() -> None:
    """Others are skipped, and what is missing is nothing."""
    page = message((1, HEADER), (2, key_value(b"p/a", b"1", 40)), (2, key_value(b"p/b", b"", 41)), (3, 1), (4, 9))
    assert (found(page, 2).entries, found(page, 2).revision) == ([Entry("a", b"1", 40), Entry("b", b"", 41)], 42)
    assert found(page, 2).more
    assert found(message((1, HEADER)), 2).entries == []
    assert [succeeded(message((1, HEADER), (2, flag))) for flag in (0, 1, None)] == [False, True, False]
    assert lease_of(message((1, HEADER), (2, 1 << 62), (3, 5))) == 1 << 62
    assert token_of(message((1, HEADER), (2, b"abc.1"))) == "abc.1"
    said = status(message((1, HEADER), (2, b"3.5.16"), (3, 20_480), (4, 15), (10, None)))
    assert (said.cluster, said.member, said.version, said.leader, said.learner) == (14, 15, "3.5.16", 15, False)
    assert said.size == 20_480
    assert alarms(message((1, HEADER), (2, message((1, 15), (2, 1))))) == [(15, "has no space left")]


@pytest.mark.parametrize(
    ("version", "old"),
    [("3.4.0", False), ("3.5.16", False), ("4.0", False), ("3.3.27", True), ("2.3", True), ("", True)],
)
def test_what_is_older_than_3_4_is_old(version: str, old: bool) -> None:
    """The first two numbers say it; no version is none."""
    assert status(message((2, version.encode()))).old == old


def test_a_watch_tells_events_and_its_end() -> None:
    """A deletion has no value, as a put of nothing has an empty one; why it was ended; where the history begins."""
    put, empty = key_value(b"p/a", b"1", 7), message((1, b"p/b"), (3, 8))
    events = [message((2, put)), message((1, 0), (2, empty)), message((1, 1), (2, empty))]
    said = told(message((1, HEADER), *((11, event) for event in events)), 2)
    assert said.changes == [Change("a", b"1", 7), Change("b", b"", 8), Change("b", None, 8)]
    assert (said.canceled, said.compacted) == (None, 0)
    ended = told(message((1, HEADER), (4, 1), (6, b"etcdserver: no leader")), 2)
    assert (ended.changes, ended.canceled) == ([], "etcdserver: no leader")
    assert told(message((4, 1), (5, 99)), 2).compacted == 99


@given(some.binary(max_size=40))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Whatever comes is fields, or a fault."""
    try:
        list(fields_of(data))
        found(data, 0)
        told(data, 0)
        status(data)
    except Unavailable:
        pass


@given(some.integers(0, (1 << 63) - 1), some.binary(max_size=300))
def test_a_message_is_read_as_it_was_written(number: int, text: bytes) -> None:
    """Numbers of up to 64 bits and texts of any length."""
    assert list(fields_of(message((1, number), (2, text), (3, None), (400, number)))) == [
        (1, number),
        (2, text),
        (400, number),
    ]
