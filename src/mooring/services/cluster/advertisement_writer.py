"""What this host advertises in the cluster: kept as it is wanted, for as long as the host is there.

Rules: who wants something waits for nothing; what could not be written is written later; only this host writes below
its own prefix, so what is there otherwise, from an earlier daemon or a write that came late, is put right by a look.
After an unknown outcome the key is read before it is written again. Names that are not known yet are those that are
there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from mooring.core.advertisements import Advertisement, host_prefix
from mooring.core.faults import BadRequest, Fault, StaleRevision, Unavailable
from mooring.ports import Clock, Cluster, Entry
from mooring.services.cluster.attempts import all_of
from mooring.services.cluster.shared_values import advertised, advertisement_of
from mooring.services.records.pacing import Pace

log = logging.getLogger(__name__)

# Keys that are written at a time.
AT_ONCE = 16
# Seconds between two looks at everything that is there.
LOOK = 20.0


class AdvertisementWriter:
    """`run` for as long as the daemon serves; `turn` about once a second. trouble: what the last try could not do."""

    def __init__(self, clock: Clock, is_strange: Callable[[], bool] = lambda: False) -> None:
        """is_strange: whether the cluster may have forgotten this host; until that is known nothing is written."""
        self._clock, self._is_strange = clock, is_strange
        self._cluster: Cluster | None = None
        self._prefix = ""
        self._wanted: dict[str, bytes] = {}
        self._nameless: dict[str, Advertisement] = {}  # of these the ones whose names are not known yet
        self._written: dict[str, Entry] = {}  # as far as is known
        self._unsure: set[str] = set()  # keys of which it is not known
        self._stale: dict[str, None] = {}  # keys that may not be as they are wanted, the oldest first
        self._looked = float("-inf")
        self.trouble: Fault | None = None
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()

    def want(self, key: str, advertisement: Advertisement | None, nameless: bool = False) -> None:
        """This is to be under the key, or nothing. What cannot be written is left out. nameless: what is said of names
        counts only where the key does not have them already."""
        value = None
        if advertisement is not None:
            try:
                _, value = advertised(advertisement)
            except BadRequest as fault:
                log.warning("an endpoint is not advertised: %s", fault)
        unnamed = advertisement if nameless and value is not None else None
        if (value, unnamed) == (self._wanted.get(key), self._nameless.get(key)):
            return
        self._nameless.pop(key, None)
        if unnamed is not None:
            self._nameless[key] = unnamed
        if value is None:
            del self._wanted[key]
        else:
            self._wanted[key] = value
        self._stale[key] = None
        self._woken.set()

    @property
    def waiting(self) -> int:
        """How many keys may not be as they are wanted."""
        return len(self._stale)

    def enter(self, cluster: Cluster, host: str) -> None:
        """Write there, as the host with that id."""
        self._cluster, self._prefix = cluster, host_prefix(host)
        self._looked = float("-inf")
        self._woken.set()

    def look_again(self) -> None:
        """What is there may be another thing than what was written."""
        self._looked = float("-inf")
        self._woken.set()

    async def leave(self, remove: bool) -> None:
        """Write nowhere. remove: what is there of this host goes, if the cluster can be reached. Raises Unavailable."""
        cluster, self._cluster = self._cluster, None
        async with self._turn:
            self._written, self.trouble = {}, None
            if cluster is None or not remove:
                return
            entries, _ = await cluster.scan(self._prefix)
            for begin in range(0, len(entries), AT_ONCE):
                await all_of(*(_drop(cluster, entry) for entry in entries[begin : begin + AT_ONCE]))

    def turn(self) -> list[Fault]:
        """What waits is tried again, and everything is looked at now and then; what the last try could not do."""
        if self._cluster is not None and (self._stale or self._clock.boot() - self._looked >= LOOK):
            self._woken.set()
        return [self.trouble] if self.trouble is not None else []

    async def run(self) -> None:
        """Write what is wanted, for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.settle()

    async def settle(self) -> None:
        """What was wanted before this call is there, unless `trouble` says why not."""
        async with self._turn:
            cluster = self._cluster
            if cluster is None or self._is_strange():
                return
            try:
                if self._clock.boot() - self._looked >= LOOK:
                    await self._look(cluster)
                while self._stale and self._cluster is cluster:
                    await self._write(cluster, list(self._stale)[:AT_ONCE])
                self.trouble = None
            except Unavailable as fault:
                self.trouble = fault

    async def _look(self, cluster: Cluster) -> None:
        """What is there is known. Raises Unavailable."""
        began = self._clock.boot()
        entries, _ = await cluster.scan(self._prefix)
        pace = Pace()
        self._written = {entry.key: entry for entry in entries}
        self._unsure.clear()
        for key in self._written.keys() | self._wanted.keys():
            await pace.step()
            if not self._is_right(key):
                self._stale[key] = None
        self._looked = began

    def _is_right(self, key: str) -> bool:
        known = self._written.get(key)
        return key not in self._unsure and (known.value if known is not None else None) == self._value(key)

    def _value(self, key: str) -> bytes | None:
        """What is to be under the key, as it is known to be now."""
        told, known = self._nameless.get(key), self._written.get(key)
        if told is not None and known is not None:
            with suppress(Fault):  # of a newer version
                there = advertisement_of(key, known.value)
                return advertised(told.named_as(there))[1] if there.names else self._wanted.get(key)
        return self._wanted.get(key)

    async def _write(self, cluster: Cluster, keys: Iterable[str]) -> None:
        """These are as they are wanted, unless somebody else has written them meanwhile. Raises Unavailable."""
        faults = await all_of(*(self._write_one(cluster, key) for key in keys))
        for fault in faults:
            if fault is not None:
                raise fault

    async def _write_one(self, cluster: Cluster, key: str) -> Unavailable | None:
        """What kept the key from being written, which then is stale yet."""
        try:
            if key in self._unsure:
                entry = await cluster.get(key)
                self._unsure.discard(key)
                self._note(key, entry)
            self._stale.pop(key, None)  # what is wanted from now on is another thing
            if self._is_right(key):
                return None
            wanted, known = self._value(key), self._written.get(key)
            self._unsure.add(key)
            if wanted is not None:
                revision = await cluster.put(key, wanted, known.revision if known is not None else 0)
                self._note(key, Entry(key, wanted, revision))
            elif known is not None:
                await cluster.delete(key, known.revision)
                self._note(key, None)
            self._unsure.discard(key)
        except StaleRevision:
            self._stale[key] = None
        except Unavailable as fault:
            self._stale[key] = None
            return fault
        return None

    def _note(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._written.pop(key, None)
        else:
            self._written[key] = entry


async def _drop(cluster: Cluster, entry: Entry) -> None:
    """The key is gone, unless somebody has written it since."""
    try:
        await cluster.delete(entry.key, entry.revision)
    except StaleRevision:
        return
