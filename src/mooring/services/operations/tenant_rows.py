"""The tenants of this host, as an operator sees them.

Rules: a tenant is there while one of its networks is; whose a network is follows from its address space; those of no
tenant are in no row.
"""

from __future__ import annotations

from collections import defaultdict

from mooring.core.domains import line, near_end
from mooring.core.faults import NotFound
from mooring.core.filters import NetworkFilter, Page, TenantFilter
from mooring.core.networks import Network
from mooring.core.options import parse_subnet
from mooring.core.views import TenantDetail, TenantRow
from mooring.services.operations.inspection import Inspection
from mooring.services.operations.pages import page_of
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache


class TenantRows:
    """`mooring tenant`. folder: where the namespaces of routing domains are."""

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex, inspection: Inspection, folder: str) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._inspection = inspection
        self._folder = folder

    async def page(self, query: TenantFilter) -> Page[TenantRow]:
        """Those that match, by name. Raises BadRequest."""
        subnet = str(parse_subnet("subnet", query.subnet)) if query.subnet else None
        return await page_of(
            (self._row(name, networks) for name, networks in self._tenants().items()),
            query,
            lambda row: (0.0, row.name, 0, b"", ""),
            lambda row: row,
            lambda row: (subnet is None or subnet in row.subnets) and query.separate in (None, row.domain != 0),
        )

    async def detail(self, name: str, names: EngineNames = NOBODY_ASKED) -> TenantDetail:
        """The tenant of that name. Raises NotFound, which names those that there are."""
        tenants = self._tenants()
        if name not in tenants:
            there = ", ".join(sorted(tenants)[:10])
            raise NotFound(
                f"no tenant {name[:40]!r} has a network on this host", hint=f"there are {there}" if there else ""
            )
        networks = tenants[name]
        row, mine = self._row(name, networks), {network.id for network in networks}
        shown = await self._inspection.networks(NetworkFilter(), names)
        published = [
            str(binding)
            for network in networks
            for endpoint in self._endpoint_index.of_network(network.id)
            for binding in endpoint.published
        ]
        lines = [line(row.domain, version) for version in (4, 6)] if row.domain else []
        return TenantDetail(
            tenant=row,
            namespace=f"{self._folder}/{row.domain}" if row.domain else "",
            link=near_end(row.domain) if row.domain else "",
            addresses=[str(end.ip) for ends in lines for end in ends],
            networks=[each for each in shown.rows if each.id in mine],
            published=published,
        )

    def _tenants(self) -> dict[str, list[Network]]:
        found = defaultdict[str, list[Network]](list)
        for network in self._cache.every(Network):
            if network.tenant:
                found[network.tenant].append(network)
        return found

    def _row(self, name: str, networks: list[Network]) -> TenantRow:
        return TenantRow(
            name=name,
            networks=len(networks),
            separate=sum(network.domain != 0 for network in networks),
            endpoints=sum(len(self._endpoint_index.of_network(network.id)) for network in networks),
            subnets=sorted({str(segment.subnet) for network in networks for segment in network.segments}),
            domain=max(network.domain for network in networks),
        )
