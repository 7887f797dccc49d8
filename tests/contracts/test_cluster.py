"""What every Cluster promises: the same tests over the one in memory and over etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from mooring.core.faults import BadRequest, Compacted, StaleRevision, Unavailable
from mooring.ports import Change, Cluster, Entry
from tests.contracts.cluster_servers import InMemory, OnEtcd, Servers, changes, next_batch


@pytest.fixture(
    params=["memory", *(pytest.param(name, marks=pytest.mark.slow) for name in ("one_member", "three_members"))]
)
def servers(request: pytest.FixtureRequest) -> Servers:
    """Each kind of servers in turn, empty, or so that nothing of what is there is seen."""
    if request.param == "memory":
        return InMemory()
    return OnEtcd(request.getfixturevalue(request.param), f"{request.node.name}/")


@pytest.fixture
async def cluster(servers: Servers) -> AsyncIterator[Cluster]:
    """A client."""
    client = servers.client("a")
    yield client
    await client.close()


async def no_complaints(cluster: Cluster) -> None:
    """Nothing is wrong with it, once each member had time: one has a second, which is short on a busy machine."""
    said: Sequence[str] = []
    for _ in range(20):
        if not (said := await cluster.complaints()):
            break
        await asyncio.sleep(0.1)
    assert list(said) == []


async def test_a_new_cluster_has_nothing(cluster: Cluster) -> None:
    """What was never written is None; a scan finds nothing, at a revision from which one can watch."""
    assert await cluster.get("a") is None
    found, revision = await cluster.scan("")
    assert list(found) == []
    assert revision > 0
    await no_complaints(cluster)


async def test_a_key_is_read_as_it_was_written_by_whoever_asks(servers: Servers, cluster: Cluster) -> None:
    """Value and revision of the last write, whatever client reads; revisions grow."""
    first = await cluster.put("a", b"1", 0)
    second = await cluster.put("a", b"\x00\xff" * 50_000, first)
    other = servers.client("b")
    assert await other.get("a") == Entry("a", b"\x00\xff" * 50_000, second)
    assert first < second == (await other.scan("a"))[1]
    await other.close()


@pytest.mark.parametrize("there", [True, False])
async def test_a_stale_write_changes_nothing(cluster: Cluster, there: bool) -> None:
    """Another revision than the key has, or a key that is gone: the fault names it, and all stays as it was."""
    revision = await cluster.put("a", b"1", 0)
    if not there:
        await cluster.delete("a", revision)
    for expect in [0, revision + 7] if there else [revision, revision + 7]:
        with pytest.raises(StaleRevision) as caught:
            await cluster.put("a", b"2", expect)
        assert caught.value.key == "a"
    for expect in (0, revision + 7):
        with pytest.raises(StaleRevision):
            await cluster.delete("a", expect)
    assert await cluster.get("a") == (Entry("a", b"1", revision) if there else None)


async def test_a_key_that_was_deleted_can_be_made_anew(cluster: Cluster) -> None:
    """Its revision is never one that it had."""
    first = await cluster.put("a", b"1", 0)
    await cluster.delete("a", first)
    assert await cluster.get("a") is None
    again = await cluster.put("a", b"1", 0)
    assert again > first + 1
    with pytest.raises(StaleRevision):
        await cluster.delete("a", first)


async def test_one_of_many_who_want_a_key_gets_it(servers: Servers) -> None:
    """Of clients that make it at once all others are told that they were late."""
    clients = [servers.client(f"host{number}") for number in range(8)]
    outcomes = await asyncio.gather(
        *(client.put("a", str(number).encode(), 0) for number, client in enumerate(clients)), return_exceptions=True
    )
    [winner] = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
    assert sum(isinstance(outcome, StaleRevision) for outcome in outcomes) == 7
    entry = await clients[0].get("a")
    assert entry is not None
    assert entry.value == str(winner).encode()
    for client in clients:
        await client.close()


async def test_of_many_requests_of_one_moment_each_has_its_own_outcome(cluster: Cluster) -> None:
    """However they travel: writes of keys that are there, are not, or are another's; two of one key; and reads."""
    there = [await cluster.put(f"there/{number}", b"old", 0) for number in range(3)]
    outcomes = await asyncio.gather(
        *(cluster.put(f"new/{number}", b"new", 0) for number in range(150)),
        cluster.put("there/0", b"new", there[0]),
        cluster.put("there/1", b"late", there[1] + 1000),
        cluster.delete("there/2", there[2]),
        cluster.put("twice", b"1", 0),
        cluster.put("twice", b"2", 0),
        cluster.put("long/1", bytes(700_000), 0),
        cluster.put("long/2", bytes(700_000), 0),
        return_exceptions=True,
    )
    *new, changed, late, deleted, first, second, long, longer = outcomes
    assert all(isinstance(each, int) for each in (*new, changed, long, longer))
    assert isinstance(late, StaleRevision)
    assert late.key == "there/1"
    assert deleted is None
    assert sorted([isinstance(first, int), isinstance(second, int)]) == [False, True]
    names = [*(f"new/{number}" for number in range(150)), "there/0", "there/1", "there/2", "twice", "never"]
    read = dict(zip(names, await asyncio.gather(*map(cluster.get, names)), strict=True))
    for number, revision in enumerate(new):
        assert read[f"new/{number}"] == Entry(f"new/{number}", b"new", revision)  # type: ignore[arg-type]
    assert read["there/0"] == Entry("there/0", b"new", changed)  # type: ignore[arg-type]
    assert read["there/1"] == Entry("there/1", b"old", there[1])
    assert read["there/2"] is read["never"] is None
    assert read["twice"] is not None
    assert read["twice"].value == (b"1" if isinstance(first, int) else b"2")


@pytest.mark.parametrize("count", [1, 16, 150])
async def test_what_goes_with_a_write_is_there_where_the_key_was_not(cluster: Cluster, count: int) -> None:
    """What is there stays as it is, and is not among what was done; the revision is the first key's."""
    there = await cluster.put("with/0", b"theirs", 0)
    first = await cluster.put("first", b"1", 0)
    others = {f"with/{number}": b"ours" for number in range(count + 1)}
    revision, done = await cluster.put_with("first", b"2", first, others)
    assert done == others.keys() - {"with/0"}
    assert await cluster.get("first") == Entry("first", b"2", revision)
    assert await cluster.get("with/0") == Entry("with/0", b"theirs", there)
    entries, _ = await cluster.scan("with/")
    assert {entry.key: entry.value for entry in entries} == others | {"with/0": b"theirs"}
    assert await cluster.put("first", b"3", revision) > revision


@pytest.mark.parametrize("there", [True, False])
async def test_nothing_goes_with_a_write_that_comes_too_late(cluster: Cluster, there: bool) -> None:
    """Whether the key is another's by now, or was to be new and is not."""
    written = await cluster.put("first", b"1", 0)
    with pytest.raises(StaleRevision) as refused:
        await cluster.put_with("first", b"2", written + 1000 if there else 0, {"with/1": b"1"})
    assert refused.value.key == "first"
    assert {entry.key: entry.value for entry in (await cluster.scan(""))[0]} == {"first": b"1"}
    assert (await cluster.put_with("new", b"", 0, {}))[1] == set()


async def test_a_scan_is_what_is_under_the_prefix_in_order(cluster: Cluster) -> None:
    """Plain text prefixes, in the order of code points, more than a page of them; the revision is the store's."""
    names = [f"k/{number:03d}" for number in range(250)] + ["k/ä", "k/\ud7ff", "k/\uffff", "k/😀", "k/\U0010ffff"]
    outside = ["k", "k.", "k0", "l"]
    revisions = await asyncio.gather(*(cluster.put(name, b"v", 0) for name in reversed(names + outside)))
    found, revision = await cluster.scan("k/")
    assert [entry.key for entry in found] == names
    assert revision == max(revisions)
    assert [entry.key for entry in (await cluster.scan(""))[0]] == sorted(names + outside)


async def test_a_watch_tells_every_write_under_its_prefix_in_order(servers: Servers, cluster: Cluster) -> None:
    """Those from before it began and after the revision too, deletions as None; what others wrote; nothing twice."""
    _, start = await cluster.scan("k/")
    first = await cluster.put("k/a", b"1", 0)
    await cluster.put("other", b"1", 0)
    await cluster.delete("k/a", first)
    told: list[Change] = []
    async with aclosing(servers.client("b").watch("k/", start)) as batches:
        while len(told) < 2:
            told += await next_batch(batches)
        late = await cluster.put("k/b", b"2", 0)
        told += await next_batch(batches)
        last = await cluster.put("k/b", b"3", late)
        told += await next_batch(batches)
    assert [(change.key, change.value) for change in told] == [
        ("k/a", b"1"),
        ("k/a", None),
        ("k/b", b"2"),
        ("k/b", b"3"),
    ]
    assert [change.revision for change in told] == [first, told[1].revision, late, last]
    assert first < told[1].revision < late
    assert await changes(cluster, "k/", first, 1) == [told[1]]
    assert await changes(cluster, "", start, 2) == [told[0], Change("other", b"1", first + 1)]


async def test_a_watch_that_has_nothing_to_tell_is_heard(servers: Servers, cluster: Cluster) -> None:
    """An empty batch says that it is in touch; then it goes on telling."""
    async with aclosing(cluster.watch("k/", (await cluster.scan(""))[1])) as batches, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(anext(batches))
        await asyncio.sleep(0.01)
        await servers.pass_time(servers.quiet)
        assert list(await waiting) == []
        await cluster.put("k/a", b"1", 0)
        assert [change.key for change in await next_batch(batches)] == ["k/a"]


async def test_a_watch_of_what_is_forgotten_says_so(servers: Servers, cluster: Cluster) -> None:
    """From before the compaction there is no way but a scan; from the scan's revision on everything is told."""
    first = await cluster.put("a", b"1", 0)
    second = await cluster.put("a", b"2", first)
    await servers.compact(second)
    for after in (0, first):
        with pytest.raises(Compacted):
            await changes(cluster, "", after, 1)
    found, revision = await cluster.scan("")
    assert [entry.revision for entry in found] == [second]
    third = await cluster.put("a", b"3", second)
    assert await changes(cluster, "", revision, 1) == [Change("a", b"3", third)]


async def test_a_deletion_is_told_that_comes_right_after_a_compaction(servers: Servers, cluster: Cluster) -> None:
    """Who has seen the revision up to which was compacted misses nothing; who has not is told."""
    first = await cluster.put("a", b"1", 0)
    await cluster.delete("a", first)
    deleted = (await cluster.scan(""))[1]
    await servers.compact(first)
    assert await changes(cluster, "", first, 1) == [Change("a", None, deleted)]
    await servers.compact(deleted)
    with pytest.raises(Compacted):  # etcd#18089: before 3.4.34 and 3.5.15 it would be left out, and nothing said
        await changes(cluster, "", first, 1)


async def test_a_watch_from_a_revision_that_never_was_says_so(cluster: Cluster) -> None:
    """A backup was restored, and what comes now is no sequel to what the watcher has seen (etcd#14303)."""
    seen = await cluster.put("a", b"1", 0)
    with pytest.raises(Compacted):
        await changes(cluster, "", seen + 1000, 1)


async def test_a_key_goes_when_its_time_is_over(servers: Servers, cluster: Cluster) -> None:
    """Not before, and not when it was written again meanwhile; what has no time stays; watches are told."""
    ttl = servers.ttl
    gone = await cluster.put("gone", b"1", 0, ttl)
    renewed = await cluster.put("renewed", b"1", 0, ttl)
    kept = await cluster.put("kept", b"1", 0, ttl)
    await servers.pass_time(ttl / 2)
    assert len((await cluster.scan(""))[0]) == 3
    await cluster.put("kept", b"2", kept)
    renewed = await cluster.put("renewed", b"2", renewed, 100)
    assert (await changes(cluster, "gone", gone - 1, 1))[0].value == b"1"
    await servers.pass_time(ttl / 2)
    [ended] = await changes(cluster, "gone", gone, 1)
    assert (ended.key, ended.value) == ("gone", None)
    await servers.pass_time(ttl)
    assert {entry.key: entry.value for entry in (await cluster.scan(""))[0]} == {"kept": b"2", "renewed": b"2"}
    with pytest.raises(StaleRevision):
        await cluster.put("gone", b"2", gone)


@pytest.mark.parametrize("key", ["", "a\ud800"])
async def test_a_key_is_text(cluster: Cluster, key: str) -> None:
    """What never could be written is refused as such."""
    with pytest.raises(BadRequest):
        await cluster.put(key, b"", 0)
    with pytest.raises(BadRequest):
        await cluster.get(key)
    with pytest.raises(BadRequest):
        await cluster.put_with("a", b"", 0, {key: b""})
    assert await cluster.get("a") is None


async def test_a_closed_client_says_so(servers: Servers, cluster: Cluster) -> None:
    """All its calls and its watches end in Unavailable; others go on; closing twice is fine."""
    written = await cluster.put("a", b"1", 0)
    batches = cluster.watch("", written - 1)
    assert len(await next_batch(batches)) == 1
    await cluster.close()
    await cluster.close()
    with pytest.raises(Unavailable):
        await next_batch(batches)
    for call in (cluster.get("a"), cluster.scan(""), cluster.put("a", b"", written), cluster.delete("a", written)):
        with pytest.raises(Unavailable):
            await call
    other = servers.client("b")
    assert await other.get("a") is not None
    await other.close()
