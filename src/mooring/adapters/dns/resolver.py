"""The embedded resolver: DNS at 127.0.0.11 inside sandboxes. dns_answering answers, from services.sandboxes.dns_names.

Rules: in each namespace there are two sockets and a table of ours, and nothing that runs; what `serve` or `stop` has
begun is finished before a cancelled caller hears of it, so that a table never leads to no socket; a namespace lives as
long as it is served, because its sockets keep it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mooring.adapters.dns.dns_answering import Connections, Datagrams, QueryHandler
from mooring.adapters.dns.dns_forwarding import DEADLINE, Forwarder, Upstream
from mooring.adapters.dns.dns_sockets import Listeners, Visits, open_listeners, raise_loopback, upstream_socket
from mooring.adapters.dns.query_redirect import leave_queries
from mooring.adapters.host.descriptor_shares import SharesOfLimit
from mooring.core.faults import Fault, Unavailable
from mooring.ports import Lookup, Resolver

# Parts of the process's limit of open files that all namespaces together may have: for queries that are forwarded, and
# for connections of clients.
_FOR_QUERIES, _FOR_CONNECTIONS = 4, 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Service:
    """What one namespace has."""

    listeners: Listeners
    handler: QueryHandler
    datagrams: Datagrams
    connections: Connections


class EmbeddedResolver(Resolver):
    """Made where the host's loopback nameservers are asked from. deadline: seconds that a nameserver has. owner: whose
    it is; a namespace is served by one owner only."""

    def __init__(self, deadline: float = DEADLINE, owner: str = "") -> None:
        self._deadline = deadline
        self._owner = owner
        # What takes longer makes nobody wait who wants less; those who wait for a grace period can share it.
        self._asking, self._setting_up = Visits("resolver-ask"), Visits("resolver-serve")
        self._leaving = Visits("resolver-leave", threads=8)
        self._queries, self._connections = (SharesOfLimit(part) for part in (_FOR_QUERIES, _FOR_CONNECTIONS))
        self._served: dict[str, _Service] = {}
        self._under_way: set[asyncio.Future[Any]] = set()
        # How many services each namespace has whose table is there, or is about to be taken away by its number.
        self._tables: Counter[tuple[int, int]] = Counter()
        self._one_at_a_time = asyncio.Lock()
        self._closed = False

    async def serve(self, path: str, lookup: Lookup, upstreams: Callable[[], Sequence[Upstream]]) -> None:
        """See Resolver. Again: a table that is gone is written anew, and if another namespace is at the path by now,
        that one is served instead. Raises Conflict where another owner's resolver answers."""
        async with self._one_at_a_time:
            if self._closed:
                raise Unavailable("the resolver is closed")
            before = self._served.get(path)

            def open_or_mend(namespace: tuple[int, int]) -> Listeners:
                if before is None or before.listeners.namespace != namespace:
                    return open_listeners(namespace, self._owner, self._leaving.later, anew=self._tables[namespace] > 0)
                raise_loopback()
                before.listeners.lead_queries(self._leaving.later, anew=self._tables[namespace] > 1)
                return before.listeners

            opening = self._setting_up.at(path, open_or_mend)
            cancelled = await _settled(opening)
            if cancelled is not None and opening.exception() is not None:
                raise cancelled
            listeners = opening.result()
            if before is not None and before.listeners is listeners:
                before.handler.lookup, before.handler.upstreams = lookup, upstreams
            else:
                await self._begin(path, listeners, lookup, upstreams)
                if before is not None:
                    await self._end(before)
            if cancelled is not None:
                raise cancelled

    async def stop(self, path: str) -> None:
        """See Resolver. The table goes soon after: that waits an RCU grace period, and nobody has to wait for it."""
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
            if self._under_way:
                await asyncio.wait(self._under_way)
            for visits in (self._asking, self._setting_up, self._leaving):
                visits.close()

    async def _begin(
        self, path: str, listeners: Listeners, lookup: Lookup, upstreams: Callable[[], Sequence[Upstream]]
    ) -> None:
        forwarder = Forwarder(
            lambda upstream, kind: self._connect(listeners, upstream, kind), self._deadline, self._queries
        )
        handler = QueryHandler(lookup, upstreams, forwarder)
        connections = Connections(handler, self._connections)
        self._tables[listeners.namespace] += 1
        self._served[path] = _Service(listeners, handler, Datagrams(handler, listeners.datagram), connections)
        await connections.serve(listeners.stream)

    async def _end(self, service: _Service) -> None:
        """Nothing answers there. Raises nothing but a cancellation, at the end."""
        service.handler.forwarder.close()
        # Before the table goes: without it the other end would not hear that a connection is closed.
        cancelled = await _settled(service.connections.close())
        table, namespace = service.listeners.table, service.listeners.namespace
        try:
            leaving = self._leaving.beside(service.listeners.datagram, lambda: _leave(table))
        except OSError as error:
            _log.warning("the resolver's table stays in a namespace: %s", error.strerror)
            self._forget(namespace)
        else:
            leaving.add_done_callback(lambda _: self._forget(namespace))
            self._keep(leaving)
        service.datagrams.close()
        if cancelled is not None:
            raise cancelled

    def _forget(self, namespace: tuple[int, int]) -> None:
        self._tables[namespace] -= 1
        if not self._tables[namespace]:
            del self._tables[namespace]

    def _keep(self, future: asyncio.Future[Any]) -> None:
        """`close` waits for it."""
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

    def _connect(
        self, listeners: Listeners, upstream: Upstream, kind: socket.SocketKind
    ) -> asyncio.Future[socket.socket]:
        """A socket to the server; the host's own loopback is not the sandbox's. Raises OSError."""

        def work() -> socket.socket:
            return upstream_socket(upstream, kind)

        visits = self._asking
        connecting = visits.home(work) if upstream.is_loopback else visits.beside(listeners.datagram, work)
        self._keep(connecting)
        return connecting


def _leave(table: int) -> None:
    """Take the table away. One that stays leads nowhere, and is replaced when the namespace is served again."""
    try:
        leave_queries(table)
    except Fault as fault:
        _log.warning("%s", fault)


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
