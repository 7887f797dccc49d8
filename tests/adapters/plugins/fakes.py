"""A plugin that answers as a test says, byte for byte, and a clock that never makes anybody wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring.adapters.plugins.client import PluginClient
from mooring.adapters.plugins.discovery import Kind, PluginAddress
from mooring.testing.clocks import ManualClock


class HastyClock(ManualClock):
    """Who sleeps wakes at once, that much later. pauses: how long each slept. meanwhile: awaited in the first."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        self.pauses.append(seconds)
        self.advance(seconds)
        if self.meanwhile is not None and len(self.pauses) == 1:
            await self.meanwhile()


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, None when it is empty."""
        return json.loads(self.body) if self.body else None


# The bytes of the reply, None to hang up instead.
Script = Callable[[Asked], bytes | None]


def reply(document: object = None, status: int = 200, *headers: str) -> bytes:
    """A reply of HTTP/1.1 with the JSON of the document, or with the bytes."""
    body = document if isinstance(document, bytes) else json.dumps({} if document is None else document).encode()
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} Text", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


@dataclass
class FakePlugin:
    """asked: every request that was read whole. connections: how many were accepted. hang_up: after each reply."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    hang_up: bool = False
    before: Callable[[], Awaitable[None]] | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def methods(self) -> list[str]:
        """What was asked, without the protocol's name."""
        return [asked.method.rpartition(".")[2] for asked in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer) and not self.hang_up:
                    pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.writers.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        verb, path, version = first.split(" ")
        assert (verb, version) == ("POST", "HTTP/1.1")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        asked = Asked(path[1:], headers, await reader.readexactly(int(headers["content-length"])))
        self.asked.append(asked)
        if self.before is not None:
            await self.before()
        data = self.script(asked)
        if data is None:
            return False
        writer.write(data)
        await writer.drain()
        return True

    async def drop(self) -> None:
        """Every connection is closed."""
        for writer in list(self.writers):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def plugin(path: Path, script: Script, hang_up: bool = False) -> AsyncIterator[FakePlugin]:
    """A plugin on the socket."""
    fake = FakePlugin(script, hang_up=hang_up)
    server = await asyncio.start_unix_server(fake.serve, path)
    try:
        yield fake
    finally:
        server.close()
        await fake.drop()
        await server.wait_closed()


@asynccontextmanager
async def tcp_plugin(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[FakePlugin, int]]:
    """A plugin on a port of the loopback address, with the port."""
    fake = FakePlugin(script)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield fake, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await fake.drop()
        await server.wait_closed()


@dataclass(frozen=True)
class Line:
    """A plugin and a client of it."""

    plugin: FakePlugin
    client: PluginClient
    clock: HastyClock


@asynccontextmanager
async def line(folder: Path, script: Script, patience: float = 30.0, hang_up: bool = False) -> AsyncIterator[Line]:
    """A plugin named p in the folder, and a client of it. patience: its timeout."""
    clock = HastyClock()
    async with plugin(folder / "p.sock", script, hang_up) as fake:
        client = PluginClient(address(folder / "p.sock"), clock, patience)
        try:
            yield Line(fake, client, clock)
        finally:
            await client.close()


def address(path: Path) -> PluginAddress:
    """Of a plugin named p."""
    return PluginAddress("p", Kind.UNIX, path=str(path))


def replies(**documents: Any) -> Script:
    """Answers each method by the name that follows its dot; those that are not named get `{}`."""

    def script(asked: Asked) -> bytes | None:
        document = documents.get(asked.method.rpartition(".")[2])
        return document if isinstance(document, bytes) and document.startswith(b"HTTP/") else reply(document)

    return script


def always(document: object, status: int = 200) -> Script:
    """Answers everything with that."""
    return lambda _: reply(document, status)
