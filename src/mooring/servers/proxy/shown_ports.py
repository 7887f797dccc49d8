"""What the engine tells of containers (`docker ps`, `inspect`), completed with the ports that we publish for them.

The engine asks no plugin for published ports, so its lists and inspections show none for a plugin's networks, and a
search for a port finds none of their containers. Where one of ours would be found, the engine is asked for the list
without that search, and we do it.

Rules: only what the engine shows as a place in one of our networks is completed; a reply that is not a list or an
inspection in plain JSON, or that has nothing of ours, stays as it is, to the byte; so does one with which we fail;
large ones are read and written beside the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mooring.core.endpoints import Endpoint, State
from mooring.servers.large_bodies import read
from mooring.servers.proxy.hooks import Reply
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.wire import docker_ports, port_filters
from mooring.wire.docker_api import LIST, USAGE, Call
from mooring.wire.docker_ports import Place, ShownPorts
from mooring.wire.go_json import Unread, with_value
from mooring.wire.port_filters import PortPair, PortQuery

# About how many bytes of a reply one port becomes.
PORT_BYTES = 100


class PortCompletion:
    """A Completion."""

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index

    def wants(self, _call: Call) -> bool:
        """See Completion."""
        return self._cache.count(Endpoint) > 0

    def question(self, call: Call) -> str | None:
        """See Completion."""
        asked = port_filters.port_query(call.query) if call.path == LIST else None
        return asked.query if asked is not None and self._finds(asked) else None

    async def answer(self, call: Call, reply: Reply | None) -> bytes | None:
        """See Completion."""
        asked = port_filters.port_query(call.query)
        if reply is None or asked is None or reply.status != 200:
            return reply.body if reply is not None else None
        try:
            body = await self._list(reply.body) or reply.body
            return await read(partial(port_filters.chosen, body, asked), len(body))
        except Unread:
            return None

    async def complete(self, call: Call, reply: Reply | None) -> bytes | None:
        """See Completion."""
        if reply is None or reply.status != 200:
            return None
        try:
            if call.path == LIST:
                return await self._list(reply.body)
            if call.path == USAGE:
                return await self._usage(reply.body)
            return await self._inspection(reply.body)
        except Unread:
            return None

    def _finds(self, asked: PortQuery) -> bool:
        """Whether any container of ours would be found, among the running ones at least."""
        return any(
            asked.fits(_pairs(endpoint))
            for endpoint in self._cache.every(Endpoint)
            if endpoint.state is State.ATTACHED and (endpoint.published or endpoint.exposed)
        )

    async def _usage(self, body: bytes) -> bytes | None:
        changed = False
        for path, rows in (await read(partial(docker_ports.used, body), len(body))).items():
            if (told := await self._list(rows)) is not None:
                body, changed = await read(partial(with_value, body, path, told), len(body)), True
        return body if changed else None

    async def _list(self, body: bytes) -> bytes | None:
        rows = await read(partial(docker_ports.listed_places, body), len(body))
        shown = {number: ports for number, places in enumerate(rows) if (ports := self._shown(places)) is not None}
        if not shown:
            return None
        size = len(body) + PORT_BYTES * sum(len(ports.published) for ports in shown.values())
        return await read(partial(docker_ports.with_listed_ports, body, shown), size)

    async def _inspection(self, body: bytes) -> bytes | None:
        places = await read(partial(docker_ports.inspected_places, body), len(body))
        shown = self._shown(places)
        if shown is None:
            return None
        size = len(body) + PORT_BYTES * len(shown.published)
        return await read(partial(docker_ports.with_inspected_ports, body, shown), size)

    def _shown(self, places: Iterable[Place]) -> ShownPorts | None:
        """What is to be shown of the container with these places; None when none of them is ours and in use."""
        found: list[Endpoint] = []
        for place in places:
            if place.sandbox:
                found += self._endpoint_index.in_sandbox(place.sandbox)
            elif (endpoint := self._cache.endpoint(place.network, place.endpoint)) is not None:
                found.append(endpoint)
        joined = [endpoint for endpoint in found if endpoint.state is State.ATTACHED]
        if not joined:
            return None
        # As the engine has it: what a container listens on is shown where it can be reached from elsewhere.
        exposes = any((net := self._cache.network(each.network)) is not None and not net.internal for each in joined)
        published = tuple(port_binding for endpoint in joined for port_binding in endpoint.published)
        exposed = tuple(port for endpoint in joined for port in endpoint.exposed) if exposes else ()
        return ShownPorts(published, exposed, exposes) if published or exposes else None


def _pairs(endpoint: Endpoint) -> Iterable[PortPair]:
    """Its ports as a list shows them, or more."""
    for each in endpoint.published:
        yield PortPair(each.protocol.label, each.target_port, each.host_port)
    for protocol, port in endpoint.exposed:
        yield PortPair(protocol.label, port, 0)
