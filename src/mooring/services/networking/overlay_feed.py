"""From the cluster's keys to this host's overlays: what hosts publish, followed for as long as the daemon serves.

Rules: a scan says what is, and the watch from there what becomes; where the history is gone there is another scan, and
while the cluster is away everything stays as it was last heard. What cannot be read is as it was before, and told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mooring.core.faults import Compacted, Fault, Unavailable
from mooring.core.overlays import Overlay, Remote
from mooring.ports import Change, Clock, Cluster
from mooring.services.networking.overlays import Overlays
from mooring.services.records.pacing import Pace

# Seconds after which a cluster that did not answer is asked again.
PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Published:
    """An endpoint, or a host's own address, as its host has published it. network: as all hosts call it."""

    network: str
    remote: Remote


class OverlayFeed:
    """Follows the keys below the prefix. read: what a value says, by its key and bytes; raises a Fault for what it
    cannot read."""

    def __init__(
        self, cluster: Cluster, overlays: Overlays, clock: Clock, prefix: str, read: Callable[[str, bytes], Published]
    ) -> None:
        self._cluster = cluster
        self._overlays = overlays
        self._clock = clock
        self._prefix = prefix
        self._read = read
        self._networks: dict[str, dict[str, Remote]] = {}  # what is published, by network and key
        self._where: dict[str, str] = {}  # the network of each key
        self._here: dict[str, str] = {}  # networks of this host's: by the name that all have for them, our id
        self._unreadable: dict[str, str] = {}
        self._scanned = False
        self._turn = asyncio.Lock()

    async def open(self, network: str, here: str, overlay: Overlay) -> None:
        """The network, whose id on this host is `here`, is this overlay, with all that is published in it."""
        self._here[network] = here
        self._overlays.open(here, overlay)
        async with self._turn:
            if self._scanned:
                await self._overlays.rescan(here, self._networks.setdefault(network, {}))

    def close(self, network: str) -> None:
        """This host has no part in the network any more. One that it has none in is fine."""
        here = self._here.pop(network, None)
        if here is not None:
            self._overlays.close(here)

    def complaints(self) -> list[str]:
        """What could not be read, a line each."""
        return [f"{key} in the cluster is left out: {words}" for key, words in sorted(self._unreadable.items())]

    async def run(self) -> None:
        """Follow, for ever."""
        after: int | None = None
        while True:
            try:
                if after is None:
                    after = await self._scan()
                async for changes in self._cluster.watch(self._prefix, after):
                    if changes:
                        self._take(changes)
                        after = changes[-1].revision
            except Compacted:
                after = None
            except Unavailable:
                await self._clock.sleep(PAUSE)

    async def _scan(self) -> int:
        entries, revision = await self._cluster.scan(self._prefix)
        pace, found = Pace(), dict[str, Published]()
        for entry in entries:
            await pace.step()
            published = self._readable(entry.key, entry.value)
            if published is not None:
                found[entry.key] = published
        for key in self._unreadable.keys() - {entry.key for entry in entries}:
            del self._unreadable[key]
        async with self._turn:
            self._where = {key: each.network for key, each in found.items()}
            self._networks = {}
            for key, each in found.items():
                self._networks.setdefault(each.network, {})[key] = each.remote
            self._scanned = True
            for network, here in list(self._here.items()):
                await self._overlays.rescan(here, self._networks.setdefault(network, {}))
        return revision

    def _take(self, changes: Sequence[Change]) -> None:
        """What has changed, network by network."""
        told: dict[str, dict[str, Remote | None]] = {}
        for change in changes:
            key, published = change.key, None
            if change.value is not None:
                published = self._readable(key, change.value)
                if published is None:
                    continue
            else:
                self._unreadable.pop(key, None)
            before = self._where.pop(key, None)
            if before is not None:
                self._networks[before].pop(key, None)
                told.setdefault(before, {})[key] = None
            if published is not None:
                self._where[key] = published.network
                self._networks.setdefault(published.network, {})[key] = published.remote
                told.setdefault(published.network, {})[key] = published.remote
        for network, remotes in told.items():
            if network in self._here:
                self._overlays.learn(self._here[network], remotes)

    def _readable(self, key: str, value: bytes) -> Published | None:
        """What the value says; what was known of it before where that cannot be read."""
        try:
            published = self._read(key, value)
        except Fault as fault:
            self._unreadable[key] = str(fault)
            known = self._where.get(key)
            return Published(known, self._networks[known][key]) if known is not None else None
        self._unreadable.pop(key, None)
        return published
