"""What the store on SQLite adds to the contract: durability, groups, and a thread that survives its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mooring.adapters.sqlite import sqlite_store
from mooring.adapters.sqlite.sqlite_store import SqliteStore, open_sqlite_store
from mooring.core.faults import Conflict, StaleRevision, Unavailable
from mooring.ports import Entry, Transaction

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the store is; not there yet."""
    return str(tmp_path / "state" / "store.db")


async def fill(store: SqliteStore, count: int) -> list[int]:
    """Write that many records at once."""
    return await asyncio.gather(*(store.commit(Transaction({f"k{n}": 0}, {f"k{n}": b"v"})) for n in range(count)))


async def test_records_and_revisions_survive_a_restart(path: str) -> None:
    """What was there is there, and a revision is never used again, also when its record was deleted."""
    store = await open_sqlite_store(path)
    first = await store.commit(Transaction(put={"a": b"1"}))
    await store.commit(Transaction(put={"b": b"2"}))
    gone = await store.commit(Transaction(put={"c": b"3"}))
    last = await store.commit(Transaction(delete=["b", "c"]))
    await store.close()
    store = await open_sqlite_store(path)
    assert await store.scan("") == ([Entry("a", b"1", first)], last)
    assert await store.commit(Transaction(put={"c": b"4"})) > last > gone
    await store.close()


async def test_what_waits_together_shares_a_transaction(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand commits made at once need a handful of transactions of SQLite."""
    groups: list[int] = []
    decide = sqlite_store._Writer._decide

    def counted(self: Any, jobs: Any) -> Any:
        groups.append(len(jobs))
        return decide(self, jobs)

    monkeypatch.setattr(sqlite_store._Writer, "_decide", counted)
    store = await open_sqlite_store(path)
    revisions = await fill(store, 1000)
    await store.close()
    assert revisions == list(range(1, 1001))
    assert sum(groups) == 1000
    assert len(groups) < 100


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_works_on_either_event_loop(path: str, run: Run) -> None:
    """asyncio's own loop and uvloop give the same."""

    async def scenario() -> None:
        store = await open_sqlite_store(path)
        await fill(store, 50)
        with pytest.raises(StaleRevision):
            await store.commit(Transaction({"k1": 0}, {"k1": b""}))
        assert len((await store.scan("k"))[0]) == 50
        await store.close()

    run(scenario())


async def test_the_loop_runs_while_the_disk_works(path: str) -> None:
    """Other tasks get their turns between a commit's start and its end."""
    store = await open_sqlite_store(path)
    turns = 0

    async def other(commits: asyncio.Task[list[int]]) -> None:
        nonlocal turns
        while not commits.done():
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other(tasks.create_task(fill(store, 20))))
    await store.close()
    assert turns > 3


async def test_a_failing_group_leaves_the_store_usable(path: str) -> None:
    """When SQLite refuses a group, all of it fails with a fault, none of it is written, and the next one works."""
    store = await open_sqlite_store(path)
    database = store._writer._db

    def refuse() -> None:
        database.execute("CREATE TEMP TRIGGER refuse BEFORE UPDATE ON counters BEGIN SELECT RAISE(ABORT, 'no'); END")

    await store._call(refuse)
    outcomes = await asyncio.gather(
        *(store.commit(Transaction(put={f"k{n}": b""})) for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert all(str(outcome).endswith("nothing was written") for outcome in outcomes)
    await store._call(lambda: database.execute("DROP TRIGGER refuse").close())
    assert (await store.scan(""))[0] == []
    await fill(store, 5)
    await store.close()


async def test_a_mistake_of_ours_is_shown_to_the_caller_only(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is no fault reaches who waits, and the thread lives on."""
    store = await open_sqlite_store(path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "_chunks", lambda items: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await store.commit(Transaction(put={"a": b""}))
    assert await store.get("a") is None
    await fill(store, 1)
    await store.close()


async def test_a_backup_under_load_is_a_store_of_one_moment(path: str, tmp_path: Path) -> None:
    """The copy opens as a store, with all keys of a transaction or none, while the original goes on."""
    store = await open_sqlite_store(path)
    stop = False

    async def writer(name: int) -> None:
        step = 0
        while not stop:
            step += 1
            value = str(step).encode()
            await store.commit(Transaction(put={f"{name}/a": value, f"{name}/b": value}))

    async with asyncio.TaskGroup() as tasks:
        for name in range(4):
            tasks.create_task(writer(name))
        for number in range(3):
            await store.backup(str(tmp_path / f"copy{number}.db"))
        stop = True
    await store.close()
    for number in range(3):
        copy = await open_sqlite_store(str(tmp_path / f"copy{number}.db"))
        found, revision = await copy.scan("")
        values = {entry.key: entry.value for entry in found}
        assert all(values[f"{name}/a"] == values[f"{name}/b"] for name in range(4) if f"{name}/a" in values)
        assert all(entry.revision <= revision for entry in found)
        await copy.close()


async def test_cancelling_the_opening_lets_go_of_the_file(path: str) -> None:
    """Who gives up while the store opens leaves it free for the next."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await open_sqlite_store(path)
    # The abandoned opening may still be at work, and closes when it is done.
    while True:
        try:
            store = await open_sqlite_store(path)
        except Conflict:
            await asyncio.sleep(0.001)
        else:
            break
    await store.close()


async def test_a_hundred_thousand_records_are_scanned_at_once(path: str) -> None:
    """A scan has no limit, and neither has a transaction."""
    store = await open_sqlite_store(path)
    await store.commit(Transaction(put={f"lease/default/4/{number:08x}": b"x" * 100 for number in range(100_000)}))
    found, _ = await store.scan("lease/")
    assert len(found) == 100_000
    await store.close()
