"""cluster-memory: what a host has of 10 000 endpoints that 50 hosts advertise: memory, traffic, time to be ready.

A real etcd of one member; the advertisements are written as the hosts would, with two addresses and three names each,
in one network. Then a process of its own, with the daemon's services over the kernel in memory, follows them: the
seconds until all are read and in the overlay and the names, its resident memory before and after, and what etcd sent
meanwhile (its own count). After that a thousand endpoints go and come elsewhere, and what is sent for each change is
counted, and the processor time that it takes. Nothing is compared: the limits are none, and the figures are reported.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import uvloop

from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.member import Credentials
from mooring.adapters.host.clocks import SystemClock
from mooring.core.advertisements import Advertisement
from mooring.core.overlays import Overlay
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.assembly import assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from mooring.wire import cluster_forms
from tests.e2e.lab.etcds import etcds

HOSTS, EACH = 50, 200
CHANGES = 1000
AT_ONCE = 32
SUBNET = ip_network("10.128.0.0/12")
NETWORK, SHARED = "a" * 64, "n1"


def advertisement(number: int, host: int) -> Advertisement:
    """The endpoint of that number, on that host."""
    return Advertisement(
        network=SHARED,
        host=f"host{host:02}",
        endpoint=f"{number:064x}",
        mac=f"02:42:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        addresses=(ip_address(int(SUBNET.network_address) + 256 + number), ip_address((0xFD00 << 112) + 256 + number)),
        underlay=ip_address(0xC6120000 + host),
        container=f"{number:064x}",
        names=(f"web-{number}", f"{number:012x}", f"app-{number % 100}"),
    )


def sent(endpoint: str) -> int:
    """Bytes that this etcd has sent to its clients."""
    with urllib.request.urlopen(f"{endpoint}/metrics") as answer:
        found = re.search(r"^etcd_network_client_grpc_sent_bytes_total (\S+)", answer.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def resident() -> float:
    """This process' memory, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def each(work: Sequence[tuple[str, bytes | None, int]], cluster: EtcdCluster) -> None:
    """All are written, many at a time."""
    left = iter(work)

    async def some() -> None:
        for key, value, revision in left:
            if value is None:
                await cluster.delete(key, revision)
            else:
                await cluster.put(key, value, revision)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())


async def follow(endpoint: str) -> None:
    """The process that is measured: it says when it is ready, and ends when its input does."""
    cluster = EtcdCluster([endpoint], Credentials())
    kernel = MemoryKernel()
    world = World(MemoryStore(), kernel, MemoryPortGuard(), MemoryEngine(), SystemClock())
    services = assemble(world, IpamPolicy(boot="b1"))
    assert services.keeping is not None
    await services.cache.load()
    grant = await services.ipam.request_pool(PoolRequest("default", 4, SUBNET))
    parts = (SegmentRequest("default", SUBNET, grant.gateway),)
    await services.networks.create(NetworkRequest(NETWORK, {}, False, parts, ()))
    feed, overlays = services.overlay_feed, services.repair.overlays
    changes = [0]
    feed.listen(lambda *_: changes.__setitem__(0, changes[0] + 1))
    services.keeping.host_names.remote.take_part(SHARED, NETWORK)
    await cluster.get("nothing")
    before = resident()
    feed.open(SHARED, NETWORK, Overlay(7, ip_address("198.18.255.1"), 4790))
    began = time.perf_counter()
    tasks = [asyncio.get_running_loop().create_task(each) for each in (feed.run(), overlays.run())]
    feed.enter(cluster, "me")
    while changes[0] < HOSTS * EACH:
        await asyncio.sleep(0.005)
    scanned = time.perf_counter() - began
    await overlays.settle()
    ready = time.perf_counter() - began
    print(f"ready {scanned:.3f} {ready:.3f} {before:.1f} {resident():.1f}", flush=True)
    changes[0], spent = 0, time.process_time()
    while changes[0] < 2 * CHANGES:
        await asyncio.sleep(0.01)
    await overlays.settle()
    print(f"followed {(time.process_time() - spent) / CHANGES / 2 * 1e6:.0f} {resident():.1f}", flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await cluster.close()


async def measure(endpoint: str) -> None:
    """Write, have it followed, and change some."""
    cluster = EtcdCluster([endpoint], Credentials())
    all_of_them = [advertisement(number, number % HOSTS) for number in range(HOSTS * EACH)]
    values = [(cluster_forms.key_of(one), cluster_forms.encode(one), 0) for one in all_of_them]
    await each(values, cluster)
    size = sum(len(key) + len(value or b"") for key, value, _ in values)
    sent_before = sent(endpoint)
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "follow", endpoint, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert child.stdout is not None
    _, scanned, ready, before, after = (await child.stdout.readline()).decode().split()
    sent_ready = sent(endpoint)
    print(f"{len(values)} endpoints of {HOSTS} hosts, {size / len(values):.0f} bytes each in the cluster")
    print(f"read and told after {float(scanned):.2f} s, in the overlay after {float(ready):.2f} s")
    print(f"memory {before} to {after} MB; etcd sent {(sent_ready - sent_before) / 1e6:.2f} MB")
    known = {entry.key: entry.revision for entry in (await cluster.scan("ep/"))[0]}
    sent_scan = sent(endpoint)
    gone: list[tuple[str, bytes | None, int]] = [(key, None, known[key]) for key, _, _ in values[:CHANGES]]
    moved = [advertisement(number, (number + 1) % HOSTS) for number in range(CHANGES)]
    writes_before = sent(endpoint)
    await each(gone, cluster)
    await each([(cluster_forms.key_of(one), cluster_forms.encode(one), 0) for one in moved], cluster)
    _, spent, last = (await child.stdout.readline()).decode().split()
    total = sent(endpoint) - writes_before
    print(f"{2 * CHANGES} changes: {total / CHANGES / 2:.0f} bytes sent each, the writer's answers with them;", end=" ")
    print(f"{spent} us of the processor each; memory {last} MB (scan {(sent_scan - sent_ready) / 1e6:.2f} MB)")
    await child.wait()
    await cluster.close()
    print(f"cluster-memory ratio={float(after) - float(before):.1f} peer=megabytes-for-{len(values)} n=1")


def main() -> int:
    """Run with a server of its own; or be the one that follows."""
    if sys.argv[1:2] == ["follow"]:
        uvloop.run(follow(sys.argv[2]))
        return 0
    with tempfile.TemporaryDirectory() as folder, etcds(Path(folder), "bookworm") as servers:
        uvloop.run(measure(servers.endpoints[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
