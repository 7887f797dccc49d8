"""The Store port in memory, with faults on request.

Rules: it keeps every promise of the port but durability (what one MemoryStore holds is gone with it; a "restart" in a
test is a new daemon over the same store); contents change between two awaits of nobody, so every commit is atomic.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import Enum

from mooring.core.faults import Conflict, Fault, StaleRevision, Unavailable
from mooring.ports import Entry, Transaction


class When(Enum):
    """On which side of taking effect a commit fails."""

    BEFORE = "before"
    AFTER = "after"


class MemoryStore:
    """Records by key.

    on_commit: called with each transaction before it is looked at; what it raises is raised by commit, and nothing is
    written. trouble: what it complains of. commits: how many took effect. backups: what backup wrote, by path.
    """

    def __init__(self, on_commit: Callable[[Transaction], None] | None = None) -> None:
        self.on_commit = on_commit
        self.commits = 0
        self.trouble: list[str] = []
        self.backups: dict[str, dict[str, Entry]] = {}
        self._records: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._revision = 0
        self._faults: list[tuple[When, Fault]] = []
        self._closed = False

    def fail_next(self, when: When = When.BEFORE, fault: Fault | None = None, times: int = 1) -> None:
        """The next `times` commits that are called raise the fault (Unavailable), before or after taking effect."""
        self._faults += [(when, fault or Unavailable("the store failed, as the test wanted"))] * times

    @property
    def records(self) -> dict[str, bytes]:
        """Everything that is stored, in key order: what a test compares."""
        return {key: self._records[key].value for key in self._keys}

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        await self._turn()
        return self._records.get(key)

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """See the port."""
        await self._turn()
        found = []
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                break
            found.append(self._records[key])
        return found, self._revision

    async def commit(self, transaction: Transaction) -> int:
        """See the port."""
        self._check_open()
        fault = self._faults.pop(0) if self._faults else None
        await self._turn()
        if self.on_commit is not None:
            self.on_commit(transaction)
        if fault is not None and fault[0] is When.BEFORE:
            raise fault[1]
        for key, expected in transaction.expect.items():
            entry = self._records.get(key)
            if (entry.revision if entry is not None else 0) != expected:
                raise StaleRevision(key)
        self._write(transaction)
        if fault is not None:
            raise fault[1]
        return self._revision

    def _write(self, transaction: Transaction) -> None:
        self._revision += 1
        self.commits += 1
        for key, value in transaction.put.items():
            if key not in self._records:
                self._keys.insert(bisect_left(self._keys, key), key)
            self._records[key] = Entry(key, value, self._revision)
        for key in transaction.delete:
            if self._records.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    async def complaints(self) -> Sequence[str]:
        """What a test says is wrong."""
        return list(self.trouble)

    async def backup(self, path: str) -> None:
        """A copy is in `backups`."""
        await self._turn()
        if path in self.backups:
            raise Conflict(f"{path} already exists", hint="choose another file")
        self.backups[path] = dict(self._records)

    async def close(self) -> None:
        """See the port."""
        self._closed = True

    async def _turn(self) -> None:
        """Let others run, as a store on a disk would."""
        self._check_open()
        await asyncio.sleep(0)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")
