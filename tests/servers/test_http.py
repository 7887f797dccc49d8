"""Both HTTP servers, the small one and the API's: one line comes back, in order, and no handler is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from mooring.servers.http import HttpServer, Limits, Request, Response
from mooring.servers.quotas import Quota
from tests.servers import doubles
from tests.servers.doubles import Served, plain_fail, request_bytes

Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(params=["small", "uvicorn"])
def served(request: pytest.FixtureRequest) -> Serving:
    """A server of the kind."""
    return partial(doubles.served, api=request.param == "uvicorn")


class Echo:
    """Answers with what it was asked; can be held."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.done: list[str] = []
        self.hook = asyncio.Event()
        self.entered = asyncio.Event()
        self.hook.set()

    async def __call__(self, request: Request) -> Response:
        """The method, the path and the body."""
        self.requests.append(request)
        self.entered.set()
        await self.hook.wait()
        self.done.append(request.path)
        if request.path == "/boom":
            raise ValueError("a mistake")
        return Response(200, f"{request.method} {request.path} ".encode() + request.body)


@pytest.fixture
def echo() -> Echo:
    """A handler."""
    return Echo()


async def test_a_request_is_answered_and_the_connection_stays(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """Two requests over one connection, with an empty Host and no Content-Type."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        first = await client.post("/A.B?x=1&y=%20", b"one")
        second = await client.post("/C%20D", b"two")
    assert (first.status, first.body) == (200, b"POST /A.B one")
    assert second.body == b"POST /C D two"
    assert echo.requests[0].query == "x=1&y=%20"
    assert first.headers["content-type"] == "application/json"
    assert "connection" not in first.headers


async def test_a_body_may_come_in_chunks_and_in_pieces(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """Chunked encoding, and every byte in a write of its own."""
    data = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with served(tmp_path, echo) as running:
        client = await running.client()
        for i in range(len(data)):
            await client.send(data[i : i + 1])
        assert (await client.answer()).body == b"POST /x abcde"


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time(
    served: Serving, tmp_path: Path, echo: Echo
) -> None:
    """The second is not started before the first is answered, however many there are."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        echo.hook.clear()
        await client.send(b"".join(request_bytes(f"/{i}") for i in range(100)))
        await echo.entered.wait()
        assert [request.path for request in echo.requests] == ["/0"]
        echo.hook.set()
        bodies = [(await client.answer()).body for _ in range(100)]
    assert bodies == [f"POST /{i} ".encode() for i in range(100)]


async def test_expect_100_continue_is_answered(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The client may wait with its body until it is told to go on."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        await client.send(b"POST /x HTTP/1.1\r\nHost: \r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(b"ok")
        assert (await client.answer()).body == b"POST /x ok"


async def test_head_has_no_body(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The length is told, and the next answer follows at once."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        await client.send(request_bytes("/x", method="HEAD"))
        answer = await client.answer(with_body=False)
        assert (answer.status, answer.headers["content-length"]) == (200, "8")
        assert (await client.post("/y")).body == b"POST /y "


async def test_http_1_0_and_connection_close_end_the_connection(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The answer says so, and the connection ends."""
    async with served(tmp_path, echo) as running:
        for data in (b"GET /x HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n"):
            client = await running.client()
            await client.send(data)
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.ended()


async def test_a_client_that_only_listens_any_more_is_answered(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """A half-close after the request is no hang-up."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        echo.hook.clear()
        await client.send(request_bytes("/x"))
        client.writer.write_eof()
        await echo.entered.wait()
        echo.hook.set()
        assert (await client.answer()).status == 200
        assert await client.ended()


async def test_a_client_that_hangs_up_does_not_cancel_the_handler(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """What was started is carried out."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        echo.hook.clear()
        await client.send(request_bytes("/x"))
        await echo.entered.wait()
        client.close()
        await client.writer.wait_closed()
        other = await running.client()
        await other.send(b"no HTTP\r\n\r\n")
        assert (await other.answer()).status == 400  # by now the server has seen the hang-up
        assert echo.done == []
        echo.hook.set()
    assert echo.done == ["/x"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00" * 100, 400),
        (b"hello\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /x HTTP/9.9\r\n\r\n", 400),
        (b"BREW /x HTTP/1.1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /x HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: \r\nContent-Length: 1048577\r\n\r\n", 413),
    ],
)
async def test_what_is_not_http_is_refused_in_one_line(
    served: Serving, tmp_path: Path, echo: Echo, data: bytes, status: int
) -> None:
    """A status, a line, the end; no handler is called, and the next client is served."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        await client.send(data)
        answer = await client.answer()
        assert answer.status == status
        assert answer.body
        assert b"\n" not in answer.body
        assert answer.headers["connection"] == "close"
        assert await client.ended()
        assert echo.requests == []
        assert (await (await running.client()).post("/next")).status == 200


async def test_a_large_chunked_body_is_refused_while_it_comes(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The client that goes on writing reads the refusal all the same."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        await client.send(b"POST /x HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            await client.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        assert (await client.answer()).status == 413
    assert echo.requests == []


async def test_a_body_of_the_limit_is_taken(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """One mebibyte and no byte more."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        assert (await client.post("/x", b"y" * (1 << 20))).status == 200


async def test_an_endless_head_is_refused(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """Headers that never end, and a target that never ends."""
    async with served(tmp_path, echo, Limits(head=4096)) as running:
        for start in (b"GET /x HTTP/1.1\r\nX: ", b"GET /"):
            client = await running.client()
            await client.send(start)
            await client.send(b"y" * 16_384)
            assert (await client.answer()).status == 431
    assert echo.requests == []


async def test_a_request_that_never_ends_is_answered_408(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """A hung client is told, and let go; one that is idle between requests is not."""
    async with served(tmp_path, echo, Limits(request=0.05)) as running:
        idle = await running.client()
        assert (await idle.post("/a")).status == 200
        for data in (b"POST", b"POST /x HTTP/1.1\r\nHost: ", b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"):
            client = await running.client()
            await client.send(data)
            assert (await client.answer()).status == 408
            assert await client.ended()
        assert (await idle.post("/b")).status == 200
    assert echo.done == ["/a", "/b"]


async def test_who_sends_a_byte_now_and_then_gains_no_time(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The time runs from the first byte of a request, whatever comes after it."""
    async with served(tmp_path, echo, Limits(request=0.1)) as running:
        client = await running.client()
        await client.send(b"POST /x HTTP/1.1\r\nX: ")
        answer = asyncio.get_running_loop().create_task(client.answer())
        async with asyncio.timeout(5):
            while not answer.done():
                await client.send(b"y")
                await asyncio.sleep(0.01)
        assert answer.result().status == 408
    assert echo.requests == []


async def test_a_request_that_ends_half_way_is_refused(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """The client closed its side before all was said."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        await client.send(b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        client.writer.write_eof()
        assert (await client.answer()).status == 400
        assert await client.ended()
    assert echo.requests == []


async def test_a_mistake_in_a_handler_is_a_500_and_the_server_lives(
    served: Serving, tmp_path: Path, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback; the client one line."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        answer = await client.post("/boom")
        assert (answer.status, answer.body) == (500, b"internal error; the log has more")
        assert (await client.post("/next")).status == 200
    assert "ValueError: a mistake" in caplog.text


async def _stop_with_one_under_way(running: Served, echo: Echo) -> None:
    idle = await running.client()
    assert (await idle.post("/idle")).status == 200
    busy = await running.client()
    echo.hook.clear()
    echo.entered.clear()
    await busy.send(request_bytes("/busy"))
    await echo.entered.wait()
    running.server.stop()
    assert await idle.ended()


async def test_stopping_finishes_what_is_under_way(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """Idle connections end at once, new ones are refused, the busy one is answered first."""
    async with served(tmp_path, echo) as running:
        await _stop_with_one_under_way(running, echo)
        with pytest.raises(OSError):
            await running.client()
        echo.hook.set()
        busy = running.clients[1]
        assert (await busy.answer()).body == b"POST /busy "
        assert await busy.ended()
        await running.task


async def test_stopping_does_not_wait_for_ever(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """After the deadline the client hears that the outcome is unknown."""
    async with served(tmp_path, echo, Limits(drain=0.05)) as running:
        await _stop_with_one_under_way(running, echo)
        assert (await running.clients[1].answer()).status == 503
        await running.task
    assert echo.done == ["/idle"]


async def test_cancelling_serve_drains_as_well(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """A daemon whose other task failed still finishes the calls under way."""
    async with served(tmp_path, echo) as running:
        client = await running.client()
        echo.hook.clear()
        await client.send(request_bytes("/x"))
        await echo.entered.wait()
        running.task.cancel()
        asyncio.get_running_loop().call_soon(echo.hook.set)
        assert (await client.answer()).status == 200
        await asyncio.wait([running.task])
        assert running.task.cancelled()


async def test_a_quota_refuses_in_one_line_who_has_no_room(served: Serving, tmp_path: Path, echo: Echo) -> None:
    """One at work stays; the newcomer reads why, and somebody idle gives way to the next."""
    async with served(tmp_path, echo, quota=Quota("the door", 1, 1)) as running:
        busy = await running.client()
        echo.hook.clear()
        await busy.send(request_bytes("/busy"))
        await echo.entered.wait()
        refused = await (await running.client()).answer()
        assert refused.status == 503
        assert b"has 1 connections to the door, the limit; close some" in refused.body
        echo.hook.set()
        assert (await busy.answer()).status == 200
        assert (await (await running.client()).post("/next")).status == 200
        assert await busy.ended()


async def test_a_slow_reader_gets_everything(served: Serving, tmp_path: Path) -> None:
    """Answers larger than the socket's buffer, pipelined."""

    async def large(request: Request) -> Response:
        return Response(200, b"z" * 3_000_000)

    async with served(tmp_path, large) as running:
        client = await running.client()
        await client.send(request_bytes("/1") + request_bytes("/2"))
        assert [len((await client.answer()).body) for _ in range(2)] == [3_000_000, 3_000_000]


def test_the_servers_own_refusals_are_the_doors() -> None:
    """The formatter is the caller's."""
    assert HttpServer(plain_fail).fail(400, "no").body == b"no"
