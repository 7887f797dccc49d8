"""What every Store promises: the same tests over the one in memory and the one on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.faults import BadRequest, Conflict, StaleRevision, Unavailable
from mooring.ports import Entry, Store, Transaction
from mooring.testing.memory_store import MemoryStore

MEGABYTE = 1 << 20


async def in_memory(path: Path) -> Store:
    """A MemoryStore."""
    return MemoryStore()


async def on_sqlite(path: Path) -> Store:
    """A SqliteStore in a file of the test's."""
    return await open_sqlite_store(str(path / "state" / "store.db"))


@pytest.fixture(params=[in_memory, on_sqlite])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each kind of store in turn, empty."""
    opening: Callable[[Path], Awaitable[Store]] = request.param
    opened = await opening(tmp_path)
    yield opened
    await opened.close()


async def put(store: Store, **values: str) -> int:
    """Write without expectations; the keys are Python names."""
    return await store.commit(Transaction(put={key: value.encode() for key, value in values.items()}))


async def keys(store: Store, prefix: str) -> list[str]:
    """What a scan finds, in its order."""
    return [entry.key for entry in (await store.scan(prefix))[0]]


async def test_an_empty_store_has_nothing(store: Store) -> None:
    """What was never written is None, and a scan finds nothing at revision 0."""
    assert await store.get("a") is None
    found, revision = await store.scan("")
    assert (list(found), revision) == ([], 0)


async def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    """Value and revision of the last commit come back."""
    first = await put(store, a="1", b="2")
    second = await put(store, a="3")
    assert 0 < first < second
    assert await store.get("a") == Entry("a", b"3", second)
    assert await store.get("b") == Entry("b", b"2", first)


async def test_an_expected_revision_that_holds_lets_the_commit_through(store: Store) -> None:
    """A writer that saw the last revision may write, and one that expects nothing where nothing is."""
    first = await store.commit(Transaction({"a": 0}, {"a": b"1"}))
    second = await store.commit(Transaction({"a": first, "b": 0}, {"a": b"2"}))
    assert await store.get("a") == Entry("a", b"2", second)


@pytest.mark.parametrize("expected", [0, 99])
async def test_a_stale_expectation_changes_nothing(store: Store, expected: int) -> None:
    """No key of the transaction is written when one expectation fails, and the fault names that key."""
    await put(store, a="1")
    with pytest.raises(StaleRevision) as caught:
        await store.commit(Transaction({"b": 0, "a": expected}, {"a": b"2", "b": b"2"}, ["c"]))
    assert caught.value.key == "a"
    assert await keys(store, "") == ["a"]
    assert (await store.scan(""))[0][0].value == b"1"


async def test_expecting_a_deleted_record_is_stale(store: Store) -> None:
    """A record that is gone has revision 0."""
    revision = await put(store, a="1")
    await store.commit(Transaction(delete=["a"]))
    with pytest.raises(StaleRevision):
        await store.commit(Transaction({"a": revision}, {"a": b"2"}))
    assert await store.commit(Transaction({"a": 0}, {"a": b"3"})) > revision


async def test_delete_takes_records_away_and_forgives_absent_ones(store: Store) -> None:
    """The keys are gone afterwards, whether they were there or not."""
    await put(store, a="1", b="2", c="3")
    await store.commit(Transaction(delete=["a", "c", "never"]))
    assert await keys(store, "") == ["b"]
    assert await store.get("a") is None


async def test_an_empty_transaction_is_a_commit(store: Store) -> None:
    """It gets a revision of its own and changes nothing."""
    before = await put(store, a="1")
    assert await store.commit(Transaction()) > before
    assert await keys(store, "") == ["a"]


async def test_scan_goes_in_order_of_code_points(store: Store) -> None:
    """Records come sorted by key, also beyond ASCII and beyond the 16-bit characters."""
    names = ["a", "a/", "a/b", "aa", "b", "ä", "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff"]
    await store.commit(Transaction(put=dict.fromkeys(reversed(names), b"")))
    assert await keys(store, "") == names == sorted(names)


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("a%", ["a%", "a%b"], ["a", "ab", "a&"]),
        ("a_", ["a_", "a_b"], ["ab", "aXb", "a`"]),
        ("a*", ["a*", "a*?"], ["aa", "a+"]),
        ("lease/", ["lease/", "lease/x"], ["lease", "lease0", "lease."]),
        ("ÿ", ["ÿ", "ÿz"], ["Ā", "þ"]),
        ("a\ud7ff", ["a\ud7ff", "a\ud7ffb"], ["a\ue000", "b"]),
        ("a\U0010ffff", ["a\U0010ffff", "a\U0010ffff\U0010ffff"], ["a\uffff", "b"]),
        ("\U0010ffff", ["\U0010ffff", "\U0010ffffb"], ["\uffff", "a"]),
        ("a\0", ["a\0", "a\0b"], ["a", "a\1"]),
        ("A", ["A", "Ab"], ["a", "ab", "B"]),
        ("'; DROP TABLE records; --", ["'; DROP TABLE records; --x"], ["'"]),
    ],
)
async def test_a_prefix_is_plain_text(store: Store, prefix: str, inside: list[str], outside: list[str]) -> None:
    """No character of a prefix or key has a meaning of its own, and the end of Unicode is an end."""
    await store.commit(Transaction(put={key: key.encode() for key in inside + outside}))
    found, _ = await store.scan(prefix)
    assert {entry.key: entry.value for entry in found} == {key: key.encode() for key in inside}
    for key in inside + outside:
        entry = await store.get(key)
        assert entry is not None
        assert entry.key == key


async def test_values_are_any_bytes_up_to_large_ones(store: Store) -> None:
    """Empty, binary and megabyte values come back as they are."""
    values = {"empty": b"", "binary": bytes(range(256)), "large": b"\0\xff" * (MEGABYTE // 2)}
    await store.commit(Transaction(put=values))
    assert {entry.key: entry.value for entry in (await store.scan(""))[0]} == values


async def test_a_transaction_of_many_keys_is_one_commit(store: Store) -> None:
    """A thousand records of one transaction share a revision."""
    revision = await store.commit(Transaction(put={f"k{number:04}": b"v" for number in range(1000)}))
    found, now = await store.scan("k")
    assert {entry.revision for entry in found} == {revision} == {now}
    await store.commit(Transaction({entry.key: entry.revision for entry in found}, {}, [e.key for e in found]))
    assert await keys(store, "") == []


@pytest.mark.parametrize(
    ("expect", "puts", "deletes"),
    [({}, {"": b""}, []), ({"": 0}, {}, []), ({}, {}, [""]), ({}, {"a": b""}, ["a"]), ({}, {"\ud800": b""}, [])],
)
def test_an_impossible_transaction_cannot_be_made(
    expect: dict[str, int], puts: dict[str, bytes], deletes: list[str]
) -> None:
    """Empty keys, keys that are not text, and keys that are both written and deleted are refused at once."""
    with pytest.raises(BadRequest):
        Transaction(expect, puts, deletes)


async def test_of_writers_that_race_for_a_key_one_wins(store: Store) -> None:
    """A hundred commits that expect the same revision, made at once: one is carried out, the others are stale."""
    outcomes = await asyncio.gather(
        *(store.commit(Transaction({"a": 0}, {"a": str(n).encode(), f"b{n}": b""})) for n in range(100)),
        return_exceptions=True,
    )
    won = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
    assert len(won) == 1
    assert all(isinstance(outcome, StaleRevision) for number, outcome in enumerate(outcomes) if number not in won)
    assert await keys(store, "") == ["a", f"b{won[0]}"]


async def test_a_stale_commit_does_not_fail_its_neighbours(store: Store) -> None:
    """Commits that wait together stand or fall one by one, with revisions of their own."""
    await put(store, taken="1")
    outcomes = await asyncio.gather(
        *(store.commit(Transaction({"taken" if n % 2 else f"k{n}": 0}, {f"k{n}": b""})) for n in range(50)),
        return_exceptions=True,
    )
    revisions = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(revisions) == len(set(revisions)) == 25
    assert await keys(store, "k") == sorted(f"k{n}" for n in range(0, 50, 2))


async def test_commits_made_in_turn_see_each_other(store: Store) -> None:
    """Transactions of one key that are queued together are carried out in their order."""
    outcomes = await asyncio.gather(
        store.commit(Transaction({"a": 0}, {"a": b"1"})),
        store.commit(Transaction({"a": 0}, {"a": b"2"})),
        store.commit(Transaction(delete=["a"])),
        store.commit(Transaction({"a": 0}, {"a": b"3"})),
        return_exceptions=True,
    )
    assert [isinstance(outcome, StaleRevision) for outcome in outcomes] == [False, True, False, False]
    entry = await store.get("a")
    assert entry == Entry("a", b"3", outcomes[3] if isinstance(outcomes[3], int) else 0)


async def test_counters_raised_at_once_lose_no_step(store: Store) -> None:
    """Twenty writers that each add ten by read and compare-and-swap come to two hundred."""

    async def add() -> None:
        entry = await store.get("n")
        value, revision = (int(entry.value), entry.revision) if entry is not None else (0, 0)
        await store.commit(Transaction({"n": revision}, {"n": str(value + 1).encode()}))

    async def worker() -> None:
        done = 0
        while done < 10:
            try:
                await add()
                done += 1
            except StaleRevision:
                continue

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(worker())
    entry = await store.get("n")
    assert entry is not None
    assert entry.value == b"200"


async def test_a_cancelled_commit_harms_nobody(store: Store) -> None:
    """Others in the queue are carried out, and a get afterwards says what became of the cancelled one."""
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(put(store, **{f"k{n}": "v"})) for n in range(20)]
        doomed = tasks.create_task(put(store, doomed="v"))
        rest = [tasks.create_task(put(store, **{f"m{n}": "v"})) for n in range(20)]
        await asyncio.sleep(0)
        doomed.cancel()
    assert doomed.cancelled()
    assert len({task.result() for task in others + rest}) == 40
    first = await store.get("doomed")
    await put(store, later="v")
    assert await store.get("doomed") == first
    assert len(await keys(store, "k")) == len(await keys(store, "m")) == 20


async def test_backup_refuses_a_file_that_exists(store: Store, tmp_path: Path) -> None:
    """A backup never replaces anything."""
    target = str(tmp_path / "copy.db")
    await put(store, a="1")
    await store.backup(target)
    with pytest.raises(Conflict, match=r"copy\.db already exists"):
        await store.backup(target)


async def test_a_closed_store_refuses_everything(store: Store, tmp_path: Path) -> None:
    """Every call after close raises Unavailable, and closing again is fine."""
    await store.close()
    await store.close()
    for call in (store.get("a"), store.scan(""), put(store, a="1"), store.backup(str(tmp_path / "b"))):
        with pytest.raises(Unavailable, match="closed"):
            await call


async def test_close_finishes_what_was_accepted(store: Store) -> None:
    """Commits that were waiting are carried out."""
    async with asyncio.TaskGroup() as tasks:
        commits = [tasks.create_task(put(store, **{f"k{n}": "v"})) for n in range(30)]
        await asyncio.sleep(0)
        tasks.create_task(store.close())
    assert len({task.result() for task in commits}) == 30
