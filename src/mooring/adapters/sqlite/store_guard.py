"""Whether the store's files are those that were opened, and putting them back when they are not.

Rules: what the open connection has was acknowledged, so it is the truth; a file that somebody put into its place is
kept beside it, never overwritten; a file that was cut short cannot be read any more, and is left for a person.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

import apsw

from mooring.adapters.sqlite.sqlite_files import Database, fault_of, open_again, sync, translated
from mooring.core.faults import Unavailable

# SQLite's files of one database in WAL mode (https://www.sqlite.org/walformat.html); all of them are open.
_SUFFIXES = ("", "-wal", "-shm")
# Less than this is no room for a commit.
ROOM = 64 * 1024


@dataclass(slots=True)
class FileGuard:
    """Of one database, while it is open. note: what is on disk now is what was opened."""

    path: str
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)
    _size: int = 0

    def note(self) -> None:
        """The files that are there are the right ones."""
        self._known.clear()
        self._size = 0
        self.changed()

    def changed(self) -> str:
        """What became of the files, "" when they are the same. Costs three stat calls. Raises OSError."""
        for suffix in _SUFFIXES:
            try:
                status = os.stat(self.path + suffix)
            except FileNotFoundError:
                if suffix in self._known:
                    return "was deleted"
                continue
            identity = status.st_dev, status.st_ino
            if self._known.setdefault(suffix, identity) != identity:
                return "was replaced by another file"
            if not suffix:
                if status.st_size < self._size:
                    return "was cut short"
                self._size = status.st_size
        return ""

    def check(self) -> str:
        """As `changed`. Raises Unavailable when it cannot be put right: it was cut short, or cannot be looked at."""
        with translated(self.path):
            what = self.changed()
        if what == "was cut short":
            raise Unavailable(
                f"store {self.path} was cut short by another program", hint="stop mooring and restore a backup"
            )
        return what

    def put_back(self, database: Database) -> tuple[Database, str]:
        """All that the connection has is in a file of that name again, durable, with a new connection to it.

        Returns where another file was moved that had the place, "" for none. Raises Unavailable; then the old
        connection is still there.
        """
        draft = f"{self.path}.back"
        with translated(self.path), ExitStack() as undo:
            os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(draft)
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            undo.callback(_unlink_if_there, draft)
            copy = apsw.Connection(draft, flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                with copy.backup("main", database.connection, "main") as backup:
                    backup.step(-1)
            finally:
                copy.close()
            sync(draft)
            aside = self._clear_place()
            os.rename(draft, self.path)
            undo.pop_all()
            sync(os.path.dirname(self.path) or ".")
            # Its log has no name any more, or another's.
            database.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            database.connection.close()
            connection = open_again(self.path)
        self.note()
        return replace(database, connection=connection), aside

    def _clear_place(self) -> str:
        """Neither the log of another file, which would be taken for ours, nor that file is in the way."""
        for suffix in ("-wal", "-shm"):
            _unlink_if_there(self.path + suffix)
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return ""
        if (status.st_dev, status.st_ino) == self._known.get(""):
            return ""  # ours; only its log was gone
        number = 1
        while os.path.exists(f"{self.path}.found-{number}"):
            number += 1
        os.rename(self.path, f"{self.path}.found-{number}")
        return f"{self.path}.found-{number}"


def why_refused(database: Database, write: bool) -> Unavailable | None:
    """Why a change would be refused now, None when it would not. write: find out by writing: one was refused lately."""
    connection = database.connection
    try:
        if not _has_room(database.path):
            raise apsw.FullError("no room")
        connection.execute("BEGIN IMMEDIATE")
        if write:
            connection.execute("UPDATE counters SET revision = revision")
            connection.execute("COMMIT")
        else:
            connection.execute("ROLLBACK")
    except apsw.Error as error:
        with suppress(apsw.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return fault_of(error, database.path, "changes are refused")
    return None


def _has_room(path: str) -> bool:
    """Whether the file system has room for a commit, as root sees it."""
    try:
        status = os.statvfs(os.path.dirname(path) or ".")
    except OSError:
        return True
    return status.f_bfree * status.f_frsize >= ROOM


def _unlink_if_there(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
