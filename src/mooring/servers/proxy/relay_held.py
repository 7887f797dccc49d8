"""Hooked requests on their way to a decision: those that are kept, and those whose bodies are too large for that, which
are sent on as they come, but for the end that completes them.

Rules: before the hook has said that a request is none of its own, the engine has at most the beginning of an object,
which it cannot carry out; what is kept meanwhile is bounded, and reading it costs the loop nothing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Protocol

from mooring.core.faults import Fault, Kind
from mooring.servers.large_bodies import read
from mooring.servers.proxy.framing import with_length
from mooring.servers.proxy.refusals import status_of
from mooring.servers.proxy.relay_exchanges import REQUEST_LIMIT, Exchange, Held, Terms, settle

log = logging.getLogger(__name__)

FAILED = "mooring: internal error; the log has more"


class Owner(Protocol):
    """Who follows the request, and does with it what was decided; nothing, once it has another one."""

    def send_beginning(self, exchange: Exchange, data: bytes) -> None:
        """The engine may have so much of it before there is a decision."""
        ...

    def let_pass(self, exchange: Exchange, pieces: list[bytes]) -> None:
        """It is sent on from these bytes on."""
        ...

    def refuse_held(self, exchange: Exchange, status: int, text: str, closes: bool) -> None:
        """It is answered so. closes: and the connection ends."""
        ...

    def balance(self) -> None:
        """There is room for more of it."""
        ...


async def ask(owner: Owner, terms: Terms, exchange: Exchange, held: Held) -> None:
    """Have it decided about a request that is complete."""
    assert terms.hook is not None
    try:
        decision = await terms.hook.decide(held.call, b"".join(held.body))
    except Fault as fault:
        owner.refuse_held(exchange, status_of(fault), str(fault), closes=False)
        return
    except Exception:  # the last guard: a mistake there must not end the server
        log.exception("internal error while admitting %s", held.call)
        owner.refuse_held(exchange, 500, FAILED, closes=False)
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
    owner.let_pass(exchange, pieces)


class Large:
    """One that is too large to be kept. Its pieces are gathered in `held` by its owner."""

    __slots__ = ("_ended", "_exchange", "_held", "_owner", "_reader", "_terms", "_working")

    def __init__(self, owner: Owner, terms: Terms, exchange: Exchange, held: Held) -> None:
        assert terms.hook is not None
        self._owner, self._terms, self._exchange, self._held = owner, terms, exchange, held
        self._reader = terms.hook.reader(held.call)
        self._working = self._ended = False

    def go_on(self) -> None:
        """More of it is there, or its end."""
        if not self._working:
            self._working = True
            self._terms.spawn(self._work())

    async def _work(self) -> None:
        try:
            while (self._held.raw or self._held.complete) and not self._ended:
                await self._next()
        except Fault as fault:
            text = str(fault)
            status = 413 if fault.kind is Kind.BAD_REQUEST else status_of(fault)
            text = text if text.startswith("mooring: ") else f"mooring: {text}"
            self._owner.refuse_held(self._exchange, status, text, closes=True)
        except Exception:  # the last guard: a mistake there must not end the server
            log.exception("internal error while reading the body of %s", self._held.call)
            self._owner.refuse_held(self._exchange, 500, FAILED, closes=True)
        finally:
            self._working = False
            if self._ended or self._dropped:
                self._held.raw, self._held.body, self._held.size = [], [], 0

    async def _next(self) -> None:
        """Read what there is of it, and send it on, or ask whose it is."""
        exchange, held, reader = self._exchange, self._held, self._reader
        hook = self._terms.hook
        assert hook is not None
        raw, body, complete = b"".join(held.raw), b"".join(held.body), held.complete
        held.raw, held.body, held.size = [], [], 0
        self._owner.balance()
        if reader is not None:
            await read(partial(reader.feed, body), len(body))
        if not self._dropped and (reader is None or reader.done or reader.overflow):
            await hook.outsize(held.call, reader.document if reader is not None and not reader.overflow else None)
        elif not (complete or exchange.replied or self._dropped):
            self._owner.send_beginning(exchange, raw)
            return
        # It is none of ours; or its object has no end, or the engine has answered, and either way it is no request.
        self._ended = True
        if not self._dropped:
            exchange.held = None
            self._owner.let_pass(exchange, [raw, *held.raw])

    @property
    def _dropped(self) -> bool:
        return self._held.gone or self._exchange.refused
