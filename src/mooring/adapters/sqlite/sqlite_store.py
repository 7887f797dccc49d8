"""The Store port over one SQLite file: WAL, synchronous=FULL, one thread that does all the work on it.

Rules: a commit whose expected revisions do not hold is StaleRevision and changes nothing; requests that wait together
share one transaction and one fsync (group commit), but each stands or falls by itself; a group's outcome is told to
the loop in one go, in the order of the revisions; what was accepted is carried out, also when nobody waits for it any
more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeVar

import apsw

from mooring.adapters.sqlite.sqlite_files import Database, copy_database, fault_of, open_database, translated
from mooring.adapters.sqlite.store_guard import FileGuard, why_refused
from mooring.core.faults import Fault, StaleRevision, Unavailable
from mooring.ports import Entry, Transaction

T = TypeVar("T")

log = logging.getLogger(__name__)

# Seconds for which is told that the file had to be written back.
_TOLD = 3600.0
# Commits in one group: enough to make the fsync cheap, few enough that the first does not wait long for the last.
_GROUP = 512
# Rows in one statement. Each step of a statement gives up the interpreter's lock and has to get it back from a busy
# loop, so few large steps are much faster than many small ones; fixed sizes, so that statements are prepared once.
_CHUNKS = (64, 16, 4, 1)


@dataclass(slots=True, eq=False)
class _Commit:
    transaction: Transaction
    done: asyncio.Future[int]
    outcome: int | Exception = 0


@dataclass(slots=True, eq=False)
class _Call:
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    last: bool = False
    outcome: Any = None


async def open_sqlite_store(path: str) -> SqliteStore:
    """The store in the file, made if there is none (its directory too). Others of the same file are kept away.

    Raises Conflict when another process has it open or the file is something else; Unavailable when it is damaged, was
    written by a newer version, or cannot be written to. A file that is refused is not changed.
    """
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(None, open_database, path)
    try:
        database = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    return SqliteStore(database, loop)


def _close_unwanted(opening: asyncio.Future[Database]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class SqliteStore:
    """See the port. Made by open_sqlite_store; used from one event loop."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._path = database.path
        self._loop = loop
        self._queue: SimpleQueue[_Commit | _Call] = SimpleQueue()
        self._writer = _Writer(database, self._queue, self._tell)
        self._closing: asyncio.Future[None] | None = None
        # A daemon thread: a process that ends without close() is a crash to the file, and may be one at any time.
        self._thread = threading.Thread(target=self._writer.run, name="sqlite-store", daemon=True)
        self._thread.start()

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        return await self._call(lambda: self._writer.get(key))

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """See the port."""
        return await self._call(lambda: self._writer.scan(prefix))

    async def commit(self, transaction: Transaction) -> int:
        """See the port."""
        self._check_open()
        done: asyncio.Future[int] = self._loop.create_future()
        self._queue.put(_Commit(transaction, done))
        return await done

    async def backup(self, path: str) -> None:
        """See the port. When cancelled, the copy is still finished."""
        await self._call(self._writer.keep_file)
        await self._loop.run_in_executor(None, copy_database, self._path, path)

    async def complaints(self) -> Sequence[str]:
        """See the port."""
        try:
            return await self._call(self._writer.complaints)
        except Unavailable as fault:
            return [str(fault)]

    async def close(self) -> None:
        """See the port."""
        if self._closing is None:
            self._closing = self._loop.create_future()
            self._queue.put(_Call(self._writer.close, self._closing, last=True))
        # Whoever closes waits, and being cancelled ends only the waiting.
        await asyncio.shield(self._closing)
        self._thread.join()

    async def _call(self, work: Callable[[], T]) -> T:
        self._check_open()
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Call(work, done))
        return await done

    def _check_open(self) -> None:
        if self._closing is not None:
            raise Unavailable(f"store {self._path} is closed")

    def _tell(self, jobs: Sequence[_Commit | _Call]) -> bool:
        """Called by the writer: hand the outcomes to the loop. False when there is no loop any more."""
        try:
            self._loop.call_soon_threadsafe(self._finish, jobs)
        except RuntimeError:
            return False
        return True

    def _finish(self, jobs: Sequence[_Commit | _Call]) -> None:
        for job in jobs:
            if job.done.done():
                continue
            if isinstance(job.outcome, Exception):
                job.done.set_exception(job.outcome)
            else:
                job.done.set_result(job.outcome)


class _Writer:
    """Everything that touches the connection; all of it runs in one thread."""

    def __init__(
        self, database: Database, queue: SimpleQueue[_Commit | _Call], tell: Callable[[Sequence[_Commit | _Call]], bool]
    ) -> None:
        self._database = database
        self._db = database.connection
        self._queue = queue
        self._tell = tell
        self._revision = database.revision
        self._guard = FileGuard(database.path)
        self._guard.note()
        self._failed = False
        self._told: tuple[float, str] = (0.0, "")

    def run(self) -> None:
        """Take what waits, commit it as one group, then do the reads, which so see all of it; until the last call."""
        last = False
        while not last:
            jobs = self._take()
            commits = [job for job in jobs if isinstance(job, _Commit)]
            if commits:
                self._commit_group(commits)
            for job in jobs:
                if isinstance(job, _Call):
                    last |= job.last
                    try:
                        job.outcome = job.work()
                    except Exception as error:  # noqa: BLE001 - it is raised where the call is awaited
                        job.outcome = error
            if not self._tell(jobs) and not last:
                with suppress(apsw.Error):
                    self.close()
                return

    def _take(self) -> list[_Commit | _Call]:
        jobs = [self._queue.get()]
        with suppress(Empty):
            while len(jobs) < _GROUP:
                jobs.append(self._queue.get_nowait())
        return jobs

    def get(self, key: str) -> Entry | None:
        with translated(self._database.path):
            row: Any = self._db.execute("SELECT key, value, revision FROM records WHERE key = ?", (key,)).fetchone()
        return Entry(*row) if row is not None else None

    def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        sql = "SELECT key, value, revision FROM records WHERE key >= ?"
        bindings = [prefix]
        if (end := _after_prefix(prefix)) is not None:
            sql += " AND key < ?"
            bindings.append(end)
        with translated(self._database.path):
            rows: list[Any] = self._db.execute(sql + " ORDER BY key", bindings).fetchall()
        return [Entry(*row) for row in rows], self._revision

    def close(self) -> None:
        with translated(self._database.path):
            self._database.close()

    def _commit_group(self, jobs: list[_Commit]) -> None:
        """Each job gets its outcome: a revision, StaleRevision, or why nothing could be written."""
        outcome = "nothing was written"
        try:
            self._db.execute("BEGIN IMMEDIATE")
            revision, writes = self._decide(jobs)
            if writes is not None:
                self._write(writes, revision)
                outcome = "whether it was written is unknown"
                self._db.execute("COMMIT")
                self._revision = revision
                self._failed = False
                self.keep_file()
            else:
                self._db.execute("ROLLBACK")
        except Exception as error:  # noqa: BLE001 - also a bug goes to those who wait, instead of leaving them waiting
            self._fail(jobs, error, outcome)

    def _fail(self, jobs: list[_Commit], error: Exception, outcome: str) -> None:
        with suppress(apsw.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        if isinstance(error, apsw.FullError):
            # Also in COMMIT: without its last frame, the log holds nothing of the group.
            outcome = "nothing was written"
        self._failed = True
        for job in jobs:
            known = isinstance(error, apsw.Error | OSError)
            job.outcome = fault_of(error, self._database.path, outcome) if known else error

    def keep_file(self) -> None:
        """The file under the store's name has all that the connection has. Raises Unavailable when it cannot."""
        what = self._guard.check()
        if not what:
            return
        self._database, aside = self._guard.put_back(self._database)
        self._db = self._database.connection
        text = f"store {self._database.path} {what} while it was open, and was written back"
        self._told = monotonic(), text + (f"; the other file is {aside} now" if aside else "")
        log.warning(self._told[1])

    def complaints(self) -> list[str]:
        """What is wrong with it, a line each."""
        found: list[str] = []
        try:
            self.keep_file()
        except Fault as fault:
            return [str(fault)]
        if self._told[1] and monotonic() - self._told[0] < _TOLD:
            found.append(self._told[1])
        refusal = why_refused(self._database, write=self._failed)
        if refusal is None:
            self._failed = False
            return found
        return [*found, str(refusal)]

    def _decide(self, jobs: list[_Commit]) -> tuple[int, dict[str, tuple[bytes, int] | None] | None]:
        """Check each job against what those before it leave behind.

        Returns the revision after the group, and what to write: value and revision by key, None to delete; or None
        when no job can be carried out.
        """
        revision = self._revision
        current = self._revisions({key for job in jobs for key in (*job.transaction.expect, *job.transaction.delete)})
        writes: dict[str, tuple[bytes, int] | None] = {}
        accepted = False
        for job in jobs:
            transaction = job.transaction
            stale = [key for key, expected in transaction.expect.items() if current.get(key, 0) != expected]
            if stale:
                job.outcome = StaleRevision(stale[0])
                continue
            accepted = True
            revision += 1
            job.outcome = revision
            for key, value in transaction.put.items():
                writes[key] = (value, revision)
                current[key] = revision
            for key in transaction.delete:
                if current.pop(key, 0):
                    writes[key] = None
        return revision, writes if accepted else None

    def _revisions(self, keys: Iterable[str]) -> dict[str, int]:
        """The revisions of those of the keys that exist."""
        found: dict[str, int] = {}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            rows: Any = self._db.execute(f"SELECT key, revision FROM records WHERE key IN ({marks})", chunk)
            found.update(rows)
        return found

    def _write(self, writes: dict[str, tuple[bytes, int] | None], revision: int) -> None:
        puts = [(key, *write) for key, write in writes.items() if write is not None]
        for chunk in _chunks(puts):
            marks = ",".join(["(?,?,?)"] * len(chunk))
            self._db.execute(f"INSERT OR REPLACE INTO records VALUES {marks}", [each for row in chunk for each in row])
        for keys in _chunks([key for key, write in writes.items() if write is None]):
            marks = ",".join("?" * len(keys))
            self._db.execute(f"DELETE FROM records WHERE key IN ({marks})", keys)
        self._db.execute("UPDATE counters SET revision = ?", (revision,))


def _chunks(items: list[T]) -> Iterator[list[T]]:
    start = 0
    for size in _CHUNKS:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def _after_prefix(prefix: str) -> str | None:
    """The least text greater than every text with the prefix, None if there is none.

    SQLite compares text as UTF-8 bytes, which is the order of code points; surrogates are not code points of text.
    """
    while prefix:
        prefix, last = prefix[:-1], ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix + chr(0xE000 if last == 0xD7FF else last + 1)
    return None
