"""Why a server is not reached by TLS, in words; the servers are Python's, those of etcd in tests/contracts."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mooring.adapters.etcd.tls_faults import Blame, Identity, blamed
from tests.adapters.certificates import Pair, authority, dated, signed
from tests.e2e.lab.etcds import free_ports

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

PAST = ("20200101000000Z", "20210304050607Z")
FUTURE = ("20600101000000Z", "20610101000000Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, and certificates of the first: good ones, for another name, ended, not yet valid; a stranger's
    of the second."""
    folder = tmp_path_factory.mktemp("tls")
    ca, other = authority(folder), authority(folder, "other")
    for name, by, address in (
        ("good", ca, "127.0.0.1"),
        ("elsewhere", ca, "10.1.2.3"),
        ("stranger", other, "127.0.0.1"),
    ):
        signed(folder, by, name, address=address)
    dated(folder, ca, "old", *PAST)
    dated(folder, ca, "lost", *PAST, address="10.1.2.3")
    dated(folder, ca, "early", *FUTURE)
    return folder


def pair(folder: Path, name: str) -> Pair:
    """A certificate of the fixture."""
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def identity(folder: Path, client: str = "good", ca: str = "ca") -> Identity:
    """Who has that certificate, and trusts that authority; "" for none."""
    mine = pair(folder, client)
    shown = (mine.cert.read_bytes(), mine.key.read_bytes()) if client else (b"", b"")
    return Identity((folder / f"{ca}.pem").read_bytes() if ca else b"", *shown)


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    """Of one that shows that certificate, and wants one of the first authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine = pair(folder, name)
    context.load_cert_chain(mine.cert, mine.key)
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def served(folder: Path, name: str) -> AsyncIterator[int]:
    """Such a server, which greets; its port."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(b"welcome")
            await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_context(folder, name))
    async with server:
        yield server.sockets[0].getsockname()[1]


async def blame(folder: Path, server: str, client: str = "good", ca: str = "ca") -> Blame | None:
    """What is wrong between the two."""
    async with served(folder, server) as port:
        return await blamed("127.0.0.1", port, identity(folder, client, ca))


@pytest.mark.parametrize(
    ("server", "client", "ca", "what", "hint"),
    [
        ("old", "good", "ca", "its certificate old ended at 2021-03-04 05:06 UTC", "--cert-file"),
        ("lost", "good", "ca", "its certificate lost ended at 2021-03-04 05:06 UTC", "--cert-file"),
        ("early", "good", "ca", "its certificate early is valid from 2060-01-01 00:00 UTC only", "host's clock right"),
        ("elsewhere", "good", "ca", "its certificate elsewhere is for 10.1.2.3, localhost, and not for 127.0.0.1", ""),
        ("good", "good", "other", "its certificate good, signed by ca, is not of the authority that was given", "--ca"),
        ("good", "good", "", "its certificate good, signed by ca, is not of any that this host knows", "--ca"),
        ("good", "old", "ca", "the client's certificate old ended at 2021-03-04 05:06 UTC", "cluster token"),
        ("good", "early", "ca", "the client's certificate early is valid from 2060-01-01 00:00 UTC only", "clock"),
        ("good", "stranger", "ca", "does not take the client's certificate stranger, signed by other,", "trusted-ca"),
        ("good", "", "ca", "it wants a client's certificate, and there is none", "--certificate and --key"),
    ],
)
async def test_the_certificate_that_is_not_taken_is_named_with_why_and_what_to_do(
    folder: Path, server: str, client: str, ca: str, what: str, hint: str
) -> None:
    """Of either side; gRPC's own words are the same for most of these."""
    said = await blame(folder, server, client, ca)
    assert said is not None
    assert what in said.what
    assert hint in said.hint


async def test_a_client_is_refused_in_the_handshake_as_well(folder: Path) -> None:
    """Before TLS 1.3 it is told at once."""
    context = server_context(folder, "good")
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def refuse(listener: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refused = asyncio.get_running_loop().run_in_executor(None, refuse, listener)
        said = await blamed("127.0.0.1", listener.getsockname()[1], identity(folder, "old"))
        await refused
    assert said is not None
    assert said.what == "the client's certificate old ended at 2021-03-04 05:06 UTC"


async def test_an_authority_that_has_ended_is_told_apart_from_its_servers(tmp_path: Path) -> None:
    """The server's own certificate is valid for longer."""
    root = authority(tmp_path, "root")
    ca = dated(tmp_path, root, "ca", *PAST, signs=True)
    signed(tmp_path, ca, "good")
    ca.cert.write_bytes(ca.cert.read_bytes() + root.cert.read_bytes())
    said = await blame(tmp_path, "good")
    assert said is not None
    assert said.what == "the authority's certificate ca ended at 2021-03-04 05:06 UTC"


async def test_what_was_given_and_cannot_be_used_is_told_by_its_part(folder: Path) -> None:
    """No connection is made for that."""
    good, other = identity(folder), identity(folder, "stranger")
    for given, words in (
        (Identity(b"x", good.certificate, good.key), "the authority is no certificate in PEM"),
        (Identity(good.ca, good.certificate, other.key), "the client's key is not that of its certificate"),
        (Identity(good.ca, b"x", good.key), "are not both PEM"),
    ):
        said = await blamed("127.0.0.1", 1, given)
        assert said is not None
        assert words in said.what


async def test_nobody_is_blamed_for_what_is_not_about_certificates(folder: Path) -> None:
    """All is well; nobody listens; somebody listens and says nothing, or leaves at once."""
    assert await blame(folder, "good") is None
    assert await blamed("127.0.0.1", free_ports(1)[0], identity(folder)) is None

    gone = asyncio.Event()

    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()
        gone.set()

    for handler in (leave, listen):
        async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
            assert await blamed("127.0.0.1", server.sockets[0].getsockname()[1], identity(folder)) is None
    await gone.wait()


async def test_a_server_without_tls_is_told(folder: Path) -> None:
    """It answers in words of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        said = await blamed("127.0.0.1", server.sockets[0].getsockname()[1], identity(folder))
    assert said == ("it speaks no TLS there", "if it is to be without, write http://")
