"""The way back: the engine's replies, measured and passed on as they come, or kept until whoever waits has heard;
and where one turns the connection into a stream (exec, attach).

Rules: the bytes are the engine's, and are changed only where whoever waits has another body to tell; a `100 Continue`
that we said already is left out; what cannot be measured is passed on as it is, and ends the connection.
"""

from __future__ import annotations

import logging

from mooring.servers.proxy.framing import (
    Body,
    Counted,
    HeadReader,
    Malformed,
    UntilClose,
    is_stream,
    parse_reply,
    whole_reply,
)
from mooring.servers.proxy.hooks import Reply
from mooring.servers.proxy.relay_ends import Ends
from mooring.servers.proxy.relay_exchanges import HOLD_LIMIT, Exchange, State, Terms, settle

log = logging.getLogger(__name__)

# To ask these twice does nothing twice.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNSEARCHED = (
    "mooring: cannot filter containers by port: Docker's list did not arrive in time or is larger than"
    f" {HOLD_LIMIT >> 20} MiB; try without the filters `publish` and `expose`"
)
SWITCHED = "mooring: the engine switched protocols, which is not allowed on a restricted socket"


class ReplyReader:
    """Measures replies. between: nothing has come of the next one. body: what is left of this one, None before its
    head. status: its."""

    __slots__ = ("_reader", "between", "body", "status")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """What comes next is another reply, maybe from another connection."""
        self._reader: HeadReader | None = None
        self.between = True
        self.body: Body | None = None
        self.status = 0

    @property
    def partial(self) -> bytes:
        """What there is of a head that is not complete."""
        return self._reader.partial if self._reader is not None else b""

    @property
    def until_close(self) -> bool:
        """Whether the reply ends with the connection."""
        return type(self.body) is UntilClose

    def head(self, data: bytes, pos: int, to_head: bool) -> tuple[bytes, int] | None:
        """A head's bytes, and where in `data` it ends; None when more is needed, and all of `data` is kept then.

        There is a body from then on, if the head was not that of an interim reply. to_head: the request was HEAD.
        Raises Malformed, which has every byte that was not returned.
        """
        self.between = False
        reader = self._reader = self._reader or HeadReader(request=False)
        found = None
        try:
            found = reader.feed(data, pos)
            if found is None:
                return None
            self.status, body = parse_reply(found[0], to_head)
        except Malformed as error:
            error.raw = found[0] + data[found[1] :] if found is not None else reader.partial or data[pos:]
            raise
        if self.status >= 200 or self.status == 101:
            self.body = body or Counted(0)
        return found

    def becomes_stream(self, raw: bytes, hijack: bool) -> bool:
        """Whether the connection is a stream behind this head. hijack: the request asked for that."""
        return self.status == 101 or (self.until_close and self.status < 300 and (hijack or is_stream(raw)))


class WayBack(Ends):
    """The half of a relay that hears the engine."""

    __slots__ = ("_late", "_replies")

    def __init__(self, terms: Terms, blind: bool) -> None:
        super().__init__(terms, blind)
        self._replies = ReplyReader()
        self._late = b""  # what the engine said behind a reply that is frozen

    @property
    def under_way(self) -> Exchange:
        """The exchange, in states that have one."""
        assert self.exchange is not None
        return self.exchange

    # Replies.

    def reply(self, data: bytes) -> None:
        """The engine's bytes belong to the reply."""
        exchange, replies = self.exchange, self._replies
        assert exchange is not None
        if replies.between and exchange.held is None and self._is_whole(exchange, data):
            return
        head, pos = b"", 0
        try:
            if replies.body is None:
                found = self._final_head(exchange, data)
                if found is None:
                    return
                head, pos = found
            body, held = replies.body, exchange.held
            assert body is not None
            end = body.advance(data, pos, held.reply if held is not None and held.settle else None)
        except Malformed as error:
            self._give_up(exchange, error.raw or head + data[pos:])
            return
        self._pass(exchange, head + data[pos:end])
        if body.done:
            self._replied(exchange, data[end:])

    def _is_whole(self, exchange: Exchange, data: bytes) -> bool:
        """The fast path: one complete reply that nobody waits for; it has gone out then."""
        end = data.find(b"\r\n\r\n")
        status = whole_reply(data, end, exchange.method == "HEAD") if end > 0 else 0
        if not status:
            return False
        exchange.replied = True
        if self.terms.audit is not None:
            exchange.told(self.terms, status, self.who)
        engine = self.line.engine
        if engine is not None and not engine.answered:
            self._engine_answered(data[: end + 4])
        self.write(data)
        self._over(exchange)
        return True

    def _final_head(self, exchange: Exchange, data: bytes) -> tuple[bytes, int] | None:
        """The final reply's head and where it ends, if it is there and a reply goes on behind it; interim ones go
        out."""
        replies, pos = self._replies, 0
        while pos < len(data):
            found = replies.head(data, pos, exchange.method == "HEAD")
            if found is None:
                return None
            raw, pos = found
            if replies.body is not None:
                return found if self._begins(exchange, raw, data, pos) else None
            if not (replies.status == 100 and exchange.continued):
                self.write(raw)
        return None

    def reply_early(self, data: bytes) -> None:
        """The engine's bytes, while the request is not complete, or nothing of it was sent."""
        exchange = self.under_way
        if exchange.answered or (self.state is State.HELD and not exchange.forwarded):
            self.unasked(data)
        else:
            self.reply(data)

    def _begins(self, exchange: Exchange, raw: bytes, data: bytes, pos: int) -> bool:
        """A final reply's head is there, and ends at `pos`. Whether a reply follows, rather than a stream or an end."""
        replies = self._replies
        if replies.status == 101 and not (exchange.may_switch or self.blind):
            # The call was judged as one without another protocol: what would be asked in it nobody would see.
            log.warning("the engine switched protocols in a call that has no other protocol: the connection was closed")
            self.refuse(exchange, 502, SWITCHED, True)
            return False
        exchange.replied = True
        exchange.told(self.terms, replies.status, self.who)
        self._engine_answered(raw)
        if replies.becomes_stream(raw, exchange.hijack):
            self.tunnel(raw + data[pos:])
            return False
        if replies.until_close:
            exchange.last, exchange.hijack, self.backlog = True, False, None
            self.balance()
        return True

    def _engine_answered(self, raw: bytes) -> None:
        engine = self.line.engine
        if engine is not None and not engine.answered:
            engine.answered = True
            if self.terms.upstreams.answered():
                self.terms.refusals.learn(raw)

    def _pass(self, exchange: Exchange, data: bytes) -> None:
        held = exchange.held
        if held is None or held.settle is None:
            self.write(data)
        elif not held.collect(data):
            # Nobody needs a reply of this size: whoever waits is told that the outcome is not known.
            self._freeze(None)

    def _replied(self, exchange: Exchange, rest: bytes) -> None:
        """The reply is complete. rest: what the engine said behind it."""
        held, status = exchange.held, self._replies.status
        self._replies.restart()
        asked = held.settle if held is not None else None
        if asked is None and self.state is not State.FROZEN:
            self._over(exchange, rest)
            return
        exchange.answered, self._late = True, rest
        if held is not None and asked is not None:
            self._freeze(Reply(status, b"".join(held.reply)))

    def _freeze(self, reply: Reply | None) -> None:
        held = self.under_way.held
        assert held is not None
        self.state = State.FROZEN
        self.balance()
        settle(held, reply, self.terms, self._thaw)

    def _thaw(self) -> None:
        """It is settled: the reply, or what there is of it, goes out."""
        exchange = self.exchange
        if exchange is None or exchange.held is None:
            return  # the client is gone
        out = exchange.held.outgoing()
        exchange.held.reply_raw = exchange.held.reply = []
        if out is None:
            self.write(self.terms.refusals.reply(500, UNSEARCHED, closes=True))
            self.hang_up()  # what is left of the reply is to another question
            return
        self.write(out)
        late, self._late = self._late, b""
        self.state = State.REPLY if exchange.body is None else State.BODY
        if exchange.answered:
            self._over(exchange, late)
        elif late:
            self.reply(late)
        if self.engine_over:
            self.hang_up()
        self.balance()
        if exchange is self.exchange and self.state is State.BODY:
            self.go_on()

    def wait(self, data: bytes) -> None:
        """The engine's bytes come behind a reply that is frozen."""
        self._late += data

    def _over(self, exchange: Exchange, rest: bytes = b"") -> None:
        """The reply has gone out."""
        exchange.answered = True
        if self.engine_over:
            self.hang_up()
        elif rest:
            self.unasked(rest)
        elif exchange.body is None and self.state is not State.HELD:
            self.end_exchange(exchange)
            if self.backlog or self.client_ended:
                self.go_on()

    def unasked(self, data: bytes) -> None:
        """The engine is out of step: the client may make sense of it."""
        self.write(data)
        self.state, self.backlog = State.LAST, None
        self.balance()

    def _give_up(self, exchange: Exchange, unsent: bytes) -> None:
        """These are no replies as HTTP knows them: pass them on, and take no further request."""
        held = exchange.held
        self.unasked((b"".join(held.reply_raw) if held is not None else b"") + unsent)
        if held is not None:
            settle(held, None, self.terms, None)

    # Streams.

    def tunnel(self, begun: bytes) -> None:
        """From now on bytes are bytes, in both directions. begun: the engine's first."""
        exchange, self.exchange = self.under_way, None
        backlog, self.backlog = self.backlog, None
        self.state = State.TUNNEL
        self.write(begun)
        exchange.told(self.terms, 0, self.who)
        if exchange.held is not None:
            settle(exchange.held, None, self.terms, None)
        if backlog and (exchange.hijack or self.blind):  # behind another request it is one that nobody has judged
            self.line.send(bytes(backlog))
        if self.client_ended and not self.client_listens:
            self.close()
        elif self.client_ended:
            self.line.end()
        self.balance()

    def engine_ends_stream(self, gone: bool, _exc: Exception | None) -> None:
        """The engine's end is passed on."""
        self.engine_over = True
        if gone or self.client_ended:
            self.hang_up()
        else:
            self.write_eof()

    # Ends.

    def engine_gone(self, _gone: bool, _exc: Exception | None) -> None:
        """The engine ends, and so does everything."""
        self.hang_up()

    def engine_gone_early(self, gone: bool, exc: Exception | None) -> None:
        """A request that is held has time: it will be sent over another connection."""
        if self.under_way.forwarded:
            self.engine_gone_busy(gone, exc)
        else:
            self.line.lost()
            self._replies.restart()
            self.engine_slowed = False
            self.balance()

    def engine_gone_busy(self, _gone: bool, exc: Exception | None) -> None:
        """The engine ends in the middle of a request or its reply."""
        exchange, replies = self.under_way, self._replies
        if self.line.lost(exc, exchange.method in SAFE):
            replies.restart()
            return
        self.engine_over = True
        if replies.until_close:
            self._replied(exchange, b"")
        elif exchange.held is not None and exchange.held.settle is not None:
            # Cut off: what there is of the reply is passed on, as the engine would have left it.
            exchange.held.collect(replies.partial)
            self._freeze(None)
        else:
            self.write(replies.partial)
            self.hang_up()

    def engine_gone_frozen(self, _gone: bool, _exc: Exception | None) -> None:
        """What there is of the reply still goes out, when it is settled."""
        self.line.lost()
        self.engine_over = True
