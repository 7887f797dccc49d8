"""The way there: nothing reaches the engine that was not understood, admitted, and given its decision."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from mooring.core.faults import Conflict, Exhausted, Fault, Forbidden
from mooring.servers.proxy.framing import HEAD_LIMIT
from mooring.wire.docker_api import Call, Verb
from tests.servers.proxy.rigs import OK, PATIENCE, Hooks, parrot, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
CREATE = b"POST /v1.41/containers/create?name=a HTTP/1.1\r\nhost: docker\r\ncontent-LENGTH: 4\r\nX: y\r\n\r\n"
CHUNKED = b"POST /containers/create HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"


def no_info(call: Call) -> Fault | None:
    """A rule."""
    return Forbidden("info is not for you") if call.section == "info" else None


async def test_a_hooked_request_waits_for_its_passage(tmp_path: Path) -> None:
    """Nothing of it goes out before, every byte as it was after, and what is pipelined behind comes later."""
    hooks = Hooks()
    hooks.go.clear()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        await client.send(CREATE[:20], CREATE[20:] + b"bo", b"dy" + GET)
        await hooks.entered.wait()
        assert rig.engine.connections == 0
        hooks.go.set()
        assert (await client.reply())[2] == CREATE + b"body"
        assert (await client.reply())[2] == GET
    assert hooks.asked[0][0].verb is Verb.CREATE
    assert [body for _, body in hooks.asked] == [b"body"]


async def test_a_chunked_body_is_shown_without_its_chunks(tmp_path: Path) -> None:
    """And sent on with them."""
    hooks = Hooks()
    wire = b"2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        assert (await client.ask(CHUNKED + wire))[2] == CHUNKED + wire
    assert hooks.asked[0][1] == b"body"


@pytest.mark.parametrize(
    ("request_", "head"),
    [
        (CREATE + b"body", CREATE.replace(b"4", b"9", 2).replace(b"v1.91", b"v1.41")),
        (CHUNKED + b"4\r\nbody\r\n0\r\n\r\n", CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 9")),
    ],
    ids=["length", "chunked"],
)
async def test_a_replaced_body_changes_one_line_of_the_head(tmp_path: Path, request_: bytes, head: bytes) -> None:
    """The line that says how long it is."""
    hooks = Hooks()
    hooks.body = b"something"
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        assert (await client.ask(request_))[2] == head + b"something"


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Conflict("taken", holder="b"), 409), (Exhausted("none left"), 409), (ValueError("oops"), 500)],
)
async def test_a_refused_request_reaches_nobody(tmp_path: Path, fault: Exception, status: int) -> None:
    """The fault is the answer, in dockerd's form, and the connection goes on."""
    hooks = Hooks()
    hooks.fault = fault
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        got, head, body = await client.ask(CREATE + b"body")
        assert (got, b"application/json" in head) == (status, True)
        assert json.loads(body)["message"] == (
            str(fault) if isinstance(fault, Fault) else "mooring: internal error; the log has more"
        )
        assert rig.engine.connections == 0
        assert (await client.ask(GET))[2] == GET
    assert rig.audits == [(Verb.CREATE, "POST", status), (Verb.OTHER, "GET", 200)]


async def test_refusals_wait_for_earlier_replies(tmp_path: Path) -> None:
    """Of pipelined requests the first is slow; what is refused behind it is answered behind it."""
    go = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK[:-1])
        await go.wait()
        writer.write(OK[-1:])
        await parrot(reader, writer)

    async with relayed(tmp_path, engine, admit=no_info) as rig:
        client = await rig.client()
        version = b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n"
        await client.send(version + GET + GET + version)
        assert await client.read(len(OK) - 1) == OK[:-1]
        go.set()
        assert await client.read(1) == OK[-1:]
        refusals = [await client.reply(), await client.reply()]
        assert [(status, body) for status, _, body in refusals] == [(403, b'{"message":"info is not for you"}\n')] * 2
        assert (await client.reply())[2] == version
    assert [status for _, _, status in rig.audits] == [200, 403, 403, 200]


async def test_access_is_asked_once_for_each_request(tmp_path: Path) -> None:
    """Also when the request was seen before."""
    asked: list[Call] = []

    def admit(call: Call) -> Fault | None:
        asked.append(call)
        return None if len(asked) < 3 else Forbidden("enough")

    async with relayed(tmp_path, parrot, admit=admit) as rig:
        client = await rig.client()
        assert [(await client.ask(GET))[0] for _ in range(4)] == [200, 200, 403, 403]
    assert len(asked) == 4


async def test_a_rule_that_fails_refuses(tmp_path: Path) -> None:
    """What cannot be judged does not pass."""

    def admit(call: Call) -> Fault | None:
        raise ValueError("a mistake")

    async with relayed(tmp_path, parrot, admit=admit) as rig:
        client = await rig.client()
        assert (await client.ask(GET))[0] == 403
        assert rig.engine.connections == 0


async def test_the_body_of_a_refused_request_is_swallowed(tmp_path: Path) -> None:
    """A small one; the next request is read behind it. A large one ends the connection."""
    async with relayed(tmp_path, parrot, admit=no_info) as rig:
        client = await rig.client()
        await client.send(b"POST /info HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe", b"llo" + GET.replace(b"info", b"x"))
        assert (await client.reply())[0] == 403
        assert (await client.reply())[0] == 200
        await client.send(b"POST /info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        status, head, _ = await client.reply()
        assert (status, b"Connection: close" in head, await client.rest()) == (403, True, b"")


async def test_a_hooked_body_is_asked_for(tmp_path: Path) -> None:
    """A client that expects 100 Continue gets ours, and not the engine's too."""
    hooks = Hooks()
    head = CREATE.replace(b"X: y", b"Expect: 100-continue")

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert got + await reader.readexactly(4) == head + b"body"
        writer.write(OK)
        await reader.read()

    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(head)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"body")
        assert await client.read(len(OK)) == OK


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /info\r\n\r\n",
        b"GET / HTTP/1.1\n Host: h\n\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT + b"\r\n\r\n",
    ],
    ids=["line", "folds", "lengths", "chunks", "size"],
)
async def test_bytes_that_are_no_request_are_answered_and_nothing_follows(tmp_path: Path, bad: bytes) -> None:
    """400 or 431 in Docker's form behind the earlier reply, then the end; the engine sees none of it."""
    seen: list[bytes] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await request_of(reader))[0])
            writer.write(OK)

    async with relayed(tmp_path, engine, hook=Hooks()) as rig:
        client = await rig.client()
        client.writer.write(GET + bad + GET)
        assert await client.read(len(OK)) == OK
        status, head, body = await client.reply()
        assert status == (431 if len(bad) > 1000 else 400)
        assert b"Connection: close" in head
        assert json.loads(body)["message"].startswith("mooring: ")
        assert await client.rest() == b""
        await until(lambda: not rig.engine.open or rig.engine.connections > 0)
    assert seen == [GET]


async def test_a_body_that_goes_wrong_on_its_way_ends_there(tmp_path: Path) -> None:
    """The engine gets what was right, and the end; the client 400."""
    got = bytearray()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read())

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        head = b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"1\r\nx\r\n")
        await until(lambda: rig.engine.connections == 1)
        await client.send(b"+1\r\nGET /secret HTTP/1.1\r\n\r\n")
        assert (await client.reply())[0] == 400
        assert await client.rest() == b""
        await until(lambda: not rig.engine.open)
    assert got == head + b"1\r\nx\r\n"


async def test_a_request_that_is_cut_off_is_answered(tmp_path: Path) -> None:
    """The client ends in the middle of a head, or of a body that is held."""
    for begin in (GET[:20], CREATE + b"bo"):
        async with relayed(tmp_path, parrot, hook=Hooks()) as rig:
            client = await rig.client()
            await client.send(begin)
            client.half_close()
            assert (await client.reply())[0] == 400
            assert await client.rest() == b""


async def test_a_refused_request_that_is_cut_off_is_answered_once(tmp_path: Path) -> None:
    """The client ends in the middle of the body that is being swallowed."""
    async with relayed(tmp_path, parrot, admit=no_info) as rig:
        client = await rig.client()
        await client.send(b"POST /info HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe")
        assert (await client.reply())[0] == 403
        client.half_close()
        assert await client.rest() == b""


async def test_a_request_that_is_cut_off_waits_its_turn(tmp_path: Path) -> None:
    """The reply to an earlier one comes first, however long it takes."""
    go = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await go.wait()
        writer.write(OK)
        await reader.read()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(GET + GET[:20])
        client.half_close()
        await until(lambda: rig.engine.connections == 1)
        await asyncio.sleep(0.02)
        go.set()
        assert await client.read(len(OK)) == OK
        assert (await client.reply())[0] == 400
        assert await client.rest() == b""


async def test_a_client_that_half_closes_gets_its_replies(tmp_path: Path) -> None:
    """Of plain and of hooked requests; the engine's later end is the client's."""
    hooks = Hooks()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        await client.send(GET + CREATE + b"body" + GET)
        client.half_close()
        for expected in (GET, CREATE + b"body", GET):
            assert (await client.reply())[2] == expected
        assert await client.rest() == b""


async def test_a_passage_that_nobody_uses_is_settled(tmp_path: Path) -> None:
    """The client hangs up before it is given: the engine hears nothing, and whoever gave it hears that."""
    hooks = Hooks()
    hooks.go.clear()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        client = await rig.client()
        await client.send(CREATE + b"body")
        async with asyncio.timeout(PATIENCE):
            await hooks.entered.wait()
        client.close()
        await until(lambda: not rig.server.relays)
        hooks.go.set()
        await until(lambda: hooks.told == [None])
        assert rig.engine.connections == 0
    assert rig.audits == [(Verb.CREATE, "POST", 0)]


@pytest.mark.parametrize("line", [b"GET /info HTTP/1.0\r\n", b"GET /info HTTP/1.1\r\nHost: h\r\nconnection: Close\r\n"])
async def test_a_client_that_wants_the_end_after_a_refusal_gets_it(tmp_path: Path, line: bytes) -> None:
    """It reads until there is no more."""
    async with relayed(tmp_path, parrot, admit=no_info) as rig:
        client = await rig.client()
        await client.send(line + b"\r\n")
        assert b"403" in await client.rest()


async def test_a_refused_attach_has_no_header_that_its_client_would_take_for_the_stream(tmp_path: Path) -> None:
    """And the connection ends."""
    async with relayed(tmp_path, parrot, admit=lambda _: Forbidden("no")) as rig:
        client = await rig.client()
        await client.send(
            b"POST /containers/x/attach HTTP/1.1\r\nHost: h\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n"
        )
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"connection:" not in answer.lower()
