"""Tenants."""

from __future__ import annotations

from mooring.core.filters import Page, TenantFilter
from mooring.core.views import TenantDetail, TenantRow
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations


class Tenants:
    """Whose networks are on this host."""

    def __init__(self, operations: Operations) -> None:
        self._tenants = operations.tenant_rows
        self._names = operations.names

    @route("GET", "/v1/tenants")
    async def tenants(self, query: TenantFilter) -> Page[TenantRow]:
        """The tenants that match everything given, by name. Networks of no tenant are in none."""
        return await self._tenants.page(query)

    @route("GET", "/v1/tenants/{name}")
    async def tenant(self, name: str) -> TenantDetail:
        """One tenant: its networks, what is published of it, and where its routing domain is."""
        return await self._tenants.detail(name, await self._names())
