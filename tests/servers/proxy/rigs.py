"""A client, a proxy and a scripted engine, joined by real unix sockets."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from mooring.core.faults import Fault
from mooring.servers.proxy.hooks import AdmissionHook, Completion, Decision, Reader, Reply
from mooring.servers.proxy.peers import Who
from mooring.servers.proxy.relay_exchanges import Audit, Recognise
from mooring.servers.proxy.server import Listener, ProxyLimits, ProxyServer
from mooring.servers.quotas import Quota
from mooring.wire.docker_api import Call, Verb
from mooring.wire.json_sieve import CREATE, Sieve

# Only so that a mistake shows as a failure and not as a test that never ends.
PATIENCE = 30.0
HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\nOstype: linux\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nOK"
HIJACKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nUpgrade: tcp\r\n\r\n"

TWO_SPARE = ProxyLimits(spare=2)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def recognise(method: str, target: str, upgrade: bool) -> Call:
    """Enough of a router for the relay's tests."""
    path = target.partition("?")[0]
    words = [word for word in path.split("/") if word and not word.startswith("v1.")]
    verb = Verb.UPGRADE if upgrade else Verb.OTHER
    match (method, *words):
        case ("POST", "containers", "create"):
            verb = Verb.CREATE
        case ("POST", "containers", _, "start"):
            verb = Verb.START
        case ("POST", "containers", _, "attach"):
            verb = Verb.ATTACH
        case ("POST", "exec", _, "start"):
            verb = Verb.EXEC
    return Call(verb, method, words[0] if words else "", words[1] if len(words) > 1 else "")


class Engine:
    """Serves its socket with a script for each connection; counts them."""

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.script = script
        self.connections = 0
        self.closed = 0  # connections that the client has ended
        self.open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), backlog=2048)

    async def stop(self) -> None:
        """Go away, with every connection."""
        if self._server is not None:
            await asyncio.sleep(0.01)  # asyncio forgets connections that it is just accepting
            self._server.close()
            self._server = None
        for writer in list(self.open):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.script(reader, writer)
        finally:
            self.closed += 1
            self.open.discard(writer)
            self._tasks.discard(task)
            writer.close()


class Client:
    """One connection, read to the byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own, as far as the loop lets it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def until(self, end: bytes) -> bytes:
        """All up to `end`."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """All there is until the other side ends."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def reply(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of a reply with a length."""
        head = await self.until(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head[9:12]), head, await self.read(length)

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Send, and read the reply."""
        await self.send(request)
        return await self.reply()

    def half_close(self) -> None:
        """Say that no more comes."""
        self.writer.write_eof()

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


class Hooks:
    """A gate that notes what it is asked and told; can be held."""

    def __init__(self) -> None:
        self.asked: list[tuple[Call, bytes]] = []
        self.told: list[Reply | None] = []
        self.settling = False
        self.body: bytes | None = None
        self.fault: Exception | None = None
        self.listens = True
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.settle_entered = asyncio.Event()
        self.settle_go = asyncio.Event()
        self.settle_go.set()

    def wants(self, call: Call) -> bool:
        """All that are hooked."""
        return True

    async def decide(self, call: Call, body: bytes) -> Decision:
        """As it was set up."""
        self.asked.append((call, body))
        self.entered.set()
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        return Decision(self.body, self.settle if self.listens else None)

    def reader(self, call: Call) -> Reader | None:
        """For creates."""
        return Sieve(CREATE) if call.verb is Verb.CREATE else None

    async def outsize(self, call: Call, document: bytes | None) -> None:
        """As it was set up."""
        self.asked.append((call, document or b""))
        self.entered.set()
        await self.go.wait()
        if self.fault is not None:
            raise self.fault

    async def settle(self, reply: Reply | None) -> None:
        """Note it."""
        self.settle_entered.set()
        await self.settle_go.wait()
        self.told.append(reply)


class Rig:
    """The proxy's socket, what is behind it, and what was noted."""

    def __init__(self, path: Path, engine: Engine, server: ProxyServer, audits: list[tuple[Verb, str, int]]) -> None:
        self.path, self.engine, self.server, self.audits = path, engine, server, audits
        self.clients: list[Client] = []

    async def client(self, *, direct: bool = False) -> Client:
        """A new connection to the proxy, or to the engine itself."""
        reader, writer = await asyncio.open_unix_connection(str(self.engine.path if direct else self.path))
        client = Client(reader, writer)
        self.clients.append(client)
        return client


@asynccontextmanager
async def relayed(
    folder: Path,
    script: Script,
    *,
    hook: AdmissionHook | None = None,
    admit: Callable[[Call], Fault | None] | None = None,
    blind: bool = False,
    limits: ProxyLimits = TWO_SPARE,
    up: bool = True,
    known: Recognise = recognise,
    quota: Quota | None = None,
    completion: Completion | None = None,
    heard: Audit | None = None,
) -> AsyncIterator[Rig]:
    """A proxy in front of an engine. heard: the audit, instead of the rig's own."""
    engine = Engine(folder / "engine.sock", script)
    if up:
        await engine.start()
    audits: list[tuple[Verb, str, int]] = []

    def audit(call: Call, status: int, _who: Who, _refused: bool, _reason: str) -> None:
        audits.append((call.verb, call.method, status))

    server = ProxyServer(
        str(engine.path), known, hook=hook, admit=admit, audit=heard or audit, completion=completion, limits=limits
    )
    path = folder / "proxy.sock"
    sock = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    sock.bind(str(path))
    started = asyncio.Event()
    rig = Rig(path, engine, server, audits)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([Listener(sock, blind=blind, quota=quota)], started.set))
        await started.wait()
        try:
            yield rig
        finally:
            for client in rig.clients:
                client.close()
            server.stop()
            await asyncio.wait([serving])
            await engine.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - conditions of many sorts, none of which is an event
            await asyncio.sleep(0.002)


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A request's head and its body as sent, chunks and all; read with none of the relay's code."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            body += line
            if not size:
                break
            body += await reader.readexactly(size + 2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            body += line
        return head, body + line
    if b"content-length:" in lower:
        return head, await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
    return head, b""


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that answers every request with OK."""
    while True:
        head, _ = await request_of(reader)
        writer.write(OK[:-2] if head.startswith(b"HEAD") else OK)


async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that answers with the very bytes of the request."""
    while True:
        head, body = await request_of(reader)
        said = head + body
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(said) + said)


async def hijack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that turns every connection into an echo, and says goodbye after the client's end."""
    head, _ = await request_of(reader)
    writer.write(UPGRADED if b"upgrade:" in head.lower() else HIJACKED)
    await writer.drain()
    seen = hashlib.sha256()
    while data := await reader.read(1 << 16):
        seen.update(data)
        writer.write(data)
        await writer.drain()
    writer.write(b"bye " + seen.hexdigest().encode())
    writer.write_eof()
    await writer.drain()
