"""DNS records that an operator adds and removes.

Rules: a name has one record in each network, which says all its addresses; what is over is gone within seconds; a name
that a container has as well is answered with the addresses of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.dns_records import DnsRecord
from mooring.core.faults import BadRequest, Conflict, NotFound, StaleRevision, Unavailable
from mooring.core.networks import Address
from mooring.core.reservations import line
from mooring.ports import Clock
from mooring.services.records.record_cache import RecordCache

ATTEMPTS = 8
# Records of operators, and addresses of one: a list that people read.
MOST, MOST_ADDRESSES = 4096, 64


class DnsRecords:
    """Adds, removes, lists."""

    def __init__(self, cache: RecordCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock

    @property
    def any(self) -> bool:
        """Whether there is a record."""
        return self._cache.count(DnsRecord) > 0

    def entries(self) -> list[DnsRecord]:
        """Those whose time is not over, by name."""
        now = self._clock.now()
        every = (record for record in self._cache.every(DnsRecord) if not record.is_over(now))
        return sorted(every, key=lambda each: (each.name, each.network))

    async def add(
        self, name: str, network: str, addresses: Sequence[Address], *, note: str, until: float | None, dry: bool
    ) -> tuple[DnsRecord, bool]:
        """The name has these addresses, and no others; the record, and whether something changed or would. network:
        full id, or "".

        Raises BadRequest for no address, too many, a note that is no line, or a time that is over; Conflict,
        Unavailable.
        """
        if not 0 < len(addresses) <= MOST_ADDRESSES:
            raise BadRequest(f"name {name} needs 1 to {MOST_ADDRESSES} addresses")
        now = self._clock.now()
        if until is not None and until <= now:
            raise BadRequest("the record would be over already", hint="give a time to come with --until")
        wanted = DnsRecord(
            name=name, network=network, addresses=tuple(dict.fromkeys(addresses)), note=line(note, "a note"),
            created=now, until=until,
        )  # fmt: skip
        for _ in range(ATTEMPTS):
            known = self._cache.dns_record(network, name)
            if known is not None and (known.addresses, known.note, known.until) == (
                wanted.addresses,
                wanted.note,
                until,
            ):
                return known, False
            if known is None and self._cache.count(DnsRecord) >= MOST:
                raise Conflict(f"there are {MOST} DNS records, which is the most", hint="remove some: `mooring dns ls`")
            if dry:
                return wanted, True
            try:
                await self._cache.commit(put=[wanted])
            except StaleRevision:
                continue
            return wanted, True
        raise _busy(name)

    async def remove(self, name: str, network: str, *, dry: bool) -> DnsRecord:
        """The name has no record in the network; the one that there was. Raises NotFound, Unavailable."""
        for _ in range(ATTEMPTS):
            known = self._cache.dns_record(network, name)
            if known is None or known.is_over(self._clock.now()):
                raise NotFound(
                    f"there is no DNS record {name}" + (f" in network {network[:12]}" if network else ""),
                    hint="names of containers end with them; `mooring dns ls` lists records and names",
                )
            if dry:
                return known
            try:
                await self._cache.commit(delete=[known])
            except StaleRevision:
                continue
            return known
        raise _busy(name)

    async def sweep(self) -> None:
        """What is over is gone, and what was in a network that is gone. Raises Unavailable."""
        now = self._clock.now()
        for record in self._cache.every(DnsRecord):
            lost = bool(record.network) and self._cache.network(record.network) is None
            if lost or record.is_over(now):
                try:
                    await self._cache.commit(delete=[record])
                except StaleRevision:
                    continue  # it was given more time just now


def _busy(name: str) -> Unavailable:
    return Unavailable(f"DNS record {name} was changed by other requests", hint="try again")
