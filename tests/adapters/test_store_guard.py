"""The store's files deleted, replaced or cut short under the open store; a disk that is full, a lock of another's."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from mooring.adapters.sqlite import store_guard
from mooring.adapters.sqlite.sqlite_store import SqliteStore, open_sqlite_store
from mooring.core.faults import Unavailable
from mooring.ports import Transaction


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store with one record."""
    made = await open_sqlite_store(str(tmp_path / "state" / "mooring.db"))
    await made.commit(Transaction(put={"a": b"1"}))
    yield made
    await made.close()


def state(tmp_path: Path) -> Path:
    """Where its files are."""
    return tmp_path / "state"


async def after_a_crash(tmp_path: Path) -> dict[str, bytes]:
    """What a store finds that opens the files as they are now."""
    copy = tmp_path / "crashed"
    shutil.copytree(state(tmp_path), copy)
    found = await open_sqlite_store(str(copy / "mooring.db"))
    try:
        return {entry.key: entry.value for entry in (await found.scan(""))[0]}
    finally:
        await found.close()
        shutil.rmtree(copy)


@pytest.mark.parametrize("which", ["mooring.db*", "mooring.db", "mooring.db-wal", "mooring.db-shm", "the folder"])
async def test_what_is_deleted_under_the_store_is_back_before_a_change_is_acknowledged(
    store: SqliteStore, tmp_path: Path, which: str
) -> None:
    """What was acknowledged is in the file, from then on as ever."""
    for number in range(2):
        if which == "the folder":
            shutil.rmtree(state(tmp_path))
        for file in state(tmp_path).glob(which):
            file.unlink()
        await store.commit(Transaction(put={"b": b"2", str(number): b"x"}))
        found = await after_a_crash(tmp_path)
        assert (found["a"], found["b"], found[str(number)]) == (b"1", b"2", b"x")
    assert any("was deleted" in line and "written back" in line for line in await store.complaints())
    entry = await store.get("b")
    assert entry is not None
    assert entry.revision == 3


async def test_it_is_seen_without_a_change_too(store: SqliteStore, tmp_path: Path) -> None:
    """Within a pass."""
    assert await store.complaints() == []
    (state(tmp_path) / "mooring.db").unlink()
    assert any("was deleted" in line for line in await store.complaints())
    assert await after_a_crash(tmp_path) == {"a": b"1"}


async def test_a_file_in_its_place_is_kept_beside_it(store: SqliteStore, tmp_path: Path) -> None:
    """Somebody restores a backup while the daemon runs: nothing of either is lost."""
    backup = tmp_path / "backup.db"
    await store.backup(str(backup))
    content = backup.read_bytes()
    await store.commit(Transaction(put={"b": b"2"}))
    backup.rename(state(tmp_path) / "mooring.db")
    await store.commit(Transaction(put={"c": b"3"}))
    assert await after_a_crash(tmp_path) == {"a": b"1", "b": b"2", "c": b"3"}
    aside = state(tmp_path) / "mooring.db.found-1"
    assert aside.read_bytes() == content
    assert any(str(aside) in line for line in await store.complaints())


async def test_a_file_that_is_cut_short_acknowledges_nothing_more(store: SqliteStore, tmp_path: Path) -> None:
    """Its pages are gone: said at once, and for as long as it lasts."""
    database = apsw.Connection(str(state(tmp_path) / "mooring.db"))
    database.execute("PRAGMA wal_checkpoint(FULL)")
    database.close()
    assert await store.complaints() == []
    with (state(tmp_path) / "mooring.db").open("r+b") as file:
        file.truncate(4096)
    with pytest.raises(Unavailable):
        await store.commit(Transaction(put={"b": b"2"}))
    assert any("cut short" in line for line in await store.complaints())


async def test_a_backup_is_of_what_is_open(store: SqliteStore, tmp_path: Path) -> None:
    """Also right after the file was deleted."""
    (state(tmp_path) / "mooring.db").unlink()
    await store.backup(str(tmp_path / "backup.db"))
    found = await open_sqlite_store(str(tmp_path / "backup.db"))
    assert (await found.get("a")) is not None
    await found.close()


async def test_a_lock_of_another_program_is_told_while_it_lasts(store: SqliteStore, tmp_path: Path) -> None:
    """And no longer."""
    other = apsw.Connection(str(state(tmp_path) / "mooring.db"))
    other.execute("BEGIN IMMEDIATE")
    assert any("locked" in line for line in await store.complaints())
    other.execute("ROLLBACK")
    other.close()
    assert await store.complaints() == []


async def test_a_full_disk_is_told_while_it_lasts(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer."""
    monkeypatch.setattr(store_guard, "ROOM", 1 << 62)
    assert any("the disk is full" in line for line in await store.complaints())
    monkeypatch.undo()
    assert await store.complaints() == []
