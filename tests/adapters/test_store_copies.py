"""The copy beside the store: made when something was written, and what a lost store comes back from."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.adapters.sqlite.store_copies import StoreCopies, open_kept_store
from mooring.ports import Transaction


class State:
    """A state directory. path: the store's; copy: the one beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state/mooring.db"
        self.copy = folder / "state/mooring.db.bak"

    async def write(self, value: bytes) -> None:
        """The store has the value, and a copy was made of it."""
        store = await open_sqlite_store(str(self.path))
        await store.commit(Transaction(put={"k": value}))
        await StoreCopies(store, str(self.path)).once()
        await store.close()

    async def value(self) -> bytes | None:
        """What the store has."""
        store = await open_sqlite_store(str(self.path))
        entry = await store.get("k")
        await store.close()
        return entry.value if entry is not None else None

    def lose(self, *left: str) -> None:
        """The store is gone; of its log something is left."""
        self.path.unlink()
        for end in left:
            self.path.with_name(self.path.name + end).write_bytes(os.urandom(8192))


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Nothing there yet."""
    return State(tmp_path)


@pytest.mark.parametrize("left", [(), ("-wal", "-shm")])
async def test_a_lost_store_comes_back_from_its_copy(
    state: State, caplog: pytest.LogCaptureFixture, left: tuple[str, ...]
) -> None:
    """Whole, told in the log, whatever is left of the old one; and it can be written to and lost again."""
    for value in (b"one", b"two"):
        await state.write(value)
        state.lose(*left)
        with caplog.at_level(logging.WARNING):
            assert await state.value() == value
        assert "was missing" in caplog.text
    assert sorted(os.listdir(state.path.parent)) == ["mooring.db", "mooring.db.bak", "mooring.db.lock"]


async def test_a_store_that_is_there_does_not_look_at_its_copy(state: State) -> None:
    """Not even at one that is none."""
    await state.write(b"one")
    state.copy.write_text("nonsense")
    assert await state.value() == b"one"


@pytest.mark.parametrize("whole", [0, 4096])
async def test_a_copy_that_is_of_no_use_is_passed_over(
    state: State, caplog: pytest.LogCaptureFixture, whole: int
) -> None:
    """A new store begins, as without a copy, and the log says why."""
    await state.write(b"one")
    state.lose()
    state.copy.write_bytes(state.copy.read_bytes()[:whole] + os.urandom(8192))
    with caplog.at_level(logging.WARNING):
        assert await state.value() is None
    assert "cannot be used" in caplog.text


async def test_a_copy_is_made_when_something_was_written_and_failure_is_told_of_once(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    """While nothing is written the copy is left as it is; what could not be made is made later."""
    async with AsyncExitStack() as cleanup:
        store = await open_kept_store(str(state.path), cleanup)
        copies = StoreCopies(store, str(state.path))
        await store.commit(Transaction(put={"k": b"one"}))
        await copies.once()
        first = state.copy.stat().st_ino
        await copies.once()
        assert state.copy.stat().st_ino == first
        state.copy.unlink()
        (state.copy / "in the way").mkdir(parents=True)
        await store.commit(Transaction(put={"k": b"two"}))
        for _ in range(2):
            await copies.once()
        assert caplog.text.count("cannot copy the store") == 1
        (state.copy / "in the way").rmdir()
        state.copy.rmdir()
        await copies.once()
        assert state.copy.is_file()
