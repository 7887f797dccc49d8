"""TLS whose directions end one by one, against a client that does what Go's does."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from mooring.adapters.host.tls import mutual_tls
from mooring.servers.proxy import tls_streams
from mooring.servers.proxy.tls_streams import over_tls
from tests.adapters.certificates import authority, signed
from tests.servers.proxy.rigs import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
PATIENCE = 10.0
MEGABYTES = 5 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server and a client."""
    folder = tmp_path_factory.mktemp("tls")
    ca = authority(folder)
    for name in ("server", "client"):
        signed(folder, ca, name)
    return folder


class Application(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, stays: bool = True) -> None:
        self.transport: asyncio.Transport
        self.made, self.ended, self.lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.slow = asyncio.Event()
        self.got = bytearray()
        self.more = asyncio.Event()
        self._stays = stays

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self.transport = cast("asyncio.Transport", transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self.got += data
        self.more.set()

    def eof_received(self) -> bool:
        """Note it."""
        self.ended.set()
        return self._stays

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it."""
        self.lost.set()

    def pause_writing(self) -> None:
        """Note it."""
        self.slow.set()

    def resume_writing(self) -> None:
        """Note it."""
        self.slow.clear()

    async def received(self, size: int) -> bytes:
        """All, once there is so much."""
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < size:
                self.more.clear()
                await self.more.wait()
        return bytes(self.got)


class Client:
    """A client that can end its direction and still read."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: Path, version: ssl.TLSVersion
    ) -> None:
        self.reader, self.writer = reader, writer
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
        context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")

    async def _until(self, step: Callable[[], bytes | None]) -> bytes | None:
        """Do the step as soon as it can be done."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    await self.flush()
                    data = await self.reader.read(1 << 16)
                    if data:
                        self.incoming.write(data)
                    else:
                        self.incoming.write_eof()
                finally:
                    await self.flush()

    async def flush(self) -> None:
        """Send what is to be sent."""
        if self.outgoing.pending:
            self.writer.write(self.outgoing.read())
            await self.writer.drain()

    async def shake_hands(self) -> None:
        """Until it is done."""
        await self._until(self.tls.do_handshake)

    async def send(self, data: bytes) -> None:
        """Encrypt and send."""
        for start in range(0, len(data), 1 << 16):
            self.tls.write(data[start : start + (1 << 16)])
            await self.flush()

    async def end(self) -> None:
        """As Go's CloseWrite: TLS's end, and the socket stays as it is."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self.flush()

    async def read(self) -> bytes:
        """The next bytes, b"" for TLS's own end."""
        with suppress(ssl.SSLZeroReturnError):  # what OpenSSL calls it when both have ended
            return await self._until(lambda: self.tls.read(1 << 16)) or b""
        return b""

    async def rest(self) -> bytes:
        """All up to TLS's own end."""
        said = b""
        while data := await self.read():
            said += data
        return said


@asynccontextmanager
async def joined(
    folder: Path, *, stays: bool = True, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[tuple[Client, Application]]:
    """A client and an application, hands shaken."""
    application = Application(stays)
    context = mutual_tls(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        over_tls(partial(context.wrap_bio, server_side=True), lambda: application), "127.0.0.1", 0
    )
    async with server:
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()), folder, version)
        await client.shake_hands()
        async with asyncio.timeout(PATIENCE):
            await application.made.wait()
        try:
            yield client, application
            client.writer.close()
            async with asyncio.timeout(PATIENCE):
                await application.lost.wait()
        finally:
            client.writer.transport.abort()
            application.transport.abort()
            await asyncio.sleep(0.01)


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@BOTH
async def test_what_is_said_after_the_clients_end_arrives(folder: Path, version: ssl.TLSVersion) -> None:
    """As `docker exec` without standard input needs it: it ends its direction at once."""
    async with joined(folder, version=version) as (client, application):
        await client.send(b"question")
        await client.end()
        async with asyncio.timeout(PATIENCE):
            await application.ended.wait()
        assert application.got == b"question"
        assert not application.transport.is_closing()
        application.transport.write(b"answer" * 100_000)
        application.transport.write_eof()
        assert await client.rest() == b"answer" * 100_000


@BOTH
async def test_what_is_said_after_our_end_arrives(folder: Path, version: ssl.TLSVersion) -> None:
    """The other way round; and what waits to be read when our end is sent is not lost."""
    async with joined(folder, version=version) as (client, application):
        application.transport.pause_reading()
        await client.send(b"early")
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(0.02)
        application.transport.write(b"last words")
        application.transport.write_eof()
        application.transport.write(b"too late")
        assert await client.rest() == b"last words"
        await client.send(b" and late")
        application.transport.resume_reading()
        assert await application.received(14) == b"early and late"
        await client.end()
        async with asyncio.timeout(PATIENCE):
            await application.ended.wait()


async def test_much_goes_in_both_directions_at_once(folder: Path) -> None:
    """With every byte in its place."""
    text = bytes(range(256)) * (MEGABYTES // 256)
    async with joined(folder) as (client, application), asyncio.TaskGroup() as tasks:
        application.transport.write(text)
        application.transport.write_eof()
        said = tasks.create_task(client.rest())
        tasks.create_task(client.send(text))
        assert await application.received(len(text)) == text
        assert await said == text


async def test_slowness_reaches_the_other_side(folder: Path) -> None:
    """A client that does not read holds up our writing, and an application that does not, the client's."""
    async with joined(folder) as (client, application):
        application.transport.set_write_buffer_limits(1 << 16)
        while not application.slow.is_set():
            application.transport.write(bytes(1 << 16))
        size = application.transport.get_write_buffer_size()
        assert size > 1 << 16
        application.transport.write_eof()
        await client.rest()
        assert not application.slow.is_set()

        application.transport.pause_reading()
        assert not application.transport.is_reading()
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(client.send(bytes(4 * MEGABYTES)))
            done, _ = await asyncio.wait([sending], timeout=0.1)
            assert not done
            before = len(application.got)
            application.transport.resume_reading()
            assert len(application.got) == before  # not at once
            await application.received(4 * MEGABYTES)


async def test_an_application_may_stop_in_the_middle_of_a_record(folder: Path) -> None:
    """What was decrypted already waits with the rest."""
    async with joined(folder) as (client, application):
        real = application.data_received

        def once(data: bytes) -> None:
            real(data)
            application.transport.pause_reading()

        application.data_received = once  # type: ignore[method-assign]
        for piece in (b"a", b"b", b"c"):
            client.tls.write(piece)
        await client.flush()
        assert await application.received(1) == b"a"
        application.transport.resume_reading()
        assert await application.received(2) == b"ab"
        application.transport.resume_reading()
        assert await application.received(3) == b"abc"
        application.transport.resume_reading()


async def test_a_connection_that_breaks_is_lost_and_not_ended(folder: Path) -> None:
    """Without TLS's own end nobody may take it for one: somebody could have cut it."""
    async with joined(folder) as (client, application):
        await client.send(b"x")
        await application.received(1)
        client.writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            await application.lost.wait()
        assert not application.ended.is_set()


async def test_bytes_that_are_no_tls_end_the_connection(folder: Path) -> None:
    """In the middle of everything."""
    async with joined(folder) as (client, application):
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await application.lost.wait()
        assert application.got == b""


async def test_an_application_that_wants_no_half_gets_none(folder: Path) -> None:
    """It says so with eof_received, as with asyncio's own transports."""
    async with joined(folder, stays=False) as (client, application):
        await client.end()
        assert await client.rest() == b""
        async with asyncio.timeout(PATIENCE):
            await application.lost.wait()


async def test_a_close_sends_what_was_written(folder: Path) -> None:
    """Then TLS's end; an abort sends nothing more."""
    async with joined(folder) as (client, application):
        application.transport.write(b"bye" * 100_000)
        application.transport.close()
        assert application.transport.is_closing()
        application.transport.write(b"never")
        assert await client.rest() == b"bye" * 100_000
    async with joined(folder) as (client, application):
        application.transport.abort()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await client.rest()


async def test_the_application_sees_who_is_there(folder: Path) -> None:
    """The client's certificate, and the socket below."""
    async with joined(folder) as (_, application):
        subject = application.transport.get_extra_info("peercert")["subject"]
        assert subject == ((("commonName", "client"),),)
        assert application.transport.get_extra_info("socket") is not None
        assert application.transport.can_write_eof()
    assert application.transport.get_extra_info("socket", "gone") == "gone"


@pytest.mark.parametrize("text", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_who_does_not_shake_hands_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    """Silence, after a while; plain text, at once. The application never hears of them."""
    monkeypatch.setattr(tls_streams, "HANDSHAKE", 0.01)
    application = Application()
    context = mutual_tls(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    server = await asyncio.get_running_loop().create_server(
        over_tls(partial(context.wrap_bio, server_side=True), lambda: application), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(text)
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
    assert not application.made.is_set()


@pytest.mark.parametrize(
    ("sent", "gone", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False, "HTTP_REQUEST"),
        (b"\x16\x03\x01\x02\x00\x01", True, "the handshake was cut off"),
        (b"\x16\x03\x01\x02\x00\x01", False, "the handshake took too long"),
        (b"", True, ""),
        (b"", False, ""),
    ],
)
async def test_who_proves_nothing_is_heard_of_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes, gone: bool, why: str
) -> None:
    """Whatever ends the handshake; who has said nothing asked for nothing."""
    monkeypatch.setattr(tls_streams, "HANDSHAKE", 30.0 if gone else 0.2)
    heard: list[tuple[str, bool]] = []

    def refused(transport: asyncio.BaseTransport, reason: str) -> None:
        heard.append((reason, bool(transport.get_extra_info("peername"))))

    context = mutual_tls(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    streams: list[asyncio.Protocol] = []

    def made() -> asyncio.Protocol:
        streams.append(over_tls(partial(context.wrap_bio, server_side=True), Application, None, refused)())
        return streams[-1]

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        await writer.drain()
        if gone:
            writer.close()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                await reader.read()
        await until(lambda: bool(streams) and all(getattr(stream, "below", stream) is None for stream in streams))
        writer.close()
    assert heard == ([(why, True)] if why else [])
