"""Hosts that have something in the cluster, which has no record of them: they wrote it before they knew that they were
forgotten.

Rules: a host has its record before anything else, and its id is never another's, so that who was unknown twice, with a
while between, stays so; a host that is unknown itself judges nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

from mooring.ports import Clock
from mooring.services.cluster.host_records import HostRecords


class UnknownHosts:
    """`among`, from time to time and for each place."""

    def __init__(self, records: HostRecords, host: str, clock: Clock, sightings: float) -> None:
        """host: this one. sightings: seconds between two sightings, at least."""
        self._records, self._host, self._clock, self._sightings = records, host, clock, sightings
        self._since: dict[Hashable, dict[str, float]] = {}

    async def among(self, place: Hashable, hosts: Collection[str]) -> list[str]:
        """Ids of those, of all that have something in the place, that the cluster has had no record of for a while.
        Raises Unavailable."""
        before = self._since.pop(place, {})
        others = {*hosts} - {self._host, ""}
        if not others:
            return []
        known, now = {host.id for host in await self._records.hosts()}, self._clock.boot()
        unknown = others - known if self._host in known else set()
        if unknown:
            self._since[place] = {host: before.get(host, now) for host in unknown}
        return sorted(host for host in unknown if now - before.get(host, now) >= self._sightings)
