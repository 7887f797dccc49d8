"""The API's server: nothing of it is loaded before somebody asks, and then everybody is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.servers.api.server import ApiServer, Application
from mooring.servers.http import Request, Response
from tests.servers.doubles import Client, asgi, listening, plain_fail


async def _hello(_: Request) -> Response:
    return Response(200, b"hello")


async def _client(path: Path) -> Client:
    return Client(*await asyncio.open_unix_connection(str(path)))


async def test_what_answers_is_made_when_the_first_client_is_there_and_once(tmp_path: Path) -> None:
    """Not before; clients that come while it is made wait, and all are answered."""
    made: list[str] = []

    def make() -> Application:
        made.append("made")
        return asgi(_hello)

    server = ApiServer(plain_fail)
    sock = listening(tmp_path / "api.sock")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sock, make))
        await asyncio.sleep(0.05)
        assert made == []
        clients = [await _client(tmp_path / "api.sock") for _ in range(20)]
        answers = await asyncio.gather(*(client.post("/x") for client in clients))
        assert {answer.status for answer in answers} == {200}
        assert made == ["made"]
        for client in clients:
            client.close()
        server.stop()


async def test_a_server_that_nobody_asked_stops(tmp_path: Path) -> None:
    """Before and after it was told to serve; nothing was made."""

    def make() -> Application:
        raise AssertionError("nobody asked")

    server = ApiServer(plain_fail)
    sock, second = listening(tmp_path / "api.sock"), listening(tmp_path / "second.sock")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sock, make))
        await asyncio.sleep(0.01)
        server.stop()
    await server.serve(second, make)
    assert (sock.fileno(), second.fileno()) == (-1, -1)


async def test_a_server_that_cannot_be_loaded_says_so_to_who_asks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every question is refused in one line, the log has the reason, and it stops like any other."""

    def make() -> Application:
        raise ImportError("No module named 'starlette'")

    server = ApiServer(plain_fail)
    sock = listening(tmp_path / "api.sock")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sock, make))
        client = await _client(tmp_path / "api.sock")
        for _ in range(2):
            answer = await client.post("/x")
            assert (answer.status, b"No module named 'starlette'; see the log" in answer.body) == (503, True)
        client.close()
        server.stop()
    assert "the API cannot be served" in caplog.text


async def test_a_server_is_cancelled_while_nobody_asks(tmp_path: Path) -> None:
    """As when another task of the daemon failed: it ends, and watches the socket no more."""
    server = ApiServer(plain_fail)
    with listening(tmp_path / "api.sock") as sock:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(server.serve(sock, lambda: asgi(_hello)))
            await asyncio.sleep(0.01)
            task.cancel()
        assert not asyncio.get_running_loop().remove_reader(sock)
