"""The relay's end towards the engine: dialled when there is something to say, and once more when that is harmless.

Rules: a connection dialled in advance may have died unseen, which must not cost its first client an error; but nothing
is said twice that the engine may have heard.
"""

from __future__ import annotations

from typing import Protocol

from mooring.servers.proxy.upstreams import Downstream, Engine, Spawn, Upstreams

# What was sent over a connection dialled in advance is kept until the engine answers, so that it can be sent again. The
# engine reads as much at once: if the connection was reset before that, nobody has seen the request.
KEEP_LIMIT = 4096


class Owner(Downstream, Protocol):
    """Whose line it is."""

    def no_engine(self) -> None:
        """Nobody listens at the engine's socket; what was to be sent is forgotten."""
        ...

    def balance(self) -> None:
        """The engine is there, or more waits for it."""
        ...


class Line:
    """engine: the connection, None before it is needed and after it is lost. unsent: how many bytes wait for it.

    kept: what can be sent again, until the engine says something; None when its end is an end.
    """

    __slots__ = (
        "_closed",
        "_dialling",
        "_ended",
        "_owner",
        "_spawn",
        "_unsent",
        "_upstreams",
        "engine",
        "kept",
        "unsent",
    )

    def __init__(self, upstreams: Upstreams, spawn: Spawn, owner: Owner) -> None:
        self._upstreams, self._spawn, self._owner = upstreams, spawn, owner
        self._unsent: list[bytes] = []
        self.kept: list[bytes] | None = None
        self._dialling = False
        self._ended = False
        self._closed = False
        self.engine: Engine | None = None
        self.unsent = 0

    def send(self, data: bytes) -> None:
        """Send it, when the engine is there."""
        engine = self.engine
        if engine is not None:
            if self.kept is not None:
                self._keep(data)
            engine.write(data)
            return
        self._unsent.append(data)
        self.unsent += len(data)
        if not self._dialling:
            self._dial()
        else:
            self._owner.balance()

    def end(self) -> None:
        """Nothing more will be sent."""
        self._ended = True
        if self.engine is not None:
            self.engine.write_eof()

    def close(self) -> None:
        """Hang up, after what was to be sent."""
        self._closed = True
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()

    def lost(self, exc: Exception | None = None, safe: bool = False) -> bool:
        """The engine is gone. Whether that does not matter, since what was sent is being sent again.

        Only the first words over a connection that was dialled in advance, and only when to say them twice is safe, or
        the kernel says that they were not read.
        """
        engine, self.engine = self.engine, None
        kept, self.kept = self.kept, None
        if engine is not None:
            engine.close()
        unread = isinstance(exc, ConnectionResetError | BrokenPipeError)
        if not kept or not (unread or safe):
            return False
        self._unsent = kept
        self._dialling = True
        self._spawn(self._connect())
        return True

    def _keep(self, data: bytes) -> None:
        assert self.kept is not None
        self.kept.append(data)
        if sum(map(len, self.kept)) > KEEP_LIMIT:
            self.kept = None

    def _dial(self) -> None:
        engine = self._upstreams.take()
        if engine is not None:
            self.kept = []
            self._attach(engine)
        else:
            self._dialling = True
            self._spawn(self._connect())

    async def _connect(self) -> None:
        try:
            engine = await self._upstreams.dial()
        except OSError:
            self._dialling = False
            self._unsent, self.unsent = [], 0
            self._owner.no_engine()
        else:
            self._dialling = False
            self._attach(engine)

    def _attach(self, engine: Engine) -> None:
        engine.downstream = self._owner
        unsent, self._unsent, self.unsent = self._unsent, [], 0
        for piece in unsent:
            if self.kept is not None:
                self._keep(piece)
            engine.write(piece)
        if self._closed:  # what a client sent before it hung up is the engine's to judge
            engine.close()
            return
        self.engine = engine
        if self._ended:
            engine.write_eof()
        if engine.ended:
            self._owner.engine_ended(True)
            return
        self._owner.balance()
