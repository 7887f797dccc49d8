"""Asking an engine for its networks, over a socket that answers as a test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from mooring.adapters.docker_engine import DockerEngine, engines_running
from mooring.core.faults import Unavailable

INFO = b'{"ID": "ABCD:EFGH", "Containers": 3}'
NETWORKS = b"""[
  {"Id": "aaa", "Name": "web", "Driver": "mooring", "IPAM": {"Driver": "mooring", "Config": [
    {"Subnet": "10.32.0.0/24", "Gateway": "10.32.0.1"}, {"Subnet": "fd00::/64"}]}},
  {"Id": "bbb", "Name": "none", "IPAM": {"Driver": "default", "Config": null}},
  {"Id": "ccc", "Name": "host", "IPAM": null},
  {"Id": "ddddddddddddddd", "Name": "old", "Driver": "bridge", "Options": {}},
  {"Id": "eee", "Name": "dmz", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "dmz0"}}
]"""


@asynccontextmanager
async def engine(tmp_path: Path, answers: dict[str, bytes], deadline: float = 5.0) -> AsyncIterator[DockerEngine]:
    """An engine that sends these bytes for a path, and nothing for others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        if path in answers:
            writer.write(answers[path])
        else:
            await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, tmp_path / "docker.sock")
    async with server:
        yield DockerEngine(str(tmp_path / "docker.sock"), deadline, running=lambda: 1)


def ok(body: bytes) -> bytes:
    """A reply of HTTP/1.0 with the body."""
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


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
        (ok(b"not json"), "not understood"),
        (ok(b"{}"), "not understood"),
        (ok(b'{"ID": ""}'), "does not say who it is"),
        (b"", "not understood"),
        (b"\x00\x01garbage\r\n\r\n", "not understood"),
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
        with pytest.raises(Unavailable, match="dockerd does not run"):
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
