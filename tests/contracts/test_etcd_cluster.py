"""What is true of the client of a real etcd when members die, stand still, are full, or are not what they should be."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator, Sized
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.adapters.etcd import etcd_cluster
from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.member import Credentials, Outcome, Refused
from mooring.adapters.etcd.messages import fields_of, message, status
from mooring.core.faults import BadRequest, StaleRevision, Unavailable
from tests.adapters.certificates import Pair, authority, dated, signed
from tests.contracts.cluster_servers import credentials
from tests.e2e.lab.etcds import Etcd, Etcds, etcds

pytestmark = pytest.mark.slow


@pytest.fixture
async def cluster(three_members: Etcds) -> AsyncIterator[EtcdCluster]:
    """A client of three members with TLS."""
    client = EtcdCluster(three_members.endpoints, credentials(three_members), prefix="chaos/")
    yield client
    await client.close()


async def leader_of(servers: Etcds) -> Etcd:
    """The member that leads now."""
    for _ in range(100):
        for member in servers.members:
            client = EtcdCluster([member.endpoint], credentials(servers))
            said = status(await client.ask("Maintenance/Status", b"", again=True))
            await client.close()
            if said.leader == said.member:
                return member
        await asyncio.sleep(0.05)
    raise AssertionError("nobody leads")


class Writers:
    """Writers that make keys of their own and change them, and one who watches. stop: nobody begins another
    write. all_done: nor has one under way."""

    def __init__(self, client: EtcdCluster) -> None:
        self.client = client
        self.acknowledged: dict[tuple[int, str], bytes] = {}  # revision and key -> value
        self.ambiguous: set[tuple[str, bytes]] = set()
        self.seen: dict[tuple[int, str], bytes] = {}
        self.stop = self.all_done = False

    async def write(self, writer: int) -> None:
        """One key a time, until told to stop; after an ambiguous answer it is looked whose the key is, by the value."""
        count = 0
        while not self.stop:
            key, value = f"w/{writer}/{count % 3}", f"{writer} {count}".encode()
            count += 1
            try:
                entry = await self.client.get(key)
                revision = await self.client.put(key, value, entry.revision if entry else 0)
            except Unavailable:
                self.ambiguous.add((key, value))
                continue
            except StaleRevision:
                continue  # a write of ours that had timed out was done in between
            self.acknowledged[revision, key] = value

    async def watch(self, after: int) -> None:
        """See everything after the revision, across the ends of watches, until what is acknowledged last was seen."""
        while not self.all_done or after < max(self.acknowledged)[0]:
            try:
                async with aclosing(self.client.watch("w/", after)) as batches:
                    async for batch in batches:
                        for change in batch:
                            assert change.value is not None
                            assert (change.revision, change.key) not in self.seen
                            self.seen[change.revision, change.key] = change.value
                            after = change.revision
                        if self.all_done and after >= max(self.acknowledged)[0]:
                            return
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_no_acknowledged_write_is_lost_and_none_is_unseen_when_the_leader_dies(
    three_members: Etcds, cluster: EtcdCluster
) -> None:
    """kill -9 of the leader, and one that stands still, under eight writers. What was done is told once, in order."""
    work = Writers(cluster)
    _, start = await cluster.scan("")
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(work.watch(start))
        writing = [tasks.create_task(work.write(number)) for number in range(8)]
        for harm, mend in ((Etcd.kill, Etcd.start), (stand_still, go_on)):
            leader = await leader_of(three_members)
            harm(leader)
            await more(work.acknowledged, 100)  # it goes on without the leader
            mend(leader)
        work.stop = True
        await asyncio.gather(*writing)
        work.all_done = True
        await watching
    done = work.acknowledged
    assert {which: work.seen.get(which) for which in done} == done
    assert {(which[1], value) for which, value in work.seen.items() if which not in done} <= work.ambiguous
    last = {key: value for (_, key), value in sorted(work.seen.items())}
    assert {entry.key: entry.value for entry in (await cluster.scan("w/"))[0]} == last


async def more(acknowledged: Sized, count: int) -> None:
    """Wait until it has grown by so many."""
    before = len(acknowledged)
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.05)
            if len(acknowledged) >= before + count:
                return


def stand_still(member: Etcd) -> None:
    """It does not answer, and its connections stay."""
    member.send(signal.SIGSTOP)


def go_on(member: Etcd) -> None:
    """It answers again."""
    member.send(signal.SIGCONT)


async def test_writes_of_one_moment_are_one_transaction_of_etcd(cluster: EtcdCluster) -> None:
    """So they have one revision, and a watch from before it tells them together."""
    _, start = await cluster.scan("")
    revisions = await asyncio.gather(*(cluster.put(f"at once/{number}", b"1", 0) for number in range(20)))
    assert set(revisions) == {start + 1}
    async with aclosing(cluster.watch("at once/", start)) as batches:
        async for batch in batches:
            if batch:
                assert [change.revision for change in batch] == revisions
                break


async def test_what_goes_with_a_write_is_of_the_same_moment(cluster: EtcdCluster) -> None:
    """One transaction, one revision."""
    await cluster.scan("")
    revision, done = await cluster.put_with("first", b"1", 0, {"with/1": b"1", "with/2": b"2"})
    assert done == {"with/1", "with/2"}
    assert [entry.revision for entry in (await cluster.scan("with/"))[0]] == [revision] * 2


@pytest.mark.parametrize("refused", [False, True])
async def test_what_goes_with_a_write_goes_after_it_where_no_transaction_takes_both(
    cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """Behind what stands in for an etcd, and where an operator has lowered what a transaction may have."""
    where = f"refused-{refused}"
    await cluster.put(f"{where}/1", b"theirs", 0)
    ask = cluster.ask

    async def strict(method: str, request: bytes, *, again: bool = False) -> bytes:
        if [number for number, _ in fields_of(request)].count(2) > 1:
            raise Refused("too many operations in txn request", Outcome.REFUSED)
        return await ask(method, request, again=again)

    if refused:
        monkeypatch.setattr(cluster, "ask", strict)
    else:
        monkeypatch.setattr(cluster._writes, "grouping", False)
    _, done = await cluster.put_with(where, b"1", 0, {f"{where}/1": b"1", f"{where}/2": b"2"})
    assert done == {f"{where}/2"}
    assert {e.key: e.value for e in (await cluster.scan(f"{where}/"))[0]} == {
        f"{where}/1": b"theirs",
        f"{where}/2": b"2",
    }


@pytest.mark.parametrize("cancelled", [False, True])
async def test_nothing_that_goes_with_a_write_is_under_way_once_that_has_failed(
    cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    """Who was cancelled as a part of it failed is told of no fault."""
    fails, ended = asyncio.Event(), list[str]()

    async def put(key: str, value: bytes, expect: int) -> int:
        if key == "fails":
            fails.set()
            await asyncio.sleep(0)
            raise Unavailable("the store is away")
        for _ in range(5):
            await asyncio.sleep(0)
        ended.append(key)
        return 1

    monkeypatch.setattr(cluster._writes, "grouping", False)
    monkeypatch.setattr(cluster, "put", put)

    async def ask() -> None:
        with pytest.raises(Unavailable):
            await cluster.put_with("first", b"", 0, {"fails": b"", "slow": b""})
        assert ended == ["first", "slow"]

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask())
        await fails.wait()
        await asyncio.sleep(0)
        if cancelled:
            asking.cancel()
    assert asking.cancelled() is cancelled


async def test_an_answer_that_lacks_what_went_with_a_write_is_of_an_unknown_outcome(
    cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of what passes requests on to an etcd and knows less of them."""
    await cluster.scan("")

    async def short(method: str, request: bytes, *, again: bool = False) -> bytes:
        return message((1, b""), (2, 1))

    monkeypatch.setattr(cluster, "ask", short)
    with pytest.raises(Refused, match="not one of etcd's"):
        await cluster.put_with("short", b"1", 0, {"short/1": b"1"})


async def test_without_a_majority_everything_is_unavailable_within_seconds(
    three_members: Etcds, cluster: EtcdCluster
) -> None:
    """Reads, writes and watches; the one member that is up says that it has no leader. Then all is well by itself."""
    revision = await cluster.put("a", b"1", 0)
    first, *others = three_members.members
    async with aclosing(cluster.watch("", revision)) as batches:
        await anext(batches)
        for member in others:
            member.kill()
        async with asyncio.timeout(30):  # 5 are promised; the machine may be busy
            outcomes = await asyncio.gather(
                cluster.get("a"), cluster.scan(""), cluster.put("a", b"2", revision), cluster.delete("a", revision),
                cluster.put("b", b"1", 0, 10), drained(cluster, batches), return_exceptions=True,
            )  # fmt: skip
        assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Unavailable)] == []
        complaints = await cluster.complaints()
    assert any(line.startswith(f"etcd at {first.endpoint} has no leader") for line in complaints)
    assert sum("cannot be reached" in line for line in complaints) == 2
    for member in others:
        member.start()
    for _ in range(5):
        try:
            await cluster.get("a")  # there or not: what was unavailable may be done when the others are back
            break
        except Unavailable:
            pass
    while True:
        await asyncio.sleep(0.05)
        if not await cluster.complaints():
            break


async def drained(cluster: EtcdCluster, batches: AsyncIterator[object]) -> None:
    """Everything that the watch has to tell."""
    async for _ in batches:
        pass


async def test_a_watch_is_in_touch_while_nothing_changes(
    three_members: Etcds, cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member is asked again and again; one that stands still is given up."""
    monkeypatch.setattr(etcd_cluster, "ASKED", 0.05)
    monkeypatch.setattr(etcd_cluster, "SILENCE", 0.5)
    member = await leader_of(three_members)
    alone = EtcdCluster([member.endpoint], credentials(three_members))
    _, revision = await alone.scan("")
    async with aclosing(alone.watch("quiet/", revision)) as batches:
        assert [await anext(batches) for _ in range(4)] == [[]] * 4
        stand_still(member)
        try:
            with pytest.raises(Unavailable, match="was not heard for"):
                await drained(alone, batches)
        finally:
            go_on(member)
    await alone.close()


async def says(client: EtcdCluster, words: str) -> None:
    """It is refused with such words; on a busy machine not the first time, when there was not even a connection."""
    for _ in range(10):
        with pytest.raises(Unavailable) as refused:
            await client.get("a")
        if re.search(words, str(refused.value)):
            return
    raise AssertionError(f"{words} in {refused.value}")


def shown(right: Credentials, pair: Pair) -> Credentials:
    """The same with another certificate of the client."""
    return replace(right, certificate=pair.cert.read_bytes(), key=pair.key.read_bytes())


async def test_members_that_are_not_what_they_should_be_are_named(
    three_members: Etcds, one_member: Etcds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another authority, no certificate or an ended one, another name, another cluster: fault and complaint say so."""
    monkeypatch.setattr(etcd_cluster, "TOTAL", 0.6)
    right = credentials(three_members)
    other = authority(tmp_path, "other")
    wrong = other.cert.read_bytes()
    stranger, old = (
        signed(tmp_path, other, "stranger"),
        dated(tmp_path, other, "old", "20200101000000Z", "20210304050607Z"),
    )
    elsewhere = three_members.endpoints[0].replace("127.0.0.1", "127.0.0.2")
    for endpoints, given, words in [
        (three_members.endpoints, Credentials(wrong, right.certificate, right.key), "is not of the authority"),
        (three_members.endpoints, Credentials(right.ca), "wants a client's certificate, and there is none"),
        (three_members.endpoints, shown(right, stranger), "does not take the client's certificate stranger, signed by"),
        (three_members.endpoints, shown(right, old), "the client's certificate old ended at 2021-03-04 05:06 UTC"),
        ([elsewhere], right, "cannot be reached"),
    ]:
        client = EtcdCluster(endpoints, given)
        await says(client, words)
        assert len(await client.complaints()) == len(endpoints)
        await client.close()
    mixed = EtcdCluster([three_members.endpoints[0], one_member.endpoints[0]], right)
    assert await mixed.get("a") is None
    assert [line for line in await mixed.complaints() if "different clusters" in line] != []
    await mixed.close()


@pytest.fixture
def small_member(tmp_path: Path) -> Iterator[Etcds]:
    """Debian 12's, which has room for two megabytes."""
    with etcds(tmp_path, "bookworm", extra=["--quota-backend-bytes=2000000"]) as made:
        yield made


async def fill(client: EtcdCluster) -> None:
    """Write until it is full."""
    for number in range(100):  # the size is looked at now and then
        await client.put(f"k{number}", b"x" * 500_000, 0)


async def test_a_full_etcd_is_told(small_member: Etcds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes are refused in words that say what helps, reads go on, and it complains; of one that grows, too."""
    client = EtcdCluster(small_member.endpoints, Credentials())
    with pytest.raises(Unavailable, match=r"space exceeded; compact and defragment it, then `etcdctl alarm disarm`"):
        await fill(client)
    assert await client.get("k0") is not None
    assert await client.complaints() == [f"etcd at {small_member.endpoints[0]} has no space left"]
    monkeypatch.setattr(etcd_cluster, "LARGE", 1 << 20)
    assert "does it compact its history" in (await client.complaints())[0]
    await client.close()


async def test_accounts_of_etcd_are_used_where_they_are_configured(small_member: Etcds) -> None:
    """A wrong password is refused; a token that the member has forgotten is replaced."""
    client = EtcdCluster(small_member.endpoints, Credentials())
    await client.ask("Auth/UserAdd", message((1, b"root"), (2, b"secret")))
    await client.ask("Auth/RoleAdd", message((1, b"root")))
    await client.ask("Auth/UserGrantRole", message((1, b"root"), (2, b"root")))
    await client.ask("Auth/AuthEnable", b"")
    with pytest.raises(Unavailable):
        await client.get("a")
    await client.close()
    wrong = EtcdCluster(small_member.endpoints, Credentials(user="root", password="guess"))
    with pytest.raises(Unavailable, match="authentication failed"):
        await wrong.get("a")
    await wrong.close()
    right = EtcdCluster(small_member.endpoints, Credentials(user="root", password="secret"))
    revision = await right.put("a", b"1", 0)
    # Accounts change: what the member gave before counts no more, on the same connection.
    await right.ask("Auth/UserAdd", message((1, b"other"), (2, b"x")))
    await right.ask("Auth/UserChangePassword", message((1, b"root"), (2, b"secret")))
    assert await right.get("a") is not None
    small_member.members[0].kill()
    small_member.members[0].start()
    entry = await right.get("a")
    assert entry is not None
    assert entry.revision == revision
    await right.put("a", b"2", revision)
    await right.close()


def test_endpoints_are_urls() -> None:
    """What is none is refused as such."""
    for endpoints in ([], ["etcd1:2379"], ["ftp://etcd1:2379"], ["https://etcd1:2379/path"], ["https://"]):
        with pytest.raises(BadRequest):
            EtcdCluster(endpoints, Credentials())
