"""One client's connection to the engine: every byte passed on at once, in both directions, as it came.

Rules: no request reaches the engine before its head was understood, admitted and, if it is hooked, given its decision;
replies leave in the order of the requests, our own refusals among them; each side's slowness slows the other, each
side's end is passed on as what it is (a half-close as a half-close, a hang-up as a hang-up), and silence is no reason
to end anything; a connection that has become a stream is copied blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableSet
from typing import cast

from mooring.servers.proxy.peers import NOBODY, Who, who_is
from mooring.servers.proxy.relay_exchanges import BACKLOG_LIMIT, LINGER, QUEUE_LIMIT, Exchange, Terms, Wait, settle
from mooring.servers.proxy.relay_line import Line
from mooring.servers.proxy.relay_replies import Replies
from mooring.servers.proxy.relay_requests import Requests
from mooring.servers.proxy.upstreams import BUFFER, hung_up
from mooring.servers.quotas import Idle, Quota

# Seconds from a head's first byte to its last.
HEAD_TIME = 60.0


class Relay(asyncio.Protocol):
    """One client. queue: the requests under way, in order. blind: HTTP/2 may pass, in which nothing is seen."""

    __slots__ = (
        "_all", "_client_ended", "_closed", "_engine_over", "_engine_slow", "_late", "_quota", "_slow", "_timer",
        "_transport", "_tunnel", "blind", "line", "queue", "replies", "requests", "terms", "who",
    )  # fmt: skip

    def __init__(self, terms: Terms, everybody: MutableSet[Relay], blind: bool, quota: Quota | None = None) -> None:
        """quota: of the listener, when the relay itself is what it counts."""
        self.terms = terms
        self.blind = blind
        self.queue: list[Exchange] = []
        self.line = Line(self)
        self.requests = Requests(self)
        self.replies = Replies(self)
        self._all = everybody
        self._transport: asyncio.Transport | None = None
        self._tunnel = False
        self._closed = False  # nothing is relayed any more
        self._client_ended = False
        self._engine_over = False
        self._slow = False  # the client reads slower than we write
        self._engine_slow = False
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None  # a head has begun and must end
        self._quota = quota
        self.who: Who = NOBODY  # where there is an audit: the client

    # What the loop calls, of the client.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(BUFFER)
        self._all.add(self)
        if self.terms.audit is not None:
            self.who = who_is(transport)
        if self._quota is not None and (refusal := self._quota.enter(self, transport)):
            self.write(self.terms.refusals.reply(503, f"mooring: {refusal}", closes=True))
            self.hang_up()

    def data_received(self, data: bytes) -> None:
        """The client's bytes."""
        if self._tunnel:
            self.line.send(data)
        elif not self._closed:
            self.requests.received(data)
            if self._late is None and (begun := self.requests.begun) is not None:
                self._late = asyncio.get_running_loop().call_later(HEAD_TIME, self._head_is_late, begun)

    def _head_is_late(self, begun: bytearray) -> None:
        self._late = None
        if self._closed or self._tunnel or (now := self.requests.begun) is None:
            return
        if now is begun:
            self.requests.too_slow()
        else:  # another one has begun meanwhile
            self._late = asyncio.get_running_loop().call_later(HEAD_TIME, self._head_is_late, now)

    @property
    def idle(self) -> Idle:
        """Whether the connection may give way to another one of its listener."""
        if self._tunnel or self.queue or (self.requests.unfinished and self.requests.begun is None):
            return Idle.BUSY
        return Idle.SILENT if self.requests.fresh else Idle.BETWEEN

    def eof_received(self) -> bool:
        """The client will send no more; it may still listen."""
        self._client_ended = True
        transport = self._transport
        if self._closed or transport is None:
            return False
        gone = not transport.can_write_eof() or hung_up(transport)
        if self._tunnel:
            if gone or self._engine_over:
                self._let_go()
                return False
            self.line.end()
            return True
        if gone and not (self.requests.put_by and self.requests.waits & Wait.REPLY):
            self._let_go()
            return False
        return self._half_closed()

    def _half_closed(self) -> bool:
        """Whether the connection stays open for replies."""
        requests = self.requests
        if requests.put_by or requests.waits & (Wait.HOOK | Wait.REPLY):
            return True  # what was sent is worked off first
        if requests.passing:
            self.line.end()
        elif requests.unfinished and not requests.deaf:
            requests.truncated()
        elif not self.queue:
            self._let_go()
            return False
        elif any(exchange.forwarded for exchange in self.queue):
            self.line.end()
        return not self._closed

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone, and the engine hears of it at once."""
        self._let_go()
        self._transport = None
        for timer in filter(None, (self._timer, self._late)):
            timer.cancel()
        self._timer = self._late = None
        self._all.discard(self)
        if self._quota is not None:
            self._quota.leave(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._slow = True
        self.requests.waits |= Wait.SLOW
        self.hold_engine()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._slow = False
        self.requests.waits &= ~Wait.SLOW
        self.hold_engine()
        if not self._closed and not self._tunnel:
            self.proceed()

    # Towards the engine.

    def no_engine(self) -> None:
        """Nobody listens at the engine's socket."""
        if self._closed:
            return
        if self._tunnel or not self.queue:
            self.hang_up()
            return
        held = self.queue[0].held
        if held is not None:
            settle(held, None, self.terms, self._say_no_engine)
        else:
            self._say_no_engine()

    def _say_no_engine(self) -> None:
        text = f"Cannot connect to the Docker daemon at unix://{self.terms.upstreams.path}; is it running?"
        for exchange in self.queue:
            if exchange.forwarded and exchange.answer is None:
                exchange.forwarded = False
                closes = exchange.hijack or self.requests.unsent(exchange)
                told = closes and not exchange.hijack  # see Requests._refuse
                answer = self.terms.refusals.reply(503, text, closes=told, to_head=exchange.to_head)
                exchange.refuse(answer, 503, closes)
        self.proceed()

    # What the engine's connection calls.

    def engine_said(self, data: bytes) -> None:
        """The engine's bytes."""
        self.line.kept = None
        self.replies.received(data)

    def engine_answered(self, raw: bytes) -> None:
        """The head of a final reply is there."""
        engine = self.line.engine
        if engine is not None and not engine.answered:
            engine.answered = True
            if self.terms.upstreams.answered():
                self.terms.refusals.learn(raw)

    def engine_ended(self, gone: bool) -> None:
        """The engine will say no more."""
        if self._tunnel:
            self._engine_over = True
            if gone or self._client_ended:
                self.hang_up()
            else:
                self._write_eof()
        else:
            self._engine_closed(None)

    def engine_lost(self, exc: Exception | None) -> None:
        """The connection to the engine is gone."""
        if self._tunnel:
            self.hang_up()
        else:
            self._engine_closed(exc)

    def engine_slow(self, slow: bool) -> None:
        """The engine reads slower than the client sends, or has caught up."""
        self._engine_slow = slow
        self.read_client()

    def _engine_closed(self, exc: Exception | None) -> None:
        """The engine hung up on requests."""
        if self.line.repeat(exc) or (self.queue and not any(exchange.forwarded for exchange in self.queue)):
            self.replies.restart()  # a request that is held has time: it will be sent over another connection
        elif self.replies.ended():
            self.hang_up()
        else:
            self._engine_over = True

    # Towards the client.

    def write(self, data: bytes) -> None:
        """Send it to the client, if there is one."""
        transport = self._transport
        if transport is not None and data and not self._closed and not transport.is_closing():
            transport.write(data)

    def _write_eof(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def completed(self, exchange: Exchange) -> None:
        """The engine's reply to the first request has gone out."""
        if self.queue and self.queue[0] is exchange:
            waited = self.requests.waits
            if waited:
                self._pop()
            else:
                del self.queue[0]
            if self._engine_over:
                self.hang_up()
            elif waited or self.queue or self._client_ended:
                self.proceed()

    def _pop(self) -> Exchange:
        exchange = self.queue.pop(0)
        requests = self.requests
        if requests.waits:
            if exchange.held is not None:
                requests.waits &= ~Wait.HOOK
            if exchange.hijack:
                requests.waits &= ~Wait.REPLY
            if len(self.queue) < QUEUE_LIMIT:
                requests.waits &= ~Wait.QUEUE
        return exchange

    def proceed(self) -> None:
        """Say what is ours to say now, ask what is to be asked now, take what was put by."""
        while self.queue and not self._closed:
            exchange = self.queue[0]
            if exchange.answer is not None:
                self.write(exchange.answer)
                exchange.told(self.terms, exchange.status, self.who)
                self._pop()
                if exchange.closes:
                    self.hang_up()
            else:
                if exchange.held is not None and not exchange.forwarded:
                    self.requests.ask(exchange, exchange.held)
                break
        if self._closed:
            return
        self.requests.go_on()
        if self.over or self.requests.taking:
            return
        if not self.queue and self.requests.waits & Wait.STOP:
            self.hang_up()
        elif self._client_ended and not self.requests.put_by and not self._half_closed():
            self.close()

    def tunnel(self) -> None:
        """From now on bytes are bytes, in both directions."""
        self._tunnel = True
        self.replies.raw = True
        for exchange in self.queue:
            exchange.told(self.terms, 0, self.who)
            if exchange.held is not None:
                settle(exchange.held, None, self.terms, None)
        self.queue.clear()
        self.requests.waits &= Wait.STOP
        backlog = self.requests.take_backlog()
        if backlog:
            self.line.send(backlog)
        if self._client_ended:
            transport = self._transport
            if transport is None or hung_up(transport):
                self._let_go()
                self.close()
            else:
                self.line.end()
        self.read_client()

    def last_reply(self) -> None:
        """The reply that comes now ends with the connection; nothing that the client asks after it is read."""
        self.requests.last()

    def out_of_step(self) -> None:
        """The engine speaks unasked: the client may make sense of it."""
        self.replies.raw = True
        self.last_reply()

    def thawed(self) -> None:
        """A collected reply was settled and has gone out."""
        if self._engine_over:
            self.hang_up()
        else:
            self.hold_engine()

    # Back-pressure.

    def hold_engine(self) -> None:
        """Read the engine, or not, as things are."""
        if self.line.engine is not None:
            self.line.engine.read(not (self._slow or self.replies.frozen))

    def read_client(self) -> None:
        """Read the client, or not, as things are."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._client_ended:
            return
        full = max(self.requests.put_by, self.line.unsent) > BACKLOG_LIMIT
        on = self._closed or not (self._engine_slow or full)
        if on != transport.is_reading():
            if on:
                transport.resume_reading()
            else:
                transport.pause_reading()

    # Ends.

    def _let_go(self) -> None:
        """Nothing is relayed any more; the engine's connection ends, after what was sent."""
        queue = [*self.queue, *(() if self._closed or self._tunnel else self.requests.left())]
        self._closed, self._tunnel = True, False
        self.queue.clear()
        for exchange in queue:
            exchange.told(self.terms, 0, self.who)
            if exchange.held is not None:
                exchange.held.gone = True
                settle(exchange.held, None, self.terms, None)
        self.line.close()

    def hang_up(self) -> None:
        """It is over. The client is told so, and listened to a little: a close with unread bytes would cost it some of
        what it was sent."""
        self._let_go()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._client_ended or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self.read_client()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, transport.close)

    @property
    def over(self) -> bool:
        """Nothing is relayed any more."""
        return self._closed

    @property
    def busy(self) -> bool:
        """A hooked request is under way."""
        return any(exchange.held is not None for exchange in self.queue)

    def finish(self) -> None:
        """Take no further request; end when those under way are answered."""
        self.requests.waits |= Wait.STOP
        if not self.queue and not self._tunnel:
            self.hang_up()

    def close(self) -> None:
        """End it; what was written is still sent."""
        self._let_go()
        if self._transport is not None:
            self._transport.close()
