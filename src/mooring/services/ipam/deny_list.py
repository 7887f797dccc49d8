"""The deny list: the configuration's entries and those of operators, one list, found by what overlaps.

Rules: who was answered "denied" can rely upon it: what is being carved meanwhile is decided first, and nothing is
carved over the entry afterwards; networks that exist stay, and are named to who denies their subnet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from mooring.core.deny_entries import CONFIGURATION, DenyEntry
from mooring.core.faults import Conflict, Forbidden, NotFound, StaleRevision, Unavailable
from mooring.core.networks import Subnet
from mooring.core.reservations import line
from mooring.core.subnet_index import Holdings
from mooring.ports import Clock
from mooring.services.records.record_cache import Record, RecordCache

ATTEMPTS = 8
# Entries of operators: a list that people read.
MOST = 1024


class DenyList:
    """Build it before the cache is loaded. holdings: every subnet of it; not to be changed.

    turn: held while a decision about a subnet is taken.
    """

    def __init__(self, cache: RecordCache, declared: Sequence[Subnet], clock: Clock, turn: asyncio.Lock) -> None:
        self._cache = cache
        self._clock = clock
        self._turn = turn
        self._declared = {subnet: DenyEntry(subnet=subnet, origin=CONFIGURATION) for subnet in declared}
        self.holdings = Holdings(self._declared)
        cache.listen(self._follow, DenyEntry)

    def entries(self) -> list[DenyEntry]:
        """Every entry, in order of subnets; the configuration's first where both have one."""
        every = [*self._declared.values(), *self._cache.every(DenyEntry)]
        return sorted(every, key=lambda each: (each.subnet.version, each.subnet, not each.declared))

    def meeting(self, subnet: Subnet) -> DenyEntry | None:
        """The first entry that overlaps the subnet, None when there is none."""
        return next(self._at(held for held, _ in self.holdings.overlapping(subnet)), None)

    def check(self, subnet: Subnet) -> None:
        """Raises Forbidden, naming the entry and how it ends, when nothing may be in the subnet."""
        if (entry := self.meeting(subnet)) is not None:
            raise Forbidden(
                f"subnet {subnet} cannot be used: {entry.in_words()}",
                hint=f"choose another subnet, or {entry.way_out()}",
            )

    async def add(self, subnet: Subnet, note: str, dry: bool) -> bool:
        """No network gets an address in the subnet from now on; those that exist keep theirs. Denied again it has the
        new note. False when nothing changed; dry: nothing does.

        Raises BadRequest for a note that is no line, Conflict when the configuration has it, Unavailable.
        """
        note = line(note, "a note")
        if subnet in self._declared:
            raise Conflict(f"subnet {subnet} is denied already by the configuration", hint="nothing to do")
        async with self._turn:
            for _ in range(ATTEMPTS):
                known = self._cache.deny_entry(subnet)
                if known is not None and known.note == note:
                    return False
                if known is None and self._cache.count(DenyEntry) >= MOST:
                    raise Conflict(
                        f"the deny list has {MOST} entries, which is the most", hint="deny a wider subnet instead"
                    )
                if dry:
                    return True
                created = known.created if known is not None else self._clock.now()
                entry = DenyEntry(subnet=subnet, note=note, created=created)
                try:
                    await self._cache.commit(put=[entry])
                except StaleRevision:
                    continue
                return True
        raise Unavailable(f"deny entry {subnet} was changed by other requests", hint="try again")

    async def remove(self, subnet: Subnet, dry: bool) -> DenyEntry:
        """Networks may have the subnet again; the entry that there was. dry: nothing changes.

        Raises Conflict for one of the configuration, NotFound for one that is not there, Unavailable.
        """
        for _ in range(ATTEMPTS):
            known = self._cache.deny_entry(subnet)
            if known is None:
                raise self._unknown(subnet)
            if dry:
                return known
            try:
                await self._cache.commit(delete=[known])
            except StaleRevision:
                continue
            return known
        raise Unavailable(f"deny entry {subnet} was changed by other requests", hint="try again")

    def _unknown(self, subnet: Subnet) -> Conflict | NotFound:
        if (declared := self._declared.get(subnet)) is not None:
            return Conflict(
                f"subnet {subnet} is denied by the configuration", hint=f"{declared.way_out()} and restart the daemon"
            )
        near = self.meeting(subnet)
        hint = f"{near.subnet} is; see `mooring deny ls`" if near is not None else "see `mooring deny ls`"
        return NotFound(f"there is no deny entry {subnet}", hint=hint)

    def _at(self, subnets: Iterator[Subnet]) -> Iterator[DenyEntry]:
        for subnet in subnets:
            entry = self._declared.get(subnet) or self._cache.deny_entry(subnet)
            if entry is not None:
                yield entry

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, DenyEntry):
            self.holdings.remove(before.subnet)
        if isinstance(after, DenyEntry):
            self.holdings.add(after.subnet)
