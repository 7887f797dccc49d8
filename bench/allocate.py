"""allocate: durable allocations a second at the service, over a bare loop of write and fdatasync on the same disk.

No socket and no HTTP: so many tasks ask `Ipam.request_address` one address after another, each with a MAC of its own,
over the SQLite store; an answer counts when it is there, and then it is durable. The peer appends 128 bytes, the size
of a small record, and syncs them. Each measurement stands between two of the peer, and is divided by their mean.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import uvloop

from mooring.adapters.host.clocks import SystemClock
from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_kernel import MemoryKernel

CONCURRENCY = (1, 16, 64, 256)
RUNS = 7
SECONDS = 0.7
RECORD = b"x" * 128


def bare_rate(folder: Path) -> float:
    """Appends of one record with fdatasync, a second."""
    file = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        done = 0
        begin = time.perf_counter()
        while time.perf_counter() - begin < SECONDS / 2:
            os.write(file, RECORD)
            os.fdatasync(file)
            done += 1
        return done / (time.perf_counter() - begin)
    finally:
        os.close(file)


async def allocation_rate(ipam: Ipam, concurrency: int) -> float:
    """Durable allocations a second with so many requests under way, in a pool of its own."""
    subnet = ip_network("10.0.0.0/12")
    grant = await ipam.request_pool(PoolRequest("default", 4, subnet))
    numbers = count()
    begin = time.perf_counter()

    async def ask() -> None:
        while time.perf_counter() - begin < SECONDS:
            number = next(numbers)
            mac = f"02:00:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            await ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT, mac=mac))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(ask())
    rate = next(numbers) / (time.perf_counter() - begin)
    await ipam.release_pool(grant.pool)
    return rate


async def measure(folder: Path) -> None:
    """Print the rates of every concurrency and, at last, the line of the benchmark."""
    store = await open_sqlite_store(str(folder / "store.sqlite"))
    cache = RecordCache(store)
    ipam = Ipam(cache, SystemClock(), IpamPolicy(), MemoryKernel())
    await cache.load()
    ratios: dict[int, list[float]] = {each: [] for each in CONCURRENCY}
    rates: dict[int, list[float]] = {each: [] for each in CONCURRENCY}
    bare = [bare_rate(folder)]
    for _ in range(RUNS):
        for concurrency in CONCURRENCY:
            rate = await allocation_rate(ipam, concurrency)
            bare.append(bare_rate(folder))
            rates[concurrency].append(rate)
            ratios[concurrency].append(rate / statistics.mean(bare[-2:]))
    await store.close()
    print(f"bare write and fdatasync: {statistics.median(bare):.0f}/s ({min(bare):.0f} to {max(bare):.0f})")
    for concurrency in CONCURRENCY:
        print(
            f"concurrency {concurrency:3}: {statistics.median(rates[concurrency]):.0f}/s, "
            f"ratio {statistics.median(ratios[concurrency]):.2f} "
            f"({min(ratios[concurrency]):.2f} to {max(ratios[concurrency]):.2f})"
        )
    print(f"allocate ratio={statistics.median(ratios[64]):.2f} peer=fdatasync n={RUNS}")


def main() -> int:
    """Run in a directory of its own; the first argument says where (another disk, say)."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        uvloop.run(measure(Path(folder)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
