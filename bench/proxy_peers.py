"""What the proxy's benchmarks stand on: a dummy engine, our relay, HAProxy and nginx, each a process of its own.

The engine answers in Docker's form and does nothing else; every proxy is in front of the same engine, on a unix socket,
with one process (and one thread) each, without logs. `serve` is what the first two run.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop

PING = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24 (linux)\r\n\r\n"
GET = b"GET /v1.41/_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24 (linux)\r\n\r\n"
REPLY = (
    b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nCache-Control: no-cache, no-store, must-revalidate\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nDocker-Experimental: false\r\nOstype: linux\r\nPragma: no-cache\r\n"
    b"Server: Docker/20.10.24 (linux)\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: 2\r\n\r\nOK"
)
DONE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{}\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = 1 << 18
# scripts/bench sets the path on which this is found.
SERVE = (sys.executable, "-c", "import sys; from bench.proxy_peers import serve; serve(sys.argv[1:])")


class Dummy(asyncio.Protocol):
    """The engine: `_ping`, `/down/BYTES` (a body that long), `/up` (swallows a body), `/events` (silence)."""

    def __init__(self) -> None:
        self._partial = b""
        self._left = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(4 * BLOCK)

    def pause_writing(self) -> None:
        """Stop sending."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Send on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """A request, or some of a body."""
        if data in (GET, PING):
            self._transport.write(REPLY)
            return
        if self._left:
            self._body(len(data))
            return
        self._partial += data
        head, found, rest = self._partial.partition(b"\r\n\r\n")
        if not found:
            return
        self._partial = b""
        target = head.split(b" ", 2)[1]
        if target.startswith(b"/down/"):
            work = self._down(int(target[6:]))
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif target == b"/up":
            lower = head.lower()
            self._left = int(lower[lower.index(b"content-length:") + 15 :].split(b"\r\n")[0])
            self._body(len(rest))
        elif target == b"/events":
            self._transport.write(STREAM + b"2\r\n{}\r\n")
        else:
            self._transport.write(REPLY)

    def _body(self, size: int) -> None:
        self._left -= size
        if not self._left:
            self._transport.write(DONE)

    async def _down(self, size: int) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(BLOCK)
        for _ in range(size // BLOCK):
            await self._writable.wait()
            self._transport.write(block)


HAPROXY = """
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend front
    bind {path}
    default_backend back
backend back
    server engine {engine}
"""
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream engine {{ server unix:{engine}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen unix:{path};
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


class Peers:
    """The dummy engine and the proxies in front of it. sockets: by name, `direct` among them; pids: of the proxies."""

    def __init__(self, names: tuple[str, ...] = ("mooring", "haproxy", "nginx")) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mooring-bench-"))
        self.folder.chmod(0o755)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.sockets: dict[str, str] = {}
        self.pids: dict[str, int] = {}
        self._start("direct", [*SERVE, "engine", self._path("direct")])
        for name in names:
            path = self._path(name)
            if name == "mooring":
                command = [*SERVE, "mooring", path, self.sockets["direct"]]
            elif shutil.which(name) is None:
                self.close()
                raise SystemExit(f"{name} is not installed; scripts/setup installs it")
            else:
                config = self.folder / f"{name}.conf"
                text = HAPROXY if name == "haproxy" else NGINX
                config.write_text(text.format(path=path, engine=self.sockets["direct"], folder=self.folder))
                command = {
                    "haproxy": [name, "-f", str(config)],
                    "nginx": [name, "-c", str(config), "-p", str(self.folder)],
                }[name]
            self.pids[name] = self._start(name, command)

    def _path(self, name: str) -> str:
        return str(self.folder / f"{name}.sock")

    def _start(self, name: str, command: list[str]) -> int:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL if "nginx" in command else None)
        self._processes.append(process)
        deadline = time.monotonic() + 20
        while True:
            try:
                with connect(self._path(name)) as client:
                    exchange(client, GET)
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    self.close()
                    raise SystemExit(f"{name} does not answer: {' '.join(command)}") from None
                time.sleep(0.05)
        self.sockets[name] = self._path(name)
        return process.pid

    def memory(self, name: str) -> int:
        """Resident bytes of a proxy and its workers."""
        pids = [self.pids[name]]
        children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
        total = 0
        for pid in [*pids, *map(int, children)]:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Private_"):
                    total += int(line.split()[1]) * 1024
        return total

    def close(self) -> None:
        """End them all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def connect(path: str) -> socket.socket:
    """A client's connection."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def exchange(sock: socket.socket, request: bytes) -> bytes:
    """Ask, and read a reply that comes in one piece or ends in OK."""
    sock.sendall(request)
    reply = b""
    while not reply.endswith(b"OK"):
        data = sock.recv(4096)
        if not data:
            raise ConnectionResetError("no reply")
        reply += data
    return reply


async def _engine(path: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(Dummy, path, backlog=2048)
    Path(path).chmod(0o666)  # nginx's worker is another user
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


async def _mooring(path: str, engine: str) -> None:
    from mooring.servers.proxy.hooks import Decision
    from mooring.servers.proxy.server import Listener, ProxyServer
    from mooring.wire.docker_api import Call, recognise

    class Nobody:
        """A gate that wants nothing."""

        def wants(self, call: Call) -> bool:  # noqa: ARG002 - the port's signature
            """No."""
            return False

        def reader(self, call: Call) -> None:
            """Never asked."""

        async def outsize(self, call: Call, document: bytes | None) -> None:
            """Never asked."""

        async def decide(self, call: Call, body: bytes) -> Decision:  # noqa: ARG002
            """Never asked."""
            raise AssertionError

    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    server = ProxyServer(engine, recognise, hook=Nobody())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve([Listener(sock)])


def serve(arguments: list[str]) -> None:
    """Be one of the processes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    match arguments:
        case ["engine", path]:
            uvloop.run(_engine(path))
        case ["mooring", path, engine]:
            uvloop.run(_mooring(path, engine))
        case _:
            raise SystemExit(f"no such process: {arguments}")
