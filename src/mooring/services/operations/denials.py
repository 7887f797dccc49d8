"""The deny list as an operator sees and changes it.

Rule: an entry forbids only what is to come, so whoever denies a subnet in which a network is gets his entry, and is
told which networks stay.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.deny_entries import CONFIGURATION, STORED, DenyEntry
from mooring.core.faults import BadRequest
from mooring.core.filters import DenyFilter, Page
from mooring.core.networks import Network, Subnet, overlap
from mooring.core.options import parse_subnet
from mooring.core.subnet_index import Holdings
from mooring.core.views import DenyRow
from mooring.services.ipam.deny_list import DenyList
from mooring.services.operations.pages import Place, page_of
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache


class Denials:
    """`mooring deny`."""

    def __init__(self, cache: RecordCache, deny_list: DenyList) -> None:
        self._cache = cache
        self._deny_list = deny_list

    def rows(self, names: EngineNames = NOBODY_ASKED) -> list[DenyRow]:
        """Every entry, in order of subnets."""
        return self._shown(self._deny_list.entries(), names)

    async def page(self, query: DenyFilter, names: EngineNames = NOBODY_ASKED) -> Page[DenyRow]:
        """Those of the entries that match, in order of subnets. Raises BadRequest."""
        met = parse_subnet("subnet", query.subnet) if query.subnet else None
        if query.origin not in ("", CONFIGURATION, STORED):
            raise BadRequest(f"origin {query.origin[:40]!r} is not known", hint=f"use {CONFIGURATION} or {STORED}")
        return await page_of(
            zip(self._deny_list.entries(), self.rows(names), strict=True),
            query,
            lambda each: _place(each[0]),
            lambda each: each[1],
            lambda each: (met is None or overlap(each[0].subnet, met)) and query.origin in ("", each[0].origin),
        )

    async def add(
        self, subnet: Subnet, note: str, dry: bool, names: EngineNames = NOBODY_ASKED
    ) -> tuple[DenyRow, bool]:
        """The entry is there, with the note; whether something changed or would. Raises as DenyList.add."""
        changed = await self._deny_list.add(subnet, note, dry)
        entry = self._cache.deny_entry(subnet) or DenyEntry(subnet=subnet, note=note)
        return self._shown([entry], names)[0], changed

    async def remove(self, subnet: Subnet, dry: bool, names: EngineNames = NOBODY_ASKED) -> DenyRow:
        """The entry is not there; what it was. Raises as DenyList.remove."""
        return self._shown([await self._deny_list.remove(subnet, dry)], names)[0]

    def _shown(self, entries: Iterable[DenyEntry], names: EngineNames) -> list[DenyRow]:
        held = Holdings()
        for network in self._cache.every(Network):
            for segment in network.segments:
                held.add(segment.subnet, names.of_network(network) or network.id[:12])
        return [
            DenyRow(
                subnet=str(entry.subnet),
                origin=entry.origin,
                note=entry.note,
                created=entry.created or None,
                networks=[f"{name} ({subnet})" for subnet, name in held.overlapping(entry.subnet)],
            )
            for entry in entries
        ]


def _place(entry: DenyEntry) -> Place:
    subnet = entry.subnet
    place = subnet.network_address.packed + bytes([subnet.prefixlen])
    return 0.0, str(subnet.version), 0, place, "" if entry.declared else STORED
