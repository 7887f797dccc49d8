"""The records of this host's names as other nameservers get them: snapshots, each with a serial.

Rules: a snapshot is made when something that is told has changed, and never two in a second: so no serial is ahead of
the clock, and that of a later start is greater than all before it; making one never holds up the loop. After
a start there is none before everybody is known whom the engine has: a zone without them would take them from the LAN.
What a host writes itself is its own containers' alone, as each host of a cluster does; what is fetched from it is all
that it knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain

from mooring.core.host_names import Entry
from mooring.core.zones import Record, Snapshot, is_exported, next_serial, records_of
from mooring.ports import Clock
from mooring.services.containers.host_names import HostNames
from mooring.services.records.record_cache import RecordCache

# Seconds between two snapshots at least; and how many names make it one more, so that churn costs others as little.
PERIOD, NAMES_A_SECOND = 1.0, 2000
# Seconds after a start in which the first snapshot waits for the engine to tell of everybody.
PATIENCE = 300.0
# Entries that are read before others have their turn.
_SLICE = 64


class ZoneExport:
    """`run` for as long as the daemon lives. current: the latest snapshot, None before there is one.

    zone: of all names. chosen: the networks, as core.zones.is_exported. everybody: also the containers of the
    cluster's other hosts, in the networks that this host takes part in.
    """

    def __init__(
        self,
        cache: RecordCache,
        names: HostNames,
        clock: Clock,
        zone: str,
        chosen: tuple[str, ...] = (),
        *,
        everybody: bool = False,
    ) -> None:
        self._cache = cache
        self._names = names
        self._clock = clock
        self.zone = zone
        self._chosen = chosen
        self._everybody = everybody
        self.current: Snapshot | None = None
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it when there is another snapshot."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """For ever."""
        seen, patient = -1, self._clock.now() + PATIENCE
        while True:
            # First: the daemon before this one may have made one in this very second.
            count = len(self.current.forward) if self.current is not None else 0
            await self._clock.sleep(PERIOD + count / NAMES_A_SECOND)
            if self.current is None and self._is_unsure and self._clock.now() < patient:
                continue
            if self._names.changes != seen:
                seen = self._names.changes
                await self.once()

    async def once(self) -> bool:
        """The snapshot says what is so now; whether it is another."""
        whole = not self._is_unsure  # when they are read, which is before others have their turn
        forward: dict[str, set[Record]] = {}
        reverse: dict[str, set[Record]] = {}
        for number, entry in enumerate(self._entries()):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            for name, record in records_of(entry, self.zone):
                (reverse if record[0] == "PTR" else forward).setdefault(name, set()).add(record)
        known, now = self.current, self._clock.now()
        if known is None:
            serial = int(now) % 2**32
        elif (known.forward, known.reverse) != (forward, reverse):
            serial = next_serial(known.serial, now)
        elif known.whole != whole:
            serial = known.serial  # for secondaries it is the same
        else:
            return False
        self.current = Snapshot(serial, forward, reverse, whole)
        for listener in self._listeners:
            listener()
        return True

    @property
    def _is_unsure(self) -> bool:
        """Whether somebody who is there may have names that are not known yet."""
        return self._names.unheard or (self._everybody and self._names.remote.incomplete)

    def _entries(self) -> list[Entry]:
        known: dict[str, bool] = {"": True}  # records of everybody are in no network
        found = []
        for _, network_id, entry in chain(self._names.rows(), self._names.remote.rows() if self._everybody else ()):
            if network_id not in known:
                network = self._cache.network(network_id)
                known[network_id] = network is not None and is_exported(
                    network, self._names.network_name(network_id), self._chosen
                )
            if known[network_id] and self._is_told(network_id, entry):
                found.append(entry)
        return found

    def _is_told(self, network_id: str, entry: Entry) -> bool:
        """Not what a host that is not heard has, where another has the name."""
        silent = self._names.remote.is_silent(entry.host)
        return not silent or any(each.host == entry.host for each in self._names.named(network_id, entry.names[0]))
