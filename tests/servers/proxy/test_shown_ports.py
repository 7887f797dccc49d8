"""Lists and inspections are completed with published ports; every other reply, and one we fail with, stays as it is."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from mooring.core.port_bindings import PortRequest, Protocol
from mooring.servers import large_bodies
from mooring.servers.proxy import relay_exchanges
from mooring.servers.proxy.hooks import Reply
from mooring.servers.proxy.server import ProxyLimits
from mooring.servers.proxy.shown_ports import PortCompletion
from mooring.wire.docker_api import Call, recognise
from tests.servers.proxy.rigs import HEAD, Script, relayed, request_of
from tests.services.hosts import MemoryHost

LIST = b"GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: docker\r\n\r\n"
INSPECT = b"GET /containers/web/json HTTP/1.1\r\nHost: docker\r\n\r\n"
JSON = HEAD + b"Content-Type: application/json\r\n"
NETWORK, ENDPOINT = "a".ljust(64, "0"), "e1".ljust(64, "0")
TOLD = b'{"completed":true}'


class Scripted:
    """Completes everything that is 200 with one text, and notes what it was asked."""

    def __init__(self, told: bytes | None = TOLD, query: str | None = None) -> None:
        """query: with which the engine is asked instead."""
        self.told = told
        self.query = query
        self.asked: list[Reply | None] = []
        self.hold = 0.0

    def wants(self, call: Call) -> bool:
        return True

    def question(self, call: Call) -> str | None:
        return self.query

    async def answer(self, call: Call, reply: Reply | None) -> bytes | None:
        return await self.complete(call, reply)

    async def complete(self, call: Call, reply: Reply | None) -> bytes | None:
        self.asked.append(reply)
        await asyncio.sleep(self.hold)
        if self.told == b"?":
            raise RuntimeError("a mistake of ours")
        return self.told if reply is not None and reply.status == 200 else None


def answering(wire: bytes, step: int = 1 << 20, ends: bool = False) -> Script:
    """An engine that answers each request with these bytes, some at a time."""

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_of(reader)
            for start in range(0, len(wire), step):
                writer.write(wire[start : start + step])
                await asyncio.sleep(0)
            if ends:
                return

    return engine


async def through(tmp_path: Path, wire: bytes, request: bytes = LIST, **more: object) -> bytes:
    """What a client gets for the request, until the connection ends."""
    step = int(str(more.pop("step", 1 << 20)))
    completion = more.pop("completion", Scripted())
    async with relayed(
        tmp_path,
        answering(wire, step, ends=True),
        known=recognise,
        completion=completion,  # type: ignore[arg-type]
        limits=ProxyLimits(spare=0, settle=float(str(more.pop("settle", 10.0)))),
    ) as rig:
        client = await rig.client()
        await client.send(request)
        return await client.rest()


@pytest.mark.parametrize("request_", [LIST, INSPECT, INSPECT.replace(b" HTTP", b"?size=1 HTTP")])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
async def test_a_reply_is_completed_in_its_own_framing(tmp_path: Path, request_: bytes, step: int) -> None:
    """With a length only the length is another one; in chunks the head stays; until the end of the connection, too."""
    told = Scripted()
    wire = JSON + b"Content-Length: 2\r\nX: 1\r\n\r\n[]"
    got = await through(tmp_path, wire, request_, step=step, completion=told)
    assert got == JSON + b"Content-Length: 18\r\nX: 1\r\n\r\n" + TOLD
    head = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    got = await through(tmp_path, head + b"1;x\r\n[\r\n1\r\n]\r\n0\r\n\r\n", request_, step=step, completion=told)
    assert got == head + b"12\r\n" + TOLD + b"\r\n0\r\n\r\n"
    assert await through(tmp_path, JSON + b"\r\n[]", request_, step=step, completion=told) == JSON + b"\r\n" + TOLD
    assert told.asked == [Reply(200, b"[]")] * 3


ZIPPED = gzip.compress(b"[]", mtime=0)
UNCHANGED = {
    "gzip": JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
    "gzip coding": JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "etag": JSON + b'ETag: "1"\r\nContent-Length: 2\r\n\r\n[]',
    "trailer": JSON + b"Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nX: 1\r\n\r\n",
    "no json": HEAD + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n[]",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "404": b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "cut": JSON + b"Content-Length: 9\r\n\r\n[]",
    "cut chunk": JSON + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[]",
}


@pytest.mark.parametrize("wire", UNCHANGED.values(), ids=UNCHANGED)
async def test_what_cannot_be_completed_stays(tmp_path: Path, wire: bytes) -> None:
    """Bodies in a coding, those that the head vouches for, conditional replies, errors, and what was cut off."""
    assert await through(tmp_path, wire) == wire


async def test_a_failure_of_ours_leaves_the_reply(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake, and one that takes too long."""
    wire = JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"
    assert await through(tmp_path, wire, completion=Scripted(b"?")) == wire
    slow = Scripted()
    slow.hold = 0.5
    assert await through(tmp_path, wire, completion=slow, settle=0.01) == wire
    assert await through(tmp_path, wire, completion=Scripted(None)) == wire


async def test_a_reply_that_is_too_large_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is kept of one reply."""
    monkeypatch.setattr(relay_exchanges, "HOLD_LIMIT", 1000)
    body = b"[" + b" " * 5000 + b"]"
    wire = JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert await through(tmp_path, wire, step=700) == wire


async def test_the_engine_is_asked_another_question(tmp_path: Path) -> None:
    """Only the query of the head differs; an error that it answers goes out as it is."""
    seen: list[bytes] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await request_of(reader))[0])
            writer.write(JSON + b"Content-Length: 2\r\n\r\n[]")

    async with relayed(tmp_path, engine, known=recognise, completion=Scripted(query="all=1&x=%7B")) as rig:
        client = await rig.client()
        old = b"GET http://d/v1.41/containers/json HTTP/1.0\r\nHost: docker\r\nConnection: keep-alive\r\n\r\n"
        for request in (LIST, LIST[:30], LIST[30:], old):
            await client.send(request)
        assert [(await client.reply())[2] for _ in range(3)] == [TOLD] * 3
    first, second, third = seen
    assert first == second == LIST.replace(b"?all=1", b"?all=1&x=%7B")
    assert third == old.replace(b"/json", b"/json?all=1&x=%7B")


FAILED = {
    "cut": JSON + b"Content-Length: 9\r\n\r\n[]",
    "cut in its head": JSON,
    "nothing": b"",
    "no reply": b"SSH-2.0\r\n\r\n",
    "too large": JSON + b"Content-Length: 5000\r\n\r\n" + b" " * 5000,
    "gzip": JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
    "etag": JSON + b'ETag: "1"\r\nContent-Length: 2\r\n\r\n[]',
    "larger, in chunks": JSON + b"Transfer-Encoding: chunked\r\n\r\n" + (b"3e8\r\n" + b" " * 1000 + b"\r\n") * 9,
}


@pytest.mark.parametrize("wire", FAILED.values(), ids=FAILED)
@pytest.mark.parametrize("step", [700, 1 << 20])
async def test_the_reply_to_another_question_never_goes_out_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: bytes, step: int
) -> None:
    """What is not complete, or too much: the client is told so, and the connection ends."""
    monkeypatch.setattr(relay_exchanges, "HOLD_LIMIT", 1000)
    got = await through(tmp_path, wire, LIST + LIST, step=step, completion=Scripted(query="x"))
    assert b"[]" not in got
    assert b"     " not in got
    assert got.count(b"HTTP/1.1 ") <= 1
    if wire.startswith(JSON):
        assert got.startswith(b"HTTP/1.1 500 ")
        assert b"cannot filter containers by port" in got


@pytest.mark.parametrize("fault", [b"?", None])
async def test_a_failure_of_ours_is_told(tmp_path: Path, fault: bytes | None) -> None:
    """Where the reply alone would be a lie."""
    wire = JSON + b"Content-Length: 2\r\n\r\n[]"
    got = await through(tmp_path, wire, completion=Scripted(fault, query="x"))
    assert got.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize(
    "line",
    [
        "HEAD /containers/json", "GET /containers/web/top", "GET /images/json", "GET /images/a/json", "GET /info",
        "GET /exec/e/json", "GET /networks", "POST /containers/web/json",
    ],
)  # fmt: skip
async def test_other_requests_are_none_of_ours(tmp_path: Path, line: str) -> None:
    """Nobody is asked, and nothing is kept."""
    told = Scripted()
    wire = JSON + (b"Content-Length: 2\r\n\r\n" if line.startswith("HEAD") else b"Content-Length: 2\r\n\r\n[]")
    got = await through(tmp_path, wire, f"{line} HTTP/1.1\r\nHost: d\r\n\r\n".encode(), completion=told)
    assert (got, told.asked) == (wire, [])


async def test_requests_behind_a_list_are_answered_in_their_order(tmp_path: Path) -> None:
    """Pipelined, and again over the same connection; a head that was seen before is completed as the first one was."""
    wire = JSON + b"Content-Length: 2\r\n\r\n[]"
    info = b"GET /info HTTP/1.1\r\nHost: docker\r\n\r\n"
    async with relayed(tmp_path, answering(wire), known=recognise, completion=Scripted()) as rig:
        client = await rig.client()
        for _ in range(2):
            await client.send(LIST + info + INSPECT + info)
            assert [(await client.reply())[2] for _ in range(4)] == [TOLD, b"[]", TOLD, b"[]"]


async def test_a_half_closed_client_gets_the_list(tmp_path: Path) -> None:
    """As `nc` does it."""
    wire = JSON + b"Content-Length: 2\r\n\r\n[]"
    async with relayed(tmp_path, answering(wire), known=recognise, completion=Scripted()) as rig:
        client = await rig.client()
        await client.send(LIST)
        client.half_close()
        assert (await client.rest()).endswith(TOLD)


# What is put in.


@pytest.fixture
async def host() -> MemoryHost:
    """A host with a container that publishes a port and is running."""
    host = await MemoryHost().start()
    await host.network("a")
    await host.endpoint(NETWORK, "e1")
    await host.attach(NETWORK, "e1")
    await host.services.endpoints.publish(NETWORK, ENDPOINT, (PortRequest(Protocol.TCP, 80, first=8080, last=8080),))
    return host


def listed(count: int = 1) -> bytes:
    """A list of containers, the last of which is ours."""
    other = {"Id": "c0", "Ports": [], "NetworkSettings": {"Networks": {"b": {"NetworkID": "b", "EndpointID": "b"}}}}
    ours = {
        "Id": "c1",
        "Ports": [],
        "NetworkSettings": {"Networks": {"a": {"NetworkID": NETWORK, "EndpointID": ENDPOINT}}},
    }
    return json.dumps([*[other] * (count - 1), ours]).encode()


async def told(host: MemoryHost, path: str, body: bytes, status: int = 200) -> bytes | None:
    """What the completion says instead."""
    completion = PortCompletion(host.services.cache, host.services.endpoint_index)
    call = recognise("GET", path, False)
    assert completion.wants(call)
    return await completion.complete(call, Reply(status, body))


@pytest.mark.parametrize("count", [1, 2 * large_bodies.SMALL // 100])
async def test_a_list_has_what_is_published(host: MemoryHost, count: int) -> None:
    """Also a large one, which is read beside the loop; after the stop there is nothing to show."""
    got = await told(host, "/containers/json", listed(count))
    assert got is not None
    assert json.loads(got)[-1]["Ports"] == [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]
    assert json.loads(got)[:-1] == json.loads(listed(count))[:-1]
    await host.services.endpoints.detach(NETWORK, ENDPOINT)
    assert await told(host, "/containers/json", listed(count)) is None


@pytest.mark.parametrize("count", [1, 2 * large_bodies.SMALL // 100])
async def test_a_search_finds_what_is_published(host: MemoryHost, count: int) -> None:
    """Where ours would be found the engine is asked for more, and we choose; else it is the engine's search."""
    completion = PortCompletion(host.services.cache, host.services.endpoint_index)

    def search(key: str, value: str) -> Call:
        return recognise("GET", f'/v1.41/containers/json?limit=0&filters={{"{key}":{{"{value}":true}}}}', False)

    for key, value in (("publish", "8081"), ("publish", "8080/udp"), ("expose", "8080"), ("name", "8080")):
        assert completion.question(search(key, value)) is None
    for key, value in (("publish", "8080"), ("expose", "80")):
        assert completion.question(search(key, value)) == "filters=%7B%7D"
        got = await completion.answer(search(key, value), Reply(200, listed(count) + b"\n"))
        assert got is not None
        assert [row["Id"] for row in json.loads(got)] == ["c1"]
        assert got.endswith(b"]\n")
    assert await completion.answer(search("publish", "8080"), Reply(500, b"{}")) == b"{}"
    assert await completion.answer(search("publish", "8080"), Reply(200, b"{}")) is None
    assert await completion.answer(search("publish", "8080"), None) is None
    await host.services.endpoints.detach(NETWORK, ENDPOINT)
    assert completion.question(search("publish", "8080")) is None


async def test_the_disk_usage_has_what_is_published(host: MemoryHost) -> None:
    """Its list of containers, in both forms; without one of ours it stays."""
    rows = listed(2).decode()
    for body in (f'{{"LayersSize":1,"Containers":{rows},"X":[]}}\n', f'{{"ContainerUsage":{{"Items":{rows}}}}}'):
        got = await told(host, "/v1.41/system/df", body.encode())
        assert got is not None
        ports = json.dumps([{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]).replace(" ", "")
        before, _, after = body.rpartition("[], ")
        assert got.decode() == f"{before}{ports}, {after}"
    for body in ('{"Containers":null}', '{"Containers":[]}', "{}", "[]", f'{{"Containers":{listed()[:9].decode()}'):
        assert await told(host, "/system/df", body.encode()) is None


async def test_an_inspection_has_what_is_published_also_by_its_sandbox(host: MemoryHost) -> None:
    """By endpoint, or as API versions before 1.21 tell it."""
    endpoint = host.services.cache.endpoint(NETWORK, ENDPOINT)
    assert endpoint is not None
    for settings in (
        {"Ports": {}, "Networks": {"a": {"NetworkID": NETWORK, "EndpointID": ENDPOINT}}},
        {"Ports": {}, "SandboxKey": endpoint.sandbox},
    ):
        document: dict[str, object] = {"Config": {"ExposedPorts": {"443/tcp": {}}}, "NetworkSettings": settings}
        got = await told(host, "/v1.20/containers/web/json", json.dumps(document).encode())
        assert got is not None
        assert json.loads(got)["NetworkSettings"]["Ports"] == {
            "443/tcp": None,
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
        }


@pytest.mark.parametrize("body", [b"[]", b"null", b"", b"{", b'[{"NetworkSettings":1}]', b'{"message":"no"}'])
async def test_a_reply_of_another_shape_stays(host: MemoryHost, body: bytes) -> None:
    """Nothing is put where nothing belongs."""
    assert await told(host, "/containers/json", body) is None
    assert await told(host, "/containers/web/json", body) is None
    assert await told(host, "/containers/json", listed(), 500) is None


async def test_a_host_without_endpoints_keeps_no_reply() -> None:
    """Its lists pass as they come."""
    services = (await MemoryHost().start()).services
    assert not PortCompletion(services.cache, services.endpoint_index).wants(
        recognise("GET", "/containers/json", False)
    )
