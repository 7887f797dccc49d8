"""Finds the records behind what a program says: a full id, a name, the beginning of an id.

Rules: a full id goes before a name and a name before the beginning of an id, so that no new thing can take the place of
an old one; what is only half made is not found; nothing is found once the controller is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from mooring.cnm import arguments
from mooring.core.endpoints import Endpoint, Event
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.networks import Network, Origin, Pending
from mooring.core.options import shown
from mooring.core.sandboxes import Sandbox
from mooring.services.records.record_cache import Record
from mooring.services.sandboxes.library import Library

# How many are named when a beginning matches several.
_NAMED = 4

T = TypeVar("T", Network, Endpoint, Sandbox)


class Directory:
    """What a controller and all its objects look into. Build it before the library's cache is loaded."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._open = True
        self._sandboxes: dict[str, str] = {}
        library.cache.listen(self._follow, Sandbox)

    @property
    def library(self) -> Library:
        """The services. Raises Unavailable once closed."""
        if not self._open:
            raise Unavailable("the controller is closed", hint="use its objects within its `async with` block")
        return self._library

    def close(self) -> None:
        """Nothing is found any more."""
        self._open = False

    def networks(self) -> list[Network]:
        """Every network that is made and not on its way out, the oldest first."""
        every = self.library.cache.every(Network)
        found = [network for network in every if network.origin is Origin.LIBRARY and network.pending is None]
        return sorted(found, key=lambda network: (network.created, network.id))

    def endpoints(self, network_id: str) -> list[Endpoint]:
        """Every endpoint of the network that is made and not on its way out, the oldest first."""
        every = self.library.endpoint_index.of_network(network_id)
        found = [endpoint for endpoint in every if endpoint.pending not in (Event.CREATE, Event.DELETE)]
        return sorted(found, key=lambda endpoint: (endpoint.created, endpoint.id))

    def sandboxes(self) -> list[Sandbox]:
        """Every sandbox that is not on its way out, the oldest first."""
        found = [sandbox for sandbox in self.library.cache.every(Sandbox) if not sandbox.deleting]
        return sorted(found, key=lambda sandbox: (sandbox.created, sandbox.id))

    def network(self, network_id: str) -> Network:
        """The network with the full id. Raises NotFound."""
        found = self.library.cache.network(network_id)
        if found is None or found.origin is not Origin.LIBRARY:
            raise NotFound(f"there is no network {network_id[:12]}")
        return found

    def endpoint(self, network_id: str, endpoint_id: str) -> Endpoint:
        """The endpoint with the full ids. Raises NotFound."""
        found = self.library.cache.endpoint(network_id, endpoint_id)
        if found is None:
            raise NotFound(f"there is no endpoint {endpoint_id[:12]} in network {network_id[:12]}")
        return found

    def sandbox(self, sandbox_id: str) -> Sandbox:
        """The sandbox with the full id. Raises NotFound."""
        found = self.library.cache.sandbox(sandbox_id)
        if found is None:
            raise NotFound(f"there is no sandbox {sandbox_id[:12]}")
        return found

    def sandbox_of(self, endpoint: Endpoint) -> Sandbox | None:
        """The sandbox that the endpoint is in."""
        ident = self._sandboxes.get(endpoint.sandbox)
        return None if ident is None else self.library.cache.sandbox(ident)

    def find_network(self, ref: object) -> Network:
        """By full id, name, or the beginning of an id. Raises NotFound, Conflict, BadRequest.

        One that is on its way out is found, so that its deletion can be tried again.
        """
        every = (network for network in self.library.cache.every(Network) if network.origin is Origin.LIBRARY)
        known = [network for network in every if network.pending is not Pending.CREATE]
        return _find("network", ref, known, lambda network: network.name)

    def find_endpoint(self, network: Network, ref: object) -> Endpoint:
        """As `find_network`, among the endpoints of the network."""
        every = self.library.endpoint_index.of_network(network.id)
        known = [endpoint for endpoint in every if endpoint.pending is not Event.CREATE]
        return _find("endpoint", ref, known, lambda endpoint: endpoint.name, f" in network {network.name}")

    def find_sandbox(self, ref: object) -> Sandbox:
        """As `find_network`, among the sandboxes."""
        return _find("sandbox", ref, list(self.library.cache.every(Sandbox)), lambda sandbox: sandbox.name)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Sandbox):
            self._sandboxes.pop(before.key, None)
        if isinstance(after, Sandbox):
            self._sandboxes[after.key] = after.id


def _find(what: str, ref: object, known: Iterable[T], name_of: Callable[[T], str], where: str = "") -> T:
    text = arguments.word(what, ref)
    if not text:
        raise BadRequest(f"{what} is empty", hint="say an id, a name, or the beginning of an id")
    known = sorted(known, key=lambda record: record.id)
    for record in known:
        if record.id == text:
            return record
    for record in known:
        if name_of(record) == text:
            return record
    matches = [record for record in known if record.id.startswith(text)]
    if len(matches) > 1:
        names = [name_of(record) or record.id[:12] for record in matches[:_NAMED]]
        more = f" and {len(matches) - _NAMED} more" if len(matches) > _NAMED else ""
        raise Conflict(
            f"{what} {shown(text)} matches several{where}: {', '.join(names)}{more}", hint="say more of the id"
        )
    if not matches:
        raise NotFound(f"there is no {what} {shown(text)}{where}")
    return matches[0]
