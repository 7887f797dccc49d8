"""The faults that the store in memory gives on request; that it is a Store is tested by its contract."""

from __future__ import annotations

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.ports import Transaction
from mooring.testing.memory_store import MemoryStore, When


async def test_a_fault_before_taking_effect_leaves_nothing() -> None:
    """The next commit fails and is not carried out; the one after it works."""
    store = MemoryStore()
    store.fail_next()
    with pytest.raises(Unavailable):
        await store.commit(Transaction(put={"a": b"1"}))
    assert (store.records, store.commits) == ({}, 0)
    await store.commit(Transaction(put={"a": b"2"}))
    assert (store.records, store.commits) == ({"a": b"2"}, 1)


async def test_a_fault_after_taking_effect_leaves_the_record() -> None:
    """The caller sees the fault that was asked for, and what it wrote is there."""
    store = MemoryStore()
    store.fail_next(When.AFTER, Conflict("torn"), times=2)
    for value in (b"1", b"2"):
        with pytest.raises(Conflict, match="torn"):
            await store.commit(Transaction(put={"a": value}))
    assert store.records == {"a": b"2"}


async def test_a_hook_sees_every_transaction_and_may_refuse_it() -> None:
    """What on_commit raises is what the caller sees; nothing is written then."""
    seen: list[Transaction] = []

    def refuse_deletes(transaction: Transaction) -> None:
        seen.append(transaction)
        if transaction.delete:
            raise Unavailable("no deletes today")

    store = MemoryStore(refuse_deletes)
    await store.commit(Transaction(put={"a": b"1"}))
    with pytest.raises(Unavailable, match="no deletes"):
        await store.commit(Transaction(delete=["a"]))
    assert store.records == {"a": b"1"}
    assert len(seen) == 2


async def test_a_backup_is_what_was_there_then() -> None:
    """Later commits do not change it."""
    store = MemoryStore()
    await store.commit(Transaction(put={"a": b"1"}))
    await store.backup("/copy")
    await store.commit(Transaction(put={"a": b"2"}))
    assert store.backups["/copy"]["a"].value == b"1"
