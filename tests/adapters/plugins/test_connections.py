"""One connection: every form of a reply is read, and whatever else comes is Lost or Garbled."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.adapters.plugins.connections import REPLY_BYTES, Connection, Garbled, Lost, Reply, dial, tls_context
from mooring.adapters.plugins.discovery import Kind, PluginAddress, Tls
from tests.adapters.certificates import authority, signed
from tests.adapters.plugins.fakes import address, plugin, reply, tcp_plugin

REQUEST = b"POST /M HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def connected(folder: Path, data: bytes, hang_up: bool = True) -> AsyncIterator[Connection]:
    """To a plugin that answers with the bytes and perhaps hangs up."""
    async with plugin(folder / "p.sock", lambda _: data, hang_up):
        company: set[Connection] = set()
        connection = await dial(address(folder / "p.sock"), None, company)
        assert company == {connection}
        try:
            yield connection
        finally:
            connection.close()
            await connection.ended.wait()
            assert company == set()


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "expected", "reusable"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}", Reply(200, b"{}"), True),
        (HEAD + b"content-length: 0\r\nX: y\r\n\r\n", Reply(200, b""), True),
        (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", Reply(200, b"{}"), False),
        (CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", Reply(200, b"{}"), True),
        (HEAD + b"\r\n{} and more", Reply(200, b"{} and more"), False),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", Reply(200, b"{}"), False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", Reply(200, b"{}"), False),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", Reply(404, b"gone"), True),
        (b"HTTP/1.1 204 None\r\n\r\n", Reply(204, b""), True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + reply(), Reply(200, b"{}"), True),
        (reply() + reply(), Reply(200, b"{}"), False),
        (reply() + b"garbage", Reply(200, b"{}"), False),
    ],
)
async def test_a_reply_is_read_in_every_form(tmp_path: Path, data: bytes, expected: Reply, reusable: bool) -> None:
    """With a length, in chunks, until the end; what nobody asked for makes the connection unusable."""
    async with connected(tmp_path, data, hang_up=not reusable) as connection:
        assert await connection.ask(REQUEST) == expected
        assert connection.reusable is reusable


async def test_one_connection_bears_many_questions(tmp_path: Path) -> None:
    """One after another."""
    async with connected(tmp_path, reply(), hang_up=False) as connection:
        for _ in range(3):
            assert await connection.ask(REQUEST) == Reply(200, b"{}")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x01\x02", "not HTTP"),
        (b"hello\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2", "broke off after 10 bytes"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "broke off"),
        (HEAD + b"Content-Length: 10\r\n\r\n{}", "broke off"),
        (CHUNKED + b"5\r\n{", "broke off"),
        (CHUNKED + b"zz\r\n", "not HTTP"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "not HTTP"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "not HTTP"),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", "larger than"),
        (HEAD + b"Content-Length: 9999999999999999999\r\n\r\n", "larger than"),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "larger than|not HTTP"),
        (HEAD + b"A: " + b"b" * REPLY_BYTES, "larger than|not HTTP"),
        (HEAD + b"A: b\r\n" * 800_000, "larger than|not HTTP"),
        (HEAD + b"\r\n" + b"b" * REPLY_BYTES, "larger than"),
        (CHUNKED + b"1\r\nx\r\n" * 800_000, "larger than"),
        (b"HTTP/1.1 101 Other\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", "not HTTP"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "not HTTP"),
    ],
    ids=range(18),
)
async def test_what_is_no_reply_is_garbled(tmp_path: Path, data: bytes, reason: str) -> None:
    """Half a reply, no HTTP, and what would never end."""
    async with connected(tmp_path, data) as connection:
        with pytest.raises(Garbled, match=reason):
            await connection.ask(REQUEST)
        assert not connection.reusable


async def test_nothing_at_all_is_lost(tmp_path: Path) -> None:
    """The plugin hangs up instead of answering, and asking again on that connection is the same."""
    async with connected(tmp_path, b"") as connection:
        for _ in range(2):
            with pytest.raises(Lost, match="closed"):
                await connection.ask(REQUEST)


async def test_nobody_listening_is_lost(tmp_path: Path) -> None:
    """No socket, or one that nobody serves."""
    with pytest.raises(Lost, match="No such file"):
        await dial(address(tmp_path / "none.sock"), None, set())
    async with plugin(tmp_path / "p.sock", lambda _: None):
        pass
    with pytest.raises(Lost, match="cannot connect to"):
        await dial(address(tmp_path / "p.sock"), None, set())


async def test_a_question_that_is_given_up_closes_its_connection(tmp_path: Path) -> None:
    """A late reply must not answer the next question."""
    async with connected(tmp_path, b"HTTP/1.1 ", hang_up=False) as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await connection.ask(REQUEST)
        with pytest.raises(Lost):
            await connection.ask(REQUEST)


PIECES = st.binary(max_size=60) | st.sampled_from(
    [
        HEAD, b"HTTP/1.1 ", b"HTTP/1.0 500 x\r\n", b"\r\n", b"\r\n\r\n", b"Content-Length: 5\r\n", b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n", b"5\r\n", b"0\r\n\r\n", b"Connection: keep-alive\r\n", b"Upgrade: x\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n", b"{}", json.dumps({"Err": "x"}).encode(), b"99999999999999999999",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=8), st.lists(st.integers(1, 40), max_size=4))
def test_arbitrary_bytes_are_a_reply_or_a_bad_end(pieces: list[bytes], cuts: list[int]) -> None:
    """In whatever pieces they come; nothing else is raised, and nothing is left waiting once the plugin hung up."""

    async def ask() -> None:
        connection = Connection(set())
        connection.connection_made(_Deaf())
        data = b"".join(pieces)

        def feed() -> None:
            start = 0
            for size in (*cuts, len(data)):
                connection.data_received(data[start : start + size])
                start += size
            connection.connection_lost(None)

        asyncio.get_running_loop().call_soon(feed)
        try:
            got = await connection.ask(REQUEST)
        except (Lost, Garbled):
            assert not connection.reusable
        else:
            assert 200 <= got.status <= 999

    asyncio.run(ask())


class _Deaf(asyncio.Transport):
    """Sends nothing."""

    def write(self, data: object) -> None:
        """Nothing."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing."""


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem and key.pem for localhost, which is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {folder}/key.pem -out {folder}/cert.pem"
    subprocess.run(command.split(), check=True, capture_output=True)
    return folder


def server_context(folder: Path, mutual: bool = False) -> ssl.SSLContext:
    """Of a plugin with the certificate; mutual: its clients need the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "cert.pem")
    return context


async def ask_tls(port: int, tls: Tls) -> Reply:
    """The reply of the plugin at localhost."""
    connection = await dial(PluginAddress("p", Kind.TLS, host="localhost", port=port, tls=tls), tls_context(tls), set())
    try:
        return await connection.ask(REQUEST)
    finally:
        connection.close()
        await connection.ended.wait()


async def test_tls_is_spoken_as_the_settings_say(certificate: Path) -> None:
    """With its authority, or without looking, and with a certificate of our own for a plugin that wants one."""
    authorities, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    async with tcp_plugin(lambda _: reply(), server_context(certificate, mutual=True)) as (_, port):
        for verify in (True, False):
            assert (await ask_tls(port, Tls(verify, authorities, authorities, key))).status == 200
        with pytest.raises((Lost, Garbled)):
            await ask_tls(port, Tls(True, authorities))


async def test_an_authority_that_does_not_say_what_its_key_is_for_counts(tmp_path: Path) -> None:
    """As it does for the engine; Python is stricter by itself from 3.13 on."""
    ca = authority(tmp_path, usage=False)
    plugin = signed(tmp_path, ca, "plugin")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plugin.cert, plugin.key)
    async with tcp_plugin(lambda _: reply(), context) as (_, port):
        assert (await ask_tls(port, Tls(True, str(ca.cert)))).status == 200


async def test_a_certificate_that_does_not_hold_is_told(certificate: Path) -> None:
    """Asking again would not help."""
    async with tcp_plugin(lambda _: reply(), server_context(certificate)) as (_, port):
        with pytest.raises(Garbled, match="certificate cannot be verified"):
            await ask_tls(port, Tls())


def test_tls_files_that_are_none_are_an_error_of_the_system(tmp_path: Path) -> None:
    """Missing, or not PEM; nobody is asked for a passphrase."""
    (tmp_path / "bad").write_text("nothing")
    for tls in (Tls(True, "/nowhere"), Tls(True, str(tmp_path / "bad")), Tls(False, "", str(tmp_path / "bad"), "/no")):
        with pytest.raises(OSError):
            tls_context(tls)
