"""How the embedded resolver answers: datagrams and connections of one namespace, and what becomes of a query.

Rules: callbacks of the loop and no tasks; a client can have no more of us than a number of connections, on each of
them no more than a buffer of queries and one of replies that it has not read, and in each turn of the loop no more than
a few answers, whatever it sends; several questions on one connection are answered as the answers come (RFC 7766,
6.2.1.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

from mooring.adapters.dns.dns_forwarding import Asked, Forwarder, Upstream
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.names import Verdict
from mooring.ports import Lookup
from mooring.wire.dns import (
    READ_BYTES,
    STREAM_BYTES,
    Rcode,
    encode_failure,
    encode_reply,
    framed,
    read_query,
    take_frame,
)

CONNECTIONS = 32
# Seconds that a connection may be idle: what Docker's resolver waits.
IDLE = 8.0
# Datagrams, and queries of all connections, that are answered before others have their turn.
AT_ONCE = 8
# More than one query can have: when as much is waiting, no more is read.
_BACKLOG = 2 + STREAM_BYTES

Send = Callable[[bytes], None]


class Answering(Protocol):
    """What a connection needs of who answers. client: whose connections are counted together."""

    @property
    def client(self) -> Hashable:
        """See there."""
        ...

    def of(self, transport: asyncio.Transport) -> Answering | None:
        """Who answers this client; None when nobody does."""
        ...

    def answer(self, message: bytes, send: Send, *, stream: bool) -> bool:
        """Calls `send` with the reply, now or later; False when the message gets none."""
        ...


@dataclass(slots=True)
class QueryHandler:
    """Answers queries of one namespace. lookup, upstreams: may be changed at any time."""

    lookup: Lookup
    upstreams: Callable[[], Sequence[Upstream]]
    forwarder: Forwarder
    client: Hashable = None

    def of(self, transport: asyncio.Transport) -> Answering:  # noqa: ARG002
        """See Answering: in a namespace of its own there is one client."""
        return self

    def answer(self, message: bytes, send: Send, *, stream: bool) -> bool:
        """Calls `send` with the reply, now or later; False when the message gets none."""
        query = read_query(message)
        if query is None:
            return False
        if isinstance(query, bytes):
            send(query)
            return True
        answer = self.lookup(query.question)
        if answer.verdict is Verdict.FORWARD:
            failure = encode_failure(query, Rcode.SERVFAIL)
            asked = Asked(message, query, stream)
            self.forwarder.forward(asked, self.upstreams(), lambda reply: send(failure if reply is None else reply))
            return True
        if len(answer.addresses) > 1:
            # Clients take the first: so they spread over those that have the same name (libnetwork/resolver.go).
            answer = replace(answer, addresses=tuple(random.sample(answer.addresses, len(answer.addresses))))
        send(encode_reply(query, answer, STREAM_BYTES if stream else query.udp_limit))
        return True


class Datagrams:
    """Queries over UDP, from the moment that it is made. It takes the socket over."""

    def __init__(self, handler: QueryHandler, served: socket.socket) -> None:
        self.socket = served
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(served, self._read)

    def close(self) -> None:
        """Nothing is read or sent any more. Closing twice is fine."""
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
        self.socket.close()

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            try:
                message, client = self.socket.recvfrom(READ_BYTES)
            except OSError:  # there is none any more
                return
            self._handler.answer(message, partial(self._send, client), stream=False)

    def _send(self, client: tuple[str, int], reply: bytes) -> None:
        # A reply that finds no room is lost, as datagrams are; the client asks again.
        with contextlib.suppress(OSError):
            self.socket.sendto(reply, client)


class Connections:
    """Queries over TCP. shares: of the connections of all clients. idle: seconds without a whole query. limit: how many
    one client may have at once; one more than that, or than the share, is closed."""

    def __init__(self, handler: Answering, shares: Shares, idle: float = IDLE, limit: int = CONNECTIONS) -> None:
        self.handler = handler
        self.shares = shares
        self.idle = idle
        self.limit = limit
        self.open: set[Connection] = set()
        self._of_client: Counter[Hashable] = Counter()
        self._waiting: deque[Connection] = deque()
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._closing = False
        self._all_closed: asyncio.Future[None] = self._loop.create_future()

    async def serve(self, listening: socket.socket) -> None:
        """Connections are accepted from now on. It takes the socket over, also when it is cancelled."""
        # The backlog is also how many the loop accepts, with a descriptor each, before we can close one.
        self._server = await self._loop.create_server(
            lambda: Connection(self), sock=listening, backlog=self.limit, start_serving=False
        )
        await self._server.start_serving()

    def close(self) -> asyncio.Future[None]:
        """Nobody is accepted any more; when the future is done, every connection is closed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._closing = True  # before it is looked who is there: the loop may have taken one more already
        for connection in list(self.open):
            connection.abort()
        self._check_closed()
        return self._all_closed

    def admit(self, connection: Connection) -> bool:
        """Whether there may be one more, while it is not being closed; it counts until it is forgotten."""
        count = self._of_client[connection.client]
        if self._closing or count >= self.limit or not self.shares.take(count):
            return False
        self.open.add(connection)
        self._of_client[connection.client] += 1
        return True

    def forget(self, connection: Connection) -> None:
        """The connection is closed, or was not admitted."""
        if connection in self.open:
            self.open.discard(connection)
            self._of_client[connection.client] -= 1
            if not self._of_client[connection.client]:
                del self._of_client[connection.client]
            self.shares.release()
        self._check_closed()

    def enqueue(self, connection: Connection) -> None:
        """It has queries to answer, and is not in the queue."""
        if not self._waiting:
            self._loop.call_soon(self._take_turns)
        self._waiting.append(connection)

    def _take_turns(self) -> None:
        """One query of each that waits, and again; what is left comes after whatever else the program does."""
        try:
            for _ in range(AT_ONCE):
                if not self._waiting:
                    return
                connection = self._waiting.popleft()
                if connection.answer_one():
                    self._waiting.append(connection)
        finally:
            if self._waiting:
                self._loop.call_soon(self._take_turns)

    def _check_closed(self) -> None:
        if self._closing and not self.open and not self._all_closed.done():
            self._all_closed.set_result(None)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, connections: Connections) -> None:
        self.client: Hashable = None
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._handler: Answering | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = bytearray()
        self._unanswered = 0
        self._queued = False
        self._paused = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._handler = self._connections.handler.of(self._transport)
        if self._handler is not None:
            self.client = self._handler.client
            if self._connections.admit(self):
                self._wait()
                return
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See asyncio.Protocol."""
        self._transport = None
        self._connections.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        if len(self._received) > _BACKLOG and self._transport is not None:
            self._transport.pause_reading()
        self._enqueue()

    def eof_received(self) -> bool:
        """See asyncio.Protocol. What was asked is answered all the same."""
        self._ended = True
        return bool(self._unanswered or self._queued or self._paused)

    def pause_writing(self) -> None:
        """See asyncio.Protocol. Who does not read replies is not read."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self._enqueue()

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    def answer_one(self) -> bool:
        """Answer the next query. False, and out of the queue, when there is none, or nobody who would hear."""
        transport = self._transport
        if not self._paused and transport is not None and not transport.is_closing():
            message = take_frame(self._received)
            if message is not None:
                self._wait()
                if self._answer(message):
                    return True
            if message is None:
                transport.resume_reading()
        self._queued = False
        self._close_at_end()
        return False

    def _answer(self, message: bytes) -> bool:
        """False when it is no client of DNS, and the connection is over."""
        answered = False
        self._unanswered += 1
        try:
            answered = self._handler is not None and self._handler.answer(message, self._send, stream=True)
        finally:
            if not answered:
                self.abort()
        return answered

    def _enqueue(self) -> None:
        if not self._queued:
            self._queued = True
            self._connections.enqueue(self)

    def _send(self, reply: bytes) -> None:
        self._unanswered -= 1
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(framed(reply))
            self._close_at_end()

    def _close_at_end(self) -> None:
        if self._ended and not (self._unanswered or self._queued or self._paused) and self._transport is not None:
            self._transport.close()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._connections.idle, self._close_idle)

    def _close_idle(self) -> None:
        if self._unanswered or self._queued:
            self._wait()
        else:
            self.abort()
