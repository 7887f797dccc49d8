"""No state without a way out: whatever comes in between, the client is read again, and heard when it goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.core.faults import BadRequest
from mooring.servers.proxy import upstreams
from mooring.servers.proxy.hooks import LARGEST_REQUEST, Reply
from mooring.servers.proxy.relay_exchanges import FRAMES
from mooring.wire.docker_api import Call, Verb
from tests.servers.proxy.rigs import HEAD, OK, Hooks, answer_all, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
CREATE = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n"
LIST = b"GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"
TOO_LARGE = b'{"Env":["' + b"x" * (LARGEST_REQUEST + FRAMES + (1 << 20))
PROMPT = 3.0


class Slow:
    """Completes a list when it may, and leaves it as it is."""

    def __init__(self) -> None:
        self.go, self.entered = asyncio.Event(), asyncio.Event()

    def wants(self, _call: Call) -> bool:
        return True

    def question(self, _call: Call) -> str | None:
        return None

    async def answer(self, call: Call, reply: Reply | None) -> bytes | None:
        raise NotImplementedError

    async def complete(self, _call: Call, _reply: Reply | None) -> bytes | None:
        self.entered.set()
        await self.go.wait()
        return None


def as_list(method: str, _target: str, _upgrade: bool) -> Call:
    return Call(Verb.OTHER, method, "containers", "", path="/containers/json")


async def test_a_reply_that_waits_to_be_settled_goes_out_though_the_server_stops(tmp_path: Path) -> None:
    """The container is there: its client is told."""
    hooks = Hooks()
    hooks.settle_go.clear()
    async with relayed(tmp_path, answer_all, hook=hooks) as rig:
        client = await rig.client()
        await client.send(CREATE % 2 + b"{}")
        await asyncio.wait_for(hooks.settle_entered.wait(), PROMPT)
        rig.server.stop()
        await asyncio.sleep(0.1)
        hooks.settle_go.set()
        assert (await client.rest()).endswith(b"OK")


async def test_a_list_that_is_being_completed_goes_out_though_the_server_stops(tmp_path: Path) -> None:
    """As a create's."""
    slow = Slow()
    async with relayed(tmp_path, answer_all, completion=slow, known=as_list) as rig:
        client = await rig.client()
        await client.send(GET)
        await asyncio.wait_for(slow.entered.wait(), PROMPT)
        rig.server.stop()
        await asyncio.sleep(0.1)
        slow.go.set()
        assert (await client.rest()).endswith(b"OK")


async def test_a_large_create_without_an_engine_leaves_the_connection_good(tmp_path: Path) -> None:
    """What was kept for the engine held its client back; the next request is read, and so is its end."""
    size = 2 << 20
    async with relayed(tmp_path, answer_all, hook=Hooks(), up=False) as rig:
        client, leaver = await rig.client(), await rig.client()
        for each in (client, leaver):
            await each.send(CREATE % size + b"x" * size)
            assert (await each.reply())[0] == 503
        leaver.close()
        await rig.engine.start()
        assert (await client.ask(GET))[0] == 200
        await until(lambda: len(rig.server.relays) == 1)


async def test_a_large_body_for_an_engine_that_does_not_come_leaves_the_connection_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dial that takes its time, and fails."""

    async def dial(_: object) -> None:
        await asyncio.sleep(0.3)
        raise BlockingIOError

    async with relayed(tmp_path, answer_all, up=False) as rig:
        monkeypatch.setattr(upstreams.Upstreams, "dial", dial)
        client = await rig.client()
        size = 300_000
        await client.send(b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        for _ in range(2):
            assert (await client.reply())[0] == 503
            await client.send(GET)


async def test_what_comes_while_a_large_create_is_judged_holds_nobody_back_afterwards(tmp_path: Path) -> None:
    """It passes, and its last bytes are read."""
    hooks = Hooks()
    hooks.listens = False
    hooks.go.clear()
    parts = (TOO_LARGE, b'"]}', b" " * 300_000, b" " * 1000)
    async with relayed(tmp_path, answer_all, hook=hooks) as rig:
        client = await rig.client()
        await client.send(CREATE % sum(map(len, parts)) + parts[0])
        await client.send(parts[1])
        await asyncio.wait_for(hooks.entered.wait(), 10)
        await client.send(parts[2])
        await asyncio.sleep(0.3)
        hooks.go.set()
        await asyncio.sleep(0.2)
        await client.send(parts[3])
        assert (await client.reply())[0] == 200


async def test_a_refusal_is_not_written_into_a_reply_that_has_begun(tmp_path: Path) -> None:
    """The engine answered the beginning of a create that is refused then: the connection ends."""
    hooks = Hooks()
    hooks.fault = BadRequest("too large")
    hooks.go.clear()
    answer = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def late() -> None:
            await answer.wait()
            writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + b"A" * 500)

        async with asyncio.TaskGroup() as tasks:
            await reader.readuntil(b"\r\n\r\n")
            tasks.create_task(late())
            while await reader.read(1 << 16):
                pass

    async with relayed(tmp_path, engine, hook=hooks) as rig:
        client = await rig.client()
        await client.send(CREATE % (len(TOO_LARGE) + 3) + TOO_LARGE)
        await asyncio.sleep(0.3)
        await client.send(b'"]}')
        await asyncio.wait_for(hooks.entered.wait(), 10)
        answer.set()
        await client.until(b"\r\n\r\n")
        assert await client.read(500) == b"A" * 500
        hooks.go.set()
        assert await client.rest() == b""


async def test_a_body_that_goes_on_while_its_reply_is_kept_loses_nothing(tmp_path: Path) -> None:
    """Also when the client has asked for the connection's end."""
    got, slow = bytearray(), Slow()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        while len(got) < 10 and (data := await reader.read(1 << 16)):
            got.extend(data)
        writer.close()

    async with relayed(tmp_path, engine, completion=slow, known=as_list) as rig:
        client = await rig.client()
        await client.send(LIST + b"01234")
        await asyncio.wait_for(slow.entered.wait(), PROMPT)
        await client.send(b"567")
        await asyncio.sleep(0.1)
        slow.go.set()
        await client.reply()
        await client.send(b"89")
        await client.rest()
        assert bytes(got) == b"0123456789"


@pytest.mark.parametrize("last", [HEAD + b"\r\nsome", OK + b"more"], ids=["until its end", "more than was asked"])
async def test_a_client_that_sent_much_ahead_is_heard_when_it_goes(tmp_path: Path, last: bytes) -> None:
    """Though the reply ends with the connection, or has more behind it than was asked for."""
    go = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await go.wait()
        writer.write(last)
        await reader.read()

    async with relayed(tmp_path, engine) as rig:
        client = await rig.client()
        await client.send(GET)
        await asyncio.sleep(0.05)
        client.writer.write(b"GET /" + b"x" * 300_000)
        await asyncio.sleep(0.2)
        go.set()
        await asyncio.sleep(0.2)
        client.writer.transport.abort()
        await until(lambda: not rig.server.relays)
