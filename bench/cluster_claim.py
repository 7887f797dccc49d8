"""cluster-claim: addresses and blocks a second that a host claims of a cluster, over bare writes of the same client.

A real etcd of one member, the real services over a SQLite store on the same disk. Fixed: addresses of a host's own
blocks for containers of their own key, so many at a time, each known here and there before it is answered. Named: for
keys that outlive their container, which are the same on all hosts. Blocks: one after another, as one host claims them,
with what is read before and after. Peer: compare-and-swap of keys of their own by the same client, as many at a time.
Rounds alternate; the ratios are of rates within a round, and their median is printed. cpu of etcd is in both.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path

import uvloop

from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.member import Credentials
from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.address_claims import Spec
from mooring.core.requests import PoolRequest
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.shared_values import Member
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from tests.e2e.lab.etcds import etcds
from tests.services.ipam_hosts import Host

ROUNDS = 3
CLAIMS = 192
AT_ONCE = 32
BLOCKS = 20
SUBNET = ip_network("10.128.0.0/12")


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


async def measure(folder: Path, cluster: EtcdCluster) -> None:
    """Rounds of all four."""
    store = await open_sqlite_store(str(folder / "store"))
    cache = RecordCache(store)
    clock = ManualClock()
    ipam = Ipam(cache, clock, IpamPolicy(), Host())
    plan = AddressPlan(cache, ipam.index, cluster, clock, Member("A", "b1"))
    ipam.shared.plan = plan
    await cache.load()
    await plan.begin()
    await ipam.request_pool(PoolRequest("default", 4, SUBNET, options={"gateway": "none"}))
    await plan.share("default", SUBNET)
    (pool,) = ipam.index.pools_of("default", SUBNET)
    found: dict[str, list[float]] = {"fixed": [], "named": [], "blocks": []}
    for turn in range(ROUNDS):

        async def bare(number: int, turn: int = turn) -> None:
            await cluster.put(f"bare/{turn}/{number}", bytes(200), 0)

        async def fixed(number: int, kind: str = "container", turn: int = turn) -> None:
            key = f"{kind}:{turn}-{number}"
            await plan.claim(Spec("default", SUBNET, clock.token(), key=key, mac="02:00:00:00:00:01", holder=key))

        one = await rate(BLOCKS, 1, lambda number: cluster.put(f"one/{turn}/{number}", bytes(200), 0))  # noqa: B023
        found["blocks"].append(await rate(BLOCKS, 1, lambda _: plan.more(pool)) / one)
        many = await rate(CLAIMS, AT_ONCE, bare)
        found["fixed"].append(await rate(CLAIMS, AT_ONCE, fixed) / many)
        found["named"].append(await rate(CLAIMS, AT_ONCE, lambda n: fixed(n, "key")) / many)
        await plan.turn()
        print(f"round {turn + 1}: {many:.0f} bare writes a second at {AT_ONCE}, {one:.0f} at one", flush=True)
    await store.close()
    for kind, ratios in found.items():
        print(f"cluster-claim-{kind} ratio={statistics.median(ratios):.3f} peer=bare-writes n={ROUNDS}")


def main() -> int:
    """Run with a server of its own."""
    with tempfile.TemporaryDirectory() as folder, etcds(Path(folder), "bookworm") as servers:

        async def run() -> None:
            cluster = EtcdCluster(servers.endpoints, Credentials())
            try:
                await measure(Path(folder), cluster)
            finally:
                await cluster.close()

        uvloop.run(run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
