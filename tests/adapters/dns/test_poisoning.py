"""Answers that somebody forges, sends too late or makes too large: what is believed, and what is remembered of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.adapters.dns.dns_forwarding import Asked, Done, Forwarder, Upstream
from mooring.adapters.dns.host_forwarding import HostForwarding, HostUpstreams
from mooring.adapters.host.descriptor_shares import Shares
from mooring.wire.dns import Query, framed, is_reply, read_query
from mooring.wire.dns_replies import LONGEST
from tests.adapters.dns.nameservers import PATIENCE, texts
from tests.adapters.dns.test_host_forwarding import ONE, TWO, Rig

GOOD, EVIL = "203.0.113.7", "198.51.100.66"
NAME = "example.org."

Forge = Callable[[dns.message.Message], bytes]


def answer(asked: dns.message.Message, address: str = EVIL, ttl: int = 60) -> dns.message.Message:
    """A complete one."""
    reply = dns.message.make_response(asked)
    reply.answer.append(dns.rrset.from_text(asked.question[0].name, ttl, "IN", "A", address))
    return reply


def _changed(place: int, value: int) -> Forge:
    """The forged answer with another octet."""

    def forge(asked: dns.message.Message) -> bytes:
        wire = answer(asked).to_wire()
        return wire[:place] + bytes([value]) + wire[place + 1 :]

    return forge


def _to(name: str, kind: str = "A", rdclass: str = "IN") -> Forge:
    """An answer to another question, with the right id."""

    def forge(asked: dns.message.Message) -> bytes:
        other = dns.message.make_query(name, kind, rdclass, id=asked.id)
        reply = dns.message.make_response(other)
        reply.answer.append(dns.rrset.from_text(NAME, 60, "IN", "A", EVIL))
        return reply.to_wire()

    return forge


def _with_id(change: int) -> Forge:
    return lambda asked: (asked.id ^ change).to_bytes(2, "big") + answer(asked).to_wire()[2:]


FORGED: dict[str, Forge] = {
    **{f"id {change}": _with_id(change) for change in (1, 0x8000, 0xFFFF)},
    "another name": _to("example.net"),
    "a name below": _to("www.example.org"),
    "a longer name": _to("example.orgx"),
    "another type": _to(NAME, "AAAA"),
    "another class": _to(NAME, "A", "CH"),
    "a query": _changed(2, 0x01),
    "another opcode": _changed(2, 0xA0),
    "no question": lambda asked: asked.to_wire()[:2] + b"\x81\x80\0\0\0\1\0\0\0\0" + answer(asked).to_wire()[29:],
    "two questions": _changed(5, 2),
    "nothing": lambda _: b"",
    "half a header": lambda asked: answer(asked).to_wire()[:11],
    "half a question": lambda asked: answer(asked).to_wire()[:20],
    "a question by a pointer": lambda asked: asked.to_wire()[:2] + b"\x81\x80\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
}


class Forger(asyncio.DatagramProtocol):
    """A nameserver in whose name others answer first. right: whether it does at last."""

    def __init__(self, *, right: bool) -> None:
        self.right = right
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.DatagramProtocol."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """See asyncio.DatagramProtocol."""
        asked = dns.message.from_wire(data)
        self.asked += 1
        # From another port, and from the right one.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(answer(asked).to_wire(), address)
        for forge in FORGED.values():
            self._transport.sendto(forge(asked), address)
        if self.right:
            self._transport.sendto(answer(asked, GOOD).to_wire(), address)


async def _serve(stack: ExitStack, rig: Rig, upstream: Upstream, protocol: asyncio.DatagramProtocol) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, ("127.0.0.1", 0))
    stack.callback(transport.close)
    rig.ports[upstream] = transport.get_extra_info("sockname")[1]
    rig.file.write_text("".join(f"nameserver {each}\n" for each in rig.ports))


async def test_no_forged_answer_is_believed_or_ends_the_waiting(stack: ExitStack, tmp_path: Path) -> None:
    """Wrong id, port, question, type, class, form: the right one that comes after all of them is told, and is what is
    remembered (RFC 5452, 4 and 9.1)."""
    rig, forger = Rig(stack, tmp_path), Forger(right=True)
    await _serve(stack, rig, ONE, forger)
    for _ in range(2):
        reply = await rig.ask()
        assert reply is not None
        assert texts(reply) == [GOOD]
    assert forger.asked == 1


async def test_without_a_right_answer_there_is_none_and_another_server_is_asked(
    stack: ExitStack, tmp_path: Path
) -> None:
    """What only forgers answer is nobody's answer, and is not remembered."""
    rig, forger = Rig(stack, tmp_path, 0.05), Forger(right=False)
    await _serve(stack, rig, ONE, forger)
    assert await rig.ask() is None
    assert await rig.ask() is None
    assert forger.asked == 4  # one alone is asked twice


async def test_an_answer_that_comes_too_late_is_nobody_s(stack: ExitStack, tmp_path: Path) -> None:
    """Neither told nor remembered: the next server's is; and a second answer to what is answered is nobody's, too."""
    rig, late = Rig(stack, tmp_path, 0.05), list[tuple[bytes, tuple[str, int]]]()

    class Late(Forger):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            late.append((answer(dns.message.from_wire(data)).to_wire(), address))

    slow = Late(right=False)
    await _serve(stack, rig, ONE, slow)
    await rig.add(TWO)
    for _ in range(2):
        reply = await rig.ask()
        assert reply is not None
        assert texts(reply) == [GOOD]
        slow._transport.sendto(*late[0])
        await asyncio.sleep(0.01)
    assert len(late) == 1


async def test_records_of_others_in_an_answer_are_nobody_s_answer(stack: ExitStack, tmp_path: Path) -> None:
    """What an answer has beside what was asked (RFC 2181, 5.4.1), and where a chain of CNAMEs ends, also in our own
    zone, is passed on and answers no other question."""
    rig = Rig(stack, tmp_path)
    asked_for = list[str]()

    class Eager(Forger):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            asked = dns.message.from_wire(data)
            name = asked.question[0].name
            asked_for.append(name.to_text())
            reply = answer(asked, GOOD)
            if name.to_text() == NAME:
                reply.answer = [
                    dns.rrset.from_text(name, 60, "IN", "CNAME", "db.web.mooring."),
                    dns.rrset.from_text("db.web.mooring.", 60, "IN", "A", EVIL),
                ]
                reply.authority.append(dns.rrset.from_text("net.", 60, "IN", "NS", "ns.example.org."))
                reply.additional.append(dns.rrset.from_text("bank.example.net.", 60, "IN", "A", EVIL))
            self._transport.sendto(reply.to_wire(), address)

    await _serve(stack, rig, ONE, Eager(right=True))
    assert await rig.ask(NAME) is not None
    for other in ("db.web.mooring.", "bank.example.net.", "www.example.net."):
        reply = await rig.ask(other)
        assert reply is not None
        assert texts(reply) == [GOOD]
    assert asked_for == [NAME, "db.web.mooring.", "bank.example.net.", "www.example.net."]


@pytest.mark.parametrize(("ttl", "kept"), [(0, 0), (1, 1), (60, 60), (7 * 86400, LONGEST), (2**31 - 1, LONGEST)])
async def test_times_to_live_have_bounds(stack: ExitStack, tmp_path: Path, ttl: int, kept: int) -> None:
    """Not at all with none, and no longer than an hour, whoever said for how long (RFC 2181, 8; RFC 8767, 4)."""
    rig, asked = Rig(stack, tmp_path), list[int]()

    class Timed(Forger):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            asked.append(1)
            self._transport.sendto(answer(dns.message.from_wire(data), GOOD, ttl).to_wire(), address)

    await _serve(stack, rig, ONE, Timed(right=True))
    await rig.ask()
    for later, questions in ((max(kept - 1, 0), 1 if kept else 2), (1, 2 if kept else 3)):
        rig.time += later
        await rig.ask()
        assert len(asked) == questions


async def test_a_long_chain_of_messages_over_tcp_is_not_waited_through(stack: ExitStack, tmp_path: Path) -> None:
    """Over TCP nobody else can answer: the first message that is none is the end, and the next server is asked."""
    rig, bad = Rig(stack, tmp_path), 0

    async def forge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal bad
        bad += 1
        size = int.from_bytes(await reader.readexactly(2), "big")
        asked = dns.message.from_wire(await reader.readexactly(size))
        writer.write(framed(FORGED["id 1"](asked)) + framed(answer(asked).to_wire()))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(forge, "127.0.0.1", 0)
    stack.callback(server.close)
    rig.ports[ONE] = server.sockets[0].getsockname()[1]
    await rig.add(TWO)
    message = dns.message.make_query(NAME, "A", id=7).to_wire()
    query = read_query(message)
    assert isinstance(query, Query)
    answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    rig.forwarding.ask(Asked(message, query, stream=True), "10.0.0.2", answered.set_result)
    async with asyncio.timeout(PATIENCE):
        reply = await answered
    assert reply is not None
    assert (texts(dns.message.from_wire(reply)), bad) == ([GOOD], 1)


class Instant(Forwarder):
    """Answers at once with what it has."""

    def __init__(self) -> None:
        self.reply = b""

    def forward(self, asked: Asked, upstreams: object, done: Done) -> None:
        """See Forwarder."""
        done(self.reply)


MESSAGE = dns.message.make_query(NAME, "A", id=7, use_edns=0).to_wire()
RIGHT = answer(dns.message.from_wire(MESSAGE), GOOD, 60).to_wire()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60).map(lambda tail: RIGHT[: len(MESSAGE) - 11] + tail),
        st.tuples(st.integers(12, len(RIGHT) - 1), st.integers(0, 255)).map(
            lambda each: RIGHT[: each[0]] + bytes([each[1]]) + RIGHT[each[0] + 1 :]
        ),
        st.tuples(st.integers(4, 11), st.integers(0, 255)).map(
            lambda each: RIGHT[: each[0]] + bytes([each[1]]) + RIGHT[each[0] + 1 :]
        ),
        st.integers(12, len(RIGHT)).map(lambda end: RIGHT[:end]),
    ),
    st.integers(0, 4000),
)
def test_whatever_a_nameserver_answers_is_passed_on_and_harms_nobody(reply: bytes, later: int) -> None:
    """Damaged anywhere, cut anywhere, with any counts: told as it is to who asked, also from memory, where it grows old
    and no longer than an hour; the id and the question are his."""
    query = read_query(MESSAGE)
    assert isinstance(query, Query)
    if not is_reply(reply, query, 7):
        return
    now, instant, told = 0.0, Instant(), list[bytes | None]()
    forwarding = HostForwarding(HostUpstreams(lambda: now, (), "/nonexistent"), lambda: now, Shares(9))
    forwarding._forwarder, instant.reply = instant, reply
    forwarding.ask(Asked(MESSAGE, query, stream=False), "10.0.0.2", told.append)
    now, instant.reply = float(later), b"asked anew"
    forwarding.ask(Asked(MESSAGE, query, stream=False), "10.0.0.2", told.append)
    first, second = told
    assert first is not None
    assert second is not None
    assert (first[:2], first[2:4], len(first)) == (MESSAGE[:2], reply[2:4], len(reply))
    if second[2:] != b"ked anew":
        assert later < LONGEST
        assert (second[:12], len(second)) == (first[:12], len(first))
        assert second[12 : 12 + len(query.section)] == query.section
    assert forwarding._of_client == {}
