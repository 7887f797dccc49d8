"""One client's connection to the engine: a machine of ten states, one request at a time.

Rules: no request reaches the engine before its head was understood, admitted and, if it is hooked, decided about; the
next one is read when the reply is out, and what a client sends ahead waits; each side's slowness slows the other, each
side's end is passed on as what it is (a half-close as a half-close, a hang-up as a hang-up), and silence is no reason
to end anything; a connection that has become a stream is copied blindly.

    state    what is under way                         client's bytes    engine's bytes    client ends    engine ends
    -------  ----------------------------------------  ----------------  ----------------  -------------  -------------
    IDLE     no request                                begin a head      pass; LAST        CLOSED         CLOSED
    HEAD     a head has begun                          belong to it      pass; LAST        400, CLOSED    CLOSED
    HELD     a hooked request; nobody knows it yet     are kept          pass; LAST *      400 if cut     dial anew *
    BODY     a request passes                          pass              are its reply     is passed on   CLOSED **
    REPLY    the request has passed, the reply comes   wait              are its reply     is passed on   CLOSED **
    FROZEN   the reply is kept until it is settled     wait              wait              waits          waits
    REFUSED  we have answered; the body still comes    are forgotten     pass; LAST        CLOSED         CLOSED
    LAST     the engine's last words                   are forgotten     pass              is passed on   CLOSED
    TUNNEL   a stream                                  pass              pass              is passed on   is passed on
    CLOSED   nothing                                   are forgotten     are forgotten

    *  the engine may have the beginning of one that is too large to be kept, and answer it: then as in BODY
    ** once more over another connection, where that is harmless (see engine_line)

A reply that is complete before its request is leaves the state at BODY (or HELD) until that is, too. TABLE is what
runs. The relay is built in floors: what each stands on knows nothing of it. relay_ends has the two connections,
relay_replies hears the engine, relay_requests the client, and here is what decides which of their methods does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableSet
from typing import NamedTuple

from mooring.servers.proxy.engine_line import Line
from mooring.servers.proxy.framing import Malformed
from mooring.servers.proxy.relay_exchanges import State, Terms
from mooring.servers.proxy.relay_requests import WayThere
from mooring.servers.quotas import Idle, Quota


class Relay(WayThere):
    """One client of a listener. everybody: all of its kind, as long as they are there."""

    __slots__ = ("_everybody", "_quota")

    def __init__(self, terms: Terms, everybody: MutableSet[Relay], blind: bool, quota: Quota | None = None) -> None:
        """quota: of the listener, when the relay itself is what it counts."""
        super().__init__(terms, blind)
        self.line = Line(terms.upstreams, terms.spawn, self)
        self._everybody = everybody
        self._quota = quota

    # What others ask and say.

    @property
    def idle(self) -> Idle:
        """Whether the connection may give way to another one of its listener."""
        if self.exchange is not None or self.state is State.TUNNEL:
            return Idle.BUSY
        return Idle.SILENT if self._requests.fresh else Idle.BETWEEN

    @property
    def asked(self) -> bool:
        """A request is under way."""
        return self.exchange is not None and (not self.exchange.answered or self.state is State.FROZEN)

    @property
    def busy(self) -> bool:
        """A hooked request is under way."""
        return self.asked and self.exchange is not None and self.exchange.held is not None

    def finish(self) -> None:
        """Take no further request; end when the one under way is answered."""
        self.stopping = True
        if not self.asked and self.state is not State.TUNNEL:
            self.hang_up()

    # What the loop calls, of the client.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(transport)
        self._everybody.add(self)
        if self._quota is not None and (refusal := self._quota.enter(self, transport)):
            self.write(self.terms.refusals.reply(503, f"mooring: {refusal}", closes=True))
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self._everybody.discard(self)
        if self._quota is not None:
            self._quota.leave(self)

    def data_received(self, data: bytes) -> None:
        """The client's bytes."""
        if self.state is not State.IDLE or not self.is_known(data):
            self._take(data)

    def _take(self, data: bytes) -> None:
        pos, size = 0, len(data)
        try:
            while pos < size:
                pos = TABLE[self.state].client(self, data, pos)
        except Malformed as error:
            self.malformed(error)

    def eof_received(self) -> bool:
        """The client will send no more; it may still listen."""
        self.client_ended = True
        # What it sent before it went is worked off where the engine may be about to take it for input.
        exchange = self.exchange
        awaited = self.backlog and self.state is State.REPLY and exchange is not None and exchange.hijack
        if not self.client_listens and not awaited:
            self.let_go()
        elif not self.backlog:
            TABLE[self.state].client_ends(self)
        return self.state is not State.CLOSED

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self.client_slow = True
        self.balance()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.client_slow = False
        self.balance()
        if self.state is State.IDLE:
            self.go_on()

    def go_on(self) -> None:
        """See Ends."""
        if self.backlog:
            backlog, self.backlog = bytes(self.backlog), None
            self._take(backlog)
            self.balance()
        if self.client_ended and not self.backlog:
            TABLE[self.state].client_ends(self)

    # What the engine's connection calls.

    def engine_said(self, data: bytes) -> None:
        """The engine's bytes."""
        self.line.kept = None
        TABLE[self.state].engine(self, data)

    def engine_ended(self, gone: bool) -> None:
        """The engine will say no more."""
        TABLE[self.state].engine_ends(self, gone, None)

    def engine_lost(self, exc: Exception | None) -> None:
        """The connection to the engine is gone."""
        TABLE[self.state].engine_ends(self, True, exc)

    # Small ends.

    def waits_on(self, *_: object) -> None:
        """Nothing follows."""

    def line_ends(self) -> None:
        """The engine hears of the client's end."""
        self.line.end()

    def client_half_closes(self) -> None:
        """The engine hears of it, unless it would give up what it was asked."""
        if self.exchange is None:
            self.close()
        elif self.exchange.held is None and not self.exchange.hijack:
            self.line.end()

    def stream_half_closes(self) -> None:
        """The engine hears of it, if it has not ended before."""
        if self.engine_over:
            self.let_go()
        else:
            self.line.end()


class Row(NamedTuple):
    """What a relay does with bytes and ends in one state.

    client: takes the client's bytes from a place on, and returns the place up to which they are dealt with. engine:
    takes the engine's bytes. client_ends: it sends no more, and listens. engine_ends: whether it is gone, and why.
    """

    client: Callable[[Relay, bytes, int], int]
    engine: Callable[[Relay, bytes], None]
    client_ends: Callable[[Relay], None]
    engine_ends: Callable[[Relay, bool, Exception | None], None]


R = Relay
# In the order of State.
TABLE = (
    Row(R.head, R.unasked, R.client_half_closes, R.engine_gone),  # IDLE
    Row(R.head, R.unasked, R.cut_off, R.engine_gone),  # HEAD
    Row(R.keep, R.reply_early, R.cut_off, R.engine_gone_early),  # HELD
    Row(R.body_goes_on, R.reply_early, R.line_ends, R.engine_gone_busy),  # BODY
    Row(R.put_by, R.reply, R.client_half_closes, R.engine_gone_busy),  # REPLY
    Row(R.put_by, R.wait, R.waits_on, R.engine_gone_frozen),  # FROZEN
    Row(R.swallow, R.unasked, R.close, R.engine_gone),  # REFUSED
    Row(R.forget, R.write, R.client_half_closes, R.engine_gone),  # LAST
    Row(R.stream, R.write, R.stream_half_closes, R.engine_ends_stream),  # TUNNEL
    Row(R.forget, R.waits_on, R.waits_on, R.waits_on),  # CLOSED
)
assert len(TABLE) == len(State)
