"""The line to the engine: a dead spare connection costs no client an error; what was heard is not said twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.servers.proxy.server import ProxyLimits
from mooring.wire.docker_api import Verb
from tests.servers.proxy.rigs import OK, Hooks, answer_all, parrot, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
POST = b"POST /v1.41/volumes/prune HTTP/1.1\r\nHost: docker\r\n\r\n"


async def test_without_an_engine_the_answer_is_503(tmp_path: Path) -> None:
    """In dockerd's form; the connection goes on, and so does the client when the engine is there."""
    async with relayed(tmp_path, parrot, up=False) as rig:
        client = await rig.client()
        status, head, body = await client.ask(GET)
        text = f"Cannot connect to the Docker daemon at unix://{rig.engine.path}; is it running?"
        assert (status, body) == (503, b'{"message":"' + text.encode() + b'"}\n')
        assert b"\r\nContent-Type: application/json\r\n" in head
        assert b"\r\nDate: " in head
        await rig.engine.start()
        assert (await client.ask(GET))[2] == GET
        await rig.engine.stop()
        assert await client.rest() == b""
        other = await rig.client()
        status, head, _ = await other.ask(GET)
        assert status == 503
        assert b"\r\nApi-Version: 1.41\r\n" in head
        assert b"\r\nServer: Docker/20.10.24 (linux)\r\n" in head
    assert rig.audits[0] == (Verb.OTHER, "GET", 503)


async def test_without_an_engine_bodies_and_streams_end_the_connection(tmp_path: Path) -> None:
    """What was to follow would be taken for requests."""
    requests = [
        b"POST /build HTTP/1.1\r\nContent-Length: 100\r\n\r\nx",
        b"POST /containers/a/attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\ninput",
    ]
    async with relayed(tmp_path, parrot, up=False) as rig:
        for request in requests:
            client = await rig.client()
            await client.send(request)
            assert (await client.reply())[0] == 503
            assert await client.rest() == b""


async def test_without_an_engine_a_passage_is_settled(tmp_path: Path) -> None:
    """As unknown, before the client is told."""
    hooks = Hooks()
    async with relayed(tmp_path, parrot, hook=hooks, up=False) as rig:
        client = await rig.client()
        status, _, _ = await client.ask(b"POST /containers/a/start HTTP/1.1\r\n\r\n")
        assert (status, hooks.told) == (503, [None])


@pytest.mark.parametrize("request_", [GET, POST])
async def test_a_spare_connection_that_dies_unheard_is_replaced(tmp_path: Path, request_: bytes) -> None:
    """The engine closes it just as the first request arrives, unread: the request goes over another."""
    spares: list[asyncio.StreamWriter] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(spares) < 3:
            spares.append(writer)
            if len(spares) > 1:  # a spare one: reads nothing, and resets what it was sent
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await dying.wait()
                return
        await answer_all(reader, writer)

    dying = asyncio.Event()
    async with relayed(tmp_path, engine) as rig:
        first = await rig.client()
        assert (await first.ask(GET))[0] == 200
        await until(lambda: rig.engine.connections == 3)
        client = await rig.client()
        await client.send(request_)
        await asyncio.sleep(0.05)
        dying.set()
        assert await client.read(len(OK)) == OK
    assert [status for _, _, status in rig.audits] == [200, 200]


async def test_what_may_have_been_heard_is_not_said_twice(tmp_path: Path) -> None:
    """The engine read the POST and hung up without a word: so does the proxy. A GET is asked again."""
    seen: list[bytes] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = rig.engine.connections
        head, _ = await request_of(reader)
        seen.append(head[:4])
        if number in (2, 3):
            return
        writer.write(OK)
        await answer_all(reader, writer)

    async with relayed(tmp_path, engine, limits=ProxyLimits(spare=2)) as rig:
        first = await rig.client()
        await first.ask(GET)
        await until(lambda: rig.engine.connections == 3)
        client = await rig.client()
        await client.send(POST)
        assert await client.rest() == b""
        client = await rig.client()
        await client.send(GET)
        assert await client.read(len(OK)) == OK
    assert seen == [b"GET ", b"POST", b"GET ", b"GET "] or seen == [b"GET ", b"POST", b"GET "]


async def test_a_held_request_survives_the_end_of_an_idle_connection(tmp_path: Path) -> None:
    """The engine restarts while the decision is asked for: the request goes to the new one."""
    hooks = Hooks()
    hooks.go.clear()
    start = b"POST /containers/a/start HTTP/1.1\r\n\r\n"
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        await client.ask(GET)
        await client.send(start)
        await hooks.entered.wait()
        await rig.engine.stop()
        await rig.engine.start()
        hooks.go.set()
        assert (await client.reply())[2] == start
