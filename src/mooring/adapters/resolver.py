"""The embedded resolver: DNS at 127.0.0.11 inside sandboxes.

Rules: in each namespace there are two sockets and a table of ours, and nothing that runs; what `serve` or `stop` has
begun is finished before a cancelled caller hears of it, so that a table never leads to no socket; a namespace lives as
long as it is served, because its sockets keep it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mooring.adapters.dns_clients import Connections, Datagrams, Desk
from mooring.adapters.dns_forwarding import DEADLINE, Forwarder, Upstream
from mooring.adapters.dns_sockets import Listeners, Visits, open_listeners, upstream_socket
from mooring.adapters.dns_table import leave_queries
from mooring.core.faults import Fault, Unavailable
from mooring.ports import Lookup, Resolver

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Service:
    """What one namespace has."""

    listeners: Listeners
    desk: Desk
    datagrams: Datagrams
    connections: Connections


class EmbeddedResolver(Resolver):
    """Made where the host's loopback nameservers are asked from. deadline: seconds that a nameserver has."""

    def __init__(self, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        # Tables take longer than sockets, and no query should wait for them.
        self._setting_up, self._asking = Visits("resolver-setup"), Visits("resolver-ask")
        self._served: dict[str, _Service] = {}
        self._connecting: set[asyncio.Future[socket.socket]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._closed = False

    async def serve(self, path: str, lookup: Lookup, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        """See Resolver. Again: the table is written anew too, and if another namespace is at the path by now, it is
        served instead."""
        async with self._one_at_a_time:
            if self._closed:
                raise Unavailable("the resolver is closed")
            before = self._served.get(path)

            def open_or_mend(namespace: tuple[int, int]) -> Listeners:
                if before is None or before.listeners.namespace != namespace:
                    return open_listeners(namespace)
                before.listeners.lead_queries()
                return before.listeners

            opening = self._setting_up.at(path, open_or_mend)
            cancelled = await _settled(opening)
            if cancelled is not None and opening.exception() is not None:
                raise cancelled
            listeners = opening.result()
            if before is not None and before.listeners is listeners:
                before.desk.lookup, before.desk.upstreams = lookup, upstreams
            else:
                await self._begin(path, listeners, lookup, upstreams)
                if before is not None:
                    await self._end(before)
            if cancelled is not None:
                raise cancelled

    async def stop(self, path: str) -> None:
        """See Resolver."""
        async with self._one_at_a_time:
            service = self._served.pop(path, None)
            if service is not None:
                await self._end(service)

    async def close(self) -> None:
        """See Resolver. Closing twice is fine."""
        async with self._one_at_a_time:
            self._closed = True
            while self._served:
                _, service = self._served.popitem()
                await self._end(service)
            if self._connecting:
                await asyncio.wait(self._connecting)
            self._setting_up.close()
            self._asking.close()

    async def _begin(
        self, path: str, listeners: Listeners, lookup: Lookup, upstreams: Callable[[], Sequence[Upstream]]
    ) -> None:
        forwarder = Forwarder(lambda upstream, kind: self._connect(listeners, upstream, kind), self._deadline)
        desk = Desk(lookup, upstreams, forwarder)
        connections = Connections(desk)
        self._served[path] = _Service(listeners, desk, Datagrams(desk, listeners.datagram), connections)
        await connections.serve(listeners.stream)

    async def _end(self, service: _Service) -> None:
        """Nothing answers there. Raises nothing but a cancellation, at the end."""
        service.desk.forwarder.close()
        # Before the table goes: without it the other end would not hear that a connection is closed.
        cancelled = await _settled(service.connections.close())
        try:
            leaving = self._setting_up.beside(service.listeners.datagram, leave_queries)
            cancelled = await _settled(leaving) or cancelled
            leaving.result()
        except (Fault, OSError) as error:
            # It leads nowhere then, and is replaced when the namespace is served again.
            _log.warning("the resolver's table stays in a namespace: %s", error)
        service.datagrams.close()
        if cancelled is not None:
            raise cancelled

    def _connect(
        self, listeners: Listeners, upstream: Upstream, kind: socket.SocketKind
    ) -> asyncio.Future[socket.socket]:
        """A socket to the server; the host's own loopback is not the sandbox's. Raises OSError."""

        def work() -> socket.socket:
            return upstream_socket(upstream, kind)

        visits = self._asking
        connecting = visits.home(work) if upstream.is_loopback else visits.beside(listeners.datagram, work)
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        return connecting


async def _settled(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until it is done; what a thread does cannot be called off. A cancellation is returned, to be raised when
    everything is in order."""
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
