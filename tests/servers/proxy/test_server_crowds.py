"""Crowds at the proxy's doors: who is silent gives way, who is at work stays, and a newcomer is served."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from mooring.adapters.host.tls import MutualTls
from mooring.servers.proxy import relay_requests
from mooring.servers.proxy.server import Listener, ProxyServer
from mooring.servers.quotas import Quota
from tests.adapters.certificates import authority, signed
from tests.servers.proxy.rigs import Client, Engine, hijack, parrot, recognise, relayed

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"
ATTACH = b"POST /containers/a/attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


async def test_silent_clients_give_way_and_a_stream_does_not(tmp_path: Path) -> None:
    """Five times as many as there may be: each further one costs the oldest silent one its place."""
    quota = Quota("the proxy", 8, 8)
    async with relayed(tmp_path, hijack, quota=quota) as rig:
        stream = await rig.client()
        await stream.send(ATTACH)
        await stream.until(b"\r\n\r\n")
        for _ in range(40):
            await rig.client()
        await stream.send(b"still there")
        assert await stream.read(5)
        assert len(rig.server.relays) <= 16  # those that were told to go may still be going


async def test_beyond_what_a_peer_may_have_it_is_told_so_in_one_line(tmp_path: Path) -> None:
    """Where everybody is at work nobody gives way: Docker's form, 503, and the end."""
    quota = Quota("the proxy at x", 2, 2)
    async with relayed(tmp_path, hijack, quota=quota) as rig:
        for _ in range(2):
            client = await rig.client()
            await client.send(ATTACH)
            await client.until(b"\r\n\r\n")
        refused = await rig.client()
        status, _, body = await refused.reply()
        assert (status, b"has 2 connections to the proxy at x" in body, await refused.rest()) == (503, True, b"")
        client.close()
        await asyncio.sleep(0.1)
        again = await rig.client()
        await again.send(ATTACH)
        assert b"101" in await again.until(b"\r\n")


async def test_a_head_that_does_not_end_is_answered_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then keeps nothing open; a connection between two requests stays."""
    monkeypatch.setattr(relay_requests, "HEAD_TIME", 0.2)
    async with relayed(tmp_path, parrot) as rig:
        idle, slow = await rig.client(), await rig.client()
        assert (await idle.ask(GET))[0] == 200
        await slow.send(GET[:20])
        assert (await slow.reply())[0] == 408
        assert await slow.rest() == b""
        assert (await idle.ask(GET))[0] == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_clients_without_a_certificate_take_no_place_from_one_that_has_one(tmp_path: Path) -> None:
    """They are counted before they have proved anything, and are the first to go."""
    ca = authority(tmp_path)
    ours, theirs = signed(tmp_path, ca, "server"), signed(tmp_path, ca, "client")
    engine = Engine(tmp_path / "engine.sock", parrot)
    await engine.start()
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    server = ProxyServer(str(engine.path), recognise)
    started = asyncio.Event()
    trust = ssl.create_default_context(cafile=str(ca.cert))
    trust.check_hostname = False
    trust.load_cert_chain(theirs.cert, theirs.key)
    quota = Quota("the proxy", 8, 8)
    async with asyncio.TaskGroup() as tasks:
        listener = Listener(tcp, MutualTls(ours.cert, ours.key, ca.cert).wrap, quota=quota)
        tasks.create_task(server.serve([listener], started.set))
        await started.wait()
        silent = [await asyncio.open_connection(*tcp.getsockname()) for _ in range(40)]
        client = Client(*await asyncio.open_connection(*tcp.getsockname(), ssl=trust))
        assert (await client.ask(GET))[0] == 200
        client.close()
        for _, writer in silent:
            writer.close()
        server.stop()
    await engine.stop()
