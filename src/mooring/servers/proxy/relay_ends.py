"""A relay's two ends, the client's and the engine's: what is written to either, whether it is read, how it is let go.

Rules: each side's slowness slows the other; a client that is hung up on is told so and listened to a little, for a
close with unread bytes would cost it some of what it was sent; who hears nothing of a request's outcome any more is
told that it is not known.
"""

from __future__ import annotations

import asyncio
from typing import cast

from mooring.servers.proxy.engine_line import Line
from mooring.servers.proxy.peers import NOBODY, Who, who_is
from mooring.servers.proxy.relay_exchanges import BACKLOG_LIMIT, Exchange, State, Terms, settle
from mooring.servers.proxy.upstreams import BUFFER, hung_up

# How long a client is listened to after our last word.
LINGER = 2.0


class Ends(asyncio.Protocol):
    """One client with its line to the engine, and what is under way between them.

    client_ended: it will send no more, and may still listen. client_slow: it reads slower than we write. engine_over:
    the engine will say no more. stopping: no further request is taken. exchange: the request under way. backlog: what
    the client sent ahead. blind: HTTP/2 may pass, in which nothing is seen. who: the client, where there is an audit.
    """

    __slots__ = (
        "_linger", "_said_all", "_transport", "after_post", "backlog", "blind", "client_ended", "client_slow",
        "engine_over", "engine_slowed", "exchange", "line", "state", "stopping", "terms", "who",
    )  # fmt: skip

    line: Line

    def __init__(self, terms: Terms, blind: bool) -> None:
        self.terms = terms
        self.blind = blind
        self.who: Who = NOBODY
        self.state = State.IDLE
        self.exchange: Exchange | None = None
        self.backlog: bytearray | None = None
        self.after_post = False  # the exchange before was one
        self.stopping = False
        self.engine_over = False
        self.engine_slowed = False  # it reads slower than the client sends
        self.client_ended = False
        self.client_slow = False
        self._transport: asyncio.Transport | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._said_all = False

    def go_on(self) -> None:
        """A request is done with: take what was sent ahead, and the client's end if that came."""
        raise NotImplementedError

    # The client.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(BUFFER)
        if self.terms.audit is not None:
            self.who = who_is(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It is gone, and the engine hears of it at once."""
        self.let_go()
        self._transport = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    @property
    def client_listens(self) -> bool:
        """Whether it is there, and may have said at the most that it sends no more."""
        transport = self._transport
        return transport is not None and transport.can_write_eof() and not hung_up(transport)

    def write(self, data: bytes) -> None:
        """Send it to the client, unless it is too late."""
        transport = self._transport
        if transport is not None and data and not self._said_all and not transport.is_closing():
            transport.write(data)

    def write_eof(self) -> None:
        """Tell the client that no more comes."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._said_all:
            return
        self._said_all = True
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    # The engine.

    def engine_slow(self, slow: bool) -> None:
        """It reads slower than the client sends, or has caught up."""
        self.engine_slowed = slow
        self.balance()

    def no_engine(self) -> None:
        """Nobody listens at its socket."""
        exchange = self.exchange
        self.balance()
        if exchange is None:
            self.hang_up()
        elif exchange.held is not None:
            self.state = State.FROZEN
            settle(exchange.held, None, self.terms, self._say_no_engine)
        else:
            self._say_no_engine()

    def _say_no_engine(self) -> None:
        exchange = self.exchange
        if exchange is not None:
            text = f"Cannot connect to the Docker daemon at unix://{self.terms.upstreams.path}; is it running?"
            self.refuse(exchange, 503, text, exchange.hijack or exchange.body is not None)
            self.go_on()

    # Both.

    def balance(self) -> None:
        """Read the engine and the client, or not, as things are."""
        engine, exchange, transport = self.line.engine, self.exchange, self._transport
        if engine is not None:
            engine.read(not (self.client_slow or self.state is State.FROZEN))
        if transport is None or transport.is_closing() or self.client_ended:
            return
        waiting = len(self.backlog or b"")
        if exchange is not None and exchange.held is not None and exchange.held.more is not None:
            waiting += exchange.held.size
        full = max(waiting, self.line.unsent) > BACKLOG_LIMIT
        on = self.state is State.CLOSED or not (full or self.engine_slowed)
        if on and not transport.is_reading():
            transport.resume_reading()
        elif not on and transport.is_reading():
            transport.pause_reading()

    def refuse(self, exchange: Exchange, status: int, text: str, closes: bool) -> None:
        """The request is answered by us. closes: and nothing more is read."""
        # Docker's client reads such a header of a refused attach or exec as a part of the stream.
        told = closes and not exchange.may_switch
        self.write(self.terms.refusals.reply(status, text, closes=told, to_head=exchange.method == "HEAD"))
        exchange.refused = exchange.answered = True
        exchange.told(self.terms, status, self.who)
        if closes or exchange.last:
            self.hang_up()
        elif exchange.body is not None:
            self.state = State.REFUSED
        else:
            self.end_exchange(exchange)

    def end_exchange(self, exchange: Exchange) -> None:
        """Request and reply are through."""
        self.exchange = None
        self.after_post = exchange.method == "POST"
        if self.stopping:
            self.hang_up()
        else:
            self.state = State.LAST if exchange.last else State.IDLE

    def let_go(self) -> None:
        """Nothing is relayed any more; the engine's connection ends, after what was sent."""
        exchange, self.exchange = self.exchange, None
        self.state, self.backlog = State.CLOSED, None
        if exchange is not None:
            exchange.told(self.terms, 0, self.who)
            if exchange.held is not None:
                exchange.held.gone = True
                settle(exchange.held, None, self.terms, None)
        self.line.close()

    def hang_up(self) -> None:
        """It is over, and the client is told so."""
        self.let_go()
        self.write_eof()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.client_ended:
            transport.close()
            return
        self.balance()
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER, transport.close)

    def close(self) -> None:
        """End it; what was written is still sent."""
        self.let_go()
        if self._transport is not None:
            self._transport.close()
