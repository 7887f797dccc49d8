"""Connections to the engine: dialled when a client needs one, and a few in advance.

Rules: one upstream connection serves one client and is closed with it, so that the engine cancels what its client gave
up; nothing is dialled in advance before the engine has answered a client, and again not after it hung up: a connection
of ours alone must never wake an engine that systemd starts on demand; a connection that ended is never handed out.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

SPARE = 8
# dockerd closes a connection without a request after five minutes (ReadHeaderTimeout).
LIFE = 60.0
BUFFER = 1 << 18
# A unix socket whose backlog is full answers EAGAIN where a blocking connect would wait.
BUSY_TRIES = 100
BUSY_PAUSE = 0.05
# A closed connection whose last bytes the engine does not take is cut off after this.
FLUSH = 10.0

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


def hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the other side has closed its socket, and did not merely say that it will send no more."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


class Downstream(Protocol):
    """What stands between an engine's connection and a client."""

    def engine_said(self, data: bytes) -> None:
        """Bytes of the engine's."""
        ...

    def engine_ended(self, gone: bool) -> None:
        """The engine will say no more; gone: it does not listen either."""
        ...

    def engine_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        ...

    def engine_slow(self, slow: bool) -> None:
        """Whether the engine reads slower than we write."""
        ...


class Engine(asyncio.Protocol):
    """One connection to the engine; without a downstream it is spare."""

    __slots__ = ("answered", "born", "downstream", "ended", "pool", "spare", "transport")

    def __init__(self, pool: Upstreams) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.downstream: Downstream | None = None
        self.spare = False  # it was dialled in advance
        self.answered = False
        self.ended = False
        self.born = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dialled."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(BUFFER)

    def data_received(self, data: bytes) -> None:
        """To whom it belongs; an engine that speaks unasked has nothing good to say."""
        if self.downstream is not None:
            self.downstream.engine_said(data)
        elif not self.ended:
            self.pool.died(self)

    def eof_received(self) -> bool:
        """Stays open for writing: a container may be done talking and still listen."""
        assert self.transport is not None
        self.ended = True
        if self.downstream is None:
            self.pool.died(self)
            return False
        self.downstream.engine_ended(hung_up(self.transport))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self.transport = None
        self.ended = True
        self.pool.died(self)
        if self.downstream is not None:
            downstream, self.downstream = self.downstream, None
            downstream.engine_lost(exc)

    def pause_writing(self) -> None:
        """The engine reads slower than we write."""
        if self.downstream is not None:
            self.downstream.engine_slow(True)

    def resume_writing(self) -> None:
        """The engine has caught up."""
        if self.downstream is not None:
            self.downstream.engine_slow(False)

    def write(self, data: bytes) -> None:
        """Send, unless it is too late."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        """Say that no more comes."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def read(self, on: bool) -> None:
        """Go on reading, or stop for a while."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.ended or transport.is_reading() == on:
            return
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def close(self) -> None:
        """Hang up, after what was written; whoever it belonged to hears no more of it."""
        self.downstream = None
        self.ended = True
        transport = self.transport
        if transport is not None and not transport.is_closing():
            if transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(FLUSH, transport.abort)
            transport.close()


class Upstreams:
    """Dials the engine; keeps spare connections once it has answered."""

    def __init__(self, path: str, *, spare: int = SPARE, life: float = LIFE) -> None:
        self.path = path
        self._spare = spare
        self._life = life
        self._idle: list[Engine] = []
        self._proved = False
        self._spawn: Spawn | None = None
        self._filling = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> int:
        """How many spare connections there are."""
        return len(self._idle)

    def open(self, spawn: Spawn) -> None:
        """From now on there may be spare connections. spawn: starts work, and owns it."""
        self._spawn = spawn

    def close(self) -> None:
        """No spare connections from now on."""
        self._spawn = None
        self._proved = False
        self._empty()

    def answered(self) -> bool:
        """The engine has answered a client; whether that is news."""
        if self._proved or self._spawn is None:
            return False
        self._proved = True
        self._fill()
        return True

    def take(self) -> Engine | None:
        """A spare connection, the youngest there is."""
        idle = self._idle
        if not idle:
            if self._proved:
                self._fill()
            return None
        engine = idle.pop()
        # In a batch: dialling beside every request would cost each client what the spare one saves.
        if len(idle) <= self._spare // 2:
            self._fill()
        return engine

    async def dial(self) -> Engine:
        """A new connection; OSError when there is no engine."""
        for _ in range(BUSY_TRIES):
            try:
                return await self._dial()
            except BlockingIOError:
                await asyncio.sleep(BUSY_PAUSE)
        return await self._dial()

    async def _dial(self) -> Engine:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)
            # On a unix socket this never waits, and asyncio would take "try again" for success.
            sock.connect(self.path)
            _, engine = await asyncio.get_running_loop().create_unix_connection(lambda: Engine(self), sock=sock)
        except BaseException:
            sock.close()
            raise
        return engine

    def died(self, engine: Engine) -> None:
        """A spare connection has ended: the engine stopped, and is left alone until it answers a client again."""
        if engine in self._idle:
            self._proved = False
            self._empty()

    def _empty(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle, self._idle = self._idle, []
        for engine in idle:
            engine.close()

    def _fill(self) -> None:
        if self._spawn is not None and not self._filling and len(self._idle) < self._spare:
            self._filling = True
            self._spawn(self._dial_spares())

    async def _dial_spares(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._proved and len(self._idle) < self._spare:
                engine = await self._dial()
                if not self._proved or engine.ended:
                    engine.close()
                    return
                engine.spare = True
                engine.born = loop.time()
                self._idle.append(engine)
                self._watch()
        except OSError:
            self._proved = False
        finally:
            self._filling = False

    def _watch(self) -> None:
        if self._timer is None and self._idle:
            oldest = min(engine.born for engine in self._idle)
            self._timer = asyncio.get_running_loop().call_at(oldest + self._life, self._renew)

    def _renew(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for engine in [engine for engine in self._idle if engine.born + self._life <= now]:
            self._idle.remove(engine)
            engine.close()
        self._watch()
        self._fill()
