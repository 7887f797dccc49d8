"""The door: several listeners, TLS, and an end that cuts no hooked request short."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path

import pytest

from mooring.servers.proxy.server import Listener, ProxyLimits, ProxyServer
from tests.servers.proxy.rigs import UPGRADED, Client, Engine, Hooks, hijack, parrot, recognise, relayed, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
START = b"POST /v1.41/containers/a/start HTTP/1.1\r\nHost: docker\r\n\r\n"
UPGRADE = b"POST /containers/a/attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


async def test_several_listeners_share_one_server(tmp_path: Path) -> None:
    """A unix socket and a TCP port."""
    engine = Engine(tmp_path / "engine.sock", parrot)
    await engine.start()
    unix, tcp = socket.socket(socket.AF_UNIX), socket.socket()
    unix.bind(str(tmp_path / "proxy.sock"))
    tcp.bind(("127.0.0.1", 0))
    server = ProxyServer(str(engine.path), recognise)
    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([Listener(unix), Listener(tcp)], started.set))
        await started.wait()
        clients = [
            Client(*await asyncio.open_unix_connection(str(tmp_path / "proxy.sock"))),
            Client(*await asyncio.open_connection(*tcp.getsockname())),
        ]
        for client in clients:
            assert (await client.ask(GET))[2] == GET
            client.close()
        server.stop()
        await asyncio.wait([serving])
        await engine.stop()
    assert (tmp_path / "proxy.sock").exists()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that nobody signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout {key} -out"
    subprocess.run([*command.split(), str(made)], check=True, capture_output=True)
    return made, key


async def test_a_listener_may_speak_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """Requests, streams and a client that goes away, as without it."""
    tls, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(certificate[0]))
    tls.load_cert_chain(*certificate)
    trust.check_hostname = False
    engine = Engine(tmp_path / "engine.sock", both)
    await engine.start()
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    server = ProxyServer(str(engine.path), recognise)
    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([Listener(tcp, partial(tls.wrap_bio, server_side=True))], started.set))
        await started.wait()
        client = Client(*await asyncio.open_connection(*tcp.getsockname(), ssl=trust))
        assert (await client.ask(GET))[2] == GET
        await client.send(UPGRADE)
        assert await client.read(len(UPGRADED)) == UPGRADED
        client.writer.write(bytes(3 << 20))
        assert await client.read(3 << 20) == bytes(3 << 20)
        client.close()
        await until(lambda: not server.relays)
        server.stop()
        await asyncio.wait([serving])
        await engine.stop()


async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that answers one request and echoes after the next."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
    await hijack(reader, writer)


async def test_a_hooked_request_is_carried_to_its_end(tmp_path: Path) -> None:
    """The server stops meanwhile: the reply comes, then the end; idle connections end at once."""
    hooks = Hooks()
    hooks.go.clear()
    async with relayed(tmp_path, parrot, hook=hooks) as rig:
        idle, busy = await rig.client(), await rig.client()
        await idle.ask(GET)
        await busy.send(START)
        await hooks.entered.wait()
        rig.server.stop()
        assert await idle.rest() == b""
        hooks.go.set()
        assert (await busy.reply())[2] == START
        assert await busy.rest() == b""
    assert len(hooks.told) == 1


async def test_streams_are_cut_at_the_end(tmp_path: Path) -> None:
    """They have none of their own."""
    async with relayed(tmp_path, hijack, limits=ProxyLimits(plain=0.05)) as rig:
        client = await rig.client()
        await client.send(UPGRADE)
        await client.read(len(UPGRADED))
        rig.server.stop()
        assert await client.rest() == b""
        await until(lambda: not rig.server.relays)


async def test_a_hooked_request_without_an_end_is_settled_and_cut(tmp_path: Path) -> None:
    """After the time that there is, as unknown."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    hooks = Hooks()
    async with relayed(tmp_path, engine, hook=hooks, limits=ProxyLimits(drain=0.1, plain=0.05)) as rig:
        client = await rig.client()
        await client.send(START)
        await until(lambda: rig.engine.connections == 1)
        rig.server.stop()
        assert await client.rest() == b""
    assert hooks.told == [None]
