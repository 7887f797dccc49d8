"""The Cluster port in memory: the servers, and a client for each host, with outages and races on request.

Rules: it keeps every promise of the port, and nothing happens by itself: time is a clock that the test moves, and who
comes first at the servers is decided by the order in which `pause` lets the calls through.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from operator import attrgetter
from typing import NamedTuple

from mooring.core.faults import Compacted, Fault, StaleRevision, Unavailable
from mooring.ports import Change, Entry, check_key
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_store import When

HEARD = 2.0
"""Seconds of the clock after which a watch that has nothing to tell says that it was heard."""
REVISION = attrgetter("revision")


class Step(NamedTuple):
    """What a client is about to do at the servers, or has done. method: as the port calls it; key: or prefix."""

    client: str
    method: str
    key: str
    when: When


async def let_others_run(_: Step) -> None:
    """What `pause` is unless a test says otherwise."""
    await asyncio.sleep(0)


class MemoryCluster:
    """The servers. A host that restarts in a test is a new client, or the old one, over the same MemoryCluster.

    pause: awaited before and after each call has its effect, and before each batch of a watch; what it raises is raised
    to the caller. trouble: what all clients complain of. history: every change that was not compacted away.
    """

    def __init__(
        self, clock: ManualClock | None = None, pause: Callable[[Step], Awaitable[None]] = let_others_run
    ) -> None:
        self.clock = clock or ManualClock()
        self.clock.on_advance.append(self._time_passes)
        self.pause = pause
        self.trouble: list[str] = []
        self.history: list[Change] = []
        self.revision = 1  # as that of a new etcd
        self.compacted = 0
        self._records: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._ends: dict[str, tuple[float, float]] = {}  # key -> its time to live, and when that is over
        self._majority = True
        self._cut: set[str] = set()
        self._faults: list[tuple[When, Fault]] = []
        self._delays = 0
        self._in_flight: list[Callable[[], object]] = []
        self.watches: list[asyncio.Event] = []

    def client(self, name: str) -> MemoryClusterClient:
        """A host's way to the servers. name: whose it is, for `cut` and `pause`."""
        return MemoryClusterClient(self, name)

    @property
    def records(self) -> dict[str, bytes]:
        """Everything that is stored, in key order: what a test compares."""
        return {key: self._records[key].value for key in self._keys}

    def cut(self, *names: str) -> None:
        """These clients reach no server from now on; their watches end."""
        self._cut.update(names)
        self.wake()

    def mend(self, *names: str) -> None:
        """These clients, or all, reach the servers again."""
        self._cut.difference_update(names or tuple(self._cut))

    def lose_majority(self) -> None:
        """Nobody is served from now on. Times to live stand still, as without a leader."""
        self._majority = False
        self.wake()

    def regain_majority(self) -> None:
        """All are served again. What has a time to live has the whole of it before it, as after an election."""
        self._majority = True
        self._ends = {key: (ttl, self.clock.boot() + ttl) for key, (ttl, _) in self._ends.items()}

    def fail_next(self, when: When = When.BEFORE, fault: Fault | None = None, times: int = 1) -> None:
        """The next `times` writes raise the fault (Unavailable), before or after taking effect."""
        self._faults += [(when, fault or Unavailable("the cluster's store failed, as the test wanted"))] * times

    def delay_next(self, times: int = 1) -> None:
        """The next `times` writes raise Unavailable, and happen when `deliver` is called, where they still can."""
        self._delays += times

    def deliver(self) -> int:
        """What was delayed comes to the servers now, in order; how many of these writes took effect."""
        writes, self._in_flight = self._in_flight, []
        done = 0
        for write in writes:
            try:
                write()
            except StaleRevision:
                continue
            done += 1
        return done

    def backup(self) -> tuple[int, dict[str, Entry]]:
        """What `restore` takes: everything as it is now, as `etcdctl snapshot save` has it."""
        return self.revision, dict(self._records)

    def restore(self, backup: tuple[int, dict[str, Entry]]) -> None:
        """The servers are as they were, and know nothing of what came after, as after `etcdctl snapshot restore`; what
        was under way comes to nothing."""
        self.revision, records = backup
        self._records = dict(records)
        self._keys = sorted(self._records)
        self._ends = {key: (ttl, self.clock.boot() + ttl) for key, (ttl, _) in self._ends.items() if key in records}
        self.history = []
        self.compacted = self.revision
        self._in_flight.clear()
        self._faults.clear()
        self._delays = 0
        self.wake()

    def compact(self, revision: int | None = None) -> None:
        """Forget the history up to the revision, or all."""
        self.compacted = max(self.compacted, self.revision if revision is None else revision)
        del self.history[: bisect_right(self.history, self.compacted, key=REVISION)]
        self.wake()

    # What clients call.

    def check(self, client: str) -> None:
        """Raise Unavailable where the client is not served."""
        if client in self._cut:
            raise Unavailable("no member of the cluster's store answers")
        if not self._majority:
            raise Unavailable("the cluster's store has no leader")

    def find(self, key: str) -> Entry | None:
        """What the key has."""
        return self._records.get(key)

    def since(self, after: int) -> list[Change]:
        """What changed after the revision."""
        return self.history[bisect_right(self.history, after, key=REVISION) :]

    def read(self, prefix: str) -> tuple[list[Entry], int]:
        """All keys under the prefix, and the revision."""
        found = []
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                break
            found.append(self._records[key])
        return found, self.revision

    def write(self, write: Callable[[], int]) -> int:
        """Do it, or what the test wants instead."""
        if self._delays:
            self._delays -= 1
            self._in_flight.append(write)
            raise Unavailable("the cluster's store did not answer in time")
        when, fault = self._faults.pop(0) if self._faults else (None, None)
        if fault is not None and when is When.BEFORE:
            raise fault
        revision = write()
        if fault is not None:
            raise fault
        return revision

    def change(self, key: str, value: bytes | None, expect: int, ttl: float | None) -> int:
        """One write: the key has this value, or is gone, where it had the revision."""
        held = self._records.get(key)
        if (held.revision if held is not None else 0) != expect:
            raise StaleRevision(key)
        self.revision += 1
        self._ends.pop(key, None)
        if value is None:
            del self._records[key], self._keys[bisect_left(self._keys, key)]
        else:
            if held is None:
                self._keys.insert(bisect_left(self._keys, key), key)
            self._records[key] = Entry(key, value, self.revision)
            if ttl is not None:
                self._ends[key] = (ttl, self.clock.boot() + ttl)
        self.history.append(Change(key, value, self.revision))
        self.wake()
        return self.revision

    def _time_passes(self) -> None:
        now = self.clock.boot()
        if self._majority:
            for key in [key for key, (_, end) in self._ends.items() if end <= now]:
                self.change(key, None, self._records[key].revision, None)
        self.wake()

    def wake(self) -> None:
        """Every watch looks what is new."""
        for woken in self.watches:
            woken.set()


class MemoryClusterClient:
    """One host's Cluster. See the port."""

    def __init__(self, servers: MemoryCluster, name: str) -> None:
        self.servers = servers
        self.name = name
        self._closed = False

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        check_key(key)
        await self._pause("get", key, When.BEFORE)
        found = self.servers.find(key)
        await self._pause("get", key, When.AFTER)
        return found

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """See the port."""
        await self._pause("scan", prefix, When.BEFORE)
        found = self.servers.read(prefix)
        await self._pause("scan", prefix, When.AFTER)
        return found

    async def put(self, key: str, value: bytes, expect: int, ttl: float | None = None) -> int:
        """See the port."""
        check_key(key)
        return await self._write("put", key, lambda: self.servers.change(key, value, expect, ttl))

    async def put_with(self, key: str, value: bytes, expect: int, new: Mapping[str, bytes]) -> tuple[int, Set[str]]:
        """See the port. One step: it is a test's to say what comes in between."""
        for each in (key, *new):
            check_key(each)
        written: set[str] = set()

        def write() -> int:
            revision = self.servers.change(key, value, expect, None)
            for each, its in new.items():
                if self.servers.find(each) is None:
                    self.servers.change(each, its, 0, None)
                    written.add(each)
            return revision

        return await self._write("put", key, write), written

    async def delete(self, key: str, expect: int) -> None:
        """See the port."""
        check_key(key)
        if expect == 0:
            raise StaleRevision(key)
        await self._write("delete", key, lambda: self.servers.change(key, None, expect, None))

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Change], None]:
        """See the port."""
        servers, woken, told = self.servers, asyncio.Event(), self.servers.clock.boot()
        servers.watches.append(woken)
        try:
            while True:
                await self._pause("watch", prefix, When.BEFORE)
                if not servers.compacted <= after <= servers.revision:
                    raise Compacted
                batch = [change for change in servers.since(after) if change.key.startswith(prefix)]
                after = max(after, servers.revision)
                if batch or servers.clock.boot() - told >= HEARD:
                    told = servers.clock.boot()
                    yield batch
                else:
                    woken.clear()
                    await woken.wait()
        finally:
            servers.watches.remove(woken)

    async def complaints(self) -> Sequence[str]:
        """What a test says is wrong, and that the servers are away."""
        try:
            self._check()
        except Unavailable as fault:
            return [str(fault)]
        return list(self.servers.trouble)

    async def close(self) -> None:
        """See the port."""
        self._closed = True
        self.servers.wake()

    async def _write(self, method: str, key: str, write: Callable[[], int]) -> int:
        await self._pause(method, key, When.BEFORE)
        revision = self.servers.write(write)
        await self._pause(method, key, When.AFTER)
        return revision

    async def _pause(self, method: str, key: str, when: When) -> None:
        """Let others come first. Who is not served before a call has not called; after it, hears no answer."""
        self._check()
        await self.servers.pause(Step(self.name, method, key, when))
        self._check()

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the cluster's store is closed")
        self.servers.check(self.name)
