"""Both stores against a plain dict, under any sequence of calls."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.faults import StaleRevision
from mooring.ports import Entry, Store, Transaction
from mooring.testing.memory_store import MemoryStore

T = TypeVar("T")

# Few keys, so that they meet; among them those that share prefixes and have special characters.
KEYS = st.sampled_from(["a", "a/", "a/b", "a%", "b", "ä", "\U0010ffff", "a\0b"])
VALUES = st.binary(max_size=8)


class MemoryMachine(RuleBasedStateMachine):
    """Drives a store and a dict with the same calls."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model: dict[str, tuple[bytes, int]] = {}
        self.last = 0
        self.directory = tempfile.mkdtemp(prefix="mooring-store-")
        self.store = self.run(self.open())

    def run(self, work: Awaitable[T]) -> T:
        """Do it on the machine's loop."""
        return self.loop.run_until_complete(work)

    async def open(self) -> Store:
        """The store, with what it had."""
        return MemoryStore()

    def teardown(self) -> None:
        """Nothing is left."""
        self.run(self.store.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    @rule(
        expect=st.dictionaries(KEYS, st.one_of(st.none(), st.just(0), st.integers(1, 5)), max_size=3),
        put=st.dictionaries(KEYS, VALUES, max_size=3),
        delete=st.sets(KEYS, max_size=2),
    )
    def commit(self, expect: dict[str, int | None], put: dict[str, bytes], delete: set[str]) -> None:
        """A transaction is carried out exactly when its expectations hold; None stands for the right revision."""
        wanted = {key: self.revision(key) if number is None else number for key, number in expect.items()}
        transaction = Transaction(wanted, put, sorted(delete - put.keys()))
        stale = [key for key, number in wanted.items() if self.revision(key) != number]
        if stale:
            with pytest.raises(StaleRevision) as caught:
                self.run(self.store.commit(transaction))
            assert caught.value.key in stale
            return
        revision = self.run(self.store.commit(transaction))
        assert revision > self.last
        self.last = revision
        self.model.update({key: (value, revision) for key, value in put.items()})
        for key in transaction.delete:
            self.model.pop(key, None)

    def revision(self, key: str) -> int:
        """The key's revision, 0 if it is absent."""
        return self.model[key][1] if key in self.model else 0

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        """A get answers as the dict does."""
        value = self.model.get(key)
        assert self.run(self.store.get(key)) == (None if value is None else Entry(key, *value))

    @rule(prefix=st.sampled_from(["", "a", "a/", "a%", "\U0010ffff", "a\0"]))
    def scan(self, prefix: str) -> None:
        """A scan finds what the dict has under the prefix, sorted."""
        found, revision = self.run(self.store.scan(prefix))
        assert [*found] == [Entry(key, *self.model[key]) for key in sorted(self.model) if key.startswith(prefix)]
        assert revision == self.last

    @invariant()
    def all_is_there(self) -> None:
        """Nothing is there that should not be."""
        found, _ = self.run(self.store.scan(""))
        assert {entry.key: (entry.value, entry.revision) for entry in found} == self.model


class SqliteMachine(MemoryMachine):
    """The same, with restarts."""

    async def open(self) -> Store:
        """The store in the machine's directory."""
        return await open_sqlite_store(f"{self.directory}/store.db")

    @rule()
    def reopen(self) -> None:
        """Everything is there after a restart, and revisions go on."""
        self.run(self.store.close())
        self.store = self.run(self.open())


LIMITS = settings(
    max_examples=settings().max_examples // 4,
    stateful_step_count=15,
    deadline=None,
    # A disk that others use, too, is not what is tested.
    suppress_health_check=[HealthCheck.too_slow],
)
MemoryMachine.TestCase.settings = LIMITS
SqliteMachine.TestCase.settings = LIMITS
TestMemoryStore = MemoryMachine.TestCase
TestSqliteStore = SqliteMachine.TestCase
