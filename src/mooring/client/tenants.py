"""Tenants, asked for by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.views import TenantDetail, TenantRow


class Tenants(Asking):
    """Whose networks are on the host."""

    def tenants(self, *, subnet: str = "", separate: bool | None = None) -> list[TenantRow]:
        """The tenants that match everything given, by name. separate: whether it has a routing domain."""
        told = "" if separate is None else str(separate).lower()
        return self._rows(TenantRow, "tenants", {"subnet": subnet, "separate": told})

    def tenant(self, name: str) -> TenantDetail:
        """The tenant of that name."""
        return self._get(TenantDetail, "tenants", name)
