"""Pools."""

from __future__ import annotations

from mooring.core.filters import Page, PoolFilter
from mooring.core.views import PoolDetail, PoolRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations


class Pools:
    """The subnets from which addresses are assigned."""

    def __init__(self, operations: Operations) -> None:
        self._inspection = operations.inspection
        self._names = operations.names

    @route("GET", "/v1/pools")
    async def pools(self, query: PoolFilter) -> Page[PoolRow]:
        """The pools that match everything given, by address space, family and subnet, with how full they are."""
        return await self._inspection.pools(query, await self._names())

    @route("GET", "/v1/pools/{which:path}")
    async def pool(self, which: str) -> list[PoolDetail]:
        """Pools in full: counts by state, options. The one with the ID or an unambiguous prefix of it, those of the
        subnet, one for each address space, or those of the network."""
        return self._inspection.pool(which, await self._names())
