"""cluster-claim: addresses and blocks a second that a host claims of a cluster, over etcd's transactions one by one.

Real etcds on the same disk, one member and then three with TLS, and the real services over a SQLite store. fixed:
addresses of a host's own blocks for containers of their own key, so many at a time, each known here and there before it
is answered; the blocks are claimed as they are needed. named: for keys that outlive their container, which are the same
on all hosts. blocks: several at once, as a host claims them that needs many, and one after another.

Peer: a loop of transactions of etcd, each a compare-and-swap of a key of its own, by the same client and as many at a
time. The second peer asks by our port as often and for the same kinds of things as the claims did (reads, scans,
writes; what comes together, it sends together), and does nothing else: what of the first ratio is the protocol's, and
what is ours. Rounds alternate; the ratios are of rates within a round, and their median is printed. cpu of etcd is in
all of them, but for the one of processor time, which other work on the machine changes least.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from ipaddress import ip_network
from pathlib import Path

import uvloop

from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.messages import put_request, succeeded
from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.address_claims import Spec
from mooring.core.requests import PoolRequest
from mooring.ports import Change, Entry
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.shared_values import Member
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from tests.contracts.cluster_servers import credentials
from tests.e2e.lab.etcds import Etcds, etcds
from tests.services.ipam_hosts import Host

ROUNDS = 5
CLAIMS = 192
AT_ONCE = 32
BLOCKS = 20
BLOCKS_AT_ONCE = 8
SUBNET, EMPTY = ip_network("10.128.0.0/12"), ip_network("10.144.0.0/12")
SIZE = 200


class Counted:
    """A Cluster that counts what it is asked."""

    def __init__(self, cluster: EtcdCluster) -> None:
        self._cluster = cluster
        self.asked: Counter[str] = Counter()

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        self.asked["read"] += 1
        return await self._cluster.get(key)

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """See the port."""
        self.asked["scan"] += 1
        return await self._cluster.scan(prefix)

    async def put(self, key: str, value: bytes, expect: int, ttl: float | None = None) -> int:
        """See the port."""
        self.asked["write"] += 1
        return await self._cluster.put(key, value, expect, ttl)

    async def put_with(self, key: str, value: bytes, expect: int, new: Mapping[str, bytes]) -> tuple[int, Set[str]]:
        """See the port."""
        self.asked["write"] += 1 + len(new)
        return await self._cluster.put_with(key, value, expect, new)

    async def delete(self, key: str, expect: int) -> None:
        """See the port."""
        self.asked["write"] += 1
        await self._cluster.delete(key, expect)

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Change], None]:
        """See the port."""
        return self._cluster.watch(prefix, after)

    async def complaints(self) -> Sequence[str]:
        """See the port."""
        return await self._cluster.complaints()

    async def close(self) -> None:
        """See the port."""
        await self._cluster.close()


async def rate(count: int, at_once: int, work: Callable[[int], Awaitable[object]]) -> float:
    """How many a second, so many at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
    return count / (time.perf_counter() - began)


class Bench:
    """The rounds of all kinds, and what was found."""

    def __init__(self, cluster: EtcdCluster, what: str) -> None:
        self.bare, self.counted, self.what = cluster, Counted(cluster), what
        self.written = 0
        self.over_writes: dict[str, list[float]] = {}
        self.over_same: dict[str, list[float]] = {}
        self.asked: dict[str, Counter[str]] = {}
        self.micro: dict[str, list[float]] = {}
        self.work: dict[str, list[float]] = {}  # processor time of a bare write over that of ours

    async def write(self, _: int) -> None:
        """One compare-and-swap as a transaction of its own."""
        self.written += 1
        request = put_request(f"mooring/bare/{self.written}".encode(), bytes(SIZE), 0, 0)
        assert succeeded(await self.bare.ask("KV/Txn", request))

    async def put(self, _: int) -> None:
        """One by the port."""
        self.written += 1
        await self.bare.put(f"bare/{self.written}", bytes(SIZE), 0)

    async def same(self, asked: Counter[str], count: int, at_once: int) -> float:
        """How many a second it would be, were there nothing but what was asked for so many."""
        work = [kind for kind in asked for _ in range(asked[kind])]
        work = [work[number * 7919 % len(work)] for number in range(len(work))] if len(work) % 7919 else work

        async def ask(number: int) -> None:
            match work[number]:
                case "read":
                    await self.bare.get(f"bare/{number + 1}")
                case "scan":
                    await self.bare.scan(f"bare/{number + 1}/")
                case _:
                    await self.put(number)

        return await rate(len(work), at_once, ask) / len(work) * count

    async def compare(self, kind: str, count: int, at_once: int, work: Callable[[int], Awaitable[object]]) -> None:
        """One round of a kind, between its peers."""
        began = time.process_time()
        writes = await rate(count, at_once, self.write)
        between = time.process_time()
        self.counted.asked.clear()
        ours = await rate(count, at_once, work)
        self.work.setdefault(kind, []).append((between - began) / (time.process_time() - between))
        asked = Counter(self.counted.asked)
        same = await self.same(asked, count, at_once)
        self.over_writes.setdefault(kind, []).append(ours / writes)
        self.over_same.setdefault(kind, []).append(ours / same)
        self.asked[kind] = Counter({what: round(100 * number / count) for what, number in asked.items()})
        for what, found in (("bare", writes), ("same", same), ("ours", ours)):
            self.micro.setdefault(f"{kind} {what}", []).append(1e6 / found)

    def tell(self) -> None:
        """All of it."""
        print(f"{self.what}:")
        for kind, ratios in self.over_writes.items():
            asked = ", ".join(f"{number / 100:.2f} {what}s" for what, number in sorted(self.asked[kind].items()))
            bare, same, ours = (statistics.median(self.micro[f"{kind} {what}"]) for what in ("bare", "same", "ours"))
            print(f"{kind}: {ours:.0f} us each: {asked}; those alone {same:.0f} us, a transaction {bare:.0f} us")
            print(f"{kind}: by processor time of this process {statistics.median(self.work[kind]):.3f} of transactions")
            for peer, found in (("transactions", ratios), ("same-requests", self.over_same[kind])):
                name = f"cluster-claim-{kind}-{self.what}"
                print(f"{name} ratio={statistics.median(found):.3f} peer={peer} n={len(found)}")


async def measure(folder: Path, cluster: EtcdCluster, what: str) -> None:
    """Rounds of all kinds."""
    store = await open_sqlite_store(str(folder / "store"))
    cache = RecordCache(store)
    clock = ManualClock()
    bench = Bench(cluster, what)
    ipam = Ipam(cache, clock, IpamPolicy(), Host())
    plan = AddressPlan(cache, ipam.index, bench.counted, clock, Member("A", "b1"))
    ipam.shared.plan = plan
    await cache.load()
    await plan.begin()
    for subnet in (SUBNET, EMPTY):
        await ipam.request_pool(PoolRequest("default", 4, subnet, options={"gateway": "none"}))
        await plan.share("default", subnet)
    (pool,) = ipam.index.pools_of("default", EMPTY)
    for turn in range(ROUNDS):

        async def claim(number: int, kind: str, turn: int = turn) -> None:
            key = f"{kind}:{turn}-{number}"
            await plan.claim(Spec("default", SUBNET, clock.token(), key=key, mac="02:00:00:00:00:01", holder=key))

        await bench.compare("fixed", CLAIMS, AT_ONCE, lambda number: claim(number, "container"))
        await bench.compare("named", CLAIMS, AT_ONCE, lambda number: claim(number, "key"))
        await bench.compare("blocks", BLOCKS, 1, lambda _: plan.more(pool))
        await bench.compare("blocks-at-once", 2 * BLOCKS, BLOCKS_AT_ONCE, lambda _: plan.more(pool))
        await plan.turn()
        print(f"round {turn + 1} of {ROUNDS}", flush=True)
    await store.close()
    bench.tell()


def main() -> int:
    """Run with servers of its own."""
    for what, suite, members in (("one-member", "bookworm", 1), ("three-with-tls", "trixie", 3)):
        with tempfile.TemporaryDirectory() as folder, etcds(Path(folder), suite, members, members > 1) as servers:

            async def run(folder: str = folder, servers: Etcds = servers, what: str = what) -> None:
                cluster = EtcdCluster(servers.endpoints, credentials(servers))
                try:
                    await measure(Path(folder), cluster, what)
                finally:
                    await cluster.close()

            uvloop.run(run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
