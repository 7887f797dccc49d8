"""The way back: the engine's replies, measured and passed on as they come, or collected for whoever waits.

Rules: the bytes are the engine's, and are changed only where whoever waits has another body to tell; a `100 Continue`
that we said already is left out; what cannot be measured is passed on as it is, and ends the connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mooring.servers.proxy.framing import Body, HeadReader, Malformed, UntilClose, is_stream, parse_reply, whole_reply
from mooring.servers.proxy.hooks import Reply
from mooring.servers.proxy.relay_exchanges import HOLD_LIMIT, Exchange, settle

if TYPE_CHECKING:
    from mooring.servers.proxy.relay import Relay

log = logging.getLogger(__name__)

UNSEARCHED = (
    "mooring: the containers could not be searched by ports: their list was not complete in time, or is larger than"
    f" {HOLD_LIMIT >> 20} MiB; ask without the filters publish and expose"
)


class Replies:
    """Follows the replies of one connection.

    raw: nothing is measured any more. frozen: a collected reply is being settled, and what comes after it waits.
    """

    __slots__ = ("_after", "_body", "_late", "_reader", "_relay", "_status", "frozen", "raw")

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._reader = HeadReader(request=False)
        self._body: Body | None = None
        self._status = 0
        self._late = b""
        self._after: Exchange | None = None
        self.frozen = False
        self.raw = False

    def restart(self) -> None:
        """The replies come from another connection."""
        self._reader = HeadReader(request=False)
        self._body = None

    def received(self, data: bytes) -> None:
        """More of the engine's bytes."""
        if self.raw:
            self._relay.write(data)
        elif self.frozen:
            self._late += data
        elif self._body is not None or not self._is_whole(data):
            self._follow(data)

    def _is_whole(self, data: bytes) -> bool:
        """The common case, at little cost: one complete reply that nobody waits for; it has gone out then."""
        relay = self._relay
        queue = relay.queue
        if not queue or self._reader.begun:
            return False
        exchange = queue[0]
        if exchange.held is not None or exchange.hijack or not exchange.forwarded:
            return False
        end = data.find(b"\r\n\r\n")
        status = whole_reply(data, end, exchange.method == "HEAD") if end > 0 else 0
        if not status:
            return False
        if relay.terms.audit is not None:
            exchange.told(relay.terms, status, relay.who)
        engine = relay.line.engine
        if engine is not None and not engine.answered:
            relay.engine_answered(data[: end + 4])
        relay.write(data)
        relay.completed(exchange)
        return True

    def _follow(self, data: bytes) -> None:
        queue = self._relay.queue
        pos = start = 0
        size = len(data)
        try:
            while pos < size and not self.raw and not self.frozen:
                if not queue or not queue[0].forwarded:
                    self._relay.out_of_step()
                    break
                exchange = queue[0]
                body = self._body
                if body is None:
                    found = self._reader.feed(data, pos)
                    if found is None:
                        return
                    raw, end = found
                    status, body = parse_reply(raw, exchange.to_head)
                    if status == 101 and not (exchange.may_switch or self._relay.blind):
                        self._refuse_switch(exchange)
                        return
                    start = pos
                    if end - pos != len(raw):  # it began in bytes that came earlier
                        start = end
                        if status >= 200 or not self._is_ours(exchange, status):
                            self._pass(exchange, raw)
                    pos = end
                    if status < 200 and status != 101:
                        if not self._is_ours(exchange, status):
                            self._relay.write(data[start:pos])
                        start = pos
                        continue
                    self._begin(exchange, raw, status, body)
                if body is not None and not self.raw:
                    held = exchange.held
                    pos = body.advance(data, pos, held.reply if held is not None and held.settle else None)
                    if not body.done:
                        continue
                if not self.raw:
                    self._body = None
                    self._pass(exchange, data[start:pos])
                    start = pos
                    self._complete(exchange)
        except Malformed:
            self._give_up(data[start:])
            return
        if self.frozen:
            if pos > start and queue:
                self._pass(queue[0], data[start:pos])
            self._late += data[pos:]
        elif start < size:
            if self.raw or not queue:
                self._relay.write(data[start:])
            else:
                self._pass(queue[0], data[start:])

    def _refuse_switch(self, exchange: Exchange) -> None:
        """The engine changes the protocol of a call that is judged as one without another: what would be asked in it
        nobody would see, so nothing follows."""
        relay = self._relay
        log.warning("the engine changed the protocol of a call that has no other; the connection ends")
        self.raw = True
        text = "mooring: the engine changed the protocol, which is not relayed where access is limited"
        exchange.told(relay.terms, 502, relay.who)
        relay.write(relay.terms.refusals.reply(502, text, closes=True, to_head=exchange.to_head))
        relay.hang_up()

    @staticmethod
    def _is_ours(exchange: Exchange, status: int) -> bool:
        return status == 100 and exchange.continued

    def _begin(self, exchange: Exchange, raw: bytes, status: int, body: Body | None) -> None:
        """A final reply's head is there."""
        relay = self._relay
        self._status = status
        self._body = body
        exchange.replied = True
        exchange.told(relay.terms, status, relay.who)
        relay.engine_answered(raw)
        if status == 101:
            relay.tunnel()
        elif type(body) is UntilClose:
            if status < 300 and (exchange.hijack or is_stream(raw)):
                relay.tunnel()
            else:
                relay.last_reply()

    def _pass(self, exchange: Exchange, data: bytes) -> None:
        held = exchange.held
        if held is None or (held.settle is None and not self.frozen):
            self._relay.write(data)
        elif not held.collect(data) and not self.frozen:
            # Nobody needs a reply of this size: whoever waits is told that the outcome is not known.
            self._freeze()
            settle(held, None, self._relay.terms, lambda: self._thaw(exchange))

    def _complete(self, exchange: Exchange) -> None:
        held = exchange.held
        if self.frozen:
            self._after = exchange
        elif held is not None and held.settle is not None:
            self._freeze()
            self._after = exchange
            reply = Reply(self._status, b"".join(held.reply))
            settle(held, reply, self._relay.terms, lambda: self._thaw(exchange))
        else:
            self._relay.completed(exchange)

    def _freeze(self) -> None:
        self.frozen = True
        self._relay.hold_engine()

    def _thaw(self, exchange: Exchange) -> None:
        """It is settled: the reply, or what there is of it, goes out."""
        relay, held = self._relay, exchange.held
        self.frozen = False
        if held is not None:
            out = held.outgoing()
            held.reply_raw = held.reply = []
            if out is None:
                relay.write(relay.terms.refusals.reply(500, UNSEARCHED, closes=True))
                self.raw = True
                relay.hang_up()  # what is left of the reply is to another question
                return
            relay.write(out)
        after, self._after = self._after, None
        if after is not None:
            relay.completed(after)
        late, self._late = self._late, b""
        if late:
            self.received(late)
        relay.thawed()

    def ended(self) -> bool:
        """The engine says no more. Whether that is the whole story: False when a settling is still awaited."""
        if self.raw:
            return True
        if self.frozen:
            return False
        relay = self._relay
        exchange = relay.queue[0] if relay.queue else None
        if exchange is not None and type(self._body) is UntilClose:
            self._body = None
            self._complete(exchange)
            return not self.frozen
        held = exchange.held if exchange is not None else None
        if exchange is not None and held is not None and held.settle is not None:
            # Cut off: what there is of the reply is passed on, as the engine would have left it.
            held.collect(self._reader.partial)
            self._freeze()
            settle(held, None, relay.terms, lambda: self._thaw(exchange))
            return not self.frozen
        relay.write(self._reader.partial)
        return True

    def _give_up(self, rest: bytes) -> None:
        """These are no replies as HTTP knows them: pass them on, and take no further request."""
        relay = self._relay
        self.raw = True
        held = relay.queue[0].held if relay.queue else None
        gathered = b"".join(held.reply_raw) if held is not None else b""
        relay.write(gathered + self._reader.partial + rest)
        if held is not None:
            settle(held, None, relay.terms, None)
        relay.last_reply()
