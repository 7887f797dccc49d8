"""What the engine tells of containers, completed with the ports that we publish for them.

The engine asks no plugin for published ports, so its lists and inspections show none for a plugin's networks.

Rules: only what the engine shows as a place in one of our networks is completed; a reply that is not a list or an
inspection in plain JSON, or that has nothing of ours, stays as it is, to the byte; so does one with which we fail;
large ones are read and written beside the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mooring.core.endpoints import Endpoint, State
from mooring.servers.large_bodies import read
from mooring.servers.proxy.passages import Reply
from mooring.services.mirror import Mirror
from mooring.services.roster import Roster
from mooring.wire import docker_ports
from mooring.wire.docker_api import Call
from mooring.wire.docker_ports import Place, ShownPorts
from mooring.wire.go_json import Unread

# About how many bytes of a reply one port becomes.
PORT_BYTES = 100


class PortCompletion:
    """A Completion."""

    def __init__(self, mirror: Mirror, roster: Roster) -> None:
        self._mirror = mirror
        self._roster = roster

    def wants(self, _call: Call) -> bool:
        """See Completion."""
        return self._mirror.count(Endpoint) > 0

    async def complete(self, call: Call, reply: Reply | None) -> bytes | None:
        """See Completion."""
        if reply is None or reply.status != 200:
            return None
        try:
            if call.path == "/containers/json":
                return await self._list(reply.body)
            return await self._inspection(reply.body)
        except Unread:
            return None

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
                found += self._roster.in_sandbox(place.sandbox)
            elif (endpoint := self._mirror.endpoint(place.network, place.endpoint)) is not None:
                found.append(endpoint)
        joined = [endpoint for endpoint in found if endpoint.state is State.ATTACHED]
        if not joined:
            return None
        # As the engine has it: what a container listens on is shown where it can be reached from elsewhere.
        exposes = any((net := self._mirror.network(each.network)) is not None and not net.internal for each in joined)
        published = tuple(publication for endpoint in joined for publication in endpoint.published)
        exposed = tuple(port for endpoint in joined for port in endpoint.exposed) if exposes else ()
        return ShownPorts(published, exposed, exposes) if published or exposes else None
