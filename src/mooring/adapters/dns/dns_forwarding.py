"""Queries that are asked of other nameservers.

Rules: callbacks of the loop and no tasks, so nothing has to be waited for and one query never waits for another; each
query has a socket of its own, so that who wants to forge an answer must guess its port as well as its id (RFC 5452);
what a server sends is believed only with that id and the same question; every query ends with one call of its `done`,
unless it is closed; no namespace has more sockets than its share.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from mooring.adapters.host.descriptor_shares import Shares
from mooring.wire.dns import Query, Rcode, framed, is_reply, rcode_of, take_frame, with_ident

# libnetwork/resolver.go: maxExtDNS, extIOTimeout, maxConcurrent
SERVERS, DEADLINE, QUERIES = 3, 4.0, 1024
_CHUNK = 65536

Upstream = IPv4Address | IPv6Address
Done = Callable[[bytes | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it came. stream: by TCP, and so it goes on."""

    message: bytes
    query: Query
    stream: bool


class Forwarder:
    """Asks on behalf of one namespace.

    connect: makes a socket to the server's port in the right namespace; the future may raise OSError. deadline: seconds
    for each server. shares: of the sockets of all namespaces.
    """

    def __init__(
        self,
        connect: Callable[[Upstream, socket.SocketKind], asyncio.Future[socket.socket]],
        deadline: float,
        shares: Shares,
        failed: Callable[[Upstream], None] = lambda _: None,
    ) -> None:
        """failed: is told of each server that did not answer, or not well."""
        self.failed = failed
        self.connect = connect
        self.deadline = deadline
        self.shares = shares
        self.under_way: set[Exchange] = set()

    def forward(self, asked: Asked, upstreams: Sequence[Upstream], done: Done) -> None:
        """Ask the first three in turn. Calls `done` with the first answer that is one, neither SERVFAIL nor REFUSED; or
        with None, at once if 1024 are under way, or as many as the share."""
        under_way = len(self.under_way)
        if not upstreams or under_way >= QUERIES or not self.shares.take(under_way):
            done(None)
            return
        exchange = Exchange(self, asked, upstreams[:SERVERS], done)
        self.under_way.add(exchange)
        exchange.ask_next()

    def close(self) -> None:
        """Nothing is under way, and no `done` is called any more. Futures of `connect` may still be."""
        for exchange in list(self.under_way):
            exchange.close()


class Exchange:
    """One query under way."""

    def __init__(self, forwarder: Forwarder, asked: Asked, upstreams: Sequence[Upstream], done: Done) -> None:
        self._forwarder = forwarder
        self._asked = asked
        self._left = list(reversed(upstreams))
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._ident = 0
        self._server: Upstream | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = b""
        self._received = bytearray()

    def ask_next(self) -> None:
        """Give up the present server, ask the next one."""
        self._close()
        if self._server is not None:
            self._forwarder.failed(self._server)
        if not self._left:
            self._finish(None)
            return
        self._server = self._left.pop()
        kind = socket.SOCK_STREAM if self._asked.stream else socket.SOCK_DGRAM
        try:
            connecting = self._forwarder.connect(self._server, kind)
        except OSError:  # no descriptor left
            self._finish(None)
            return
        connecting.add_done_callback(self._connected)

    def close(self) -> None:
        """It is over, and nobody is told."""
        self._close()
        if self in self._forwarder.under_way:
            self._forwarder.under_way.discard(self)
            self._forwarder.shares.release()

    def _connected(self, connecting: asyncio.Future[socket.socket]) -> None:
        if connecting.cancelled() or connecting.exception() is not None:
            if self in self._forwarder.under_way:
                self.ask_next()
            return
        connected = connecting.result()
        if self not in self._forwarder.under_way:
            connected.close()
            return
        self._socket = connected
        self._ident = secrets.randbits(16)
        self._timer = self._loop.call_later(self._forwarder.deadline, self.ask_next)
        message = with_ident(self._asked.message, self._ident)
        if self._asked.stream:
            self._unsent, self._received = framed(message), bytearray()
            self._loop.add_writer(connected, self._send_stream, connected)
            return
        try:
            connected.send(message)
        except OSError:
            self.ask_next()
            return
        self._loop.add_reader(connected, self._read_datagram, connected)

    def _read_datagram(self, connected: socket.socket) -> None:
        try:
            message = connected.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there: ICMP has said so
            self.ask_next()
            return
        # Anything else is not for us: who forges answers must not end the waiting for the right one.
        if is_reply(message, self._asked.query, self._ident):
            self._accept(message)

    def _send_stream(self, connected: socket.socket) -> None:
        try:
            self._unsent = self._unsent[connected.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.ask_next()
            return
        if not self._unsent:
            self._loop.remove_writer(connected)
            self._loop.add_reader(connected, self._read_stream, connected)

    def _read_stream(self, connected: socket.socket) -> None:
        try:
            data = connected.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        message = take_frame(self._received)
        if message is not None and is_reply(message, self._asked.query, self._ident):
            self._accept(message)
        elif message is not None or not data:
            self.ask_next()

    def _accept(self, message: bytes) -> None:
        # Another server may be able to, or willing.
        if rcode_of(message) in (Rcode.SERVFAIL, Rcode.REFUSED):
            self.ask_next()
        else:
            self._finish(with_ident(message, self._asked.query.ident))

    def _finish(self, message: bytes | None) -> None:
        self.close()
        self._done(message)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
