"""Clients of the resolver, over the loopback of wherever the test runs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import IPv4Address

import dns.rcode
import pytest

from mooring.adapters.dns.dns_answering import AT_ONCE, Connection, Connections, Datagrams, QueryHandler
from mooring.adapters.dns.dns_forwarding import Asked, Done, Forwarder, Upstream
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.names import Answer, Question, Verdict
from mooring.wire.dns import framed
from tests.adapters.dns.nameservers import PATIENCE, ask, query, texts

MANY = tuple(IPv4Address("10.9.0.1") + number for number in range(2000))


class Held(Forwarder):
    """Forwards nothing until it is told to."""

    def __init__(self) -> None:
        self.held: list[tuple[Asked, Done]] = []

    def forward(self, asked: Asked, upstreams: Sequence[Upstream], done: Done) -> None:
        """See Forwarder."""
        self.held.append((asked, done))


class Counter:
    """Counts lookups. `later.*` is to be asked elsewhere, `many` has 2000 addresses, all else one."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, question: Question) -> Answer:
        """See Lookup."""
        self.count += 1
        if question.name == "broken":
            raise ZeroDivisionError
        if question.name.startswith("later"):
            return Answer(Verdict.FORWARD)
        return Answer(Verdict.FOUND, addresses=MANY if question.name == "many" else MANY[:1])


class Served:
    """A resolver's two sides on one port of the loopback."""

    def __init__(self, idle: float = 99.0, limit: int = 4) -> None:
        self.lookup, self.forwarder = Counter(), Held()
        self.handler = QueryHandler(self.lookup, tuple, self.forwarder)
        self.shares = Shares(99)
        self.connections = Connections(self.handler, self.shares, idle, limit)
        self.stream = socket.create_server(("127.0.0.1", 0))
        self.port = self.stream.getsockname()[1]
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        datagram.bind(("127.0.0.1", self.port))
        self.datagrams = Datagrams(self.handler, datagram)

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One more connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Being served."""
    made = Served()
    await made.connections.serve(made.stream)
    yield made
    await made.connections.close()
    made.datagrams.close()


def wire(name: str, ident: int) -> bytes:
    """A query as it goes over TCP."""
    return framed(query(name, id=ident).to_wire())


async def reply(reader: asyncio.StreamReader) -> int:
    """The id of the next reply."""
    async with asyncio.timeout(PATIENCE):
        size = int.from_bytes(await reader.readexactly(2), "big")
        return int.from_bytes((await reader.readexactly(size))[:2], "big")


@pytest.mark.parametrize("tcp", [False, True])
async def test_what_is_known_is_answered(served: Served, tcp: bool) -> None:
    """Over UDP and TCP."""
    assert texts(await ask(None, query("web"), tcp=tcp, port=served.port)) == ["10.9.0.1"]


async def test_what_nobody_answers_is_a_server_failure(served: Served) -> None:
    """The forwarder has come back with nothing."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask(None, query("later"), tcp=True, port=served.port))
        while not served.forwarder.held:  # noqa: ASYNC110 - the forwarder is a callback, without an event
            await asyncio.sleep(0.001)
        served.forwarder.held[0][1](None)
    assert asking.result().rcode() == dns.rcode.SERVFAIL


async def test_a_connection_is_answered_as_answers_come(served: Served) -> None:
    """A second question does not wait for the first; and questions may come in pieces."""
    reader, writer = await served.client()
    data = wire("later", 1) + wire("web", 2)
    for at in range(0, len(data), 7):
        writer.write(data[at : at + 7])
        await asyncio.sleep(0)
    assert await reply(reader) == 2
    asked, done = served.forwarder.held[0]
    assert asked.stream
    done(asked.message)
    assert await reply(reader) == 1
    writer.close()


async def test_a_client_that_has_said_all_is_answered_and_left(served: Served) -> None:
    """After its half is closed, what was asked is still answered, and then the connection is closed."""
    reader, writer = await served.client()
    writer.write(wire("later", 1) + wire("web", 2))
    writer.write_eof()
    assert await reply(reader) == 2
    asked, done = served.forwarder.held[0]
    done(asked.message)
    assert await reply(reader) == 1
    assert await reader.read() == b""
    writer.close()


async def test_what_is_no_query_ends_the_connection(served: Served) -> None:
    """No header, or a reply."""
    for rubbish in (framed(b""), framed(b"\0\0\x80" + b"\0" * 9)):
        reader, writer = await served.client()
        writer.write(rubbish)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()


async def test_connections_are_few(served: Served) -> None:
    """One more than there may be is closed; when one ends, there is room again."""
    clients = [await served.client() for _ in range(4)]
    for reader, writer in clients:
        writer.write(wire("web", 3))
        assert await reply(reader) == 3
    reader, writer = await served.client()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()
    for _, one in clients:
        one.close()


async def test_namespaces_share_their_connections(served: Served) -> None:
    """Who has as many as are left is refused before his limit; what was refused or has ended is free again."""
    served.shares = served.connections.shares = Shares(4)
    clients = [await served.client() for _ in range(3)]
    for reader, writer in clients[:2]:
        writer.write(wire("web", 3))
        assert await reply(reader) == 3
    async with asyncio.timeout(PATIENCE):
        assert await clients[2][0].read() == b""
    for _, writer in clients:
        writer.close()
    await until(lambda: not served.connections.open)
    assert [served.shares.take(0) for _ in range(5)] == [True] * 4 + [False]


async def test_an_idle_connection_is_closed() -> None:
    """But not while something that it asked is under way."""
    served = Served(idle=0.2)
    await served.connections.serve(served.stream)
    (busy, busy_writer), (idle, idle_writer) = await served.client(), await served.client()
    busy_writer.write(wire("later", 1))
    async with asyncio.timeout(PATIENCE):
        assert await idle.read() == b""
    asked, done = served.forwarder.held[0]
    done(asked.message)
    assert await reply(busy) == 1
    async with asyncio.timeout(PATIENCE):
        assert await busy.read() == b""
    for writer in (busy_writer, idle_writer):
        writer.close()
    await served.connections.close()
    served.datagrams.close()


async def test_half_a_query_is_no_reason_to_wait_longer() -> None:
    """Who sends one octet after the other, and never a whole query, is gone as soon as who sends nothing."""
    served = Served(idle=0.2)
    await served.connections.serve(served.stream)
    reader, writer = await served.client()
    dripped = 0
    with contextlib.suppress(ConnectionResetError):  # an octet was on its way when the connection was closed
        async with asyncio.timeout(PATIENCE):
            while not reader.at_eof():
                writer.write(b"\1")
                dripped += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await reader.read()
    assert dripped < 257  # a whole one would have been 2 + 257 octets
    writer.close()
    await served.connections.close()
    served.datagrams.close()


async def test_who_does_not_read_replies_is_not_read(served: Served) -> None:
    """Questions with an answer of 32 KB each do not fill our memory; he who reads at last gets all of them."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", served.port))
    reader, writer = await asyncio.open_connection(sock=narrow)
    questions = 300
    writer.write(b"".join(wire("many", number) for number in range(questions)))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert served.lookup.count < 150
    for number in range(questions):
        assert await reply(reader) == number
    writer.close()


async def test_nothing_is_heard_after_closing(served: Served) -> None:
    """Connections are closed when the future is done, and the port is free."""
    reader, writer = await served.client()
    writer.write(wire("web", 1))
    assert await reply(reader) == 1
    await served.connections.close()
    served.datagrams.close()
    assert served.connections.open == set()
    assert await reader.read() == b""
    writer.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", served.port))
        other.listen()


class Late(asyncio.Transport):
    """Of a connection that the loop had accepted already."""

    aborted = False

    def abort(self) -> None:
        """See asyncio.Transport."""
        self.aborted = True


async def test_who_comes_while_it_closes_is_not_waited_for(served: Served) -> None:
    """Nobody would end his connection before it is idle."""
    _, writer = await served.client()
    await until(lambda: bool(served.connections.open))
    closed, late = served.connections.close(), Late()
    Connection(served.connections).connection_made(late)
    assert late.aborted
    async with asyncio.timeout(PATIENCE):
        await closed
    assert served.connections.open == set()
    writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Callbacks of the loop have made it true; they have no event."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def _replies(reader: asyncio.StreamReader, count: int) -> set[int]:
    """The ids of the next replies."""
    return {await reply(reader) for _ in range(count)}


async def most_in_a_turn(served: Served, questions: int) -> int:
    """How many lookups there were between two turns of this task, until all are done."""
    most = before = 0
    async with asyncio.timeout(PATIENCE):
        while before < questions:
            await asyncio.sleep(0)
            most, before = max(most, served.lookup.count - before), served.lookup.count
    return most


async def test_a_turn_has_few_answers_for_all_connections(served: Served) -> None:
    """However many queries come at once, others have their turn in between; and no more is read than can wait."""
    clients = [await served.client() for _ in range(3)]
    for number, (_, writer) in enumerate(clients):
        writer.write(wire("web", number) * 1000)
    assert await most_in_a_turn(served, 3000) <= AT_ONCE
    for number, (reader, writer) in enumerate(clients):
        assert await _replies(reader, 1000) == {number}
        writer.close()


async def test_a_turn_has_few_datagrams(served: Served) -> None:
    """The same over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(100):
            client.sendto(query("web").to_wire(), ("127.0.0.1", served.port))
        assert await most_in_a_turn(served, 100) <= AT_ONCE


async def test_connections_take_turns(served: Served) -> None:
    """Who asks once does not wait for who asks a thousand things."""
    (_, greedy), (reader, modest) = await served.client(), await served.client()
    greedy.write(wire("web", 1) * 1000)
    await until(lambda: served.lookup.count > 0)
    modest.write(wire("web", 2))
    assert await reply(reader) == 2
    assert served.lookup.count < 500
    greedy.close()
    modest.close()


async def test_a_flood_is_not_read_beyond_what_can_wait(served: Served) -> None:
    """Megabytes stay where they are until we come to them; all of them are answered."""
    reader, writer = await served.client()
    await until(lambda: bool(served.connections.open))
    connection = next(iter(served.connections.open))
    most, questions = 0, 12000
    writer.write(wire("web" + "-" * 60, 5) * questions)
    async with asyncio.TaskGroup() as tasks:
        answered = tasks.create_task(_replies(reader, questions))
        while not answered.done():
            await asyncio.sleep(0)
            most = max(most, len(connection._received))
    assert answered.result() == {5}
    assert most <= 65537 + 256 * 1024
    writer.close()


async def test_who_has_gone_is_answered_no_more(served: Served) -> None:
    """The rest of what it asked is forgotten."""
    _, writer = await served.client()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.write(wire("web", 1) * 3000)
    await until(lambda: served.lookup.count > 0)
    writer.transport.abort()
    await until(lambda: not served.connections.open)
    after = served.lookup.count
    for _ in range(5):
        await asyncio.sleep(0)
    assert served.lookup.count == after < 3000


async def test_a_lookup_that_fails_ends_its_connection_only(served: Served) -> None:
    """A mistake of ours does not keep others waiting."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    (broken, one), (reader, two) = await served.client(), await served.client()
    one.write(wire("broken", 1) * 3)
    two.write(wire("web", 2) * 100)
    async with asyncio.timeout(PATIENCE):
        assert await broken.read() == b""
    assert await _replies(reader, 100) == {2}
    assert len(told) == 1
    one.close()
    two.close()
