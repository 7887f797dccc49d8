"""A request with its reply, as the relay keeps it while it is under way, and what all connections of a door share.

Rules: an exchange is heard of by the audit once; whoever gave a decision hears of its outcome once, in time or late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache, partial
from weakref import WeakSet

from mooring.core.faults import Fault
from mooring.servers.proxy.framing import Body, with_body
from mooring.servers.proxy.hooks import LARGEST_REQUEST, ROOM, AdmissionHook, Completion, Reply, Settle
from mooring.servers.proxy.peers import Who
from mooring.servers.proxy.refusals import Refusals
from mooring.servers.proxy.request_heads import first_words, with_query
from mooring.servers.proxy.upstreams import Spawn, Upstreams
from mooring.wire.docker_api import HIJACKING, HOOKED, Call, Verb

log = logging.getLogger(__name__)

# What is held of one reply.
HOLD_LIMIT = 16 << 20
# What is held of every request, chunks' frames included; beyond it as much as ROOM in all, for the door.
REQUEST_LIMIT = 5 << 18
# How much larger than its body a request may be because of them.
FRAMES = 1 << 20
# Bytes that a client sent ahead, before it is read no further.
BACKLOG_LIMIT = 1 << 18
# Bytes of a refused request's body that are read and forgotten; the connection ends rather than read more.
REFUSED_BODY = 1 << 18
# Heads that are known by sight: as many, and only short ones.
KNOWN = 256
KNOWN_SIZE = 512

Recognise = Callable[[str, str, bool], Call]
Admit = Callable[[Call], Fault | None]
# The call, its status, who asked, whether we said no, and why where the bytes were no request.
Audit = Callable[[Call, int, Who, bool, str], None]


@dataclass(slots=True)
class Terms:
    """What the connections of a server have in common. deadline: seconds that a reply waits for its settling.

    completion: None where replies stay as they are.
    """

    recognise: Recognise
    upstreams: Upstreams
    refusals: Refusals
    spawn: Spawn
    hook: AdmissionHook | None = None
    admit: Admit | None = None
    audit: Audit | None = None
    deadline: float = 4.0
    completion: Completion | None = None
    known: dict[bytes, tuple[Call, str]] = field(default_factory=dict)
    large: WeakSet[Held] = field(default_factory=WeakSet)

    def __post_init__(self) -> None:
        cached, plain = lru_cache(maxsize=KNOWN)(self.recognise), self.recognise
        # Long targets are seldom asked for twice, and a client must not fill our memory with them.
        self.recognise = lambda method, target, upgrade: (
            cached(method, target, upgrade) if len(target) <= KNOWN_SIZE else plain(method, target, upgrade)
        )

    def judged(self, call: Call) -> Fault | None:
        """Why the call does not pass, None when it does."""
        try:
            return self.admit(call) if self.admit is not None else None
        except Exception:  # the last guard: what cannot be judged does not pass
            log.exception("internal error while checking %s", call)
            return Fault("mooring: internal error of the proxy; its log has more")

    def has_room(self, held: Held) -> bool:
        """Whether the request may be kept, as large as it is by now."""
        if held.size <= REQUEST_LIMIT:
            return True
        self.large.add(held)
        return held.size <= LARGEST_REQUEST + FRAMES and sum(each.size for each in self.large) <= ROOM

    def remember(self, raw: bytes, call: Call, method: str) -> None:
        """Know the head of a request without a body and without any say of ours, when it comes again.

        Not heads that may carry credentials (Authorization, X-Registry-Auth): they would stay in memory.
        """
        if len(raw) > KNOWN_SIZE or call.verb in HOOKED or call.verb in HIJACKING or b"auth" in raw.lower():
            return
        if len(self.known) >= KNOWN:
            self.known.clear()
        self.known[raw] = (call, method)


class State(IntEnum):
    """Where a relay is; relay.py says what follows from it."""

    IDLE = 0
    HEAD = 1
    HELD = 2
    BODY = 3
    REPLY = 4
    FROZEN = 5
    REFUSED = 6
    LAST = 7
    TUNNEL = 8
    CLOSED = 9


class Exchange:
    """One request and its reply. What most of them have is the class's, so that it costs a request nothing.

    call: None once the audit knows of it. reason: why the bytes are no request. body: what is to come of the request,
    None when it is complete. last: the connection ends with the reply. hijack: it may become a stream then.
    may_switch: the engine may change the protocol. held: what is kept of it.
    continued: we sent `100 Continue`, so the engine's is one too many. forwarded: the engine has some of it although it
    is held. replied: the final reply has begun. answered: it is complete. refused: it was ours.
    """

    body: Body | None = None
    held: Held | None = None
    last = hijack = may_switch = continued = forwarded = replied = answered = refused = False

    def __init__(self, call: Call, method: str, reason: str = "") -> None:
        self.call: Call | None = call
        self.method = method
        self.reason = reason

    @classmethod
    def of_bytes(cls, begun: bytes, reason: str) -> Exchange:
        """Of bytes that begin so and are no request."""
        method, path = first_words(begun)
        return cls(Call(Verb.OTHER, method, "", path=path), method, reason)

    def told(self, terms: Terms, status: int, who: Who) -> None:
        """The audit hears of the reply, once."""
        call, self.call = self.call, None
        if call is not None and terms.audit is not None:
            try:
                terms.audit(call, status, who, self.refused and status != 503, self.reason)
            except Exception:  # the last guard: a mistake there must not cut a client's connection
                log.exception("internal error while auditing %s", call)


class Held:
    """A hooked request: kept back until its decision is given; its reply too, when somebody wants to hear of it.

    instead: the body that the client is told in the place of the engine's. other: the engine was asked something else,
    so that its reply never goes out without one. more: told that more of it is there, where it is too large to be kept.
    """

    __slots__ = (
        "__weakref__", "body", "call", "complete", "gone", "instead", "more", "other", "raw", "reply", "reply_raw",
        "settle", "size",
    )  # fmt: skip

    def __init__(self, call: Call, raw: bytes) -> None:
        self.call = call
        self.raw = [raw]
        self.body: list[bytes] = []
        self.size = 0  # of raw, and later of reply_raw
        self.complete = False
        self.gone = False  # nobody waits for the reply any more
        self.settle: Settle | None = None
        self.instead: bytes | None = None
        self.other = False
        self.more: Callable[[], None] | None = None
        self.reply: list[bytes] = []
        self.reply_raw: list[bytes] = []

    @classmethod
    def of_reply(cls, call: Call, raw: bytes, completion: Completion) -> tuple[Held | None, bytes]:
        """Of a request that is not held: only its reply is kept, and completed. With the head as it goes on; None:
        nobody wants the reply."""
        if not completion.wants(call):
            return None, raw
        held = cls(call, b"")
        question = completion.question(call)
        held.other = question is not None
        held.settle = partial(completion.answer if held.other else completion.complete, call)
        return held, raw if question is None else with_query(raw, question)

    def take(self, raw: bytes, body: bytes) -> None:
        """More of the request has come: its bytes, and what they have of the body."""
        self.raw.append(raw)
        self.size += len(raw)
        if body:
            self.body.append(raw if len(body) == len(raw) else body)  # a body without chunks is there once

    def outgoing(self) -> bytes | None:
        """What there is of the reply, as the client gets it; None where that would answer another question."""
        raw = b"".join(self.reply_raw)
        if self.instead is None:
            return None if self.other else raw
        out = with_body(raw, self.instead)
        return None if self.other and out is raw and not raw.endswith(self.instead) else out

    def collect(self, raw: bytes) -> bool:
        """Keep more of the reply; False when it is too much."""
        self.reply_raw.append(raw)
        self.size += len(raw)
        return self.size <= HOLD_LIMIT


def settle(held: Held, reply: Reply | None, terms: Terms, then: Callable[[], None] | None) -> None:
    """Tell whoever wants to know, and go on with `then` when that is done, or past the deadline."""
    tell, held.settle = held.settle, None
    if tell is None:
        if then is not None:
            then()
        return
    task = terms.spawn(_guarded(tell, reply, held))
    if then is None:
        return
    go_on = then
    waiting = True

    def once(_: object = None) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            timer.cancel()
            go_on()

    timer = asyncio.get_running_loop().call_later(terms.deadline, _late, once, held.call)
    task.add_done_callback(once)


def _late(once: Callable[[], None], call: Call) -> None:
    log.warning("recording %s takes too long: its reply is sent before that is done", call)
    once()


async def _guarded(tell: Settle, reply: Reply | None, held: Held) -> None:
    try:
        held.instead = await tell(reply)
    except Exception:  # the last guard: the client gets the engine's reply all the same
        log.exception("internal error while recording the outcome of %s", held.call)
