"""Asking an engine, over a socket that answers as a test says. What an answer means: test_engine_answers.py."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mooring.adapters.docker.docker_engine import DockerEngine, engines_running
from mooring.core.containers import EngineEvent, EventKind
from mooring.core.faults import Conflict, Unavailable

INFO = b'{"ID": "ABCD:EFGH", "Containers": 3}'
NETWORKS = b"""[
  {"Id": "aaa", "Name": "web", "Driver": "mooring", "IPAM": {"Driver": "mooring", "Config": [
    {"Subnet": "10.32.0.0/24", "Gateway": "10.32.0.1"}, {"Subnet": "fd00::/64"}]}},
  {"Id": "bbb", "Name": "none", "IPAM": {"Driver": "default", "Config": null}},
  {"Id": "ccc", "Name": "host", "IPAM": null},
  {"Id": "ddddddddddddddd", "Name": "old", "Driver": "bridge", "Options": {}},
  {"Id": "eee", "Name": "dmz", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "dmz0"}}
]"""


@dataclass
class Script:
    """What a scripted engine was asked, and when a client hung up on it."""

    asked: list[str] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def engine(
    tmp_path: Path,
    answers: dict[str, bytes],
    deadline: float = 5.0,
    *,
    script: Script | None = None,
    stays: bool = False,
    running: int = 1,
    most: int = 10**6,
) -> AsyncIterator[DockerEngine]:
    """An engine that sends these bytes for a path, and nothing for others. stays: it does not hang up by itself."""
    noted = script or Script()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split()[1].decode()
        noted.asked.append(target)
        path = target.partition("?")[0] if target.startswith("/events") else target
        if path in answers:
            writer.write(answers[path])
        if path not in answers or stays:
            await reader.read()
            noted.hung_up.set()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, tmp_path / "docker.sock")
    async with server:
        yield DockerEngine(str(tmp_path / "docker.sock"), deadline, running=lambda: running, most=most)


def ok(body: bytes) -> bytes:
    """A reply of HTTP/1.0 with the body."""
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


def no(status: int, message: str) -> bytes:
    """A refusal."""
    body = json.dumps({"message": message}).encode() + b"\n"
    return f"HTTP/1.0 {status} Whatever\r\nContent-Type: application/json\r\n\r\n".encode() + body


def line(action: str, ident: str, at: int) -> bytes:
    """An event of a container."""
    document = {"Type": "container", "Action": action, "Actor": {"ID": ident}, "timeNano": at}
    return json.dumps(document).encode() + b"\n"


async def test_networks_and_subnets_are_told_whatever_their_driver(tmp_path: Path) -> None:
    """Null lists and missing fields are what engines send."""
    async with engine(tmp_path, {"/info": ok(INFO), "/networks": ok(NETWORKS)}) as asked:
        view = await asked.view()
    assert view.id == "ABCD:EFGH"
    assert view.networks == {"aaa", "bbb", "ccc", "ddddddddddddddd", "eee"}
    assert view.bridges == {"br-dddddddddddd", "dmz0"}
    assert view.alone
    assert view.subnets == {ip_network("10.32.0.0/24"), ip_network("fd00::/64")}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.0 500 Oops\r\n\r\n{}", "answered 500"),
        (ok(b"not json"), "unexpected answer"),
        (ok(b"{}"), "unexpected answer"),
        (ok(b'{"ID": ""}'), "does not report its ID"),
        (b"", "unexpected answer"),
        (b"\x00\x01garbage\r\n\r\n", "unexpected answer"),
    ],
)
async def test_an_engine_that_talks_nonsense_is_unavailable(tmp_path: Path, answer: bytes, text: str) -> None:
    """One line, and no traceback."""
    async with engine(tmp_path, {"/info": answer, "/networks": ok(b"[]")}) as asked:
        with pytest.raises(Unavailable, match=text):
            await asked.view()


async def test_an_engine_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """An engine that starts accepts and does not answer."""
    async with engine(tmp_path, {}, deadline=0.05) as asked:
        with pytest.raises(Unavailable, match="does not answer"):
            await asked.view()


async def test_a_socket_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Docker is not installed, or not running."""
    with pytest.raises(Unavailable, match="Cannot connect to the Docker daemon"):
        await DockerEngine(str(tmp_path / "none.sock"), running=lambda: 1).view()


async def test_an_engine_that_does_not_run_is_not_even_connected_to(tmp_path: Path) -> None:
    """systemd listens on the socket of a stopped engine, and a connection would start it."""
    with socket.socket(socket.AF_UNIX) as activator:
        activator.bind(str(tmp_path / "docker.sock"))
        activator.listen()
        activator.setblocking(False)
        with pytest.raises(Unavailable, match="dockerd is not running"):
            await DockerEngine(str(tmp_path / "docker.sock"), deadline=0.05, running=lambda: 0).view()
        with pytest.raises(BlockingIOError):
            activator.accept()


@pytest.mark.parametrize(
    ("names", "expected"), [({}, 0), ({"7": "docker"}, 0), ({"7": "dockerd"}, 1), ({"7": "dockerd", "8": "dockerd"}, 2)]
)
def test_a_running_engine_is_known_by_its_name(tmp_path: Path, names: dict[str, str], expected: int) -> None:
    """Among processes that are others, that end meanwhile, and files of /proc that are no processes."""
    for pid, name in {"1": "systemd", "22": "docker-proxy", "self": "dockerd", **names}.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(f"{name}\n")
    (tmp_path / "3" / "comm").mkdir(parents=True)
    assert engines_running(tmp_path) == expected


Question = Callable[[DockerEngine], Coroutine[Any, Any, object]]
QUESTIONS: dict[str, Question] = {
    "view": lambda asked: asked.view(),
    "containers": lambda asked: asked.containers(),
    "identity": lambda asked: asked.identity(),
    "events": lambda asked: first(asked, 0),
    "container": lambda asked: asked.container("db"),
    "network": lambda asked: asked.network("web"),
    "version": lambda asked: asked.api_version(),
    "release": lambda asked: asked.release(),
}


async def first(asked: DockerEngine, since: int) -> EngineEvent:
    """The first event; nobody listens any more."""
    stream = asked.events(since)
    assert isinstance(stream, AsyncGenerator)
    async with aclosing(stream):
        event = await anext(stream)
    assert isinstance(event, EngineEvent)
    return event


async def overhear(asked: DockerEngine, heard: list[int]) -> None:
    """Note when each event was, to the end."""
    async for event in asked.events(0):
        heard.append(event.at)  # noqa: PERF401 - what came before an error is to be kept


@pytest.mark.parametrize("name", QUESTIONS)
async def test_every_question_has_a_deadline(tmp_path: Path, name: str) -> None:
    """The head of the events, too."""
    async with engine(tmp_path, {}, deadline=0.05) as asked:
        with pytest.raises(Unavailable, match="does not answer"):
            await QUESTIONS[name](asked)


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("body", [b"", b"[", b"null", b"[null]", b"{}", b"[{}]", b"[1]", b'"x"', b"\xff", b'{"Id": 1}'])
async def test_every_answer_may_be_nonsense(tmp_path: Path, name: str, body: bytes) -> None:
    """It is unavailable, or nothing; an event that cannot be read ends the stream."""
    paths = ("/info", "/networks", "/containers/json?all=1", "/containers/db/json", "/networks/web", "/events")
    async with engine(tmp_path, dict.fromkeys((*paths, "/version"), ok(body + b"\n"))) as asked:
        with pytest.raises(Unavailable):
            await QUESTIONS[name](asked)


@pytest.mark.parametrize("name", QUESTIONS)
async def test_who_starts_an_engine_by_asking_does_not_ask(tmp_path: Path, name: str) -> None:
    """A single container or network is asked about because a client talks to the engine already, and which release it
    is when it has just answered."""
    script = Script()
    async with engine(tmp_path, {}, deadline=0.05, script=script, running=0) as asked:
        with pytest.raises(Unavailable):
            await QUESTIONS[name](asked)
    assert bool(script.asked) is (name in ("container", "network", "version", "release"))


@pytest.mark.parametrize("name", ["view", "containers", "identity"])
async def test_an_engine_without_an_id_is_unavailable(tmp_path: Path, name: str) -> None:
    """What is kept under its id would be anybody's."""
    answers = {"/info": ok(b'{"ID": ""}'), "/networks": ok(b"[]"), "/containers/json?all=1": ok(b"[]")}
    async with engine(tmp_path, answers) as asked:
        with pytest.raises(Unavailable, match="does not report its ID"):
            await QUESTIONS[name](asked)


async def test_the_networks_are_asked_for_only_when_one_is_without_its_id(tmp_path: Path) -> None:
    """What ran has ids; what never did has a name, or null."""
    connected = b'[{"Id": "c1", "NetworkSettings": {"Networks": {"web": {"NetworkID": "aaa"}}}}]'
    answers = {"/info": ok(INFO), "/containers/json?all=1": ok(connected), "/networks": ok(NETWORKS)}
    script = Script()
    async with engine(tmp_path, answers, script=script) as asked:
        ident, (container,) = await asked.containers()
        assert (ident, container.endpoints[0].network) == ("ABCD:EFGH", "aaa")
        assert script.asked == ["/info", "/containers/json?all=1"]
        for endpoint in (b'{"NetworkID": ""}', b"null", b"{}"):
            script.asked.clear()
            answers["/containers/json?all=1"] = ok(connected.replace(b'{"NetworkID": "aaa"}', endpoint))
            _, (container,) = await asked.containers()
            assert container.endpoints[0].network == "aaa"
            assert script.asked[-1] == "/networks"


async def test_a_container_is_told_with_the_version_that_the_engine_answers_in(tmp_path: Path) -> None:
    """The MAC of an endpoint means something from 1.44 on; the head says so in any case of letters, or not at all."""
    body = (
        b'{"Id": "c1", "NetworkSettings": {"Networks": {"web": {"NetworkID": "a", "MacAddress": "02:00:00:00:00:01"}}}}'
    )
    mac = "02:00:00:00:00:01"
    for said, expected in (
        ("Api-Version: 1.44", mac),
        ("api-version: 1.52", mac),
        ("Api-Version: 1.41", ""),
        ("A: b", ""),
    ):
        head = f"HTTP/1.0 200 OK\r\nServer: x\r\n{said}\r\nOstype: linux\r\n\r\n".encode()
        async with engine(tmp_path, {"/containers/c1/json": head + body}) as asked:
            found = await asked.container("c1")
        assert found is not None
        assert [each.wanted_mac for each in found.endpoints] == [expected], said


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("db", "db"), ("/db", "db"), ("a b", "a%20b"), ("a/b", "a%2Fb"), ("..", ".."), ("x?all=1", "x%3Fall%3D1"),
        ("#", "%23"), ("%2F", "%252F"), ("\u00e4", "%C3%A4"), ("a\r\nHost: b", "a%0D%0AHost%3A%20b"),
    ],
)  # fmt: skip
async def test_a_reference_is_one_part_of_the_path(tmp_path: Path, reference: str, path: str) -> None:
    """Whatever it is; a container's may begin with a slash."""
    script = Script()
    answers = {f"/containers/{path}/json": no(404, "No such container"), f"/networks/{path}": no(404, "not found")}
    async with engine(tmp_path, answers, script=script) as asked:
        assert await asked.container(reference) is None
        assert await asked.network(reference.removeprefix("/")) is None
    assert script.asked == [*answers]


async def test_a_path_that_the_engine_would_clean_is_followed_nowhere(tmp_path: Path) -> None:
    """Its router redirects `..` and double slashes: to something that was not asked for."""
    moved = b"HTTP/1.0 301 Moved Permanently\r\nLocation: /json\r\nContent-Length: 0\r\n\r\n"
    script = Script()
    async with engine(tmp_path, {"/containers/../json": moved, "/networks/..": moved}, script=script) as asked:
        assert (await asked.container(".."), await asked.network("..")) == (None, None)
    assert script.asked == ["/containers/../json", "/networks/.."]


async def test_nobody_is_asked_for_nothing(tmp_path: Path) -> None:
    """The path would be another question."""
    script = Script()
    async with engine(tmp_path, {}, deadline=0.05, script=script) as asked:
        assert (await asked.container(""), await asked.container("/"), await asked.network("")) == (None, None, None)
    assert script.asked == []


@pytest.mark.parametrize(
    ("answer", "expected", "text"),
    [
        (no(500, "Multiple IDs found with provided prefix: a"), Conflict, "IDs begin with a"),
        (no(400, "multiple IDs found with provided prefix: a"), Conflict, "IDs begin with a"),
        (no(400, "2 matches found based on ID prefix: network a is ambiguous"), Conflict, "IDs begin with a"),
        (no(400, "2 matches found based on name: network a is ambiguous"), Conflict, "networks are named a"),
        (no(500, "something else"), Unavailable, "something else"),
        (no(400, "client version 1.12 is too old"), Unavailable, "too old"),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n<html>", Unavailable, "answered 503"),
        (b"HTTP/1.0 200\r\n\r\n{}", Unavailable, "did not get an HTTP answer"),
        (b"HTTP/1.0 2OO OK\r\n\r\n{}", Unavailable, "did not get an HTTP answer"),
    ],
)
async def test_refusals(tmp_path: Path, answer: bytes, expected: type[Exception], text: str) -> None:
    """Several are a conflict, by whatever status an engine says so; all else is unavailable with its words."""
    async with engine(tmp_path, {"/containers/a/json": answer, "/networks/a": answer}) as asked:
        for asking in (asked.container("a"), asked.network("a")):
            with pytest.raises(expected, match=text):
                await asking


async def test_an_answer_has_a_size(tmp_path: Path) -> None:
    """So much and no more; a head and an event, too."""
    body = b'{"ID": "e"}'
    async with engine(tmp_path, {"/info": ok(body.ljust(100))}, most=100) as asked:
        assert await asked.identity() == "e"
    for answer in (ok(body.ljust(101)), b"HTTP/1.0 200 OK\r\nX: " + b"x" * 300 + b"\r\n\r\n" + body):
        async with engine(tmp_path, {"/info": answer}, most=100) as asked:
            with pytest.raises(Unavailable, match="unexpected answer"):
                await asked.identity()
    async with engine(tmp_path, {"/events": ok(line("create", "c" * 300, 1))}, most=100) as asked:
        with pytest.raises(Unavailable, match="cannot parse an event"):
            await first(asked, 0)


@pytest.mark.parametrize(
    ("since", "text"),
    [(0, "0.000000001"), (999_999_999, "1.000000000"), (1700000000_123456789, "1700000000.123456790")],
)
async def test_events_are_asked_for_after_a_moment_and_without_an_end(tmp_path: Path, since: int, text: str) -> None:
    """The engine's own `since` takes in the moment. Only what we can use is asked for."""
    script = Script()
    async with engine(tmp_path, {"/events": ok(line("create", "c1", 5))}, script=script) as asked:
        assert await first(asked, since) == EngineEvent(EventKind.CREATED, "c1", 5)
    query = parse_qs(urlsplit(script.asked[0]).query)
    assert (query["since"], set(query)) == ([text], {"since", "filters"})
    assert json.loads(query["filters"][0]) == {
        "type": ["container", "network"],
        "event": ["create", "start", "die", "destroy", "rename", "connect", "disconnect", "health_status"],
    }
    assert unquote(script.asked[0]).isascii()


async def test_events_that_are_none_of_ours_are_left_out(tmp_path: Path) -> None:
    """A network that is removed is not a container, and empty lines are nothing."""
    other = b'{"Type": "network", "Action": "destroy", "Actor": {"ID": "n1", "Attributes": {"name": "web"}}}\n'
    lines = other + line("kill", "c1", 1) + line("destroy", "c1", 2)
    async with engine(tmp_path, {"/events": ok(lines)}) as asked:
        assert await first(asked, 0) == EngineEvent(EventKind.DESTROYED, "c1", 2)


@pytest.mark.parametrize(
    ("after", "text"),
    [(b"", "lost the event"), (b'{"Type": "contai', "cannot parse an event"), (b"<html>\n", "cannot parse an event")],
)
async def test_a_stream_ends_with_the_connection_or_with_nonsense(tmp_path: Path, after: bytes, text: str) -> None:
    """What came before it is told."""
    heard: list[int] = []
    async with engine(tmp_path, {"/events": ok(line("create", "c1", 5) + after)}) as asked:
        with pytest.raises(Unavailable, match=text):
            await overhear(asked, heard)
    assert heard == [5]


async def test_events_that_are_refused_are_unavailable(tmp_path: Path) -> None:
    """Their connection is closed."""
    script = Script()
    async with engine(tmp_path, {"/events": no(400, "bad since")}, script=script, stays=True) as asked:
        with pytest.raises(Unavailable, match="/events answered 400"):
            await first(asked, 0)
        await asyncio.wait_for(script.hung_up.wait(), 10)


async def test_a_stream_that_is_quiet_has_no_deadline_and_ends_with_its_listener(tmp_path: Path) -> None:
    """Long past the deadline of a question it still waits; a listener that is cancelled hangs up."""
    script = Script()
    quiet = {"/events": ok(line("create", "c1", 5))}
    async with engine(tmp_path, quiet, deadline=0.05, script=script, stays=True) as asked:
        heard: list[int] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(overhear(asked, heard), 0.3)
        assert heard == [5]
        await asyncio.wait_for(script.hung_up.wait(), 10)


async def test_who_stops_listening_hangs_up(tmp_path: Path) -> None:
    """Closing the stream closes the connection."""
    script = Script()
    async with engine(tmp_path, {"/events": ok(line("create", "c1", 5))}, script=script, stays=True) as asked:
        await first(asked, 0)
        await asyncio.wait_for(script.hung_up.wait(), 10)
