"""The way there: a client's requests, each understood, admitted and sent on, held for its decision, or refused.

Rules: a byte is sent on only as part of a request whose head was understood and admitted; one request is under way at a
time, and what comes behind it waits; behind bytes that are no request nothing is read.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from mooring.core.faults import Fault
from mooring.servers.proxy.framing import PREFACE, HeadReader, Malformed, TooSlow
from mooring.servers.proxy.refusals import CONTINUE
from mooring.servers.proxy.relay_exchanges import BACKLOG_LIMIT, KNOWN_SIZE, REFUSED_BODY, Exchange, Held, State, Terms
from mooring.servers.proxy.relay_held import Large, ask
from mooring.servers.proxy.relay_replies import WayBack
from mooring.servers.proxy.request_heads import CHUNKED, parse_request
from mooring.wire.docker_api import HIJACKING, HOOKED, Call, Verb, shows_containers

log = logging.getLogger(__name__)

# Seconds from a head's first byte to its last.
HEAD_TIME = 60.0


class RequestReader:
    """Finds the heads of one connection's requests.

    fresh: no request has come yet. blanks: how many line ends may come before the next one.
    """

    __slots__ = ("_reader", "blanks", "fresh")

    def __init__(self) -> None:
        self._reader = HeadReader(request=True)
        self.fresh = True
        self.blanks = 0

    @property
    def begun(self) -> bool:
        """Whether some of a head is there."""
        return self._reader.begun

    @property
    def partial(self) -> bytes:
        """What there is of it."""
        return self._reader.partial

    def head(self, data: bytes, pos: int) -> tuple[bytes, int] | None:
        """A head's bytes, and where in `data` it ends; None when more is needed, and all of `data` is kept then."""
        while self.blanks and pos < len(data) and data[pos] in b"\r\n" and not self.begun:
            self.blanks -= 1
            pos += 1
        if pos == len(data):
            return None
        self.blanks = 0
        found = self._reader.feed(data, pos)
        if found is not None:
            self.fresh = False
        return found

    def preface(self, data: bytes) -> bytes | None:
        """All that has come, if the client speaks HTTP/2 from the start; b"" if it may, and `data` is kept then; None
        if it does not."""
        if data[:1] != PREFACE[:1] and not self.begun:
            return None
        begun = self._reader.beginning(len(PREFACE)) + data[: len(PREFACE)]
        if not PREFACE.startswith(begun[: len(PREFACE)]):
            return None
        if len(begun) < len(PREFACE):
            self._reader.feed(data, 0)
            return b""
        self.fresh = False
        return begun + data[len(PREFACE) :]


@dataclass(frozen=True, slots=True)
class Opening:
    """A request whose head is there. raw: the head as it goes on. expects: the client waits for `100 Continue`.

    refusal: why it goes nowhere. closes: and nothing behind it is read. keeps: it waits for its decision.
    """

    exchange: Exchange
    raw: bytes
    expects: bool = False
    keeps: bool = False
    refusal: str = ""
    closes: bool = False


def opened(terms: Terms, given: bytes) -> Opening:
    """What is to become of the request with this head. Raises Malformed for what is not understood."""
    head = parse_request(given)
    try:
        call = terms.recognise(head.method, head.target, bool(head.upgrade))
    except Exception as error:  # the last guard: what is not understood does not pass
        if not isinstance(error, Fault):
            log.exception("internal error while parsing a request: %s %r", head.method, head.target[:200])
        raise Malformed(str(error), head.raw) from None
    exchange = Exchange(call, head.method)
    exchange.last, exchange.body = head.last, head.body()
    exchange.may_switch = call.verb in HIJACKING  # an offer with any other call is ignored, as the engine does
    hijack = exchange.may_switch or bool(head.upgrade)
    if (fault := terms.judged(call)) is not None:
        large = head.length == CHUNKED or head.length > REFUSED_BODY
        closes = large or hijack or (head.expects and head.length != 0)
        return Opening(exchange, head.raw, refusal=str(fault), closes=closes)
    if call.verb in HOOKED and terms.hook is not None and terms.hook.wants(call):
        exchange.held = Held(call, head.raw)
        return Opening(exchange, head.raw, expects=head.expects, keeps=True)
    exchange.hijack, raw = hijack, head.raw
    if terms.completion is not None and shows_containers(call):
        exchange.held, raw = Held.of_reply(call, raw, terms.completion)
    elif exchange.body is None and not hijack and not exchange.last and raw is given:
        terms.remember(raw, call, head.method)
    return Opening(exchange, raw)


class WayThere(WayBack):
    """The half of a relay that hears the client. What takes its bytes takes them from a place in them on, and returns
    the place up to which they are dealt with."""

    __slots__ = ("_requests", "_timer")

    def __init__(self, terms: Terms, blind: bool) -> None:
        super().__init__(terms, blind)
        self._requests = RequestReader()
        self._timer: asyncio.TimerHandle | None = None  # a head has begun and must end

    def is_known(self, data: bytes) -> bool:
        """The fast path: one complete head, seen before, that nobody has a hook on; it has gone out then."""
        known = self.terms.known.get(data) if len(data) <= KNOWN_SIZE else None
        if known is None or self.client_slow:
            return False
        self._requests.fresh = False
        exchange = self.exchange = Exchange(*known)
        if self.terms.admit is not None and (fault := self.terms.judged(known[0])) is not None:
            self.refuse(exchange, 403, str(fault), False)
        else:
            self.state = State.REPLY
            self.line.send(data)
        return True

    def head(self, data: bytes, pos: int) -> int:
        """They begin a head, or belong to one."""
        requests = self._requests
        if self.client_slow and self.state is State.IDLE:
            return self.put_by(data, pos)
        if requests.fresh and (begun := requests.preface(data)) is not None:
            return self._speaks_http2(begun, len(data))
        if self.after_post:  # Go passes over a few line ends then, which old clients send (net/http, readRequest)
            requests.blanks, self.after_post = 4, False
        found = requests.head(data, pos)
        if found is None:
            return self._head_goes_on(len(data))
        self._stop_timer()
        raw, end = found
        opening = opened(self.terms, raw)
        exchange = self.exchange = opening.exchange
        body = exchange.body
        if opening.refusal:
            self.refuse(exchange, 403, opening.refusal, opening.closes)
        elif opening.keeps:
            self.state = State.HELD
            if body is None:
                self._kept(exchange)
            elif opening.expects and end == len(data):
                exchange.continued = True
                self.write(CONTINUE)
        else:
            self.state = State.BODY
            start, end = end, end if body is None else body.advance(data, end)
            self.line.send(opening.raw + data[start:end])
            if body is None or body.done:
                self._sent(exchange)
        return end

    def _head_goes_on(self, size: int) -> int:
        if self._requests.begun and self.state is State.IDLE:
            self.state = State.HEAD
            self._timer = asyncio.get_running_loop().call_later(HEAD_TIME, self._too_slow)
        return size

    def _too_slow(self) -> None:
        if self.state is State.HEAD:
            self.malformed(TooSlow("the request's head was not complete in time"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _speaks_http2(self, begun: bytes, size: int) -> int:
        """The client does so from its first bytes on, or may."""
        if not begun:
            return self._head_goes_on(size)
        if self.blind:
            self.exchange = Exchange(Call(Verb.UPGRADE, "PRI", "", path="*"), "PRI")  # for the audit
            self.tunnel(b"")
            self.line.send(begun)
        else:
            text = "mooring: HTTP/2 is not relayed where access is limited"
            exchange = self.exchange = Exchange.of_bytes(begun, text)
            self.refuse(exchange, 403, text, True)
        return size

    def body_goes_on(self, data: bytes, pos: int) -> int:
        """They are a body's that is sent on as it comes."""
        exchange = self.under_way
        assert exchange.body is not None
        end = exchange.body.advance(data, pos)
        self.line.send(data[pos:end])
        if exchange.body.done:
            self._sent(exchange)
        return end

    def _sent(self, exchange: Exchange) -> None:
        """All of the request has gone to the engine."""
        exchange.body = None
        self.state = State.REPLY
        if exchange.answered:
            self.end_exchange(exchange)

    def keep(self, data: bytes, pos: int) -> int:
        """They are a body's that is kept until it is decided about."""
        exchange = self.under_way
        held, body = exchange.held, exchange.body
        if held is None or body is None:
            return self.put_by(data, pos)
        pieces: list[bytes] = []
        end = body.advance(data, pos, pieces)
        held.take(data[pos:end], b"".join(pieces))
        if held.more is None and not self.terms.has_room(held):
            held.more = Large(self, self.terms, exchange, held).go_on
        if body.done:
            self._kept(exchange)
        elif held.more is not None:
            held.more()
        self.balance()
        return end

    def _kept(self, exchange: Exchange) -> None:
        """All of the request is there, and waits for its decision."""
        held = exchange.held
        assert held is not None
        exchange.body, held.complete = None, True
        if held.more is not None:
            held.more()
        else:
            self.terms.spawn(ask(self, self.terms, exchange, held))

    def put_by(self, data: bytes, pos: int) -> int:
        """They come ahead, and wait."""
        exchange = self.exchange
        if exchange is None or not exchange.last or exchange.hijack or exchange.body:  # else it is over
            self.backlog = self.backlog or bytearray()
            self.backlog += memoryview(data)[pos:]
            if len(self.backlog) > BACKLOG_LIMIT:
                self.balance()
        return len(data)

    def swallow(self, data: bytes, pos: int) -> int:
        """They are the body of a refused request."""
        exchange = self.under_way
        assert exchange.body is not None
        end = exchange.body.advance(data, pos)
        if exchange.body.done:
            self.end_exchange(exchange)
        return end

    def forget(self, data: bytes, _pos: int) -> int:
        """Nobody wants them."""
        return len(data)

    def stream(self, data: bytes, pos: int) -> int:
        """They are a stream's."""
        self.line.send(data[pos:])
        return len(data)

    def let_go(self) -> None:
        """See Ends; the audit hears of a head that was cut off, too."""
        if self.state is State.HEAD and self.exchange is None and self._requests.partial.strip():
            self.exchange = Exchange.of_bytes(self._requests.partial, "mooring: the request's head was cut off")
        self._stop_timer()
        super().let_go()

    # What was decided about a hooked request.

    def send_beginning(self, exchange: Exchange, data: bytes) -> None:
        """See relay_held."""
        if exchange is self.exchange and self.state is State.HELD:
            exchange.forwarded = True
            self.line.send(data)

    def let_pass(self, exchange: Exchange, pieces: list[bytes]) -> None:
        """See relay_held."""
        if exchange is not self.exchange:
            return
        if self.state is not State.HELD:  # the engine is out of step, and its answer would not be known for one
            self.hang_up()
            return
        self.state = State.BODY
        for piece in pieces:
            self.line.send(piece)
        if exchange.body is None:
            self._sent(exchange)
        if exchange.answered:
            self.go_on()
        self.balance()

    def refuse_held(self, exchange: Exchange, status: int, text: str, closes: bool) -> None:
        """See relay_held."""
        if exchange is self.exchange and exchange.replied:
            self.hang_up()
        elif exchange is self.exchange:
            self.refuse(exchange, status, text, closes or self.state is not State.HELD)
            self.go_on()

    # What is no request.

    def malformed(self, error: Malformed) -> None:
        reason, exchange = f"mooring: {error}", self.exchange
        if exchange is None:
            exchange = self.exchange = Exchange.of_bytes(error.raw or self._requests.partial, reason)
        elif exchange.replied or exchange.refused:
            # It is being answered already, and the engine cannot be sent what belongs to it.
            self.hang_up()
            return
        exchange.reason = reason
        self.refuse(exchange, error.status, reason, True)

    def cut_off(self) -> None:
        """The client sends no more in the middle of a request that was not sent on."""
        exchange = self.exchange
        if exchange is None or exchange.body is not None:
            self.malformed(Malformed("the request ended before it was complete"))
