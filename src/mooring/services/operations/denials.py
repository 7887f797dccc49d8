"""The deny list as an operator sees and changes it.

Rule: an entry forbids only what is to come, so whoever denies a subnet in which a network is gets his entry, and is
told which networks stay.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.deny_entries import DenyEntry
from mooring.core.networks import Network, Subnet
from mooring.core.subnet_index import Holdings
from mooring.core.views import DenyRow
from mooring.services.ipam.deny_list import DenyList
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
