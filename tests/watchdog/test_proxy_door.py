"""The largest of everything that a client may send through the proxy, with the real controller behind the gate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mooring.core.docker_requests import MOST_NETWORKS
from mooring.core.faults import Fault
from mooring.servers.proxy.address_hook import AddressHook
from mooring.servers.proxy.hooks import LARGEST_REQUEST, Decision
from mooring.wire import docker_api
from mooring.wire.go_json import LARGEST
from tests.servers.proxy.rigs import HEAD, relayed
from tests.services.holder_hosts import HolderHost
from tests.watchdog.probe import assert_short

pytestmark = pytest.mark.slow  # others on the machine would show in what it measures


async def nothing() -> None:
    """Ready at once."""


async def gate_of(*networks: str) -> AddressHook:
    """A gate before a host that serves these networks."""
    host = HolderHost()
    await host.serve(*networks)
    return AddressHook(host.keeping.controller, nothing)


async def decide(hook: AddressHook, body: bytes, target: str = "/v1.44/containers/create?name=db") -> Decision:
    """What becomes of the request."""
    return await hook.decide(docker_api.recognise("POST", target, False), body)


def networks(count: int, label: str = "fixed-ip") -> bytes:
    """A create that names so many."""
    endpoints: dict[str, object] = {f"n{number}": {} for number in range(count)}
    return json.dumps({"Labels": {label: ""}, "NetworkingConfig": {"EndpointsConfig": endpoints}}).encode()


def repeated(piece: bytes, before: bytes = b"{", after: bytes = b"}") -> bytes:
    """As many of the piece as there is room for."""
    room = (LARGEST - len(before) - len(after) - 8) // (len(piece) + 1)
    return before + b",".join([piece] * room) + after


def longest(piece: bytes, before: bytes, after: bytes) -> bytes:
    """As much of the piece as the relay keeps of a request, in a create that names a network of ours."""
    after += b',"HostConfig":{"NetworkMode":"n0"},"Container":"db"}'
    return before + piece * ((LARGEST_REQUEST - len(before) - len(after)) // len(piece)) + after


BODIES: dict[str, Callable[[], bytes]] = {
    "8000 networks": lambda: networks(8000),
    "as many networks as fit": lambda: networks(70_000),
    "as many networks as are looked at": lambda: networks(MOST_NETWORKS),
    "labels": lambda: b'{"Labels":{%b}}' % b",".join(b'"l%d":""' % number for number in range(80_000)),
    "one label again and again": lambda: repeated(b'"Labels":{"fixed-ip":""}'),
    "one object again and again": lambda: repeated(b'"NetworkingConfig":{"EndpointsConfig":{"n0":{}}}'),
    "nulls": lambda: repeated(b'"HostConfig":null'),
    "text": lambda: b'{"Labels":{"fixed-ip":""},"X":"' + b"x" * (LARGEST - 64) + b'"}',
    "escapes": lambda: b'{"Labels":{"fixed-ip":"' + b"\\u0041" * ((LARGEST - 64) // 6) + b'"}}',
    "half a surrogate": lambda: b'{"X":"\\ud800","Y":[' + b'"x",' * ((LARGEST - 64) // 4) + b"0]}",
    "lists": lambda: b'{"X":[' + b"[]," * ((LARGEST - 64) // 3) + b"0]}",
    "deep lists": lambda: b'{"X":' + b"[" * (LARGEST // 2 - 64) + b"]" * (LARGEST // 2 - 64) + b"}",
    "deep objects": lambda: b'{"HostConfig":' * (LARGEST // 15) + b"1",
    "open": lambda: b"{" * LARGEST,
    "blanks": lambda: b"{" + b" " * (LARGEST - 2) + b"}",
    "longer than is read at once": lambda: b'{"X":"' + b"x" * LARGEST + b'"}',
    "as long as is kept, of text": lambda: longest(b"x", b'{"Labels":{"fixed-ip":""},"X":"', b'"'),
    "as long as is kept, of lists": lambda: longest(b"[],", b'{"Labels":{"fixed-ip":""},"X":[', b"0]"),
    "as long as is kept, of escapes": lambda: longest(b'"\\ud800",', b'{"X":[', b"0]"),
    "as long as is kept, of members": lambda: longest(b'"a":{},', b"{", b'"b":1'),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize(
    "target", ["/v1.44/containers/create?name=db", "/networks/n0/connect", "/networks/n0/disconnect"]
)
async def test_a_hooked_body_of_the_largest_size_holds_nothing_up(body: Callable[[], bytes], target: str) -> None:
    """It passes or is refused."""
    hook, sent = await gate_of(*(f"n{number}" for number in range(8))), body()

    async def ask() -> None:
        with suppress(Fault):
            await decide(hook, sent, target)

    await assert_short(ask)


async def test_more_networks_than_are_looked_at_are_refused_only_where_an_address_would_be_fixed() -> None:
    """In one line that says how many; without the label the create passes as it is."""
    hook = await gate_of("n0")
    with pytest.raises(Fault, match=f"names 8000 networks, but fixed addresses are kept in at most {MOST_NETWORKS}"):
        await decide(hook, networks(8000))
    assert await decide(hook, networks(8000, "other")) == Decision()


async def test_many_grants_in_a_large_body_hold_nothing_up() -> None:
    """A container in many networks of ours, with a megabyte of labels."""
    names = [f"{number:02d}n" for number in range(MOST_NETWORKS)]
    hook = await gate_of(*names)
    labels = {f"label{number}": "x" * 20 for number in range(20_000)} | {"fixed-ip": ""}
    config: dict[str, object] = {"EndpointsConfig": {name: {} for name in names}}
    body = json.dumps({"Labels": labels, "NetworkingConfig": config}).encode()
    assert len(body) < LARGEST

    async def ask() -> None:
        found = await decide(hook, body)
        assert found.body is not None
        assert found.body.count(b"IPv4Address") == MOST_NETWORKS
        assert found.settle is not None
        await found.settle(None)

    await assert_short(ask, tries=1)


def chunks(piece: bytes, count: int) -> bytes:
    """A body in chunks of the piece."""
    return (b"%x\r\n%b\r\n" % (len(piece), piece)) * count + b"0\r\n\r\n"


REQUESTS = {
    "tiny chunks, hooked": b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunks(b"x", 200_000),
    "tiny chunks": b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"x", 200_000),
    "many requests": b"GET /info HTTP/1.1\r\nHost: d\r\n\r\n" * 20_000,
    "a long head": b"GET /info HTTP/1.1\r\n" + b"X: y\r\n" * 150_000 + b"\r\n",
    "a head too long": b"GET /info HTTP/1.1\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
    "a long path": b"GET /" + b"a/" * 450_000 + b" HTTP/1.1\r\n\r\n",
    "a long query": b"DELETE /containers/db?" + b"a=%41&" * 160_000 + b" HTTP/1.1\r\n\r\n",
    "an encoded path": b"DELETE /containers/" + b"%41" * 300_000 + b" HTTP/1.1\r\n\r\n",
    "a body too large": b"POST /containers/create HTTP/1.1\r\nContent-Length: 19000000\r\n\r\n" + b"x" * 14_000_000,
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=list(REQUESTS))
async def test_bytes_at_the_door_hold_nothing_up(tmp_path: Path, request_: bytes) -> None:
    """However they are cut into requests, heads and chunks."""
    hook = await gate_of("n0")

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
        while await reader.read(1 << 16):
            pass

    async with relayed(tmp_path, engine, hook=hook, known=docker_api.recognise) as rig:

        async def ask() -> None:
            client = await rig.client()
            client.writer.write(request_)
            with suppress(ConnectionError):
                await client.reply()
            client.close()

        await assert_short(ask)
