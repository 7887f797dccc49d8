"""What uvicorn would do otherwise: its protocol keeps the door's promises."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from mooring.servers.api.connections import configuration
from mooring.servers.api.door import refuse
from mooring.servers.http import Limits, Request, Response
from tests.servers.doubles import asgi, request_bytes, served


async def _echo(request: Request) -> Response:
    return Response(200, request.body)


async def test_a_change_whose_client_hangs_up_at_once_is_carried_out(tmp_path: Path) -> None:
    """Also when it was gone before the application had its first turn."""
    done = asyncio.Event()

    async def change(request: Request) -> Response:
        assert request.body == b"all of it"
        done.set()
        return Response(200)

    async with served(tmp_path, change, api=True) as running:
        for _ in range(20):
            done.clear()
            client = await running.client()
            client.writer.write(request_bytes("/x", b"all of it"))
            client.writer.transport.abort()
            async with asyncio.timeout(5):
                await done.wait()


async def test_who_asks_faster_than_he_is_answered_is_read_no_further(tmp_path: Path) -> None:
    """While requests wait for their turn none is added to them, also when one of them was answered."""
    turns = asyncio.Semaphore(0)

    async def slow(request: Request) -> Response:
        await turns.acquire()
        return Response(200, request.body)

    async with served(tmp_path, slow, api=True) as running:
        client = await running.client()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await client.send(request_bytes("/x", b"y" * 1000))
                sent += 1

        async def filled() -> int:
            """How many were sent when no more can be."""
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            return sent

        async with asyncio.TaskGroup() as tasks:
            flooding = tasks.create_task(flood())
            before = await filled()
            for _ in range(20):
                turns.release()
                assert (await client.answer()).status == 200
            assert await filled() == before
            flooding.cancel()
        for _ in range(before + 1):
            turns.release()


@pytest.mark.parametrize(
    "data",
    [
        b"GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: \r\n\r\n",
    ],
)
async def test_the_servers_own_refusals_are_problem_details(tmp_path: Path, data: bytes) -> None:
    """Also those of what never reaches the application."""
    async with served(tmp_path, _echo, fail=refuse, api=True) as running:
        client = await running.client()
        await client.send(data)
        answer = await client.answer()
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["status"] == answer.status
        assert await client.ended()


async def test_a_refusal_waits_for_the_answers_before_it(tmp_path: Path) -> None:
    """A client that pipelines reads its answers in order."""
    hook = asyncio.Event()

    async def slow(request: Request) -> Response:
        await hook.wait()
        return Response(200, request.path.encode())

    async with served(tmp_path, slow, api=True) as running:
        client = await running.client()
        await client.send(request_bytes("/1") + request_bytes("/2") + b"nonsense\r\n\r\n")
        asyncio.get_running_loop().call_later(0.05, hook.set)
        assert [(await client.answer()).body for _ in range(2)] == [b"/1", b"/2"]
        assert (await client.answer()).status == 400
        assert await client.ended()


@pytest.mark.parametrize("head", [b"X: " + b"y" * 70_000 + b"\r\n", b"X: y\r\n" * 12_000])
async def test_a_head_that_comes_at_once_is_no_longer_than_any_other(tmp_path: Path, head: bytes) -> None:
    """One long header, or many short ones, in one packet."""
    async with served(tmp_path, _echo, fail=refuse, api=True) as running:
        client = await running.client()
        await client.send(b"GET /x HTTP/1.1\r\nHost: \r\n" + head + b"\r\n")
        assert (await client.answer()).status == 431
        assert await client.ended()


async def test_a_silent_connection_is_never_ended(tmp_path: Path) -> None:
    """uvicorn's keep-alive timeout does not run, neither before nor after a request."""
    async with served(tmp_path, _echo, api=True, limits=Limits(drain=1)) as running:
        client, silent = await running.client(), await running.client()
        assert (await client.post("/a", b"a")).body == b"a"
        loop = asyncio.get_running_loop()
        timers = [
            each for each in getattr(loop, "_scheduled", []) if "keep_alive" in repr(each) and not each.cancelled()
        ]
        assert timers == []
        assert (await silent.post("/b", b"b")).body == b"b"
        assert (await client.post("/c", b"c")).body == b"c"


async def test_what_comes_after_a_last_request_is_not_carried_out(tmp_path: Path) -> None:
    """`Connection: close` means it, whatever is in the same packet."""
    paths: list[str] = []

    async def note(request: Request) -> Response:
        paths.append(request.path)
        return Response(200)

    async with served(tmp_path, note, api=True) as running:
        client = await running.client()
        await client.send(b"GET /1 HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n" + request_bytes("/2"))
        assert (await client.answer()).status == 200
        assert await client.ended()
    assert paths == ["/1"]


def test_nothing_of_uvicorn_is_on_but_its_protocol() -> None:
    """No signals, no life cycle, no log of its own, no header that a client could lie in."""
    config = configuration(asgi(_echo))
    assert (config.lifespan, config.access_log, config.proxy_headers) == ("off", False, False)
    assert (config.ws_protocol_class, config.encoded_headers) == (None, [])
