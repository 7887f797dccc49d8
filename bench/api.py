"""api: what a question to the API costs on uvicorn and Starlette, over the small server with the same handler.

Both serve in one child process, on one uvloop, a status with typical counts; the client is a blocking socket, one
kept-alive connection each, as a program's. Rounds of both alternate; the ratio is of medians within a round. The first
question, which loads the framework, is timed apart.

    python bench/api.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from mooring.adapters.host import listeners
from mooring.core.views import HostStatus
from mooring.servers.api.door import ApiDoor, refuse
from mooring.servers.api.routes import Route, route
from mooring.servers.api.server import ApiServer
from mooring.servers.http import HttpServer, Request, Response

CALLS = 2000
ASKED = b"GET /v1/status HTTP/1.1\r\nHost: mooring\r\n\r\n"
STATUS = HostStatus(
    version="0", since=1.7e9, now=1.7e9, networks=12, endpoints=40, attached=40, pools=14, leases={"dynamic": 40},
    store="/var/lib/mooring/mooring.db", plugin_socket="/run/docker/plugins/mooring.sock",
    api_socket="/run/mooring/api.sock", repair=None,
)  # fmt: skip


class Status:
    """The resource on the one side."""

    @route("GET", "/v1/status")
    async def status(self) -> HostStatus:
        """How it is."""
        return STATUS


async def small(_: Request) -> Response:
    """The handler on the other."""
    return Response(200, msgspec.json.encode(STATUS) + b"\n")


async def ready(_: Route) -> None:
    """At once."""


async def serve(folder: str) -> None:
    """Both, until the process is ended."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(HttpServer(refuse).serve(listeners.listen(Path(folder, "small"), 0o600), small))
        door = ApiDoor([Status()], ready)
        tasks.create_task(ApiServer(refuse).serve(listeners.listen(Path(folder, "uvicorn"), 0o600), door))


def child(folder: str) -> None:
    """The server's process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(folder))


def connected(path: Path) -> socket.socket:
    """A connection, as soon as somebody listens."""
    while True:
        sock = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            sock.connect(str(path))
            return sock
        sock.close()
        time.sleep(0.01)


def ask(sock: socket.socket) -> float:
    """Seconds until the whole answer is there."""
    start = time.perf_counter()
    sock.sendall(ASKED)
    answer = b""
    while not answer.endswith(b"}\n"):
        if not (more := sock.recv(65536)):
            break
        answer += more
    spent = time.perf_counter() - start
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"not an answer: {answer[:200]!r}")
    return spent


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory(prefix="mooring-api-") as folder:
        process = multiprocessing.get_context("spawn").Process(target=child, args=(folder,))
        process.start()
        try:
            ours, peer = connected(Path(folder, "uvicorn")), connected(Path(folder, "small"))
            first = ask(ours)
            times: dict[str, list[float]] = {"uvicorn": [], "small": []}
            for _ in range(rounds):
                times["uvicorn"].append(statistics.median(ask(ours) for _ in range(CALLS)))
                times["small"].append(statistics.median(ask(peer) for _ in range(CALLS)))
        finally:
            process.terminate()
            process.join()
    for name, found in times.items():
        print(f"{name:8} p50 {statistics.median(found) * 1e6:6.0f} us")
    print(f"first question, with what it loads: {first * 1e3:.0f} ms")
    ratio = statistics.median(a / b for a, b in zip(times["uvicorn"], times["small"], strict=True))
    print(f"api ratio={ratio:.2f} peer=small-server n={rounds}")


if __name__ == "__main__":
    main()
