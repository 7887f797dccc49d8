"""The relay's two ends: each side's slowness is the other's, what is sent ahead is bounded, and last words arrive."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.core.faults import Forbidden
from mooring.servers.proxy import relay_ends
from mooring.servers.proxy.relay_exchanges import BACKLOG_LIMIT
from tests.servers.proxy.rigs import HEAD, OK, UPGRADED, parrot, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
UPGRADE = (
    b"POST /v1.41/containers/a/attach?stream=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
BLOCK = bytes(range(256)) * 256


@pytest.mark.parametrize("hijacked", [True, False])
async def test_a_client_that_does_not_read_holds_the_engine_back(tmp_path: Path, hijacked: bool) -> None:
    """The engine cannot send much more than the sockets hold; when the client reads again, all comes."""
    size, sent = 32 << 20, 0

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_of(reader)
        writer.transport.set_write_buffer_limits(0)
        writer.write(UPGRADED if hijacked else HEAD + b"Content-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(BLOCK)
            await writer.drain()
            sent += len(BLOCK)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(UPGRADE if hijacked else GET)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 4 << 20
        await client.until(b"\r\n\r\n")
        assert await client.read(size) == BLOCK * (size // len(BLOCK))


async def test_an_engine_that_does_not_read_holds_the_client_back(tmp_path: Path) -> None:
    """The client cannot send much more than the sockets hold."""
    go = asyncio.Event()
    size, got = 32 << 20, 0

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        while got < size:
            got += len(await reader.read(1 << 16))
        writer.write(OK)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        client.writer.transport.set_write_buffer_limits(0)
        await client.send(b"POST /build HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        sent = 0

        async def write() -> None:
            nonlocal sent
            while sent < size:
                client.writer.write(BLOCK)
                await client.writer.drain()
                sent += len(BLOCK)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert sent < 4 << 20
            go.set()
        assert await client.read(len(OK)) == OK


async def test_an_early_refusal_reaches_a_client_that_still_sends(tmp_path: Path) -> None:
    """413 before the body is there; the engine closes; the client reads it all the same."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(b"POST /build HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        client.writer.write(b"x" * 300_000)
        assert (await client.reply())[::2] == (413, b"big")


async def test_what_is_sent_ahead_is_bounded(tmp_path: Path) -> None:
    """While a reply is awaited the client is read a little further, and no more; afterwards everything is answered."""
    go = asyncio.Event()
    get, count = GET[:-2] + b"X: " + b"x" * 1000 + b"\r\n\r\n", 2000

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await go.wait()
        writer.write(OK)
        while True:
            await request_of(reader)
            writer.write(OK)

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        client.writer.transport.set_write_buffer_limits(0)
        sent = 0

        async def write() -> None:
            nonlocal sent
            for _ in range(count):
                client.writer.write(get)
                await client.writer.drain()
                sent += len(get)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert BACKLOG_LIMIT < sent < count * len(get) // 2
            go.set()
            assert await client.read(count * len(OK)) == OK * count


async def test_a_client_that_is_hung_up_on_is_listened_to_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the answer although it still sends; and is cut off in the end although it does not stop."""
    monkeypatch.setattr(relay_ends, "LINGER", 0.2)
    async with relayed(tmp_path, parrot, admit=lambda _: Forbidden("no")) as rig:
        client = await rig.client()
        await client.send(b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            client.writer.write(BLOCK)
            await asyncio.sleep(0.01)
        assert (await client.reply())[0] == 403
        await until(lambda: not rig.server.relays)
