"""Connections of the API: uvicorn's protocol, with what every door of ours promises hostile and slow clients.

Rules: what an application is started with is a request that is complete; it is never cancelled because its client went
away, since it may be in the middle of a change; whatever the bytes, the answer is a status and one line in the door's
form, and a connection that was refused reads nothing more; connections may be idle for ever.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mooring.servers.http import LINGER, Failer, Limits, Response, written
from mooring.servers.quotas import Idle
from mooring.servers.under_way import UnderWay

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
# An ASGI 3 application: scope, receive, send.
Application = Callable[[Any, Any, Any], Awaitable[None]]


def configuration(application: Application) -> Config:
    """uvicorn's settings for an application: nothing of it but its protocol. It handles no signals, starts no tasks,
    logs no requests, believes no `X-Forwarded-For`, and says in no header what it is."""
    config = Config(
        application, interface="asgi3", http=HttpToolsProtocol, ws="none", lifespan="off", log_config=None,
        access_log=False, proxy_headers=False, server_header=False, date_header=False,
    )  # fmt: skip
    config.load()
    return config


class _Refused(Exception):
    """Raised in the parser's callbacks to stop it."""


class _Flow(FlowControl):
    """Reads nothing more while requests wait for their turn, so that nobody makes them many."""

    def __init__(self, connection: ApiConnection, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._connection = connection

    def resume_reading(self) -> None:
        if not self._connection.pipeline:
            super().resume_reading()


class ApiConnection(HttpToolsProtocol):
    """One client."""

    def __init__(
        self, config: Config, fail: Failer, limits: Limits, under_way: UnderWay[Application, ApiConnection]
    ) -> None:
        super().__init__(config, ServerState(), {}, asyncio.get_running_loop())
        self.parser = httptools.HttpRequestParser(self)  # uvicorn's takes what comes after `Connection: close`
        self._fail = fail
        self._limits = limits
        self._under_way = under_way
        self._refusal: Response | None = None  # waits for the answers before it
        self._deaf = False  # nothing more is parsed
        self._ended = False  # the client will send nothing more
        self._hung_up = asyncio.Event()  # for what waits for long: it has ended, or is gone
        self._asked = False  # it has begun a request
        self._reading = False
        self._in_head = True
        self._head_size = 0  # bytes that came while it was not complete
        self._head_length = 0  # of its headers so far
        self._pieces: list[bytes] = []
        self._size = 0
        self._timer: TimerHandle | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self.flow = _Flow(self, transport)
        self._under_way.connections.add(self)
        quota = self._under_way.quota
        if quota is not None and (refusal := quota.enter(self, transport)):
            self._refuse(503, refusal)
        if not self._under_way.open:
            self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; what it asked for is carried out all the same, and its answer dropped."""
        self._deaf = True
        self._hung_up.set()
        self._stop_timer()
        super().connection_lost(exc)
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
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(400, f"malformed HTTP: {error}")  # says nothing when a callback has refused already
        if self._reading and self._in_head and self._head_size > self._limits.head:
            self._too_long()
        if self._reading and self._timer is None and not self._deaf:
            self._timer = self.loop.call_later(self._limits.request, self._too_slow)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has said all; it may still listen."""
        self._ended = True
        self._hung_up.set()
        if self._reading and not self._deaf:
            self._refuse(400, "the request ended before it was complete")
            return True
        return self._busy

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._pieces, self._size, self._in_head, self._head_length = [], 0, True, 0
        self._reading = self._asked = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header."""
        super().on_header(name, value)
        self._head_length += len(name) + len(value) + 4
        if self._head_length > self._limits.head:
            self._too_long()
        if name.lower() == b"content-length" and value.isdigit() and int(value) > self._limits.body:
            self._too_large()

    def on_headers_complete(self) -> None:
        """The body comes next. uvicorn would start the application now; that is done when the request is complete."""
        self._in_head = False
        if self.parser.should_upgrade():
            self._refuse(400, "protocol upgrades are not supported")
            raise _Refused
        if self.expect_100_continue and not self._busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.expect_100_continue = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > self._limits.body:
            self._too_large()
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The last byte of a request: it is carried out, or waits for its turn."""
        if self._deaf:
            return
        self._reading = False
        self._head_size = 0
        self._stop_timer()
        try:
            super().on_headers_complete()
        except (httptools.HttpParserError, AttributeError, UnicodeDecodeError):
            self._refuse(400, "the request's target is not a path")
            raise _Refused from None
        self.cycle.body = bytearray(b"".join(self._pieces))
        self.cycle.more_body = False
        self._deaf = not self.cycle.keep_alive

    # Answering.

    @property
    def _busy(self) -> bool:
        """Whether an answer is still to come: requests are answered in order, and the cycle is the last one's."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def idle(self) -> Idle:
        """Whether the connection may give way to another one of its listener."""
        if self._busy or self._reading or self._refusal is not None:
            return Idle.BUSY
        return Idle.BETWEEN if self._asked else Idle.SILENT

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._under_way.spawn(cycle.run_asgi(partial(self._answer, app, cycle)))

    async def _answer(
        self, app: Application, cycle: RequestResponseCycle, scope: Any, _receive: Any, send: Any
    ) -> None:
        """The last guard: a mistake in the application must not end the connection, nor look like another program."""
        body = [{"type": "http.request", "body": bytes(cycle.body), "more_body": False}]

        async def receive() -> dict[str, Any]:
            return body.pop() if body else {"type": "http.disconnect"}

        scope["hung_up"] = self._hung_up
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not cycle.response_started and not self.flow.write_paused:
                await respond(send, self._fail(503, "stopping; the outcome is not known"))
            cycle.disconnected = True  # for uvicorn: nobody waits for an answer any more
        except Exception:
            if cycle.response_started:
                raise
            log.exception("internal error while answering %s %s", scope["method"], scope["path"][:200])
            await respond(send, self._fail(500, "internal error; the log has more"))

    def on_response_complete(self) -> None:
        """An answer was written; the next request has its turn, then a refusal, then the end."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self._busy or self.transport.is_closing():
            return
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._ended:
            self.close()

    # Refusing.

    def _too_large(self) -> None:
        self._refuse(413, f"the body is larger than {self._limits.body} bytes")
        raise _Refused

    def _too_long(self) -> None:
        self._refuse(431, f"the request's head is larger than {self._limits.head} bytes")

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(408, f"the request was not complete after {self._limits.request:g} s")

    def _refuse(self, status: int, text: str) -> None:
        if self._deaf:
            return
        self._stop_timer()
        self._reading = False
        self._deaf = True
        self._refusal = self._fail(status, text)
        if not self._busy:
            self._write_refusal(self._refusal)

    def _write_refusal(self, refusal: Response) -> None:
        """And say that nothing follows, and listen a little: a close with unread bytes would reset the answer."""
        self._refusal = None
        self.transport.write(written(refusal, with_body=True, go_on=False))
        if self._ended or not self.transport.can_write_eof():
            self.close()
            return
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER, self.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What the server calls.

    def finish(self) -> None:
        """Take no further request; close when those under way are answered."""
        self._deaf = True
        self._ended = True
        self._hung_up.set()
        self._stop_timer()
        if not self._busy:
            self.close()

    def close(self) -> None:
        """What was written is still sent."""
        self.transport.close()


async def respond(send: Send, response: Response) -> None:
    """The whole answer, as ASGI messages."""
    headers = [(b"content-type", response.content_type.encode()), (b"content-length", b"%d" % len(response.body))]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})
