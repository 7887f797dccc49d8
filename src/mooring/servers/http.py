"""The small HTTP/1.1 server of the plugin door, where each tenth of a millisecond is felt.

Rules: requests of a connection are answered one at a time and in order; a handler that was started is never cancelled
because its client went away, since it may be in the middle of a change; whatever the bytes, the answer is a status and
one line, and a connection that was refused reads nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from asyncio import TimerHandle
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools

from mooring.servers.credentials import credentials
from mooring.servers.quotas import Idle, Quota
from mooring.servers.under_way import UnderWay

log = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
HEAD_LIMIT = 1 << 16
# Pipelined requests that wait for their turn before the connection is read no further.
QUEUE_LIMIT = 32
# How long a refused client is listened to, so that it reads the answer before it meets a reset.
LINGER = 2.0


@dataclass(slots=True)
class Request:
    """One request, complete. path: percent-decoded, without the query; query: as sent, without the question mark.

    process: the pid at the other end of a unix socket, as it was when that connected; 0 where there is none.
    """

    method: str
    path: str
    query: str
    body: bytes
    process: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"


Handler = Callable[[Request], Awaitable[Response]]
# Makes the server's own refusals look like the door's: (status, one line).
Failer = Callable[[int, str], Response]


@dataclass(frozen=True, slots=True)
class Limits:
    """body, head: bytes. request: seconds from its first byte to its last. drain: seconds for what is under way."""

    body: int = BODY_LIMIT
    head: int = HEAD_LIMIT
    request: float = 30.0
    drain: float = 10.0


class HttpServer:
    """Serves any number of sockets, each with its handler, until stopped."""

    def __init__(self, fail: Failer, limits: Limits = Limits()) -> None:
        self.fail = fail
        self.limits = limits
        self._stopping = asyncio.Event()

    async def serve(self, sock: socket.socket, handler: Handler, quota: Quota | None = None) -> None:
        """Answer what comes in on a bound stream socket, until `stop` or cancellation. quota: of its connections.

        Then it accepts nothing more, closes idle connections, and waits for requests under way, `limits.drain` seconds
        at most. The socket is closed; a socket file stays.
        """
        async with asyncio.TaskGroup() as tasks:
            under_way = UnderWay[Handler, Connection](handler, tasks, quota)
            await under_way.serve(sock, lambda: Connection(self, under_way), self._stopping, self.limits.drain)

    def stop(self) -> None:
        """Ask every `serve` to end."""
        self._stopping.set()


class _Refused(Exception):
    """Raised in the parser's callbacks to stop it."""


class Connection(asyncio.Protocol):
    """One client: parses what it sends, lets the handler answer in turn."""

    def __init__(self, server: HttpServer, under_way: UnderWay[Handler, Connection]) -> None:
        self._server = server
        self._limits = server.limits
        self._under_way = under_way
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        # (request, or None for a refusal; the refusal; whether the connection goes on after it)
        self._queue: deque[tuple[Request | None, Response | None, bool]] = deque()
        self._answering = False
        self._deaf = False  # nothing more is parsed
        self._ended = False  # the client will send nothing more
        self._timer: TimerHandle | None = None
        self._writable: asyncio.Event | None = None
        self._paused = False
        self._head_size = 0
        self._reading = False
        self._asked = False  # it has begun a request
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0
        self._in_head = True
        self._expects = False

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer = credentials(transport)
        self._process = peer.pid if peer is not None else 0
        self._under_way.connections.add(self)
        quota = self._under_way.quota
        if quota is not None and (refusal := quota.enter(self, transport)):
            self._refuse(503, refusal)
        if not self._under_way.open:
            self.finish()

    @property
    def idle(self) -> Idle:
        """Whether the connection may give way to another one of its listener."""
        if self._answering or self._queue or self._reading:
            return Idle.BUSY
        return Idle.BETWEEN if self._asked else Idle.SILENT

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone; what it asked for is carried out all the same, and its answer dropped."""
        self._transport = None
        self._deaf = True
        self._stop_timer()
        self.resume_writing()
        self._under_way.connections.discard(self)
        if self._under_way.quota is not None:
            self._under_way.quota.leave(self)

    def data_received(self, data: bytes) -> None:
        """Parse; start on the first complete request."""
        if self._deaf:
            return
        if self._in_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(400, f"malformed HTTP: {error}")  # says nothing when a callback has refused already
        if self._reading and self._in_head and self._head_size > self._limits.head:
            self._refuse(431, f"the request's head is larger than {self._limits.head} bytes")
        if self._reading and self._timer is None and not self._deaf:
            self._timer = self._loop.call_later(self._limits.request, self._too_slow)

    def eof_received(self) -> bool:
        """The client has said all; it may still listen."""
        self._ended = True
        if self._reading and not self._deaf:
            self._refuse(400, "the request ended before it was complete")
        elif not self._answering:
            return False
        return True

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begin()
        self._reading = self._asked = True

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header."""
        match name.lower():
            case b"content-length" if value.isdigit() and int(value) > self._limits.body:
                self._too_large()
            case b"expect":
                self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._in_head = False
        if self._parser.should_upgrade():
            self._refuse(400, "protocol upgrades are not supported")
            raise _Refused
        if self._expects and not self._answering and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._size += len(piece)
        if self._size > self._limits.body:
            self._too_large()
        self._body.append(piece)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._reading = False
        self._head_size = 0
        self._stop_timer()
        target, _, query = self._url.partition(b"?")
        if not target.startswith(b"/"):
            try:
                parsed = httptools.parse_url(self._url)
            except httptools.HttpParserError:
                parsed = None
            target, query = ((parsed.path or b"/"), parsed.query or b"") if parsed is not None else (target, query)
        path = target.decode("latin-1")
        method = self._parser.get_method().decode("latin-1")
        path = unquote(path) if "%" in path else path
        request = Request(method, path, query.decode("latin-1"), b"".join(self._body), self._process)
        self._enqueue(request, None, self._parser.should_keep_alive())

    # Refusing.

    def _too_large(self) -> None:
        self._refuse(413, f"the body is larger than {self._limits.body} bytes")
        raise _Refused

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(408, f"the request was not complete after {self._limits.request:g} s")

    def _refuse(self, status: int, text: str) -> None:
        if not self._deaf:
            self._stop_timer()
            self._reading = False
            self._enqueue(None, self._server.fail(status, text), go_on=False)
            self._deaf = True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Answering.

    def _enqueue(self, request: Request | None, refusal: Response | None, go_on: bool) -> None:
        if self._deaf:
            return
        self._deaf = not go_on
        self._queue.append((request, refusal, go_on))
        if len(self._queue) >= QUEUE_LIMIT and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if not self._answering:
            self._answering = True
            self._under_way.spawn(self._answer())

    async def _answer(self) -> None:
        """Work off the queue."""
        go_on = True
        try:
            while self._queue:
                request, response, go_on = self._queue.popleft()
                if request is not None:
                    response = await self._call(request)
                assert response is not None
                self._write(response, request is None or request.method != "HEAD", go_on)
                if self._paused and self._transport is not None and not self._queue:
                    self._paused = False
                    self._transport.resume_reading()
                if self._writable is not None:
                    await self._writable.wait()
        finally:
            self._answering = False
            if not go_on:
                self._hang_up()
            elif self._ended:
                self.close()

    async def _call(self, request: Request) -> Response:
        try:
            return await self._under_way.handler(request)
        except asyncio.CancelledError:
            self._write(self._server.fail(503, "stopping; the outcome is not known"), True, False)
            raise
        except Exception:
            # The last guard: a mistake in a door must not end the server.
            log.exception("internal error while answering %s %s", request.method, request.path[:200])
            return self._server.fail(500, "internal error; the log has more")

    def _write(self, response: Response, with_body: bool, go_on: bool) -> None:
        if self._transport is None:
            return
        self._transport.write(written(response, with_body, go_on))

    def _hang_up(self) -> None:
        """Say that nothing follows, and listen a little: a close with unread bytes would reset what was answered."""
        if self._transport is None:
            return
        if self._ended or not self._transport.can_write_eof():
            self.close()
            return
        self._transport.write_eof()
        self._timer = self._loop.call_later(LINGER, self.close)

    # What the server calls.

    def finish(self) -> None:
        """Take no further request; close when those under way are answered."""
        self._deaf = True
        self._ended = True
        self._stop_timer()
        if not self._answering:
            self.close()

    def close(self) -> None:
        """What was written is still sent."""
        if self._transport is not None:
            self._transport.close()


def written(response: Response, with_body: bool, go_on: bool) -> bytes:
    """The response as bytes. go_on: the connection stays."""
    end = "\r\n" if go_on else "Connection: close\r\n\r\n"
    head = (
        f"{_status_line(response.status)}Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n{end}"
    ).encode("latin-1")
    return head + response.body if with_body else head


@cache
def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    except ValueError:
        return f"HTTP/1.1 {status} Status\r\n"
