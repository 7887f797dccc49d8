"""Which container is behind an endpoint, as the engine said last: for people, who know no endpoints.

Rule: a name decides nothing, and is in memory only.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.containers import Container
from mooring.core.endpoints import Endpoint
from mooring.services.records.record_cache import Record, RecordCache


class EndpointContainers:
    """One name for each endpoint on record, at most. Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._names: dict[str, str] = {}
        self._listeners: list[Callable[[Container], None]] = []
        cache.listen(self._follow, Endpoint)

    def listen(self, listener: Callable[[Container], None]) -> None:
        """Call it with every container that the engine tells of from now on."""
        self._listeners.append(listener)

    def note(self, container: Container) -> None:
        """The engine tells of the container."""
        for endpoint in container.endpoints:
            if endpoint.endpoint and self._cache.endpoint(endpoint.network, endpoint.endpoint) is not None:
                self._names[endpoint.endpoint] = container.name
        for listener in self._listeners:
            listener(container)

    def name(self, endpoint_id: str) -> str:
        """Of the container that has the endpoint (full id), "" while nobody has said it."""
        return self._names.get(endpoint_id, "")

    def user(self, network_id: str, endpoint_id: str) -> str:
        """Who has an address of the network, for a fault: the container where it is known, or else the endpoint; or
        the attached namespace."""
        endpoint = self._cache.endpoint(network_id, endpoint_id) if is_namespaces(endpoint_id) else None
        if endpoint is not None:
            return f"{namespace_name(endpoint)} of network {network_id[:12]}"
        name = self.name(endpoint_id)
        return f"{f'container {name}' if name else f'endpoint {endpoint_id[:12]}'} of network {network_id[:12]}"

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Endpoint) and after is None:
            self._names.pop(before.id, None)
