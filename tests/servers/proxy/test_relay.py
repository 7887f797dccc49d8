"""The relay moves bytes: as they came, at once, both ways, with each side's slowness and end passed on."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from pathlib import Path

import pytest

from mooring.servers.proxy import relay
from mooring.servers.proxy.relay_exchanges import State
from mooring.servers.proxy.server import ProxyLimits
from tests.servers.proxy.rigs import (
    HEAD,
    HIJACKED,
    OK,
    PATIENCE,
    UPGRADED,
    answer_all,
    hijack,
    parrot,
    relayed,
    request_of,
    until,
)

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
ATTACH = b"POST /v1.41/containers/a/attach?stream=1 HTTP/1.1\r\nHost: docker\r\n"
UPGRADE = ATTACH + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
BLOCK = bytes(range(256)) * 256


async def test_every_byte_of_a_request_arrives(tmp_path: Path) -> None:
    """Odd case, order, blanks, repeated headers, and chunks with extensions and trailers, are the engine's."""
    request = (
        b"POST /x%2F?a=b HTTP/1.1\r\nhOsT:docker\r\nX-A:  1 \r\nx-a: 2\r\n"
        b"Transfer-Encoding: chunked\r\nTE: trailers\r\n"
        b"\r\n3;ext=1\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n"
    )
    async with relayed(tmp_path, parrot) as rig:
        client = await rig.client()
        status, head, body = await client.ask(request)
        again = await client.ask(GET)
    assert (status, body) == (200, request)
    assert head == HEAD + b"Content-Length: %d\r\n\r\n" % len(request)
    assert again[2] == GET


async def test_a_body_may_come_in_any_pieces(tmp_path: Path) -> None:
    """Every byte in a write of its own."""
    request = b"POST /build HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    async with relayed(tmp_path, parrot) as rig:
        client = await rig.client()
        await client.send(*(request[i : i + 1] for i in range(len(request))))
        assert (await client.reply())[2] == request


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """More than are let under way at once, in one write, HEAD among them."""
    requests = [b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(100)]
    async with relayed(tmp_path, parrot) as rig:
        client = await rig.client()
        await client.send(b"".join(requests))
        assert [(await client.reply())[2] for _ in requests] == requests


async def test_one_request_is_under_way_at_a_time(tmp_path: Path) -> None:
    """What a client sends ahead reaches the engine when the reply before it is complete, and not earlier."""
    go = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK[:-1])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        writer.write(OK[-1:])
        go.set()
        await parrot(reader, writer)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(GET + UPGRADE[:30], UPGRADE[30:])
        assert await client.read(len(OK)) == OK
        assert go.is_set()
        assert (await client.reply())[2] == UPGRADE


def test_the_table_in_words_has_the_states_of_the_machine() -> None:
    """Each, in their order."""
    words = [line.split()[0] for line in (relay.__doc__ or "").splitlines() if line.startswith("    ")]
    assert words[2 : 2 + len(State)] == [state.name for state in State]
    assert len(relay.TABLE) == len(State)


async def test_a_reply_to_head_has_no_body(tmp_path: Path) -> None:
    """Its Content-Length is another's; the next reply begins behind its head."""
    async with relayed(tmp_path, answer_all) as rig:
        client = await rig.client()
        await client.send(b"HEAD /_ping HTTP/1.1\r\n\r\n" + GET)
        assert await client.read(len(OK) - 2 + len(OK)) == OK[:-2] + OK


async def test_interim_replies_pass(tmp_path: Path) -> None:
    """The engine's 100 and 103 come before its 200, and the client's body after its 100."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(3) == b"abc"
        writer.write(OK)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(b"POST /build HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await client.until(b"100 Continue\r\n\r\n")
        await client.send(b"abc")
        assert await client.read(len(OK)) == OK
        assert rig.audits == [(rig.audits[0][0], "POST", 200)]


async def test_an_event_is_passed_on_at_once(tmp_path: Path) -> None:
    """A chunk goes out although the reply has no end."""
    more = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for text in (b"one", b"two"):
            writer.write(b"3\r\n" + text + b"\r\n")
            await more.wait()
        await reader.read()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.until(b"one\r\n")).endswith(b"3\r\none\r\n")
        more.set()
        assert await client.until(b"two\r\n")


@pytest.mark.parametrize("head", [UPGRADE, ATTACH + b"\r\n"], ids=["101", "200"])
async def test_a_hijacked_connection_is_a_stream(tmp_path: Path, head: bytes) -> None:
    """With Upgrade and without; what the client sends before the reply arrives; its half-close, and what follows it."""
    async with relayed(tmp_path, hijack) as rig:
        client = await rig.client()
        await client.send(head + b"early", b"GET / HTTP/1.1\n\n")
        sent = b"earlyGET / HTTP/1.1\n\n"
        reply = UPGRADED if head == UPGRADE else HIJACKED
        assert await client.read(len(reply) + len(sent)) == reply + sent
        client.half_close()
        assert await client.rest() == b"bye " + hashlib.sha256(sent).hexdigest().encode()
        await until(lambda: not rig.server.relays)


async def test_a_client_that_ends_before_the_reply_loses_nothing(tmp_path: Path) -> None:
    """`echo x | docker exec -i`: input and half-close are there before the engine has answered."""
    async with relayed(tmp_path, hijack) as rig:
        client = await rig.client()
        await client.send(UPGRADE + b"x" * 100_000)
        client.half_close()
        everything = await client.rest()
    assert everything == UPGRADED + b"x" * 100_000 + b"bye " + hashlib.sha256(b"x" * 100_000).hexdigest().encode()


async def test_what_a_client_sent_before_it_hung_up_arrives(tmp_path: Path) -> None:
    """It is gone before the engine has answered; its input reaches the stream all the same, and then the end."""
    got = bytearray()
    go, done = asyncio.Event(), asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(UPGRADED)
        got.extend(await reader.read())
        done.set()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(UPGRADE + b"y" * 5000)
        client.close()
        await until(lambda: rig.engine.connections == 1)
        go.set()
        async with asyncio.timeout(PATIENCE):
            await done.wait()
    assert got == b"y" * 5000


async def test_the_engine_may_end_first(tmp_path: Path) -> None:
    """Its half-close reaches the client, whose words still reach the engine."""
    heard = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(UPGRADED + b"that is all")
        writer.write_eof()
        assert await reader.readexactly(4) == b"fine"
        heard.set()
        await reader.read()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(UPGRADE)
        assert await client.rest() == UPGRADED + b"that is all"
        await client.send(b"fine")
        async with asyncio.timeout(PATIENCE):
            await heard.wait()


async def test_a_refused_upgrade_leaves_requests(tmp_path: Path) -> None:
    """The engine answers 404 with a length: what waited behind is read as requests."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")
        await parrot(reader, writer)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(UPGRADE + GET)
        assert (await client.reply())[::2] == (404, b"none")
        assert (await client.reply())[2] == GET


async def test_an_error_after_the_hijack_passes(tmp_path: Path) -> None:
    """dockerd writes it raw, without a length, and closes."""
    error = b"HTTP/1.1 409 Conflict\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nnot running\r\n"

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(error)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(ATTACH + b"\r\nsome input")
        assert await client.rest() == error
        assert rig.audits[0][2] == 409


@pytest.mark.parametrize("size", [1 << 20, 64 << 20])
async def test_full_duplex_loses_nothing(tmp_path: Path, size: int) -> None:
    """What goes in comes out, while it still goes in; 64 MiB, with half-close and a hash at the end."""
    async with relayed(tmp_path, hijack) as rig:
        client = await rig.client()
        await client.send(UPGRADE)
        await client.read(len(UPGRADED))
        sent, got = hashlib.sha256(), hashlib.sha256()

        async def write() -> None:
            for _ in range(size // len(BLOCK)):
                sent.update(BLOCK)
                client.writer.write(BLOCK)
                await client.writer.drain()
            client.half_close()

        async def read() -> bytes:
            left = size
            while left:
                data = await client.reader.read(min(left, 1 << 16))
                got.update(data)
                left -= len(data)
            return await client.rest()

        async with asyncio.timeout(4 * PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            reading = tasks.create_task(read())
    assert got.hexdigest() == sent.hexdigest()
    assert reading.result() == b"bye " + sent.hexdigest().encode()


async def test_the_engine_hears_of_a_client_that_hung_up(tmp_path: Path) -> None:
    """Of an endless reply and of a silent stream, at once, without a byte from either side."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        writer.write(UPGRADED if b"Upgrade" in head else HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await reader.read()

    async with relayed(tmp_path, engine, limits=ProxyLimits(spare=0)) as rig:
        for request in (GET, UPGRADE):
            client = await rig.client()
            await client.send(request)
            await client.until(b"\r\n\r\n")
            ended = rig.engine.closed
            client.close()
            await until(lambda before=ended: rig.engine.closed > before)  # type: ignore[misc]
            await until(lambda: not rig.server.relays)


async def test_a_client_hears_of_an_engine_that_hung_up(tmp_path: Path) -> None:
    """In the middle of a reply, between requests, and on a stream: what came is passed on, then the end."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        if b"/whole" in head:
            writer.write(OK)
        elif b"Upgrade" in head:
            writer.write(UPGRADED + b"some")
        elif b"/head" in head:
            writer.write(HEAD[:-5])
        elif b"/none" not in head:
            writer.write(HEAD + b"Content-Length: 100\r\n\r\nsome")

    expected = {
        b"GET /whole HTTP/1.1\r\n\r\n": OK,
        UPGRADE: UPGRADED + b"some",
        b"GET /head HTTP/1.1\r\n\r\n": HEAD[:-5],
        GET: HEAD + b"Content-Length: 100\r\n\r\nsome",
        b"POST /none HTTP/1.1\r\n\r\n": b"",
    }
    async with relayed(tmp_path, engine) as rig:
        for request, reply in expected.items():
            client = await rig.client()
            await client.send(request)
            assert await client.rest() == reply


async def test_a_thousand_silent_streams(tmp_path: Path) -> None:
    """Each is there at the end, and each end is seen."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(UPGRADED)
        while data := await reader.read(100):
            writer.write(data)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip("needs four descriptors for each stream")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5000), hard))
    async with relayed(tmp_path, engine) as rig:
        clients = [await rig.client() for _ in range(1000)]
        for client in clients:
            client.writer.write(UPGRADE)
        for client in clients:
            await client.read(len(UPGRADED))
        for client in clients[::100]:
            await client.send(b"still there")
            assert await client.read(11) == b"still there"
        assert len(rig.server.relays) == 1000
        for client in clients:
            client.close()
        await until(lambda: not rig.server.relays)
