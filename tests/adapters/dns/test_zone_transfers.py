"""Zones given out: to whom, what is in them, and what becomes of everything else that is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.adapters.dns.tsig import KeyFile, parse_keys, signature_of, with_tsig
from mooring.adapters.dns.zone_transfers import LONGEST, OF_ONE, ZoneAnswers, ZoneServer
from mooring.wire.dns import framed
from tests.adapters.dns.zones import KEY, OTHER_KEY, ToldExport, entry, free_place, key_file

SECONDARY = IPv4Address("192.0.2.53")
(OURS,) = parse_keys(KEY).values()


@pytest.fixture
def export() -> ToldExport:
    """Two containers of one name, and one of another."""
    made = ToldExport()
    made.tell(entry("db", "10.32.0.2"), entry("db", "10.32.0.3"), entry("web_1", "10.33.0.4"))
    return made


@pytest.fixture
def answers(tmp_path: Path, export: ToldExport) -> ZoneAnswers:
    """Nobody has asked yet."""
    return ZoneAnswers(export, KeyFile(key_file(tmp_path)), (SECONDARY,))


def question(
    zone: str, kind: str = "AXFR", key: dns.tsig.Key | None = OURS, serial: int | None = None
) -> dns.message.Message:
    """Signed, if there is a key."""
    made = dns.message.make_query(zone, kind, flags=0)
    if serial is not None:
        text = f"ns1.{zone}. host.{zone}. {serial} 1 1 1 1"
        made.authority.append(dns.rrset.from_text(f"{zone}.", 0, "IN", "SOA", text))
    if key is not None:
        made.use_tsig(key)
    return made


def ask(answers: ZoneAnswers, asked: dns.message.Message, *, stream: bool = True) -> list[dns.message.Message]:
    """The replies, whose signatures are right."""
    found, context = [], None
    for reply in answers.replies(asked.to_wire(), stream=stream):
        read = dns.message.from_wire(
            reply, keyring=asked.keyring, request_mac=asked.mac or b"", multi=True, tsig_ctx=context
        )
        context = read.tsig_ctx
        found.append(read)
    return found


def refusal(reply: bytes) -> tuple[int, int, dns.rdtypes.ANY.TSIG.TSIG]:
    """The rcode, and of its TSIG record the error and the whole."""
    signature = signature_of(reply)
    assert signature is not None
    return reply[3] & 15, signature.rdata.error, signature.rdata


def texts(replies: list[dns.message.Message]) -> list[str]:
    """The records, in their order."""
    return [f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {each}" for reply in replies for rrset in reply.answer
            for each in rrset]  # fmt: skip


def test_a_zone_begins_and_ends_with_its_start_and_has_all_names_between(answers: ZoneAnswers) -> None:
    """With the nameservers that serve it, without which BIND takes no zone."""
    found = texts(ask(answers, question("Mooring")))
    start = found[0]
    assert start.lower().startswith("mooring. soa ns1.mooring. hostmaster.mooring. ")
    assert [each.lower() for each in found[1:]] == [
        "mooring. ns ns1.mooring.", "ns1.mooring. a 192.0.2.53", "db.web.mooring. a 10.32.0.2",
        "db.web.mooring. a 10.32.0.3", "web_1.web.mooring. a 10.33.0.4",
    ]  # fmt: skip


def test_a_reverse_zone_has_the_addresses_in_it_and_is_remembered(answers: ZoneAnswers) -> None:
    """Whichever a secondary is configured for: nobody has to write it down twice."""
    found = texts(ask(answers, question("32.10.in-addr.arpa")))
    assert found[2:] == ["2.0.32.10.in-addr.arpa. PTR db.web.mooring.", "3.0.32.10.in-addr.arpa. PTR db.web.mooring."]
    assert list(answers.asked) == ["32.10.in-addr.arpa"]
    assert len(texts(ask(answers, question("99.10.in-addr.arpa")))) == 2


@pytest.mark.parametrize(
    ("zone", "kind", "stream", "rcode", "records"),
    [
        ("mooring", "SOA", False, "NOERROR", 1),
        ("mooring", "NS", False, "NOERROR", 1),
        ("mooring", "AXFR", False, "FORMERR", 0),
        ("mooring", "IXFR", False, "NOERROR", 1),
        ("mooring", "A", True, "REFUSED", 0),
        ("db.web.mooring", "SOA", True, "NOTAUTH", 0),
        ("example.org", "AXFR", True, "NOTAUTH", 0),
    ],
)
def test_nothing_is_answered_but_zones(
    answers: ZoneAnswers, zone: str, kind: str, stream: bool, rcode: str, records: int
) -> None:
    """It is no nameserver for clients; IXFR over UDP sends a secondary to TCP."""
    (reply,) = ask(answers, question(zone, kind), stream=stream)
    assert (dns.rcode.to_text(reply.rcode()), len(texts([reply]))) == (rcode, records)


def test_a_secondary_that_has_the_zone_already_gets_its_start_alone(answers: ZoneAnswers, export: ToldExport) -> None:
    """IXFR with another serial gets the whole zone, and before the first snapshot a failure."""
    assert export.current is not None
    serial = export.current.serial
    assert len(texts(ask(answers, question("mooring", "IXFR", serial=serial)))) == 1
    assert len(texts(ask(answers, question("mooring", "IXFR", serial=serial - 1)))) == 6
    export.current = None
    assert ask(answers, question("mooring"))[0].rcode() == dns.rcode.SERVFAIL


def test_who_proves_no_key_gets_nothing(answers: ZoneAnswers, tmp_path: Path) -> None:
    """No key, a key of another name, another secret; and when our own file is away, nobody."""
    (theirs,) = parse_keys(OTHER_KEY).values()
    (stranger,) = parse_keys(KEY.replace('"mooring"', '"stranger"')).values()
    for key, error in ((theirs, dns.rcode.BADSIG), (stranger, dns.rcode.BADKEY)):
        (reply,) = answers.replies(question("mooring", key=key).to_wire(), stream=True)
        assert refusal(reply)[:2] == (dns.rcode.NOTAUTH, error)
    assert ask(answers, question("mooring", key=None))[0].rcode() == dns.rcode.REFUSED
    (tmp_path / "dns.keys").unlink()
    (reply,) = answers.replies(question("mooring").to_wire(), stream=True)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.SERVFAIL


def test_a_clock_that_is_off_is_told_so_with_ours(answers: ZoneAnswers) -> None:
    """Signed, with our time in it (RFC 8945, 5.2.3)."""
    asked = question("mooring")
    asked.to_wire()
    assert asked.tsig is not None
    late = int(time.time()) - 1000
    unsigned = question("mooring", key=None).to_wire()
    blank = asked.tsig[0].replace(original_id=int.from_bytes(unsigned[:2], "big"), time_signed=late, mac=b"")
    signed, _ = dns.tsig.sign(unsigned, OURS, blank, late)  # type: ignore[no-untyped-call]
    (reply,) = answers.replies(with_tsig(unsigned, OURS.name, signed), stream=True)
    rcode, error, rdata = refusal(reply)
    assert (rcode, error) == (dns.rcode.NOTAUTH, dns.rcode.BADTIME)
    assert abs(int.from_bytes(rdata.other, "big") - time.time()) < 60
    assert (len(rdata.mac), rdata.time_signed) == (32, late)


def test_a_large_zone_comes_in_small_messages_that_are_signed_one_by_one(
    answers: ZoneAnswers, export: ToldExport
) -> None:
    """A library that reads zones takes it."""
    export.tell(*(entry(f"c{number}", f"10.32.{number >> 8}.{number & 255}") for number in range(500)))
    asked, zone = question("mooring"), dns.zone.Zone("mooring", relativize=False)
    count = 0
    with dns.xfr.Inbound(zone, dns.rdatatype.AXFR) as inbound:
        context, done = None, False
        for reply in answers.replies(asked.to_wire(), stream=True):
            assert len(reply) < 5000
            read = dns.message.from_wire(
                reply, keyring=OURS, request_mac=asked.mac or b"", multi=True, tsig_ctx=context, xfr=True
            )
            context, done, count = read.tsig_ctx, inbound.process_message(read), count + 1
    assert done
    assert count > 3
    assert len(zone.nodes) == 502


@settings(max_examples=60)
@given(st.data())
def test_bytes_of_any_kind_are_answered_or_not_and_never_an_error(data: st.DataObject) -> None:
    """Garbage, and questions of ours that were cut, lengthened or changed."""
    answers = _ANSWERS
    sound = question(data.draw(st.sampled_from(["mooring", "10.in-addr.arpa", "a" * 63 + ".ip6.arpa"]))).to_wire()
    at = data.draw(st.integers(0, len(sound)))
    message = data.draw(
        st.one_of(
            st.binary(max_size=LONGEST + 2),
            st.binary(min_size=1, max_size=3).map(lambda other: sound[:at] + other + sound[at + len(other) :]),
            st.just(sound[:at]),
            st.binary(max_size=20).map(lambda other: sound + other),
        )
    )
    for reply in answers.replies(message, stream=data.draw(st.booleans())):
        assert reply[:2] == message[:2]
        assert reply[2] & 0x80


_ANSWERS: ZoneAnswers


@pytest.fixture(scope="module", autouse=True)
def _answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _ANSWERS
    export = ToldExport()
    export.tell(entry("db", "10.32.0.2"))
    _ANSWERS = ZoneAnswers(export, KeyFile(key_file(tmp_path_factory.mktemp("keys"))), (SECONDARY,))


@pytest.fixture
async def server(answers: ZoneAnswers) -> AsyncIterator[tuple[str, int]]:
    """Serves at the loopback."""
    place, made = free_place(), ZoneServer(answers)
    await made.open(place)
    yield str(place[0]), place[1]
    await made.close()


async def test_streams_are_served_question_after_question_and_ended_with_garbage(server: tuple[str, int]) -> None:
    """A frame that is too long to be one, or too short, is the end; who has sent half of one waits alone."""
    waiting, half = await asyncio.open_connection(*server)
    half.write(framed(question("mooring").to_wire())[:20])
    reader, writer = await asyncio.open_connection(*server)
    for kind in ("SOA", "NS"):
        asked = question("mooring", kind)
        for byte in framed(asked.to_wire()):
            writer.write(bytes([byte]))
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = dns.message.from_wire(await reader.readexactly(length), keyring=OURS, request_mac=asked.mac or b"")
        assert reply.rcode() == dns.rcode.NOERROR
    writer.write(b"\xff\xff" + b"GET / HTTP/1.1\r\n" * 10)
    assert await reader.read() == b""
    assert not waiting.at_eof()
    for each in (writer, half):
        each.close()
        await each.wait_closed()


async def test_one_address_is_served_by_one_program(answers: ZoneAnswers, server: tuple[str, int]) -> None:
    """The second is told, and has nothing of it."""
    with pytest.raises(OSError, match="in use"):
        await ZoneServer(answers).open((IPv4Address(server[0]), server[1]))


async def test_who_proves_no_key_keeps_no_secondary_out(server: tuple[str, int]) -> None:
    """Of one address there are only so many connections, and each ends with the first message that proves none."""
    silent = [await asyncio.open_connection(*server) for _ in range(OF_ONE)]
    more, ending = await asyncio.open_connection(*server)
    assert await more.read() == b""
    reader, writer = await asyncio.open_connection(*server, local_addr=("127.0.0.2", 0))
    asked = question("mooring", "SOA")
    for _ in range(2):
        writer.write(framed(asked.to_wire()))
        length = int.from_bytes(await reader.readexactly(2), "big")
        assert dns.message.from_wire(await reader.readexactly(length), keyring=OURS, request_mac=asked.mac or b"")
    (theirs,) = parse_keys(OTHER_KEY).values()
    for (first, out), key in zip(silent, (None, theirs), strict=False):
        out.write(framed(question("mooring", key=key).to_wire()))
        refused = await first.read()
        assert int.from_bytes(refused[:2], "big") == len(refused) - 2
    again, last = await asyncio.open_connection(*server)
    last.write(framed(asked.to_wire()))
    assert await again.readexactly(2)
    for each in (ending, writer, last, *(out for _, out in silent)):
        each.close()
        await each.wait_closed()
