"""Bodies too large to be kept: what is none of ours passes at any size, and of the rest no request does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.core.faults import BadRequest, Unavailable
from mooring.servers.proxy import relay_exchanges
from mooring.servers.proxy.hooks import LARGEST_REQUEST
from mooring.servers.proxy.relay_exchanges import FRAMES, REQUEST_LIMIT, State
from tests.servers.proxy.rigs import OK, Hooks, answer_all, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
PATH = b"POST /containers/create HTTP/1.1\r\nHost: d\r\n"


def create(size: int, chunked: bool) -> tuple[bytes, bytes]:
    """Head and body of a create with so many bytes of environment."""
    body = b'{"Env":["' + b"x" * size + b'"],"HostConfig":{"NetworkMode":"other"}}\n'
    if not chunked:
        return PATH + b"Content-Length: %d\r\n\r\n" % len(body), body
    pieces = [body[at : at + 100_001] for at in range(0, len(body), 100_001)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return PATH + b"Transfer-Encoding: chunked\r\n\r\n", wire


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [REQUEST_LIMIT - 100, REQUEST_LIMIT, 5 << 20, LARGEST_REQUEST + FRAMES, 12 << 20])
async def test_what_is_none_of_ours_passes_at_any_size(tmp_path: Path, size: int, chunked: bool) -> None:
    """Byte for byte, and what is pipelined behind it comes after it."""
    head, body = create(size, chunked)
    seen: list[tuple[bytes, bytes]] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await request_of(reader))
            writer.write(OK)

    hooks = Hooks()
    hooks.listens = False
    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(GET + head, body[:1000], body[1000:] + GET)
        for _ in range(3):
            assert (await client.reply())[0] == 200
    assert [one[0] for one in seen] == [GET, head, GET]
    assert seen[1][1] == body
    assert len(hooks.asked) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_request_is_kept_and_changed(tmp_path: Path, chunked: bool) -> None:
    """As a small one is, up to what is kept of one; its chunks come together."""
    hooks = Hooks()
    hooks.body = b"y" * (7 << 20)
    seen: list[tuple[bytes, bytes]] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await request_of(reader))
            writer.write(OK)

    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(b"".join(create(7 << 20, chunked)) + GET)
        assert [(await client.reply())[0] for _ in range(2)] == [200, 200]
    assert hooks.asked[0][1] == create(7 << 20, False)[1]
    assert seen[0][1] == hooks.body
    assert seen[1][0] == GET


async def test_all_large_requests_of_a_door_are_kept_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the room that they have together one is sent on as it comes, as a larger one is; when they are gone there
    is room again. Small ones are never among them."""
    monkeypatch.setattr(relay_exchanges, "ROOM", 5 << 20)
    hooks = Hooks()
    head, body = create(2 << 20, False)
    async with relayed(tmp_path, answer_all, hook=hooks) as rig:
        waiting = [await rig.client() for _ in range(2)]
        for each in waiting:
            await each.send(head + body[:-9])
        await until(lambda: all(relay.state is State.HELD for relay in rig.server.relays))
        await asyncio.sleep(0.05)
        hooks.fault = BadRequest("too large")
        late = await rig.client()
        await late.send(head + body)
        assert (await late.reply())[0] == 413
        hooks.fault = None
        small = await rig.client()
        await small.send(b"".join(create(1000, False)))
        assert (await small.reply())[0] == 200
        for each in waiting:
            await each.send(body[-9:])
            assert (await each.reply())[0] == 200
        again = await rig.client()
        await again.send(head + body)
        assert (await again.reply())[0] == 200
    assert [len(asked[1]) for asked in hooks.asked[-3:]] == [len(body)] * 3


@pytest.mark.parametrize("fault", [BadRequest("too large"), Unavailable("no engine"), ValueError("a mistake")])
async def test_of_what_is_ours_the_engine_gets_no_request(tmp_path: Path, fault: Exception) -> None:
    """It has the beginning at most, never the end of the object; the client is told, and the connection ends."""
    got = bytearray()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            got.extend(data)

    hooks = Hooks()
    hooks.fault = fault
    head, body = create(12 << 20, False)
    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(head + body)
        status, _, said = await client.reply()
        assert status == {BadRequest: 413, Unavailable: 503, ValueError: 500}[type(fault)]
        assert b'"message":"mooring: ' in said
        assert await client.rest() == b""
        await until(lambda: not rig.engine.open)
    assert not bytes(got).endswith(b"}}\n")
    assert rig.audits[-1][2] == status


async def test_the_end_waits_for_the_gate_and_the_client_for_the_engine(tmp_path: Path) -> None:
    """What is kept meanwhile is bounded: the client is not read further."""
    hooks = Hooks()
    hooks.go.clear()
    hooks.listens = False
    head, body = create(10 << 20, False)
    async with relayed(tmp_path, answer_all, hook=hooks) as rig:
        client = await rig.client()
        await client.send(head + body + GET)
        await hooks.entered.wait()
        assert hooks.asked[0][1] == b'{"HostConfig":{"NetworkMode":"other"}}'
        hooks.go.set()
        assert (await client.reply())[0] == 200
        assert (await client.reply())[0] == 200


async def test_an_object_without_an_end_is_the_engines_to_refuse(tmp_path: Path) -> None:
    """The body is complete, and its JSON is not: it passes."""
    hooks = Hooks()
    head, body = create(10 << 20, False)
    cut = PATH + b"Content-Length: %d\r\n\r\n" % (len(body) - 4) + body[:-4]
    async with relayed(tmp_path, answer_all, hook=hooks) as rig:
        client = await rig.client()
        assert (await client.ask(cut))[0] == 200
        assert (await client.ask(GET))[0] == 200
    assert hooks.asked == []
    assert head


async def test_an_engine_that_answers_at_once_is_heard(tmp_path: Path) -> None:
    """Before the body is complete, and then it hangs up."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(OK.replace(b"200 OK", b"400 Bad Request"))

    head, body = create(16 << 20, False)
    async with relayed(tmp_path, engine, hook=Hooks()) as rig:
        client = await rig.client()
        client.writer.write(head + body)
        assert (await client.reply())[0] == 400


async def test_a_client_that_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    """In the middle of it."""
    got = bytearray()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            got.extend(data)

    head, body = create(11 << 20, False)
    async with relayed(tmp_path, engine, hook=Hooks()) as rig:
        client = await rig.client()
        await client.send(head + body[: 10 << 20])
        await until(lambda: len(got) > 1000)
        client.close()
        await until(lambda: not rig.engine.open and not rig.server.relays)


async def test_without_an_engine_it_is_told(tmp_path: Path) -> None:
    """As everybody is."""
    head, body = create(11 << 20, False)
    async with relayed(tmp_path, answer_all, hook=Hooks(), up=False) as rig:
        client = await rig.client()
        await client.send(head + body)
        assert (await client.reply())[0] == 503
