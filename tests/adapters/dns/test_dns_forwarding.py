"""Forwarding, over the loopback of wherever the test runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from ipaddress import IPv4Address

import dns.message
import dns.rcode
import pytest

from mooring.adapters.dns import dns_forwarding
from mooring.adapters.dns.dns_forwarding import Asked, Forwarder, Upstream
from mooring.adapters.dns.dns_sockets import upstream_socket
from mooring.adapters.host.descriptor_shares import Shares
from mooring.wire.dns import Query, read_query
from tests.adapters.dns.nameservers import Nameserver, nameserver, query, texts

LOCAL = IPv4Address("127.0.0.1")


class Servers:
    """Nameservers by addresses that only this forwarder knows, as 10.0.0.1 for the first."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._ports: dict[Upstream, int] = {}
        self.asked: list[Upstream] = []
        self.forwarder = Forwarder(self.connect, 99, Shares(99))

    async def add(self, manner: str = "") -> Nameserver:
        """One more, behaving so; its names have its own address."""
        address = IPv4Address("10.0.0.1") + len(self._ports)
        made = await nameserver(self._stack, None, str(address), manner, at="127.0.0.1", port=0)
        self._ports[address] = made.port
        return made

    def connect(self, upstream: Upstream, kind: socket.SocketKind) -> asyncio.Future[socket.socket]:
        """To one of them; unknown ones have no route."""
        if self.asked:
            self.forwarder.deadline = 99  # only the first is ever given up
        self.asked.append(upstream)
        future: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        if upstream in self._ports:
            future.set_result(upstream_socket(LOCAL, kind, self._ports[upstream]))
        else:
            future.set_exception(OSError("no route"))
        return future

    async def ask(self, *upstreams: str, stream: bool = False) -> dns.message.Message | None:
        """What the forwarder comes back with."""
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.forwarder.forward(asked(stream=stream), [IPv4Address(one) for one in upstreams], answered.set_result)
        reply = await answered
        return dns.message.from_wire(reply) if reply is not None else None


def asked(name: str = "Example.org", ident: int = 7, *, stream: bool = False) -> Asked:
    """A query as a client sends it."""
    message = query(name, id=ident).to_wire()
    read = read_query(message)
    assert isinstance(read, Query)
    return Asked(message, read, stream)


@pytest.fixture
async def servers(stack: ExitStack) -> AsyncIterator[Servers]:
    """None yet."""
    made = Servers(stack)
    yield made
    made.forwarder.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_has_the_clients_id_and_the_server_another(servers: Servers, stream: bool) -> None:
    """A fresh one each time: who forges answers does not know it."""
    server = await servers.add()
    for _ in range(8):
        reply = await servers.ask("10.0.0.1", stream=stream)
        assert reply is not None
        assert (reply.id, texts(reply)) == (7, ["10.0.0.1"])
    assert len(set(server.idents)) > 4
    assert server.streams == (8 if stream else 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("manner", ["mute", "servfail", "refused", "lying"])
async def test_the_next_server_is_asked(servers: Servers, manner: str, stream: bool) -> None:
    """When one is silent, cannot, will not, or says what is no answer."""
    await servers.add(manner)
    await servers.add()
    servers.forwarder.deadline = 0.05
    reply = await servers.ask("10.0.0.1", "10.0.0.2", stream=stream)
    assert reply is not None
    assert texts(reply) == ["10.0.0.2"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_closed_port_and_a_missing_route_cost_no_time(servers: Servers, stream: bool) -> None:
    """The kernel says so at once, and the next one is asked."""
    await servers.add()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        servers._ports[IPv4Address("10.0.0.2")] = taken.getsockname()[1]
    reply = await servers.ask("10.0.0.9", "10.0.0.2", "10.0.0.1", stream=stream)
    assert reply is not None
    assert texts(reply) == ["10.0.0.1"]


async def test_forged_answers_do_not_hide_the_right_one(servers: Servers) -> None:
    """With a wrong id or another question they are passed over."""
    await servers.add("forged")
    reply = await servers.ask("10.0.0.1")
    assert reply is not None
    assert texts(reply) == ["10.0.0.1"]


@pytest.mark.parametrize(("manner", "rcode"), [("bare", dns.rcode.FORMERR), ("short", dns.rcode.NOERROR)])
async def test_other_answers_are_passed_on(servers: Servers, manner: str, rcode: dns.rcode.Rcode) -> None:
    """Whoever asked knows what to do: without EDNS, or over TCP."""
    await servers.add(manner)
    reply = await servers.ask("10.0.0.1")
    assert reply is not None
    assert (reply.rcode(), texts(reply)) == (rcode, [])


async def test_three_are_asked_and_no_more(servers: Servers) -> None:
    """And without any there is no answer."""
    assert await servers.ask("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4") is None
    assert [str(upstream) for upstream in servers.asked] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert await servers.ask() is None


async def test_too_many_are_refused_at_once(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those under way go on; when one ends, there is room again."""
    monkeypatch.setattr(dns_forwarding, "QUERIES", 2)
    server = await servers.add("mute")
    ended: list[bytes | None] = []
    for number in range(3):
        servers.forwarder.forward(asked(ident=number), [IPv4Address("10.0.0.1")], ended.append)
    assert ended == [None]
    await server.heard.get()
    await server.heard.get()
    assert len(servers.forwarder.under_way) == 2
    servers.forwarder.close()
    server.manner = ""
    assert await servers.ask("10.0.0.1") is not None


async def test_namespaces_share_their_sockets(servers: Servers) -> None:
    """Who asks without end is refused at once when he has as much as is left for others; what ends is free again."""
    mute, shares = await servers.add("mute"), Shares(6)
    greedy, modest = (Forwarder(servers.connect, 99, shares) for _ in range(2))
    refused: list[bytes | None] = []
    for number in range(10):
        greedy.forward(asked(ident=number), [IPv4Address("10.0.0.1")], refused.append)
    assert (len(greedy.under_way), refused) == (3, [None] * 7)
    modest.forward(asked(), [IPv4Address("10.0.0.1")], refused.append)
    assert len(modest.under_way) == 1
    for _ in range(4):
        await mute.heard.get()
    for forwarder in (greedy, modest, greedy):
        forwarder.close()
    assert [shares.take(0) for _ in range(7)] == [True] * 6 + [False]


async def test_a_queue_of_queries_does_not_wait_for_a_mute_server(servers: Servers) -> None:
    """Each query goes its own way."""
    mute = await servers.add("mute")
    await servers.add()
    waiting: list[bytes | None] = []
    servers.forwarder.forward(asked(), [IPv4Address("10.0.0.1")], waiting.append)
    await mute.heard.get()
    assert await servers.ask("10.0.0.2") is not None
    assert waiting == []


@pytest.mark.parametrize("stream", [False, True])
async def test_after_closing_nobody_is_told(servers: Servers, stream: bool) -> None:
    """Also when the socket comes only then: it is closed."""
    server = await servers.add()
    ended: list[bytes | None] = []
    later: list[Callable[[], None]] = []
    made = upstream_socket(LOCAL, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM, server.port)

    def connect(upstream: Upstream, kind: socket.SocketKind) -> asyncio.Future[socket.socket]:
        future: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        later.append(lambda: future.set_result(made))
        return future

    forwarder = Forwarder(connect, 99, Shares(99))
    forwarder.forward(asked(stream=stream), [LOCAL], ended.append)
    forwarder.close()
    later[0]()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (ended, made.fileno(), forwarder.under_way) == ([], -1, set())


async def test_no_descriptor_left_is_no_answer() -> None:
    """The query is over, the process goes on."""

    def connect(upstream: Upstream, kind: socket.SocketKind) -> asyncio.Future[socket.socket]:
        raise OSError(24, "Too many open files")

    ended: list[bytes | None] = []
    forwarder = Forwarder(connect, 99, Shares(99))
    forwarder.forward(asked(), [LOCAL], ended.append)
    assert (ended, forwarder.under_way) == ([None], set())
