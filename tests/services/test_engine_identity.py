"""Knowing an engine again under another id."""

from __future__ import annotations

import pytest

from mooring.core.containers import Holder
from mooring.core.engines import KnownEngine
from mooring.core.faults import StaleRevision
from mooring.core.intents import Intent, Purpose
from mooring.ports import Transaction
from mooring.services.networking.engine_identity import LAST_KEY_IDS, note_version, recognise
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore

OLD, NEW = "OLD:ID", "new-id"


@pytest.fixture
async def cache() -> RecordCache:
    """What is on record of an engine: two containers, an intent, two networks."""
    cache = RecordCache(MemoryStore())
    await cache.load()
    await cache.commit(
        put=[
            Holder(id="db", engine=OLD, name="db", since=1.0),
            Holder(id="web", engine=OLD, name="web", since=2.0),
            Intent(id="i1", purpose=Purpose.CREATE, engine=OLD, created=3.0, keys={"back": "key:k"}),
            KnownEngine(OLD, 1.0, frozenset({"front", "back"})),
        ]
    )
    return cache


def engines(cache: RecordCache) -> set[str]:
    """Whose the containers and intents are."""
    return {each.engine for each in cache.every(Holder)} | {each.engine for each in cache.every(Intent)}


@pytest.mark.parametrize(
    ("containers", "networks"), [({"db", "other"}, set()), (set(), {"back"}), ({"web"}, {"front", "back"})]
)
async def test_one_container_or_one_network_is_enough(
    cache: RecordCache, containers: set[str], networks: set[str]
) -> None:
    """Everything on record moves over; the old id is on record no more."""
    assert await recognise(cache, NEW, containers, networks) == frozenset()
    assert engines(cache) == {NEW}
    assert list(cache.every(KnownEngine)) == [KnownEngine(NEW, 1.0, frozenset({"front", "back"}))]
    assert [holder.since for holder in cache.every(Holder)] == [1.0, 2.0]


@pytest.mark.parametrize(("containers", "networks"), [(set(), set()), ({"other"}, {"bridge", "host"})])
async def test_an_engine_that_has_nothing_of_it_is_another_one(
    cache: RecordCache, containers: set[str], networks: set[str]
) -> None:
    """An empty list, at a start or after the disks were wiped, and a list of others: nothing is written."""
    before = cache.revision
    assert await recognise(cache, NEW, containers, networks) == {OLD}
    assert (engines(cache), cache.revision) == ({OLD}, before)


async def test_what_both_ids_have_listed_is_one(cache: RecordCache) -> None:
    """Under the new id it has been met before, and the old one's networks are still worth knowing."""
    await cache.commit(put=[KnownEngine(NEW, 9.0, frozenset({"front", "new"}))])
    await recognise(cache, NEW, (), {"front", "new"})
    assert list(cache.every(KnownEngine)) == [KnownEngine(NEW, 1.0, frozenset({"front", "back", "new"}))]


async def test_an_intent_alone_tells_by_its_networks_and_its_container() -> None:
    """It was written while the engine's id was that of the one before."""
    for intent, containers, networks in (
        (Intent(id="i", purpose=Purpose.CREATE, engine=OLD, created=1.0, keys={"back": "key:k"}), set(), {"back"}),
        (Intent(id="i", purpose=Purpose.REMOVE, engine=OLD, created=1.0, container="db"), {"db"}, set()),
        (Intent(id="i", purpose=Purpose.DISCONNECT, engine=OLD, created=1.0, network="back"), set(), {"back"}),
    ):
        cache = RecordCache(MemoryStore())
        await cache.load()
        await cache.commit(put=[intent])
        assert await recognise(cache, NEW, {""}, {""}) == {OLD}
        await recognise(cache, NEW, containers, networks)
        assert engines(cache) == {NEW}
        assert list(cache.every(KnownEngine)) == []


async def test_two_engines_stay_two(cache: RecordCache) -> None:
    """Only the one whose container is there has got another id."""
    await cache.commit(put=[Holder(id="far", engine="third", name="far", since=1.0)])
    assert await recognise(cache, NEW, {"db"}, set()) == {"third"}
    assert engines(cache) == {NEW, "third"}


async def test_an_engine_with_the_id_of_old_is_itself(cache: RecordCache) -> None:
    """Whatever it has or has not."""
    assert await recognise(cache, OLD, (), ()) == frozenset()
    assert engines(cache) == {OLD}


async def test_another_writer_in_between_is_no_hindrance() -> None:
    """It is decided anew."""

    class Late(MemoryStore):
        late = 0

        async def commit(self, transaction: Transaction) -> int:
            if self.late:
                self.late -= 1
                raise StaleRevision("holder/db")
            return await super().commit(transaction)

    store = Late()
    cache = RecordCache(store)
    await cache.load()
    await cache.commit(put=[Holder(id="db", engine=OLD, name="db", since=1.0)])
    store.late = 2
    assert await recognise(cache, NEW, {"db"}, ()) == frozenset()
    assert engines(cache) == {NEW}


async def test_the_versions_of_the_engines_that_had_a_container_are_kept(cache: RecordCache) -> None:
    """The oldest and the newest, of what is there; nothing is written when nothing is new."""

    def versions() -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
        return {holder.id: (holder.oldest, holder.newest) for holder in cache.every(Holder)}

    await note_version(cache, OLD, (1, 45), {"db", "other"})
    assert versions() == {"db": ((1, 45), (1, 45)), "web": ((0, 0), (0, 0))}
    before = cache.revision
    await note_version(cache, OLD, (1, 45), {"db"})
    await note_version(cache, NEW, (1, 41), {"db", "web"})
    assert cache.revision == before
    await note_version(cache, OLD, (1, 51), {"db"})
    await note_version(cache, OLD, (1, 41), {"db"})
    assert versions()["db"] == ((1, 41), (1, 51))


async def test_an_id_that_was_given_up_tells_the_version_of_who_had_it(cache: RecordCache) -> None:
    """Mooring came to know versions with the upgrade only: nobody but a 20.10 has its id beside the disks."""
    await recognise(cache, NEW, {"db"}, ())
    assert {holder.oldest for holder in cache.every(Holder)} == {LAST_KEY_IDS}
    await recognise(cache, "OTHER:ID", {"db"}, ())
    assert {holder.oldest for holder in cache.every(Holder)} == {LAST_KEY_IDS}


async def test_an_id_of_another_form_tells_nothing(cache: RecordCache) -> None:
    """A downgrade, say."""
    await recognise(cache, "OTHER:ID", {"db"}, ())
    assert {holder.oldest for holder in cache.every(Holder)} == {(0, 0)}
