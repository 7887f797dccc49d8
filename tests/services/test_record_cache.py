"""The keyspace in memory: it follows the store, also when a commit's outcome is not known."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import StaleRevision, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.pools import Pool
from mooring.core.sandboxes import Kind, Sandbox
from mooring.ports import Transaction
from mooring.services.records.record_cache import Record, RecordCache
from mooring.testing.memory_store import MemoryStore, When
from mooring.wire import stored

POOL = Pool(id="p", space="s", subnet=IPv4Network("10.0.0.0/24"))
NETWORK = Network("n", NetworkOptions(), False, (Segment(POOL.subnet, None, "s", "p"),), (), 1.0)


def lease(last: int, state: State = State.DYNAMIC) -> Lease:
    """A lease of the pool."""
    return Lease(space="s", address=IPv4Address("10.0.0.0") + last, pool="p", state=state, since=1.0)


class Witness:
    """Remembers what listeners were told."""

    def __init__(self, cache: RecordCache) -> None:
        self.seen: list[tuple[Record | None, Record | None]] = []
        cache.listen(lambda _key, before, after: self.seen.append((before, after)))


async def loaded(store: MemoryStore) -> tuple[RecordCache, Witness]:
    """A cache of the store and a listener from its start."""
    cache = RecordCache(store)
    witness = Witness(cache)
    await cache.load()
    return cache, witness


async def test_who_listens_for_kinds_of_records_hears_of_those_alone() -> None:
    """At load, at a change and at the end of one; in the order in which they began to listen."""
    store = MemoryStore()
    cache, _ = await loaded(store)
    await cache.commit([POOL, lease(1)])
    again, seen = RecordCache(store), list[str]()
    again.listen(lambda _key, before, after: seen.append(f"lease {(after or before) == lease(1)}"), Lease)
    again.listen(lambda _key, _before, _after: seen.append("any"))
    again.listen(lambda _key, _before, _after: seen.append("network"), Network)
    await again.load()
    await again.commit(delete=[lease(1)])
    assert sorted(seen[:3]) == ["any", "any", "lease True"]
    assert seen[3:] == ["lease True", "any"]


async def test_what_is_committed_is_seen_by_readers_listeners_and_the_store() -> None:
    """After commit, cache and store agree, and the listener heard before and after."""
    store = MemoryStore()
    cache, witness = await loaded(store)
    first = await cache.commit([POOL, lease(1)])
    second = await cache.commit([lease(1, State.COOLING), lease(2)], [POOL])
    assert first < second == cache.revision
    assert cache.pool("p") is None
    assert cache.lease("s", IPv4Address("10.0.0.1")) == lease(1, State.COOLING)
    assert list(cache.every(Lease)) == [lease(1, State.COOLING), lease(2)]
    assert (cache.count(Lease), cache.count(Pool), cache.count(Network)) == (2, 0, 0)
    assert witness.seen == [
        (None, POOL),
        (None, lease(1)),
        (lease(1), lease(1, State.COOLING)),
        (None, lease(2)),
        (POOL, None),
    ]
    assert store.records == {stored.key_of(each): stored.encode(each) for each in cache.every(Lease)}


async def test_load_tells_listeners_of_every_record_pools_and_networks_first() -> None:
    """A new cache of the same store has everything; a lease is told when its pool and network are known."""
    store = MemoryStore()
    before, _ = await loaded(store)
    await before.commit([lease(2), lease(1), NETWORK, POOL])
    cache, witness = await loaded(store)
    assert witness.seen == [(None, POOL), (None, NETWORK), (None, lease(1)), (None, lease(2))]
    assert (cache.network("n"), cache.pool("p"), cache.revision) == (NETWORK, POOL, before.revision)


async def test_every_kind_is_found_by_what_names_it() -> None:
    """Records of different kinds share a cache; a sandbox and a network are told before the endpoint of both."""
    store = MemoryStore()
    before, _ = await loaded(store)
    sandbox = Sandbox("x", "web", Kind.OWN, "/run/x", 1.0)
    endpoint = Endpoint("e", "n", None, None, "02:00:00:00:00:01", 1.0, sandbox="x")
    await before.commit([endpoint, sandbox, NETWORK])
    cache, witness = await loaded(store)
    assert witness.seen == [(None, NETWORK), (None, sandbox), (None, endpoint)]
    assert (cache.sandbox("x"), cache.endpoint("n", "e"), cache.network("n")) == (sandbox, endpoint, NETWORK)
    assert (cache.sandbox("y"), list(cache.every(Sandbox)), cache.count(Sandbox)) == (None, [sandbox], 1)


async def test_a_record_that_cannot_be_read_stops_the_load() -> None:
    """A record of a newer version is a refusal to start, not a record less."""
    store = MemoryStore()
    await store.commit(Transaction(put={"pool/p": b'{"v":99}'}))
    with pytest.raises(Unavailable, match="version 99"):
        await RecordCache(store).load()


async def test_a_stale_mirror_costs_a_retry_and_then_knows_better() -> None:
    """Another writer's changes to all keys of the commit are seen after StaleRevision, and the retry succeeds."""
    store = MemoryStore()
    (mine, witness), (other, _) = await loaded(store), await loaded(store)
    await mine.commit([lease(1), lease(2)])
    await other.load()
    await other.commit([lease(1, State.COOLING), lease(3)], [lease(2)])
    with pytest.raises(StaleRevision):
        await mine.commit([lease(1), lease(2), lease(3)])
    assert list(mine.every(Lease)) == [lease(1, State.COOLING), lease(3)]
    assert witness.seen[-3:] == [(lease(1), lease(1, State.COOLING)), (lease(2), None), (None, lease(3))]
    await mine.commit([lease(1), lease(2), lease(3)])
    assert mine.count(Lease) == 3


@pytest.mark.parametrize(("when", "there"), [(When.BEFORE, False), (When.AFTER, True)])
async def test_after_a_failure_the_mirror_shows_what_the_store_has(when: When, there: bool) -> None:
    """Whether or not the failed commit took effect, the cache agrees with the store and the next commit works."""
    store = MemoryStore()
    cache, witness = await loaded(store)
    store.fail_next(when)
    with pytest.raises(Unavailable):
        await cache.commit([lease(1)])
    assert (cache.lease("s", lease(1).address) is not None) == there == (len(store.records) == 1)
    assert witness.seen == ([(None, lease(1))] if there else [])
    await cache.commit([lease(1, State.COOLING)])
    assert list(cache.every(Lease)) == [lease(1, State.COOLING)]


async def test_after_cancellation_the_mirror_shows_what_the_store_has() -> None:
    """A cancelled commit, carried out or not, leaves cache and store in agreement."""
    for turns in range(4):
        store = MemoryStore()
        cache, _ = await loaded(store)
        async with asyncio.TaskGroup() as tasks:
            doomed = tasks.create_task(cache.commit([lease(1)]))
            for _ in range(turns):
                await asyncio.sleep(0)
            doomed.cancel()
        assert {stored.key_of(each) for each in cache.every(Lease)} == store.records.keys()
        await cache.commit([lease(1)])


async def test_commits_at_once_keep_mirror_and_store_equal() -> None:
    """Many tasks that write the same few records: afterwards both have the same, and listeners heard a chain."""
    store = MemoryStore()
    cache, witness = await loaded(store)

    async def writer(number: int) -> None:
        for step in range(20):
            wanted = lease((number + step) % 5, State.DYNAMIC if step % 2 else State.COOLING)
            try:
                await cache.commit(*(([wanted], []) if step % 3 else ([], [wanted])))
            except StaleRevision:
                continue

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(writer(number))
    assert {stored.key_of(each): stored.encode(each) for each in cache.every(Lease)} == store.records
    latest: dict[str, Record | None] = {}
    for before, after in witness.seen:
        subject = before or after
        assert subject is not None
        assert latest.get(stored.key_of(subject)) == before
        latest[stored.key_of(subject)] = after
