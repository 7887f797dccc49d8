"""Asking an engine for its networks, over a socket that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from mooring.adapters.docker_engine import DockerEngine
from mooring.core.faults import Unavailable

INFO = b'{"ID": "ABCD:EFGH", "Containers": 3}'
NETWORKS = b"""[
  {"Id": "aaa", "Name": "web", "Driver": "mooring", "IPAM": {"Driver": "mooring", "Config": [
    {"Subnet": "10.32.0.0/24", "Gateway": "10.32.0.1"}, {"Subnet": "fd00::/64"}]}},
  {"Id": "bbb", "Name": "none", "IPAM": {"Driver": "default", "Config": null}},
  {"Id": "ccc", "Name": "host", "IPAM": null}
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
        yield DockerEngine(str(tmp_path / "docker.sock"), deadline)


def ok(body: bytes) -> bytes:
    """A reply of HTTP/1.0 with the body."""
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


async def test_networks_and_subnets_are_told_whatever_their_driver(tmp_path: Path) -> None:
    """Null lists and missing fields are what engines send."""
    async with engine(tmp_path, {"/info": ok(INFO), "/networks": ok(NETWORKS)}) as asked:
        view = await asked.view()
    assert view.id == "ABCD:EFGH"
    assert view.networks == {"aaa", "bbb", "ccc"}
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
    with pytest.raises(Unavailable, match="cannot be asked"):
        await DockerEngine(str(tmp_path / "none.sock")).view()
