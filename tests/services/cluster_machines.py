"""What a host of a simulated cluster runs on: clocks that may jump, and a store that outlives its daemons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mooring.core.faults import Unavailable
from mooring.ports import Entry, Transaction
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_store import MemoryStore


class HostClock:
    """A host's own clocks over the world's time: the wall clock may jump, and the boot clock begins anew."""

    def __init__(self, world: ManualClock, name: str) -> None:
        self._world, self._name = world, name
        self.off = 0.0
        self._booted = world.boot()
        self._tokens = 0

    def boots(self) -> None:
        """The host has just been switched on."""
        self._booted = self._world.boot()

    def now(self) -> float:
        """See Clock."""
        return self._world.now() + self.off

    def boot(self) -> float:
        """See Clock."""
        return self._world.boot() - self._booted + 1.0

    def step(self) -> float:
        """See Clock."""
        return 0.0

    def token(self) -> str:
        """See Clock."""
        self._tokens += 1
        return f"{self._name}{self._tokens:010x}"

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await self._world.sleep(seconds)


class Disk:
    """One process's way to the host's store: dead with it."""

    def __init__(self, store: MemoryStore, work: Callable[[], int]) -> None:
        """work: how many steps a commit takes."""
        self._store, self._work = store, work
        self._queue = asyncio.Lock()
        self.dead = False

    def _check(self) -> None:
        if self.dead:
            raise Unavailable("the daemon is dead")

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        self._check()
        return await self._store.get(key)

    async def scan(self, prefix: str) -> tuple[list[Entry], int]:
        """See Store."""
        self._check()
        entries, revision = await self._store.scan(prefix)
        return list(entries), revision

    async def commit(self, transaction: Transaction) -> int:
        """See Store."""
        self._check()
        async with self._queue:  # one after another, as SQLite's writer does
            for _ in range(self._work()):
                await asyncio.sleep(0)
            self._check()
            return await self._store.commit(transaction)

    async def complaints(self) -> list[str]:
        """See Store."""
        return []

    async def backup(self, path: str) -> None:
        """See Store."""

    async def close(self) -> None:
        """See Store."""
