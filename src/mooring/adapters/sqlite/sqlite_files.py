"""The file behind the SQLite store: made whole, opened by one process, looked at before it is touched, copied.

Rules: a file that is not ours, is newer, or is damaged is refused as it is; a new file appears under its name only when
it is complete; every error of SQLite or of the file system leaves this module as a fault of one line.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import apsw

from mooring.core.faults import Conflict, Unavailable
from mooring.core.times import moment

log = logging.getLogger(__name__)

# "Moor", at byte 68 of the file; `file` shows it.
APPLICATION_ID = 0x4D6F6F72
SCHEMA_VERSION = 1
_MAGIC = b"SQLite format 3\0"
_SCHEMA = f"""
BEGIN;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE counters (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES (1, 0);
COMMIT;
"""
# What the copy beside a store is called (sqlite/store_copies.py).
COPY = ".bak"
# Somebody's sqlite3 shell may hold a lock for a moment.
_PATIENCE_MS = 2000


@dataclass(frozen=True, slots=True)
class Database:
    """An open file, with the lock that keeps other processes away, and the revision it was left at."""

    path: str
    connection: apsw.Connection
    lock: int
    revision: int

    def close(self) -> None:
        """The log is merged into the file, and another process may open it."""
        try:
            self.connection.close()
        finally:
            _unlock(self.lock)


@contextmanager
def translated(path: str, outcome: str = "") -> Iterator[None]:
    """Errors of SQLite and of the system become faults that name the file."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise fault_of(error, path, outcome) from error


def fault_of(error: Exception, path: str, outcome: str = "") -> Unavailable:
    """What to tell of an error. outcome: what became of the request, where that is known."""
    outcome = f"; {outcome}" if outcome else ""
    match error:
        case apsw.FullError():
            return Unavailable(f"store {path}: the disk is full{outcome}", hint="free some space")
        case apsw.CorruptError() | apsw.NotADBError():
            return Unavailable(f"store {path} is damaged: {error}{outcome}", hint="restore a backup")
        case apsw.BusyError() | apsw.LockedError():
            return Unavailable(f"store {path} is locked by another program{outcome}", hint="close it")
        case apsw.ReadOnlyError():
            return Unavailable(f"store {path} cannot be written to{outcome}", hint="check permissions and mounts")
        case OSError():
            return Unavailable(f"store {error.filename or path}: {error.strerror or error}{outcome}")
        case apsw.IOError() | apsw.CantOpenError():
            # SQLite does not tell "full" for its shared-memory file.
            hint = "free some space: the disk is full" if _is_full(path) else "see `journalctl -k`"
            return Unavailable(f"store {path} failed: {error}{outcome}", hint=hint)
        case _:
            return Unavailable(f"store {path} failed: {error}{outcome}")


def _is_full(path: str) -> bool:
    try:
        return os.statvfs(os.path.dirname(path) or ".").f_bavail == 0
    except OSError:
        return False


def open_database(path: str) -> Database:
    """The store in the file, made if there is none (its directory too, for the owner only).

    Raises Conflict when another process has it open or the file is something else; Unavailable when it is damaged, of
    a newer schema, or cannot be written to. Nothing is changed or created then.
    """
    if "\0" in path:
        raise Conflict(f"{path!r} cannot be the name of a file")
    with translated(path), ExitStack() as undo:
        exists = _inspect(path)
        directory = os.path.dirname(path) or "."
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = _lock(path)
        undo.callback(_unlock, lock)
        if not exists and not _inspect(path) and not _bring_back(path):
            _create(path)
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        undo.callback(connection.close)
        revision = _prepare(connection, path)
        undo.pop_all()
        return Database(path, connection, lock, revision)


def open_again(path: str) -> apsw.Connection:
    """A connection to the store in the file, by who has its lock. Raises Unavailable, apsw.Error."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _inspect(path: str) -> bool:
    """Whether the file is there and is a store that we can read. Raises Conflict or Unavailable when it is not ours.

    It is only read, and without SQLite, which would take part in the recovery of a file that is another's.
    """
    try:
        # Not blocking, for what might be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Conflict(f"{path} is not a file", hint="choose another state directory")
        header = os.pread(descriptor, 100, 0)
    finally:
        os.close(descriptor)
    # https://www.sqlite.org/fileformat2.html, 1.3: user version at 60, application id at 68, big-endian.
    if len(header) < 100 or not header.startswith(_MAGIC):
        what = "it is empty" if not header else "it is not a SQLite database, or its beginning is damaged"
        raise Conflict(f"{path} is not a store of Mooring: {what}", hint="move it away or restore a backup")
    if int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise Conflict(f"{path} is not a store of Mooring: another program created it", hint="move it away")
    _check_version(path, int.from_bytes(header[60:64]))
    return True


def _check_version(path: str, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise Unavailable(
            f"store {path} has schema version {version}, this Mooring supports up to {SCHEMA_VERSION}",
            hint="install the newer Mooring again, or restore a backup from before the upgrade",
        )


def _lock(path: str) -> int:
    """A lock file beside it, locked until the descriptor is closed; it stays, because removing it would be a race."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        holder = f"process {pid}" if pid else "another process"
        raise Conflict(f"store {path} is in use", holder=holder, hint="stop that process first") from None
    # The pid is for people only; a full disk must not keep an existing store from being read.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    _locks.add(descriptor)
    return descriptor


def _unlock(descriptor: int) -> None:
    """Others may open the store now."""
    if descriptor in _locks:
        _locks.remove(descriptor)
        os.close(descriptor)


# Locks that this process holds. A forked one must not hold them on (flock(2)): its parent's end would not free them.
_locks: set[int] = set()


def _forget_locks() -> None:
    for descriptor in list(_locks):
        _unlock(descriptor)


os.register_at_fork(after_in_child=_forget_locks)


def _bring_back(path: str) -> bool:
    """Whether a store that was lost is there again, as the copy beside it has it."""
    copy, draft = f"{path}{COPY}", f"{path}.new"
    try:
        if not _inspect(copy):
            return False
        for each in (draft, f"{path}-wal", f"{path}-shm"):  # the log of a file that is gone would be taken for its own
            _unlink_if_there(each)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(copy, "rb") as source, open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
        open_again(draft).close()
        sync(draft)
        os.rename(draft, path)
    except (Conflict, Unavailable, apsw.Error, OSError) as error:
        _unlink_if_there(draft)
        log.warning("store %s is missing and its copy cannot be used: %s", path, error)
        return False
    log.warning("store %s was missing: restored from its copy %s of %s", path, copy, moment(os.stat(copy).st_mtime))
    return True


def _create(path: str) -> None:
    """An empty store appears under the path, complete and durable, or not at all."""
    draft = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft)
    # SQLite gives its log files the mode of the database.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        connection = apsw.Connection(draft, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute(_SCHEMA)
        finally:
            connection.close()
        sync(draft)
        os.rename(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    sync(os.path.dirname(path) or ".")


def sync(path: str) -> None:
    """What is in the file or folder is durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prepare(connection: apsw.Connection, path: str) -> int:
    """The file is whole and ready for durable commits; returns its revision."""
    if connection.readonly("main"):
        raise Unavailable(f"store {path} cannot be written to", hint="check permissions and mounts")
    connection.set_busy_timeout(_PATIENCE_MS)
    # After a crash the newest header may be in the log, so both are looked at again, through SQLite.
    _check_version(path, _number(connection, "PRAGMA user_version"))
    if (damage := _value(connection, "PRAGMA quick_check(1)")) != "ok":
        raise Unavailable(f"store {path} is damaged: {damage}", hint="restore a backup")
    if (mode := _value(connection, "PRAGMA journal_mode = WAL")) != "wal":
        raise Unavailable(f"store {path}: the file system allows no write-ahead log (SQLite chose {mode})")
    connection.execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF")
    return _number(connection, "SELECT revision FROM counters")


def _value(connection: apsw.Connection, sql: str) -> object:
    row = connection.execute(sql).fetchone()
    return row[0] if row is not None else None


def _number(connection: apsw.Connection, sql: str) -> int:
    value = _value(connection, sql)
    if not isinstance(value, int):
        raise apsw.CorruptError(f"{sql} has no answer")
    return value


def copy_database(path: str, target: str) -> None:
    """A consistent copy of the store, opened or not, is in the new file, durable.

    Raises Conflict when the target exists, Unavailable when it cannot be written; no half of it is left then.
    """
    with translated(target), ExitStack() as undo:
        # Taking the name first means that nobody's file is ever replaced.
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise Conflict(f"{target} already exists", hint="choose another file") from None
        undo.callback(os.unlink, target)
        draft = f"{target}.part"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        undo.callback(_unlink_if_there, draft)
        _copy(path, draft)
        sync(draft)
        os.rename(draft, target)
        undo.pop_all()
        sync(os.path.dirname(target) or ".")


def _unlink_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _copy(path: str, draft: str) -> None:
    source = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        source.set_busy_timeout(_PATIENCE_MS)
        # The log belongs to the store's own connection.
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        copy = apsw.Connection(draft, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # One step is one snapshot: in WAL mode it holds up nobody, and writers do not make it start again.
            with copy.backup("main", source, "main") as backup:
                backup.step(-1)
        finally:
            copy.close()
    finally:
        source.close()
