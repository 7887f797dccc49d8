"""Who is at the other end, as the audit log says it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import ssl
from pathlib import Path

import pytest

from mooring.adapters.host.tls import MutualTls
from mooring.servers.proxy.peers import Who, who_is
from mooring.servers.proxy.tls_streams import over_tls
from tests.adapters.certificates import authority, signed


class Asker(asyncio.Protocol):
    """Finds out who has connected."""

    def __init__(self, found: asyncio.Future[Who]) -> None:
        self.found = found

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.found.set_result(who_is(transport))


async def test_a_process_is_known_to_the_kernel(tmp_path: Path) -> None:
    """By user, group and number."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Who] = loop.create_future()
    server = await loop.create_unix_server(lambda: Asker(found), str(tmp_path / "s"))
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    assert await found == {"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()}
    writer.close()
    server.close()


async def test_a_peer_has_an_address() -> None:
    """And a port."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Who] = loop.create_future()
    server = await loop.create_server(lambda: Asker(found), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    host, port = writer.get_extra_info("sockname")
    assert await found == {"peer": f"{host}:{port}"}
    writer.close()
    server.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_a_certificate_has_a_subject_and_a_fingerprint(tmp_path: Path) -> None:
    """The one that `openssl x509 -fingerprint -sha256` prints."""
    ca = authority(tmp_path)
    mine, theirs = (signed(tmp_path, ca, name) for name in ("server", "alice"))
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Who] = loop.create_future()
    tls = MutualTls(mine.cert, mine.key, ca.cert)
    server = await loop.create_server(over_tls(tls.wrap, lambda: Asker(found)), "127.0.0.1", 0)
    trusting = ssl.create_default_context(cafile=ca.cert)
    trusting.load_cert_chain(theirs.cert, theirs.key)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusting)
    who = await found
    der = ssl.PEM_cert_to_DER_cert(theirs.cert.read_text())
    assert who["subject"] == "CN=alice"
    assert who["fingerprint"] == "sha256:" + hashlib.sha256(der).hexdigest()
    assert str(who["peer"]).startswith("127.0.0.1:")
    writer.close()
    server.close()
