"""A copy of the store beside it, from which it comes back when it is lost (sqlite_files.open_database).

Rules: the copy is whole, or the one before is there still; it is made only when something was written since, and holds
nobody up; what it says is judged as what a restored backup says (networking/restored_store.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, suppress

from mooring.adapters.sqlite.sqlite_files import COPY, sync
from mooring.adapters.sqlite.sqlite_store import SqliteStore, open_sqlite_store
from mooring.core.faults import Fault

log = logging.getLogger(__name__)

# Seconds between two copies: what is younger is lost with the store.
EVERY = 600.0


async def open_kept_store(path: str, cleanup: AsyncExitStack) -> SqliteStore:
    """The store in the file, of which copies are made until the cleanup, which closes it. Raises as
    open_sqlite_store."""
    store = await open_sqlite_store(path)
    cleanup.push_async_callback(store.close)
    making = asyncio.get_running_loop().create_task(StoreCopies(store, path).run())
    cleanup.callback(making.cancel)
    return store


class StoreCopies:
    """Of the store in the file."""

    def __init__(self, store: SqliteStore, path: str) -> None:
        self._store = store
        self._path = path
        self._copied: list[tuple[int, int]] = []
        self._said = ""

    async def run(self) -> None:
        """One after another, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            await self.once()

    async def once(self) -> None:
        """The copy is as the store is, or the log says once why it cannot be."""
        now = _stamp(self._path)
        if now == self._copied:
            return
        try:
            await self._copy()
        except (Fault, OSError) as error:
            if str(error) != self._said:
                log.warning("cannot copy the store: %s", error)
            self._said = str(error)
        else:
            self._copied, self._said = now, ""

    async def _copy(self) -> None:
        draft = f"{self._path}{COPY}.new"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        await self._store.backup(draft)
        os.replace(draft, f"{self._path}{COPY}")
        await asyncio.to_thread(sync, os.path.dirname(self._path) or ".")


def _stamp(path: str) -> list[tuple[int, int]]:
    """Another one whenever something was written."""
    found = []
    for name in (path, f"{path}-wal"):
        with suppress(OSError):
            status = os.stat(name)
            found.append((status.st_mtime_ns, status.st_size))
    return found
