"""Servers that do not answer as they should: one line each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address

import dns.message
import pytest

from mooring.adapters.dns import zone_exchanges
from mooring.adapters.dns.tsig import Signer, parse_keys, signature_of
from mooring.adapters.dns.zone_exchanges import ask, notify, texts_of
from mooring.core.faults import Unavailable
from mooring.core.zones import Place
from mooring.wire.dns import framed
from tests.adapters.dns.zones import KEY, free_place

(OURS,) = parse_keys(KEY).values()


def unsigned(message: bytes) -> bytes:
    """A reply without a signature."""
    query = dns.message.from_wire(message, question_only=True)
    return framed(dns.message.make_response(query).to_wire())


def elsewhere(message: bytes) -> bytes:
    """A reply that is signed, to something that was not asked."""
    query, signature = dns.message.from_wire(message, question_only=True), signature_of(message)
    assert signature is not None
    reply = dns.message.make_response(dns.message.make_query("elsewhere", "SOA", id=query.id)).to_wire()
    return framed(Signer(OURS, signature.rdata.mac).sign(reply))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda _: b"", "it closed the connection without an answer"),
        (lambda _: b"\xff\xff12", "it closed the connection without an answer"),
        (lambda _: framed(b"no DNS at all"), "its reply cannot be used"),
        (unsigned, "is not signed|cannot be used"),
        (elsewhere, "is not signed"),
    ],
)
async def test_a_wrong_reply_is_one_line(reply: Callable[[bytes], bytes], said: str) -> None:
    """To a question, and to a transfer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.write(reply(message))
        writer.close()

    place = free_place()
    server = await asyncio.start_server(serve, str(place[0]), place[1])
    with pytest.raises(Unavailable, match=said):
        await ask(dns.message.make_query("mooring", "SOA"), place, OURS)
    with pytest.raises(Unavailable):
        await asyncio.to_thread(lambda: list(texts_of(place, "mooring", OURS)))
    server.close()


async def test_nobody_there_and_nobody_who_answers_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a notice, which is a datagram."""
    monkeypatch.setattr(zone_exchanges, "WAIT", 0.05)
    place: Place = free_place()
    with pytest.raises(Unavailable, match="refused"):
        await ask(dns.message.make_query("a", "SOA"), place, OURS)
    with pytest.raises(Unavailable, match="refused"):
        await notify(place, place[0], "a", OURS)
    with pytest.raises(Unavailable, match="refused"):
        await asyncio.to_thread(lambda: list(texts_of(place, "a", OURS)))
    with pytest.raises(Unavailable, match="assign"):
        await notify(place, ip_address("192.0.2.1"), "a", OURS)
    with socket.socket() as silent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        silent.bind((str(place[0]), place[1]))
        silent.listen()
        mute.bind((str(place[0]), place[1]))
        with pytest.raises(Unavailable, match="no answer within"):
            await ask(dns.message.make_query("a", "SOA"), place, OURS)
        with pytest.raises(Unavailable, match="no answer within"):
            await notify(place, place[0], "a", OURS)
