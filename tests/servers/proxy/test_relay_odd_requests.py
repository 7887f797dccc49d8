"""What clients really send: loosely written requests, offers of other protocols, and bytes that are no request."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from mooring.core.faults import Fault, Forbidden
from mooring.servers.proxy.access import AccessRules, Rule
from mooring.servers.proxy.framing import HEAD_LIMIT
from mooring.servers.proxy.peers import Who
from mooring.servers.proxy.relay_exchanges import State
from mooring.servers.proxy.server import ProxyLimits
from mooring.wire.docker_api import Call
from mooring.wire.docker_api import recognise as docker_recognise
from tests.servers.proxy.rigs import OK, UPGRADED, Hooks, hijack, parrot, relayed, request_of, until

GET = b"GET /v1.41/info HTTP/1.1\r\nHost: docker\r\n\r\n"


def no_info(call: Call) -> Fault | None:
    """A rule."""
    return Forbidden("info is not for you") if call.section == "info" else None


async def test_the_audit_knows_of_bytes_that_are_no_request(tmp_path: Path) -> None:
    """With what there is of a method and a path, without the query; of a known call with its own; and who sent them."""
    heard: list[tuple[str, str, int, bool, str, object]] = []

    def audit(call: Call, status: int, who: Who, refused: bool, reason: str) -> None:
        heard.append((call.method, call.path, status, refused, reason, who.get("uid")))

    async with relayed(tmp_path, parrot, known=docker_recognise, admit=no_info, heard=audit) as rig:
        for data in (
            b"GET /secret?token=x HTTP/1.1\r\nno colon\r\n\r\n",
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\n\n",
            b"PRI * HTTP/2.0\r\n\r\n",
            b"PUT /" + b"x" * HEAD_LIMIT,
            b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            GET,
        ):
            client = await rig.client()
            await client.send(data)
            await client.reply()
    line = [one[:4] for one in heard]
    assert line == [
        ("GET", "/secret", 400, True),
        ("", "", 400, True),
        ("PRI", "*", 403, True),
        ("PUT", "/" + "x" * 2043, 431, True),
        ("POST", "/build", 400, True),
        ("GET", "/info", 403, True),
    ]
    assert [bool(one[4]) for one in heard] == [True] * 5 + [False]
    assert {one[5] for one in heard} == {os.getuid()}


async def test_the_audit_knows_of_what_never_became_a_request(tmp_path: Path) -> None:
    """A head that was cut off, by a client that is gone; and HTTP/2, in which nothing more is seen."""
    heard: list[tuple[str, str, int, str]] = []

    def audit(call: Call, status: int, _who: Who, _refused: bool, reason: str) -> None:
        heard.append((call.method, call.path, status, reason))

    async with relayed(tmp_path, hijack, known=docker_recognise, blind=True, heard=audit) as rig:
        for data in (b"GET /info?x HT", b"\r\n", b"PRI * HT"):
            client = await rig.client()
            await client.send(data)
            await until(lambda: any(relay.state is State.HEAD for relay in rig.server.relays))
            client.close()
            await until(lambda: not rig.server.relays)
        client = await rig.client()
        await client.send(b"PRI * HT", b"TP/2.0\r\n\r\n")
        await until(lambda: len(heard) > 2)
    cut = "mooring: the request's head was cut off"
    assert heard == [("GET", "/info", 0, cut), ("PRI", "*", 0, cut), ("PRI", "*", 0, "")]


@pytest.mark.parametrize(
    ("line", "options", "replies"),
    [
        (b"HTTP/1.1", b"Connection: close\r\n", 1),
        (b"HTTP/1.1", b"Connection: x, Close\r\n", 1),
        (b"HTTP/1.1", b"Connection: keep-alive\r\nConnection: close\r\n", 1),
        (b"HTTP/1.1", b"Connection: closed\r\n", 2),
        (b"HTTP/1.0", b"", 1),
        (b"HTTP/1.0", b"Connection: Keep-Alive\r\n", 2),
    ],
)
@pytest.mark.parametrize("target", [b"GET /version", b"POST /containers/create"])
async def test_behind_the_last_request_nothing_is_read(
    tmp_path: Path, target: bytes, line: bytes, options: bytes, replies: int
) -> None:
    """As the engine does it: what a client sends after it has asked for the end is no request, and is told nothing."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request_of(reader)
        writer.write(OK)
        if replies == 2:
            await request_of(reader)
            writer.write(OK)
        assert head

    async with relayed(tmp_path, engine, hook=Hooks(), known=docker_recognise, limits=ProxyLimits(spare=0)) as rig:
        client = await rig.client()
        request = target + b" " + line + b"\r\nHost: d\r\n" + options + b"\r\n"
        await client.send(request, request if replies == 2 else b'{"Image": "x"}')
        assert (await client.rest()).count(b"HTTP/1.1 ") == replies


async def test_an_old_client_is_not_asked_to_go_on(tmp_path: Path) -> None:
    """HTTP/1.0 knows no `100 Continue` (RFC 9110, 10.1.1)."""
    async with relayed(tmp_path, parrot, hook=Hooks(), known=docker_recognise) as rig:
        client = await rig.client()
        head = b"POST /containers/create HTTP/1.%d\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        await client.send(head % 0, b"{}")
        assert (await client.reply())[0] == 200


async def test_a_loose_request_passes_in_its_plain_form(tmp_path: Path) -> None:
    """`echo -e "GET /_ping HTTP/1.0\\r\\n" | nc -U`, and what else old clients send; in pieces, too."""
    loose = b"POST /build HTTP/1.1\nHost: h\r\nX: a\n b\nContent-Length: 2\n\nhi"
    async with relayed(tmp_path, parrot, hook=Hooks()) as rig:
        client = await rig.client()
        for pieces in ([loose], [loose[:9], loose[9:44], loose[44:]]):
            await client.send(*pieces)
            said = (await client.reply())[2]
            assert said == b"POST /build HTTP/1.1\r\nHost: h\r\nX: a b\r\nContent-Length: 2\r\n\r\nhi"
            await client.send(b"\r\n\n\r")  # Go passes over four of them after a POST
        assert (await client.ask(GET))[2] == GET
        assert (await client.ask(b"\n" + GET))[0] == 400
        other = await rig.client()
        held = loose.replace(b"/build", b"/containers/create")
        assert (await other.ask(held))[2].endswith(
            b"create HTTP/1.1\r\nHost: h\r\nX: a b\r\nContent-Length: 2\r\n\r\nhi"
        )
        last = await rig.client()
        await last.send(b"GET /_ping HTTP/1.0\r\n\n")
        last.half_close()
        assert (await last.rest()).endswith(b"GET /_ping HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("blind", [True, False])
async def test_http_2_passes_only_where_everything_may(tmp_path: Path, blind: bool) -> None:
    """Known from the first bytes, in pieces too; it is a stream, or refused."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(preface)) == preface
        writer.write(b"settings")

    async with relayed(tmp_path, engine, blind=blind) as rig:
        client = await rig.client()
        await client.send(preface[:2], preface[2:])
        if blind:
            assert await client.rest() == b"settings"
        else:
            assert (await client.reply())[0] == 403
            assert rig.engine.connections == 0


@pytest.mark.parametrize(
    ("target", "blind", "passes"), [(b"/session", False, True), (b"/_ping", True, True), (b"/_ping", False, False)]
)
async def test_an_upgrade_to_http_2_hides_nothing(tmp_path: Path, target: bytes, blind: bool, passes: bool) -> None:
    """BuildKit's two calls may; elsewhere it would carry any request unseen, and the connection ends."""
    async with relayed(tmp_path, hijack, blind=blind, known=docker_recognise) as rig:
        client = await rig.client()
        await client.send(b"POST " + target + b" HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI")
        if passes:
            assert await client.read(len(UPGRADED) + 3) == UPGRADED + b"PRI"
        else:
            status, _, body = await client.reply()
            assert (status, b"switched protocols" in body) == (502, True)
            assert await client.rest() == b""


@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
    ],
)
async def test_an_offer_is_judged_by_method_and_path(tmp_path: Path, offer: bytes) -> None:
    """curl --http2, Java's client: the engine ignores it, and the connection goes on as it would without."""
    denied = AccessRules(deny=(Rule.parse("* exec"),))
    async with relayed(tmp_path, parrot, known=docker_recognise, admit=denied.admit) as rig:
        client = await rig.client()
        for method, status in ((b"GET", 200), (b"POST", 200)):
            request = method + b" /containers/json HTTP/1.1\r\nHost: d\r\n" + offer + b"Content-Length: 1\r\n\r\nx"
            assert (await client.ask(request))[::2] == (status, request)
        assert (await client.ask(GET))[0] == 200
        await client.send(b"POST /exec/a/start HTTP/1.1\r\nHost: d\r\n" + offer + b"\r\n")
        assert (await client.reply())[0] == 403
