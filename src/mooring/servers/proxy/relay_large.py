"""Hooked requests whose bodies are too large to be kept: sent on as they come, but for the end that completes them.

Rules: before the gate has said that the request is none of its own, the engine has at most the beginning of an object,
which it cannot carry out; what is kept meanwhile is bounded, and reading it costs the loop nothing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from mooring.core.faults import Fault, Kind
from mooring.servers.large_bodies import read
from mooring.servers.proxy.refusals import status_of
from mooring.servers.proxy.relay_exchanges import Exchange, Held

if TYPE_CHECKING:
    from mooring.servers.proxy.relay import Relay

log = logging.getLogger(__name__)


class Large:
    """One of them. Its pieces are gathered in `held` by whoever follows the request."""

    __slots__ = ("_ended", "_exchange", "_held", "_reader", "_relay", "_working")

    def __init__(self, relay: Relay, exchange: Exchange, held: Held) -> None:
        assert relay.terms.hook is not None
        self._relay, self._exchange, self._held = relay, exchange, held
        self._reader = relay.terms.hook.reader(held.call)
        self._working = self._ended = False
        held.asked = True
        held.expects = False

    def go_on(self) -> None:
        """More of it is there, or its end."""
        if not self._working:
            self._working = True
            self._relay.terms.spawn(self._work())

    async def _work(self) -> None:
        try:
            while (self._held.raw or self._held.complete) and not self._ended:
                await self._next()
        except Fault as fault:
            status = 413 if fault.kind is Kind.BAD_REQUEST else status_of(fault)
            self._relay.requests.refuse_large(self._exchange, status, str(fault))
        except Exception:  # the last guard: a mistake there must not end the server
            log.exception("not read: %s", self._held.call.verb.name)
            self._relay.requests.refuse_large(self._exchange, 500, "mooring: internal error; the log has more")
        finally:
            self._working = False

    async def _next(self) -> None:
        """Read what there is of it, and send it on, or ask whose it is."""
        relay, exchange, held, reader = self._relay, self._exchange, self._held, self._reader
        hook = relay.terms.hook
        assert hook is not None
        raw, body, complete = b"".join(held.raw), b"".join(held.body), held.complete
        held.raw, held.body, held.size = [], [], 0
        relay.read_client()
        if reader is not None:
            await read(partial(reader.feed, body), len(body))
        if not self._dropped and (reader is None or reader.done or reader.overflow):
            await hook.outsize(held.call, reader.document if reader is not None and not reader.overflow else None)
        elif not (complete or exchange.replied or self._dropped):
            relay.requests.send(exchange, raw)
            return
        # It is none of ours; or its object has no end, or the engine has answered, and either way it is no request.
        self._ended = True
        if not self._dropped:
            relay.requests.let_pass(exchange, raw + b"".join(held.raw))

    @property
    def _dropped(self) -> bool:
        return self._held.gone or self._exchange.answer is not None or self._relay.over
