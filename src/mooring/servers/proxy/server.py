"""The proxy's door: serves Docker's API on any number of sockets, by relaying it to the engine.

Rules: what is in the middle of a hooked request when the server stops is carried to its end, within a bound; streams
have no end of their own, and are cut then.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from mooring.servers.proxy.hooks import AdmissionHook, Completion
from mooring.servers.proxy.peers import who_is
from mooring.servers.proxy.refusals import Refusals
from mooring.servers.proxy.relay import Relay
from mooring.servers.proxy.relay_exchanges import Admit, Audit, Recognise, Terms
from mooring.servers.proxy.tls_streams import Wrap, over_tls
from mooring.servers.proxy.upstreams import SPARE, Upstreams
from mooring.servers.quotas import Quota
from mooring.wire.docker_api import Call, Verb

# As dockerd's: Go takes what the kernel allows. Beyond it a client of a unix socket is refused, not kept waiting.
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound stream socket. tls: speak it there. blind: whoever connects may do everything, so that HTTP/2, in which
    the proxy sees nothing, may pass. quota: of its connections."""

    sock: socket.socket
    tls: Wrap | None = None
    blind: bool = False
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """settle: seconds that a reply waits for its settling. drain: seconds that hooked requests have at the end; plain:
    seconds for the others. spare: connections dialled in advance."""

    settle: float = 4.0
    drain: float = 10.0
    plain: float = 1.0
    spare: int = SPARE


class ProxyServer:
    """Relays what comes in on its listeners to the engine's socket, until stopped."""

    def __init__(
        self,
        engine: str,
        recognise: Recognise,
        *,
        hook: AdmissionHook | None = None,
        admit: Admit | None = None,
        audit: Audit | None = None,
        completion: Completion | None = None,
        limits: ProxyLimits = ProxyLimits(),
    ) -> None:
        self._upstreams = Upstreams(engine, spare=limits.spare)
        self._recognise = recognise
        self._hook, self._admit, self._audit = hook, admit, audit
        self._completion = completion
        self._limits = limits
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self.relays: set[Relay] = set()

    async def serve(self, listeners: Sequence[Listener], started: Callable[[], None] = lambda: None) -> None:
        """Relay until `stop` or cancellation; `started` is called when every socket listens.

        Then nothing more is accepted, idle connections are closed, hooked requests have `limits.drain` seconds, and
        what is left is cut. The sockets are closed; a socket's file stays.
        """
        async with asyncio.TaskGroup() as tasks:
            spawn = self._spawner(tasks)
            self._upstreams.open(spawn)
            terms = Terms(
                self._recognise,
                self._upstreams,
                Refusals(),
                spawn,
                self._hook,
                self._admit,
                self._audit,
                self._limits.settle,
                self._completion,
            )
            servers: list[asyncio.Server] = []
            try:
                servers += [await self._listen(listener, self._factory(terms, listener)) for listener in listeners]
                started()
                await self._stopping.wait()
            finally:
                for server in servers:
                    server.close()
                self._upstreams.close()
                await self._drain()

    async def _listen(self, listener: Listener, factory: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        sock = listener.sock
        if listener.tls is not None:
            refused = self._handshake_failed if self._audit is not None else None
            factory = over_tls(listener.tls, factory, listener.quota, refused)
        if sock.family != socket.AF_UNIX:
            return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
        # From 3.13 on the loop would remove the socket's file, which may be systemd's.
        keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, **keep)

    def _handshake_failed(self, transport: asyncio.BaseTransport, why: str) -> None:
        """Who proves nothing asks for nothing, but the audit has him."""
        assert self._audit is not None
        reason = f"no request: {why.lower().replace('_', ' ')}"
        self._audit(Call(Verb.OTHER, "", ""), 0, who_is(transport), True, reason)

    def stop(self) -> None:
        """Ask `serve` to end."""
        self._stopping.set()

    def _factory(self, terms: Terms, listener: Listener) -> Callable[[], Relay]:
        quota = listener.quota if listener.tls is None else None  # TLS counts from before the handshake on
        return lambda: Relay(terms, self.relays, listener.blind, quota)

    def _spawner(self, tasks: asyncio.TaskGroup) -> Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]:
        def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            task = tasks.create_task(work)
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return task

        return spawn

    async def _drain(self) -> None:
        """Every connection has ended, and everything that was started, in its own time or cancelled."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for relay in list(self.relays):
            relay.finish()
        while loop.time() < begun + self._limits.drain:
            plain = loop.time() < begun + self._limits.plain
            if not any(relay.busy or (plain and relay.asked) for relay in self.relays):
                break
            await asyncio.sleep(0.02)
        for relay in list(self.relays):
            relay.close()
        if self._running:
            await asyncio.wait(list(self._running), timeout=self._limits.settle)
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running))
