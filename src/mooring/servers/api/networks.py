"""Networks."""

from __future__ import annotations

from mooring.core.filters import NetworkFilter, Page
from mooring.core.views import NetworkDetail, NetworkRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations


class Networks:
    """The networks of this host."""

    def __init__(self, operations: Operations) -> None:
        self._inspection = operations.inspection
        self._names = operations.names
        self._cluster = operations.cluster_network_rows

    @route("GET", "/v1/networks")
    async def networks(self, query: NetworkFilter) -> Page[NetworkRow]:
        """The networks that match everything given, oldest first."""
        return await self._inspection.networks(query, await self._names())

    @route("GET", "/v1/networks/{reference:path}")
    async def network(self, reference: str) -> NetworkDetail:
        """One network: segments with usage, endpoints, its part in the cluster. By its ID or an unambiguous prefix of
        it, by the name that Docker or compose has for it, its bridge, or its subnet."""
        return await self._cluster.completed(self._inspection.network(reference, await self._names()))
