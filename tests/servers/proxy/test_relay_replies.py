"""The way back: a reply that somebody waits for is settled once, before its last byte; others pass untouched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.servers.proxy import relay_exchanges
from mooring.servers.proxy.framing import HEAD_LIMIT
from mooring.servers.proxy.hooks import Reply
from mooring.servers.proxy.server import ProxyLimits
from mooring.wire.docker_api import Verb
from tests.servers.proxy.rigs import HEAD, OK, Hooks, Script, parrot, relayed, request_of, until

START = b"POST /v1.41/containers/a/start HTTP/1.1\r\nHost: docker\r\n\r\n"
GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n"


def saying(*pieces: bytes, ends: bool = True) -> Script:
    """An engine that answers a request with these, and closes or stays."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.005)
        if not ends:
            await reader.read()

    return engine


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (OK, Reply(200, b"OK")),
        (IN_CHUNKS, Reply(200, b"abc")),
        (b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", Reply(204, b"")),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nuntil the end", Reply(404, b"until the end")),
    ],
    ids=["length", "chunks", "none", "close"],
)
@pytest.mark.parametrize("step", [1, 1000])
async def test_a_reply_is_settled_before_it_goes_out(tmp_path: Path, wire: bytes, reply: Reply, step: int) -> None:
    """Whoever gave the decision hears status and body; the client gets the very bytes, afterwards."""
    hooks = Hooks()
    hooks.settle_go.clear()
    pieces = [wire[i : i + step] for i in range(0, len(wire), step)]
    async with relayed(tmp_path, saying(*pieces), hook=hooks) as rig:
        client = await rig.client()
        await client.send(START)
        await hooks.settle_entered.wait()
        final = wire[wire.index(b"HTTP", 1) :] if wire.count(b"HTTP/") > 1 else wire
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.read(len(wire) - len(final) + 1)
        hooks.settle_go.set()
        assert (await client.rest()).endswith(final)
    assert hooks.told == [reply]


async def test_the_connection_goes_on_after_a_settled_reply(tmp_path: Path) -> None:
    """The next request, sent meanwhile, is answered behind it."""
    hooks = Hooks()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        await client.send(START + GET + START)
        for expected in (START, GET, START):
            assert (await client.reply())[2] == expected
    assert len(hooks.told) == 2
    assert [verb for verb, _, _ in rig.audits] == [Verb.START, Verb.OTHER, Verb.START]


async def test_a_reply_does_not_wait_for_ever(tmp_path: Path) -> None:
    """Past the deadline it goes out, and the settling still comes to its end."""
    hooks = Hooks()
    hooks.settle_go.clear()
    async with relayed(tmp_path, parrot, hook=hooks, limits=ProxyLimits(settle=0.05, spare=0)) as rig:
        client = await rig.client()
        assert (await client.ask(START))[2] == START
        assert hooks.told == []
        hooks.settle_go.set()
        await until(lambda: len(hooks.told) == 1)


async def test_a_reply_that_is_cut_off_is_settled_as_unknown(tmp_path: Path) -> None:
    """The engine dies in its head, in its body, or before it: None; the client gets what there was."""
    for wire in (b"", HEAD[:30], OK[:-1], IN_CHUNKS[:-9]):
        hooks = Hooks()
        async with relayed(tmp_path, saying(wire), hook=hooks, limits=ProxyLimits(spare=0)) as rig:
            client = await rig.client()
            await client.send(START)
            assert await client.rest() == wire
        assert hooks.told == [None]


async def test_a_client_that_hangs_up_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    """The engine is let go at once, and whoever gave the decision is told."""
    hooks = Hooks()
    async with relayed(tmp_path, saying(OK[:-1], ends=False), hook=hooks) as rig:
        client = await rig.client()
        await client.send(START)
        await until(lambda: rig.engine.connections >= 1)
        await asyncio.sleep(0.02)
        client.close()
        await until(lambda: hooks.told == [None])
        await until(lambda: rig.engine.closed >= 1)


async def test_a_client_that_hangs_up_does_not_stop_a_settling(tmp_path: Path) -> None:
    """It hears the reply that had come, once."""
    hooks = Hooks()
    hooks.settle_go.clear()
    async with relayed(tmp_path, saying(OK, ends=False), hook=hooks) as rig:
        client = await rig.client()
        await client.send(START)
        await hooks.settle_entered.wait()
        client.close()
        await until(lambda: not rig.server.relays)
        hooks.settle_go.set()
        await until(lambda: hooks.told == [Reply(200, b"OK")])


async def test_a_reply_that_is_too_large_to_keep_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told that the outcome is not known, first; then every byte goes out, and the next reply too."""
    monkeypatch.setattr(relay_exchanges, "HOLD_LIMIT", 1000)
    body = bytes(range(256)) * 64
    wire = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    hooks = Hooks()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for start in range(0, len(wire), 700):
            writer.write(wire[start : start + 700])
            await asyncio.sleep(0.001)
        await parrot(reader, writer)

    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(START + GET)
        assert await client.read(len(wire)) == wire
        assert (await client.reply())[2] == GET
    assert hooks.told == [None]


async def test_a_large_reply_in_one_piece_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is met with the reply's last byte."""
    monkeypatch.setattr(relay_exchanges, "HOLD_LIMIT", 50)
    hooks = Hooks()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        assert (await client.ask(START))[2] == START
        assert (await client.ask(GET))[2] == GET
    assert hooks.told == [None]


async def test_nobody_listens_and_nothing_is_kept(tmp_path: Path) -> None:
    """A decision without settle: the reply's head goes out before its body is there."""
    hooks = Hooks()
    hooks.listens = False
    more = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK[:-2])
        await more.wait()
        writer.write(OK[-2:])

    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(START)
        assert await client.until(b"\r\n\r\n") == OK[:-2]
        more.set()
        assert await client.rest() == b"OK"


async def test_what_is_no_reply_passes_and_ends_the_connection(tmp_path: Path) -> None:
    """Another protocol, a broken chunk, words that nobody asked for; of a hooked request it is unknown."""
    for wire in (
        b"SSH-2.0-x\r\n\r\nmore",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        OK + b"and more",
        HEAD + b"X: " + b"x" * HEAD_LIMIT + b"\r\n\r\n",
    ):
        async with relayed(tmp_path, saying(wire), limits=ProxyLimits(spare=0)) as rig:
            client = await rig.client()
            await client.send(GET + b"GET /next HTTP/1.1\r\n\r\n" if wire.startswith(b"SSH") else GET)
            assert await client.rest() == wire
    hooks = Hooks()
    async with relayed(tmp_path, saying(b"SSH-2.0-x\r\n\r\nmore"), hook=hooks) as rig:
        client = await rig.client()
        await client.send(START)
        assert await client.rest() == b"SSH-2.0-x\r\n\r\nmore"
    assert hooks.told == [None]
