"""From what the hosts of a cluster advertise to this host's overlays, and to whoever else listens.

Rules: a scan says what is, and the watch from there what becomes; where the history is gone there is another scan, and
while the cluster is away everything stays as it was last heard. What cannot be read is as it was before, and told. What
this host advertises itself is nothing to it. Of two who advertise one address, who wrote last is believed; and a store
that may have been restored from a backup only when the hosts have had the time to put theirs into it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter

from mooring.core.advertisements import ADVERTISEMENTS, Advertisement, host_prefix
from mooring.core.faults import Compacted, Fault, Unavailable
from mooring.core.overlays import Overlay, Remote
from mooring.ports import Change, Clock, Cluster
from mooring.services.cluster.shared_values import advertisement_of
from mooring.services.networking.overlays import Overlays
from mooring.services.records.pacing import Pace

# Seconds after which a cluster that did not answer is asked again.
PAUSE = 1.0
# Seconds that the hosts have to put into a restored store what is theirs.
SETTLED = 5.0

Listener = Callable[[str, Advertisement | None], None]
_REVISION = attrgetter("revision")


class OverlayFeed:
    """`run` for as long as the daemon serves. scanned: whether what is known is what some cluster has said since
    `forget`."""

    def __init__(self, overlays: Overlays, clock: Clock) -> None:
        self._overlays, self._clock = overlays, clock
        self._cluster: Cluster | None = None
        self._own = ""  # what this host's keys begin with
        self._told: dict[str, Advertisement] = {}  # by key
        self._networks: dict[str, dict[str, Remote]] = {}  # the same, by network and key
        self._here: dict[str, str] = {}  # networks of this host's: by the id that all have for them, our id
        self._unfilled: dict[str, None] = {}  # those of them that may lack what was known before they were opened
        self._unreadable: dict[str, str] = {}
        self._listeners: list[Listener] = []
        self._lost: list[Callable[[], None]] = []
        self._anew = False
        self.scanned = False
        self._entered, self._opened = asyncio.Event(), asyncio.Event()
        self._turn = asyncio.Lock()

    def listen(self, listener: Listener) -> None:
        """Call listener(key, advertisement) for every advertisement of another host that comes or changes from now on,
        and for one that goes, with None. For one that is none any more it is called once, or never."""
        self._listeners.append(listener)

    def listen_lost(self, listener: Callable[[], None]) -> None:
        """Call it whenever what the cluster has may not follow from what it had, as after a restore."""
        self._lost.append(listener)

    def look_again(self) -> None:
        """The cluster's store was restored from a backup, even if that cannot be told by its history."""
        self._anew = True
        self._tell_lost()

    def enter(self, cluster: Cluster, host: str) -> None:
        """Follow this cluster, in which this host has the id."""
        self._cluster, self._own = cluster, host_prefix(host)
        self._entered.set()

    def leave(self) -> None:
        """Follow none; what is known stays."""
        self._cluster = None
        self._entered.clear()

    def forget(self) -> None:
        """Nothing is known any more: this host has left the cluster for good."""
        told, self._told, self._networks = self._told, {}, {}
        self._unreadable.clear()
        self.scanned = False
        for key in told:
            self._tell(key, None)

    def open(self, network: str, here: str, overlay: Overlay) -> None:
        """The network, whose id on this host is `here`, is this overlay, with all that is advertised in it, or soon
        will be."""
        if self._here.get(network) != here:
            self._here[network] = here
            self._unfilled[network] = None
            self._opened.set()
        if self._overlays.of(here) != overlay:  # each opening has a pass of repair made
            self._overlays.open(here, overlay)

    def close(self, network: str) -> None:
        """This host has no part in the network any more. One that it has none in is fine."""
        here = self._here.pop(network, None)
        if here is not None:
            self._overlays.close(here)

    def advertisement(self, key: str) -> Advertisement | None:
        """What another host says under the key."""
        return self._told.get(key)

    def advertisements(self) -> list[tuple[str, Advertisement]]:
        """All that other hosts say now, with the keys."""
        return [*self._told.items()]

    async def pause(self) -> None:
        """A scan that is being told has been told."""
        async with self._turn:
            return

    def complaints(self) -> list[str]:
        """What could not be read, a line each."""
        return [f"{key} in the cluster is left out: {words}" for key, words in sorted(self._unreadable.items())]

    async def run(self) -> None:
        """Follow, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fill())
            while True:
                await self._entered.wait()
                cluster = self._cluster
                if cluster is not None:
                    await self._follow(cluster)

    async def _fill(self) -> None:
        """Networks that were opened have what was known before, soon."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            while self._unfilled:
                network, _ = self._unfilled.popitem()
                async with self._turn:
                    if self.scanned and network in self._here:
                        known = self._networks.setdefault(network, {})
                        await self._overlays.rescan(self._here[network], known)

    async def _follow(self, cluster: Cluster) -> None:
        """Until it is left."""
        after: int | None = None
        while self._cluster is cluster:
            try:
                if after is None:
                    after = await self._scan(cluster)
                async for changes in cluster.watch(ADVERTISEMENTS, after):
                    if self._cluster is not cluster:
                        return
                    if changes:
                        self._take(changes)
                        after = changes[-1].revision
                    if self._anew:
                        break
                if self._anew:
                    self._anew, after = False, None
                    await self._clock.sleep(SETTLED)
            except Compacted:
                after = None
                self._tell_lost()
                await self._clock.sleep(SETTLED)
            except Unavailable:
                if self._cluster is cluster:
                    await self._clock.sleep(PAUSE)

    async def _scan(self, cluster: Cluster) -> int:
        entries, revision = await cluster.scan(ADVERTISEMENTS)
        pace, found = Pace(), dict[str, Advertisement]()
        for entry in sorted(entries, key=_REVISION):
            await pace.step()
            advertisement = self._readable(entry.key, entry.value)
            if advertisement is not None:
                found[entry.key] = advertisement
        async with self._turn:
            if self._cluster is not cluster:
                return revision
            for key in self._unreadable.keys() - {entry.key for entry in entries}:
                del self._unreadable[key]
            before, self._told, self._networks = self._told, found, {}
            for key, each in found.items():
                self._networks.setdefault(each.network, {})[key] = _remote(each)
            self.scanned = True
            for key in before.keys() | found.keys():
                await pace.step()
                if before.get(key) != found.get(key):
                    self._tell(key, found.get(key))
            for network, here in list(self._here.items()):
                await self._overlays.rescan(here, self._networks.setdefault(network, {}))
        return revision

    def _take(self, changes: Sequence[Change]) -> None:
        """What has changed, network by network."""
        told: dict[str, dict[str, Remote | None]] = {}
        for change in changes:
            key, advertisement = change.key, None
            if change.value is not None:
                advertisement = self._readable(key, change.value)
                if advertisement is None:
                    continue
            else:
                self._unreadable.pop(key, None)
            before = self._told.pop(key, None)
            if advertisement is not None:
                self._told[key] = advertisement
                remote, known = _remote(advertisement), self._networks.setdefault(advertisement.network, {})
                known.pop(key, None)  # the last one comes last
                known[key] = remote
                told.setdefault(advertisement.network, {})[key] = remote
            elif before is not None:
                self._networks.get(before.network, {}).pop(key, None)
                told.setdefault(before.network, {})[key] = None
            if advertisement != before:
                self._tell(key, advertisement)
        for network, remotes in told.items():
            if network in self._here:
                self._overlays.learn(self._here[network], remotes)

    def _tell_lost(self) -> None:
        for listener in self._lost:
            listener()

    def _tell(self, key: str, advertisement: Advertisement | None) -> None:
        for listener in self._listeners:
            listener(key, advertisement)

    def _readable(self, key: str, value: bytes) -> Advertisement | None:
        """What the value says; what was known of it before where that cannot be read; None for what is ours."""
        if key.startswith(self._own):
            return None
        try:
            read = advertisement_of(key, value)
        except Fault as fault:
            self._unreadable[key] = str(fault)
            return self._told.get(key)
        self._unreadable.pop(key, None)
        return read


def _remote(advertisement: Advertisement) -> Remote:
    return Remote(advertisement.mac, advertisement.addresses, advertisement.underlay)
