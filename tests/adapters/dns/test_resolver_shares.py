"""Sandboxes of one resolver that ask more than their share."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from ipaddress import IPv4Address

import pytest

from mooring.adapters.dns.resolver import EmbeddedResolver
from mooring.core.names import Answer, Question, Verdict
from tests.adapters.dns.nameservers import ask, query, texts, within
from tests.netns.rigs import Namespace, private_namespace

pytestmark = pytest.mark.netns

MUTE = IPv4Address("198.18.0.9")


def lookup(question: Question) -> Answer:
    """`web` is ours."""
    if question.name == "web":
        return Answer(Verdict.FOUND, addresses=(IPv4Address("10.9.0.2"),))
    return Answer(Verdict.FORWARD)


@pytest.fixture
def sandboxes() -> Iterator[list[Namespace]]:
    """Three, each with a nameserver inside that never answers."""
    with private_namespace():
        made = [Namespace.new() for _ in range(3)]
        servers: list[socket.socket] = []
        for space in made:
            space.sh(f"ip address add {MUTE}/32 dev lo")
            with space.inside():
                servers.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                servers[-1].bind((str(MUTE), 53))
        yield made
        for server in servers:
            server.close()
        for space in made:
            space.close()


@pytest.fixture
async def resolver(sandboxes: list[Namespace], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedResolver]:
    """It serves them all in a program that may have 24 files open: 6 for queries, 3 for connections."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (24, 24))
    made = EmbeddedResolver(deadline=99)
    for space in sandboxes:
        await made.serve(f"/proc/{os.getpid()}/fd/{space.fd}", lookup, lambda: (MUTE,))
    yield made
    await made.close()


def refused(count: int, of: int) -> list[int]:
    """Asks so many things, and waits for so few replies: their numbers."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(10)
        for number in range(of):
            client.sendto(query("example.org", id=number).to_wire(), ("127.0.0.11", 53))
        return [int.from_bytes(client.recv(4096)[:2], "big") for _ in range(count)]


async def test_queries_beyond_the_share_are_refused_at_once(
    resolver: EmbeddedResolver, sandboxes: list[Namespace]
) -> None:
    """Half for the first, half of what is left for the next, and some for a third; names of ours are known to all."""
    one, two, three = sandboxes
    assert await within(one, lambda: refused(4, of=7)) == [3, 4, 5, 6]
    assert await within(two, lambda: refused(4, of=6)) == [2, 3, 4, 5]
    assert await within(three, lambda: refused(1, of=2)) == [1]
    for space in sandboxes:
        assert texts(await ask(space, query("web"))) == ["10.9.0.2"]


async def test_connections_beyond_the_share_are_closed_at_once(
    resolver: EmbeddedResolver, sandboxes: list[Namespace]
) -> None:
    """Two of the first's three stay, and there is one for the next."""

    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.11", 53), timeout=10)

    one, two, _ = sandboxes
    clients = [await within(one, connect) for _ in range(3)]
    assert await within(one, lambda: clients[2].recv(1)) == b""
    assert texts(await ask(two, query("web"), tcp=True)) == ["10.9.0.2"]
    for client in clients:
        client.close()
