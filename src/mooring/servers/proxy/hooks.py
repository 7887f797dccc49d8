"""What the proxy's relay asks before a request that may change who holds an address, and what it is told.

Rules: a decision is asked for before the first byte of the request goes to the engine, and settled before the last byte
of its reply goes to the client, whatever happens in between; the relay knows nothing of addresses, and whoever gives
decisions knows nothing of bytes on a socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mooring.wire.docker_api import Call

# What is kept of one hooked request. Its body is some kilobytes, but for the environment, of which Linux takes 2 MiB
# with the usual limits and 6 MiB at the most (execve(2)).
LARGEST_REQUEST = 8 << 20
# What is kept of all large ones of a door.
ROOM = 64 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine answered: the body complete, and without the transfer's chunks."""

    status: int
    body: bytes


Settle = Callable[[Reply | None], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Decision:
    """How a request may pass.

    body: what it is to say instead, None to leave every byte as it is. settle: awaited exactly once, with the reply, or
    with None when there was none (the client or the engine hung up: the outcome is not known); it returns the body that
    the client is told instead, or None to leave every byte as it is. None: nobody wants to hear of the reply, and it is
    relayed as it comes.
    """

    body: bytes | None = None
    settle: Settle | None = None


class Reader(Protocol):
    """Reads a body of any size, of which it keeps little."""

    @property
    def done(self) -> bool:
        """Enough has come to know whose the request is; without the bytes of the last `feed` nobody can carry it
        out."""
        ...

    @property
    def overflow(self) -> bool:
        """There is more to keep than is kept."""
        ...

    @property
    def document(self) -> bytes:
        """What was kept."""
        ...

    def feed(self, data: bytes) -> None:
        """More of the body. It is called on a thread."""
        ...


class AdmissionHook(Protocol):
    """Decides."""

    def wants(self, call: Call) -> bool:
        """Whether the request's body has to be held until `decide` has answered. Costs no I/O."""
        ...

    async def decide(self, call: Call, body: bytes) -> Decision:
        """How the request may pass. body: complete, without the transfer's chunks. Raises a Fault, whose text and kind
        become the answer, and nothing reaches the engine then."""
        ...

    def reader(self, call: Call) -> Reader | None:
        """What reads the body of the request when it is too large to be held; None when `outsize` needs none of it."""
        ...

    async def outsize(self, call: Call, document: bytes | None) -> None:
        """The request, whose body is too large to be held, may pass as it is. document: what the reader kept, None when
        that was too much. Raises a Fault as `decide` does."""
        ...


class Completion(Protocol):
    """Completes what the engine tells of containers."""

    def wants(self, call: Call) -> bool:
        """Whether the reply to this list or inspection of containers has to be kept until `complete` has answered."""
        ...

    def question(self, call: Call) -> str | None:
        """The query with which the engine is asked instead: then its reply never goes out as it is, and `answer` says
        what does. None: it is asked as it was."""
        ...

    async def answer(self, call: Call, reply: Reply | None) -> bytes | None:
        """As `complete`, of such a reply: the body that the client is told, None when that is not known."""
        ...

    async def complete(self, call: Call, reply: Reply | None) -> bytes | None:
        """The body that the client is told instead; None to leave every byte as it is. reply: None when there was none,
        or one that is too large."""
        ...
