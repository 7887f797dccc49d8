"""The way there: a client's requests, each understood, admitted and sent on, held for its decision, or refused.

Rules: a byte is sent on only as part of a request whose head was understood and admitted; behind a hooked request and
one that may turn the connection into a stream everything waits; behind bytes that are no request nothing is read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mooring.core.faults import Fault
from mooring.servers.proxy.framing import PREFACE, Body, HeadReader, Malformed, TooSlow, with_length
from mooring.servers.proxy.refusals import CONTINUE, status_of
from mooring.servers.proxy.relay_exchanges import (
    BACKLOG_LIMIT,
    KNOWN_SIZE,
    QUEUE_LIMIT,
    REFUSED_BODY,
    REQUEST_LIMIT,
    Exchange,
    Fate,
    Held,
    Wait,
    settle,
)
from mooring.servers.proxy.relay_large import Large
from mooring.servers.proxy.request_heads import CHUNKED, parse_request
from mooring.wire.docker_api import HIJACKING, HOOKED, Call, Verb, shows_containers

if TYPE_CHECKING:
    from mooring.servers.proxy.relay import Relay

log = logging.getLogger(__name__)


class Requests:
    """Follows the requests of one connection.

    deaf: what comes is read and forgotten. fresh: no request has come yet. taking: bytes are being worked off just now.
    """

    __slots__ = (
        "_backlog", "_blanks", "_body", "_current", "_fate", "_last", "_reader", "_relay", "deaf", "fresh",
        "taking", "waits",
    )  # fmt: skip

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._reader = HeadReader(request=True)
        self._current: Exchange | None = None  # its body is not complete
        self._body: Body | None = None
        self._fate = Fate.PASS
        self._backlog: bytearray | None = None
        self._blanks = 0  # line ends that may come before the next request
        self.taking = False
        self.fresh = True
        self.deaf = False
        self._last = False
        self.waits = 0

    @property
    def unfinished(self) -> bool:
        """A request has begun and is not complete."""
        return self._current is not None or self._reader.partial != b""

    @property
    def begun(self) -> bytearray | None:
        """What there is of a head that is not complete: the same object as long as it is the same head."""
        return self._reader.pending

    def too_slow(self) -> None:
        """The head that has begun takes too long."""
        self._malformed(TooSlow("the request's head was not complete in time"))

    def left(self) -> list[Exchange]:
        """What there is of a request whose head never ends, for the audit."""
        begun, self._reader = self._reader.partial, HeadReader(request=True)
        return (
            [Exchange.of_bytes(begun, "mooring: the request's head was cut off")]
            if begun.strip() and not self.deaf
            else []
        )

    @property
    def put_by(self) -> int:
        """How many bytes wait."""
        held = self._current.held if self._fate is Fate.SIFT and self._current is not None else None
        return (len(self._backlog) if self._backlog is not None else 0) + (held.size if held is not None else 0)

    def take_backlog(self) -> bytes:
        """What was put by."""
        backlog, self._backlog = self._backlog, None
        return bytes(backlog or b"")

    def received(self, data: bytes) -> None:
        """More of the client's bytes."""
        if self.deaf:
            return
        if self._current is None:
            if self.waits:
                self._put_by(data)
                return
            known = self._relay.terms.known.get(data) if len(data) <= KNOWN_SIZE else None
            if known is not None and not self._reader.begun:
                self._send_known(data, *known)
                return
        self._take(data)

    def _send_known(self, data: bytes, call: Call, method: str) -> None:
        """The common case, at little cost: one complete head, seen before, that nobody has a hook on."""
        relay = self._relay
        self.fresh = False
        exchange = Exchange(call, method)
        queue = relay.queue
        queue.append(exchange)
        if len(queue) >= QUEUE_LIMIT:
            self.waits |= Wait.QUEUE
        if relay.terms.admit is not None and (fault := relay.terms.judged(call)) is not None:
            self._refuse(exchange, 403, str(fault), False)
            return
        exchange.forwarded = True
        relay.line.send(data)

    def _put_by(self, data: bytes) -> None:
        if self._backlog is None:
            self._backlog = bytearray()
        self._backlog += data
        if len(self._backlog) > BACKLOG_LIMIT:
            self._relay.read_client()

    def go_on(self) -> None:
        """Something that was waited for has happened."""
        if self.taking or self.waits or self._backlog is None:
            return
        self._take(self.take_backlog())
        self._relay.read_client()

    def _take(self, data: bytes) -> None:
        self.taking = True
        try:
            while data:
                self._follow(data)
                # A refusal or a known head may have made room for what was put by meanwhile.
                data = self.take_backlog() if not self.waits and not self.deaf else b""
        except Malformed as error:
            self._malformed(error)
        finally:
            self.taking = False
        if self._current is not None and self._fate is Fate.HOLD:
            self._relay.proceed()  # the client may wait for our word before it sends the body

    def last(self) -> None:
        """No request is read after the one that is being read."""
        self._last = True
        self.deaf = self._current is None

    def _follow(self, data: bytes) -> None:
        pos = start = 0
        size = len(data)
        while pos < size and not self.deaf:
            exchange = self._current
            if exchange is None:
                if self.waits:
                    self._put_by(data[pos:])
                    return
                if self.fresh and self._preface(data):
                    return
                if self._blanks and (pos := self._after_post(data, pos)) == size:
                    return
                found = self._reader.feed(data, pos)
                if found is None:
                    return
                self.fresh = False
                raw, end = found
                exchange, plain = self._begin(raw)
                start = pos
                # It began in bytes that came earlier, or is written otherwise than it goes on.
                if self._fate is Fate.PASS and (end - pos != len(raw) or plain is not raw):
                    self.send(exchange, plain)
                    start = end
                pos = end
                if self._body is None:
                    if self._fate is Fate.PASS:
                        self.send(exchange, data[start:pos])
                    self._finish(exchange)
                    continue
            pos = self._follow_body(exchange, data, start, pos)
            start = pos

    def _after_post(self, data: bytes, pos: int) -> int:
        """Where the next request begins: Go passes over a few line ends after a POST, which old clients send."""
        while self._blanks and pos < len(data) and data[pos] in b"\r\n" and not self._reader.begun:
            self._blanks -= 1
            pos += 1
        if pos < len(data):
            self._blanks = 0
        return pos

    def _follow_body(self, exchange: Exchange, data: bytes, start: int, pos: int) -> int:
        """start: where the bytes begin that may be sent on with these."""
        body = self._body
        assert body is not None
        held = exchange.held if self._fate in (Fate.HOLD, Fate.SIFT) else None
        pieces: list[bytes] | None = [] if held is not None else None
        end = body.advance(data, pos, pieces)
        if self._fate is Fate.PASS:
            self.send(exchange, data[start:end])
        elif held is not None and pieces is not None and end > pos:
            held.take(data[pos:end], b"".join(pieces))
            if self._fate is Fate.HOLD and not self._relay.terms.has_room(held):
                self._fate, held.large = Fate.SIFT, Large(self._relay, exchange, held)
            if held.large is not None:
                held.large.go_on()
                self._relay.read_client()
        if body.done and not self.deaf:
            self._finish(exchange)
        return end

    def send(self, exchange: Exchange, data: bytes) -> None:
        if data:
            exchange.forwarded = True
            self._relay.line.send(data)

    def _begin(self, given: bytes) -> tuple[Exchange, bytes]:
        """A request's head is there: decide what becomes of it. Returns it as it goes on."""
        relay, terms = self._relay, self._relay.terms
        head = parse_request(given)
        raw = head.raw
        try:
            call = terms.recognise(head.method, head.target, bool(head.upgrade))
        except Exception as error:  # the last guard: what is not understood does not pass
            if not isinstance(error, Fault):
                log.exception("not recognised: a request of %s", head.method)
            raise Malformed(str(error), raw) from None
        fault = terms.judged(call)
        exchange = Exchange(call, head.method)
        exchange.last = head.last
        self._current, self._body, self._fate = exchange, head.body(), Fate.PASS
        relay.queue.append(exchange)
        if len(relay.queue) >= QUEUE_LIMIT:
            self.waits |= Wait.QUEUE
        exchange.may_switch = call.verb in HIJACKING  # an offer with any other call is ignored, as the engine does
        hijack = call.verb in HIJACKING or bool(head.upgrade)
        if fault is not None:
            large = head.length == CHUNKED or head.length > REFUSED_BODY
            self._refuse(exchange, 403, str(fault), large or hijack or (head.expects and head.length != 0))
        elif call.verb in HOOKED and terms.hook is not None and terms.hook.wants(call):
            self._fate = Fate.HOLD
            exchange.held = Held(call, raw, head.expects and self._body is not None)
        else:
            exchange.hijack = hijack
            if terms.completion is not None and shows_containers(call):
                exchange.held, raw = Held.of_reply(call, raw, terms.completion)
            elif self._body is None and not hijack and not exchange.last and raw is given:
                terms.remember(raw, call, head.method)
        return exchange, raw

    def _finish(self, exchange: Exchange) -> None:
        """A request is complete."""
        self._current = self._body = None
        self._blanks = 4 if exchange.method == "POST" else 0  # net/http, conn.readRequest
        self.deaf = self.deaf or self._last or (exchange.last and not exchange.hijack)
        if exchange.held is not None:
            exchange.held.complete = True
            self.waits |= Wait.HOOK
            if exchange.held.large is not None:
                exchange.held.large.go_on()
        elif exchange.hijack and not exchange.replied:
            self.waits |= Wait.REPLY
        self._relay.proceed()

    def _preface(self, data: bytes) -> bool:
        """Whether the client speaks HTTP/2 from the start, or may: its first bytes are always those."""
        if data[:1] != PREFACE[:1] and not self._reader.begun:
            return False
        begun = self._reader.partial + data[: len(PREFACE)]
        if not PREFACE.startswith(begun[: len(PREFACE)]):
            return False
        if len(begun) < len(PREFACE):
            self._reader.feed(data, 0)
            return True
        self.fresh = False
        if self._relay.blind:
            self._relay.queue.append(Exchange(Call(Verb.UPGRADE, "PRI", "", path="*"), "PRI"))  # for the audit
            self._relay.tunnel()
            self._relay.line.send(begun + data[len(PREFACE) :])
        else:
            self._refuse_all(403, "mooring: HTTP/2 is not relayed where access is limited", begun)
        return True

    # Refusing.

    def _refuse(self, exchange: Exchange, status: int, text: str, closes: bool) -> None:
        """This request is answered by us. closes: and nothing more is read."""
        # Docker's client reads such a header of a refused attach or exec as a part of the stream.
        told = closes and not exchange.may_switch
        exchange.refuse(
            self._relay.terms.refusals.reply(status, text, closes=told, to_head=exchange.to_head), status, closes
        )
        exchange.held = None
        exchange.hijack = False
        self._fate = Fate.DROP
        self.deaf = closes
        self._relay.proceed()

    def _refuse_all(self, status: int, text: str, begun: bytes) -> None:
        """These bytes, which begin so, are answered by us, and nothing more is read."""
        exchange = Exchange.of_bytes(begun, text)
        self._relay.queue.append(exchange)
        self._refuse(exchange, status, text, True)

    def _malformed(self, error: Malformed) -> None:
        current = self._current
        self._current = self._body = None
        if current is None or current.answer is not None:
            self._refuse_all(error.status, f"mooring: {error}", error.raw or self._reader.partial)
        elif current.replied:
            # The engine is answering already, and cannot be sent what belongs to the request.
            self._relay.hang_up()
        else:
            current.reason = f"mooring: {error}"
            self._refuse(current, error.status, current.reason, True)

    def truncated(self) -> None:
        """The client will send no more, in the middle of a request that was not sent on."""
        self._malformed(Malformed("the request ended before it was complete"))

    @property
    def passing(self) -> bool:
        """The request that is being read is being sent on."""
        return self._current is not None and self._fate is Fate.PASS

    def unsent(self, exchange: Exchange) -> bool:
        """There is no engine to send it to; whether its body is still coming, and is dropped from now on."""
        if exchange is not self._current:
            return False
        self._fate = Fate.DROP
        return True

    # Hooks.

    def let_pass(self, exchange: Exchange, raw: bytes) -> None:
        """It is none of ours, and passes from these bytes on as it comes."""
        exchange.held = None
        if self._current is exchange:
            self._fate = Fate.PASS
        self.waits &= ~Wait.HOOK
        self.send(exchange, raw)
        self._relay.read_client()
        self._relay.proceed()

    def refuse_large(self, exchange: Exchange, status: int, text: str) -> None:
        """It is answered by us; what the engine has of it is no request, and ends with the connection."""
        if not self._relay.over and exchange.answer is None:
            exchange.forwarded = False
            self._refuse(exchange, status, text if text.startswith("mooring: ") else f"mooring: {text}", True)

    def ask(self, exchange: Exchange, held: Held) -> None:
        """It is this request's turn: ask for its decision, or for its body."""
        if held.complete:
            if not held.asked:
                held.asked = True
                self._relay.terms.spawn(self._decide(exchange, held))
        elif held.expects and not exchange.continued and len(held.raw) == 1:
            exchange.continued = True
            self._relay.write(CONTINUE)

    async def _decide(self, exchange: Exchange, held: Held) -> None:
        relay, terms = self._relay, self._relay.terms
        assert terms.hook is not None
        try:
            decision = await terms.hook.decide(held.call, b"".join(held.body))
        except Fault as fault:
            answer = terms.refusals.of_fault(fault, to_head=exchange.to_head)
            exchange.refuse(answer, status_of(fault), False)
            relay.proceed()
            return
        except Exception:  # the last guard: a mistake there must not end the server
            log.exception("no passage: %s", held.call.verb.name)
            text = "mooring: internal error; the log has more"
            exchange.refuse(terms.refusals.reply(500, text, to_head=exchange.to_head), 500, False)
            relay.proceed()
            return
        held.settle = decision.settle
        if held.gone:
            settle(held, None, terms, None)
            return
        pieces = held.raw if decision.body is None else [with_length(held.raw[0], len(decision.body)), decision.body]
        held.raw = held.body = []
        if held.size <= REQUEST_LIMIT:
            pieces = [b"".join(pieces)]
        held.size = 0
        for piece in pieces:
            self.send(exchange, piece)
