"""DNS messages: dnspython reads what we write and writes what we read, and no bytes do us harm."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.core.names import AAAA, ANY, PTR, SRV, A, Answer, Question, Target, Verdict
from mooring.wire.dns import (
    CLASSIC_BYTES,
    QUERY_RECORDS,
    STREAM_BYTES,
    TTL,
    Query,
    Rcode,
    encode_cut,
    encode_failure,
    encode_reply,
    framed,
    is_reply,
    rcode_of,
    read_query,
    take_frame,
    with_ident,
)

MX, TXT, HTTPS = 15, 16, 65
V4, V6 = IPv4Address("10.9.0.2"), IPv6Address("fd00:9::2")


def asked(name: str = "Web.Net1", kind: int = A, **options: object) -> bytes:
    """A query as dnspython writes it."""
    return dns.message.make_query(name, dns.rdatatype.RdataType(kind), id=7, **options).to_wire()  # type: ignore[arg-type]


def read(message: bytes) -> Query:
    """The query, which must be one."""
    query = read_query(message)
    assert isinstance(query, Query)
    return query


def refused(message: bytes) -> dns.message.Message:
    """The refusal, which must be one, as dnspython reads it."""
    reply = read_query(message)
    assert isinstance(reply, bytes)
    return dns.message.from_wire(reply)


def replied(answer: Answer, limit: int = CLASSIC_BYTES, **question: object) -> dns.message.Message:
    """The reply, as dnspython reads it; it checks that it is one to the query."""
    message = asked(**question)  # type: ignore[arg-type]
    encoded = encode_reply(read(message), answer, limit)
    assert len(encoded) <= limit
    reply = dns.message.from_wire(encoded)
    assert dns.message.from_wire(message).is_response(reply)
    return reply


def lines(reply: dns.message.Message) -> list[str]:
    """The answers as text, without owner."""
    return [str(record) for rrset in reply.answer for record in rrset]


def test_a_query_is_read() -> None:
    """The name is lower-case and has no dot at its end; id, type, class and EDNS are told."""
    query = read(asked("Web.Net1."))
    assert (query.ident, query.question, query.in_class) == (7, Question("web.net1", A), True)
    assert (query.edns, query.udp_limit) == (False, 512)
    assert read(asked(kind=HTTPS)).question.kind == HTTPS
    assert read(asked(".")).question.name == ""
    assert not read(asked(rdclass=dns.rdataclass.CH)).in_class


@pytest.mark.parametrize(("size", "limit"), [(1232, 1232), (100, 512), (65535, 65507)])
def test_the_size_that_edns_tells_limits_a_reply(size: int, limit: int) -> None:
    """Never below 512, never above what a datagram can have; other OPT contents do not matter."""
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = read(asked(use_edns=0, payload=size, options=[cookie]))
    assert (query.edns, query.udp_limit) == (True, limit)


@pytest.mark.parametrize(
    ("kind", "answer", "wanted"),
    [
        (A, Answer(Verdict.FOUND, addresses=(V4, V6)), ["10.9.0.2"]),
        (AAAA, Answer(Verdict.FOUND, addresses=(V4, V6)), ["fd00:9::2"]),
        (ANY, Answer(Verdict.FOUND, addresses=(V4, V6)), ["10.9.0.2", "fd00:9::2"]),
        (ANY, Answer(Verdict.FOUND, names=("web.net1",)), ["web.net1."]),
        (PTR, Answer(Verdict.FOUND, names=("web.net1",)), ["web.net1."]),
        (SRV, Answer(Verdict.FOUND, targets=(Target(80, "web.net1", V4),)), ["0 0 80 web.net1."]),
        (A, Answer(Verdict.EMPTY), []),
        (MX, Answer(Verdict.EMPTY), []),
        (TXT, Answer(Verdict.FOUND, addresses=(V4,)), []),
    ],
)
def test_answers_are_what_dnspython_reads(kind: int, answer: Answer, wanted: list[str]) -> None:
    """TTL, flags as Docker's: not authoritative, recursion available; the question keeps its case."""
    reply = replied(answer, kind=kind)
    assert lines(reply) == wanted
    assert (reply.rcode(), reply.id) == (dns.rcode.NOERROR, 7)
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA
    assert reply.question[0].name.to_text() == "Web.Net1."
    for rrset in reply.answer:
        assert (rrset.ttl, rrset.name.to_text()) == (TTL, "Web.Net1.")


def test_a_service_brings_its_addresses() -> None:
    """In the additional section, each once, in either family."""
    targets = (Target(80, "web.net1", V4), Target(81, "web.net1", V4), Target(80, "web6.net1", V6))
    reply = replied(Answer(Verdict.FOUND, targets=targets), kind=SRV)
    assert lines(reply) == ["0 0 80 web.net1.", "0 0 81 web.net1.", "0 0 80 web6.net1."]
    assert [str(rrset) for rrset in reply.additional] == [
        "web.net1. 600 IN A 10.9.0.2",
        "web6.net1. 600 IN AAAA fd00:9::2",
    ]


def test_a_client_that_speaks_edns_is_answered_with_it() -> None:
    """RFC 6891, 6.1.1."""
    assert replied(Answer(Verdict.FOUND, addresses=(V4,)), use_edns=0).edns == 0
    assert replied(Answer(Verdict.FOUND, addresses=(V4,))).edns == -1
    for wanted in (False, True):  # RFC 3225, 3
        reply = replied(Answer(Verdict.FOUND, addresses=(V4,)), use_edns=0, want_dnssec=wanted)
        assert bool(reply.ednsflags & dns.flags.DO) is wanted


MANY = Answer(Verdict.FOUND, addresses=tuple(V4 + number for number in range(100)))


def test_what_does_not_fit_is_left_out_and_said() -> None:
    """TC is set, and there are as many records as fit; with more room all are there."""
    short = replied(MANY)
    assert short.flags & dns.flags.TC
    assert lines(short) == [str(address) for address in MANY.addresses[: len(lines(short))]]
    assert len(lines(short)) == (512 - 12 - 14) // 16
    whole = replied(MANY, STREAM_BYTES, use_edns=0)
    assert not whole.flags & dns.flags.TC
    assert len(lines(whole)) == 100


def test_additional_records_that_do_not_fit_are_missed_by_nobody() -> None:
    """TC is for answers only (RFC 2181, 9)."""
    targets = tuple(Target(port, f"{'x' * 40}{port}", V4) for port in range(5))
    reply = replied(Answer(Verdict.FOUND, targets=targets), kind=SRV)
    assert len(lines(reply)) == 5
    assert 0 < len(reply.additional) < 5
    assert not reply.flags & dns.flags.TC


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.FORWARD])
def test_what_is_not_known_is_a_server_failure(verdict: Verdict) -> None:
    """A client then asks its next server, if it has one."""
    assert replied(Answer(verdict)).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("name", ["x" * 64, "a..b", ".", ".".join(["x" * 60] * 5), "\ud800"])
def test_names_that_dns_cannot_say_are_a_server_failure(name: str) -> None:
    """A container's name may have more letters than a label."""
    assert replied(Answer(Verdict.FOUND, names=(name,)), kind=PTR).rcode() == dns.rcode.SERVFAIL
    answer = Answer(Verdict.FOUND, targets=(Target(80, name, V4),))
    assert replied(answer, kind=SRV).rcode() == dns.rcode.SERVFAIL


def test_a_port_that_is_none_is_a_server_failure() -> None:
    """Not an exception."""
    answer = Answer(Verdict.FOUND, targets=(Target(65536, "web", V4),))
    assert replied(answer, kind=SRV).rcode() == dns.rcode.SERVFAIL


def test_names_of_ours_have_no_records_in_other_classes() -> None:
    """NOERROR, empty."""
    reply = replied(Answer(Verdict.FOUND, addresses=(V4,)), rdclass=dns.rdataclass.CH)
    assert (reply.rcode(), lines(reply)) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize("message", [b"", b"\0" * 11, asked()[:2] + b"\x80" + asked()[3:]])
def test_what_is_no_query_is_not_answered(message: bytes) -> None:
    """No header, or itself a reply: two servers could answer each other for ever."""
    assert read_query(message) is None


RECORD = b"\0" + struct.pack(">HHIH", 1, 1, 0, 0)
POINTER = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack(">HH", 1, 1)
TWO_OPTIONS = asked(use_edns=0)[:11] + b"\2" + asked(use_edns=0)[12:] + asked(use_edns=0)[-11:]


@pytest.mark.parametrize(
    "message",
    [
        POINTER,
        asked()[:-1],
        asked()[:14],
        asked()[:5] + b"\0" + asked()[6:],
        asked()[:5] + b"\2" + asked()[6:],
        asked(use_edns=0)[:-1],
        TWO_OPTIONS,
        asked(use_edns=0).replace(b"\0\0\x29", b"\1x\0\0\x29"),
        struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + (b"\x3f" + b"x" * 63) * 4 + b"\0\0\1\0\1",
        asked()[:11] + bytes([QUERY_RECORDS + 1]) + asked()[12:] + RECORD * (QUERY_RECORDS + 1),
    ],
)
def test_malformed_queries_are_refused(message: bytes) -> None:
    """A pointer to itself, cut anywhere, no question, two, two OPTs, one with a name, a name of 257 bytes, records
    that nobody needs to ask something: 6000 of them took 200 times as long to read as a question."""
    reply = refused(message)
    assert (reply.rcode(), reply.id, reply.flags & dns.flags.RD) == (dns.rcode.FORMERR, 7, dns.flags.RD)


def test_as_many_records_as_a_query_may_have_are_read() -> None:
    """An OPT among them is found."""
    records = RECORD * (QUERY_RECORDS - 1) + asked(use_edns=0)[-11:]
    assert read(asked()[:11] + bytes([QUERY_RECORDS]) + asked()[12:] + records).edns


def test_a_reply_that_is_too_long_for_udp_is_cut_to_nothing() -> None:
    """TC, and no records: the client asks by TCP."""
    reply = dns.message.from_wire(encode_cut(read(asked(use_edns=0, want_dnssec=True))))
    assert (reply.flags & dns.flags.TC, lines(reply), reply.edns) == (dns.flags.TC, [], 0)


def test_other_operations_and_versions_are_refused() -> None:
    """NOTIMP for an update, BADVERS for an EDNS that does not exist yet."""
    update = asked()[:2] + b"\x28" + asked()[3:]
    assert refused(update).rcode() == dns.rcode.NOTIMP
    assert refused(asked(use_edns=1)).rcode() == dns.rcode.BADVERS


def test_a_reply_is_one_only_with_the_id_and_the_question() -> None:
    """Letters may change case; an error may come without the question."""
    query = read(asked())
    reply = encode_failure(query, Rcode.SERVFAIL)
    assert is_reply(reply, query, 7)
    assert is_reply(reply.replace(b"Web", b"wEB"), query, 7)
    assert is_reply(with_ident(reply, 9), query, 9)
    assert rcode_of(reply) == Rcode.SERVFAIL
    assert is_reply(reply[:4] + b"\0\0" + reply[6:12], query, 7)
    others = [
        with_ident(reply, 8),
        asked(),
        reply[:11],
        reply[:20],
        encode_failure(read(asked("web.net2")), Rcode.SERVFAIL),
        encode_failure(read(asked(kind=HTTPS)), Rcode.SERVFAIL),
        reply[:3] + b"\0\0\0" + reply[6:12],
    ]
    assert not any(is_reply(other, query, 7) for other in others)


def test_letters_are_folded_in_names_only() -> None:
    """Type 65 is not type 97, though 65 is A and 97 is a."""
    assert not is_reply(encode_failure(read(asked(kind=HTTPS)), Rcode.NOERROR), read(asked(kind=97)), 7)


@given(st.lists(st.binary(max_size=300), max_size=4), st.binary(max_size=1))
def test_frames_come_out_as_they_went_in(messages: list[bytes], rest: bytes) -> None:
    """However many came at once; what is not complete stays."""
    buffer = bytearray(b"".join(map(framed, messages)) + rest)
    assert [take_frame(buffer) for _ in messages] == messages
    assert take_frame(buffer) is None
    assert bytes(buffer) == rest


LABEL = st.binary(min_size=1, max_size=63)


@given(st.lists(LABEL, max_size=3), st.integers(0, 65535), st.integers(0, 65535))
def test_any_name_is_read_as_dnspython_reads_it(labels: list[bytes], kind: int, ident: int) -> None:
    """Dots within a label and bytes that cannot be printed are escaped, so that no two names are the same text."""
    section = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack(">HH", kind, 1)
    query = read(struct.pack(">6H", ident, 0, 1, 0, 0, 0) + section)
    # With the dot, since "@" alone is the origin of a zone file.
    assert dns.name.from_text(f"{query.question.name}.") == dns.name.Name([*labels, b""])
    assert query.question.name == query.question.name.lower()
    assert (query.ident, query.question.kind, query.section) == (ident, kind, section)


ANSWERS = st.builds(
    Answer,
    st.sampled_from(Verdict),
    st.lists(st.ip_addresses(), max_size=40).map(tuple),
    st.lists(st.text(max_size=70), max_size=3).map(tuple),
    st.lists(st.builds(Target, st.integers(0, 65535), st.text(max_size=20), st.ip_addresses()), max_size=20).map(tuple),
)


@given(st.sampled_from([A, AAAA, PTR, SRV, MX]), ANSWERS, st.sampled_from([512, 1232, 65535]), st.booleans())
def test_every_reply_is_one_for_dnspython(kind: int, answer: Answer, limit: int, edns: bool) -> None:
    """Within the limit, whatever the answer."""
    replied(answer, limit, kind=kind, use_edns=0 if edns else False)


@given(st.binary(max_size=80), ANSWERS)
@example(POINTER, Answer(Verdict.EMPTY))
def test_no_bytes_do_harm(message: bytes, answer: Answer) -> None:
    """Reading ends, and gives a query, a refusal that can be read, or nothing."""
    query = read_query(message)
    if isinstance(query, Query):
        assert is_reply(encode_reply(query, answer, CLASSIC_BYTES), query, query.ident)
    elif query is not None:
        assert dns.message.from_wire(query).rcode() != dns.rcode.NOERROR


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 255))
def test_damaged_queries_do_no_harm(tail: bytes, at: int, byte: int) -> None:
    """One byte changed, something behind it."""
    message = bytearray(asked(use_edns=0) + tail)
    message[at % len(message)] = byte
    query = read_query(bytes(message))
    if isinstance(query, Query):
        encode_reply(query, MANY, query.udp_limit)
    is_reply(bytes(message), read(asked()), 7)
