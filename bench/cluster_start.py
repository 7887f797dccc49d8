"""cluster-start: a container's start in a subnet that is shared in a cluster, over one in a subnet of this host alone.

RequestAddress, CreateEndpoint and Join at the services, which is three commits, over a SQLite store, with the kernel in
memory. One host is alone; the other is in a cluster, a real etcd on the same disk, with its turns as in the daemon,
which claim blocks ahead. Rounds alternate. First the hosts have nothing, and each start takes an address that nobody
had (growing: a block for sixteen of them); then containers come and go (steady). The ratio is of the medians of
all starts, one at a time, and with so many at once.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from ipaddress import IPv4Interface, ip_network
from itertools import count
from pathlib import Path

import uvloop

from mooring.adapters.etcd.etcd_cluster import EtcdCluster
from mooring.adapters.etcd.member import Credentials
from mooring.adapters.host.clocks import SystemClock
from mooring.adapters.sqlite.sqlite_store import SqliteStore, open_sqlite_store
from mooring.core.cluster_hosts import ClusterAccess, Membership
from mooring.core.cluster_networks import ClusterNetwork, NetworkMember
from mooring.core.requests import (
    AddressRequest,
    EndpointRequest,
    JoinRequest,
    NetworkRequest,
    PoolRequest,
    Role,
    SegmentRequest,
)
from mooring.services.assembly import Services, assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from tests.e2e.lab.etcds import etcds

ROUNDS = 6
STARTS = {1: 32, 32: 96}
SUBNET = ip_network("10.128.0.0/12")
NETWORK = "a" * 64
BOOT = "b1"


class Host:
    """The services over a store of their own, with one network. starts: seconds of each, by how many at once."""

    def __init__(self, name: str, store: SqliteStore) -> None:
        self.name, self.store = name, store
        world = World(store, MemoryKernel(), MemoryPortGuard(), MemoryEngine(), SystemClock())
        self.services: Services = assemble(world, IpamPolicy(boot=BOOT))
        self.numbers = count(1)
        self.running: list[tuple[str, IPv4Interface]] = []
        self.pool = ""

    async def begin(self, cluster: EtcdCluster | None) -> None:
        """The network is there, and shared where there is a cluster."""
        services = self.services
        await services.cache.load()
        if cluster is not None:
            access = ClusterAccess(cluster="bench", endpoints=("http://127.0.0.1",))
            await services.cluster_runtime.entered(
                cluster, Membership(access=access, host="A", name="web1", machine="m1")
            )
        grant = await services.ipam.request_pool(PoolRequest("default", 4, SUBNET))
        parts = (SegmentRequest("default", SUBNET, grant.gateway),)
        await services.networks.create(NetworkRequest(NETWORK, {}, False, parts, ()))
        self.pool = grant.pool
        if cluster is not None:
            plan = services.cluster_runtime.plan
            assert plan is not None
            # Without these, its blocks would go after half a minute, as what comes late of a network that has ended.
            await plan.values.put(ClusterNetwork(id="n1", space="default", subnets=(SUBNET,)), 0)
            await plan.values.put(NetworkMember(space="default", subnet=SUBNET, host="A", network="n1"), 0)
            await plan.share("default", SUBNET)
            await services.cluster_runtime.once()

    async def start(self) -> float:
        """A container starts; the seconds that it took."""
        number = next(self.numbers)
        mac = f"02:42:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        ident = f"{number:012x}".ljust(64, "0")
        began = time.perf_counter()
        got = await self.services.ipam.request_address(AddressRequest(self.pool, Role.ENDPOINT, mac=mac))
        address = IPv4Interface(str(got))
        await self.services.endpoints.create(EndpointRequest(NETWORK, ident, address, None, mac))
        await self.services.endpoints.attach(NETWORK, ident, JoinRequest(f"/run/docker/netns/{number:012x}"))
        took = time.perf_counter() - began
        self.running.append((ident, address))
        return took

    async def clear(self) -> None:
        """All containers are gone."""
        running, self.running = self.running, []
        for ident, address in running:
            await self.services.endpoints.detach(NETWORK, ident)
            await self.services.endpoints.delete(NETWORK, ident)
            await self.services.ipam.release_address(self.pool, address.ip)

    async def starts(self, at_once: int) -> list[float]:
        """So many, so many at a time: the seconds of each."""
        times: list[float] = []
        left = iter(range(STARTS[at_once]))

        async def work() -> None:
            times.extend([await self.start() for _ in left])

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(work())
        return times


async def measure(hosts: list[Host]) -> None:
    """Both in rounds, growing and steady."""
    times: dict[tuple[str, int, str], list[float]] = {}
    for phase in ("growing", "steady"):
        for turn in range(ROUNDS):
            for at_once in STARTS:
                for host in hosts if turn % 2 else hosts[::-1]:
                    times.setdefault((phase, at_once, host.name), []).extend(await host.starts(at_once))
                    if phase == "steady":
                        await host.clear()
                    else:
                        await asyncio.sleep(0.3)  # as containers of a host do not start one right after another
        for host in hosts:
            await host.clear()
            await host.starts(32)  # what is given again was given before
            await host.clear()
    for phase in ("growing", "steady"):
        for at_once in STARTS:
            alone, shared = (times[phase, at_once, name] for name in ("alone", "cluster"))
            ratio = statistics.median(shared) / statistics.median(alone)
            ends = [sorted(each)[int(len(each) * 0.95)] * 1000 for each in (alone, shared)]
            middle = [statistics.median(each) * 1000 for each in (alone, shared)]
            print(
                f"{phase} at {at_once}: {middle[1]:.2f} ms over {middle[0]:.2f}; 95th of a hundred {ends[1]:.2f}"
                f" over {ends[0]:.2f}"
            )
            print(f"cluster-start-{phase}-{at_once} ratio={ratio:.3f} peer=alone n={len(shared)}", flush=True)


def main() -> int:
    """Run with a server of its own."""
    with tempfile.TemporaryDirectory() as folder, etcds(Path(folder), "bookworm") as servers:

        async def run() -> None:
            cluster = EtcdCluster(servers.endpoints, Credentials())
            hosts = [Host(name, await open_sqlite_store(f"{folder}/{name}")) for name in ("alone", "cluster")]
            await hosts[0].begin(None)
            await hosts[1].begin(cluster)
            turns = asyncio.get_running_loop().create_task(hosts[1].services.cluster_runtime.run())
            try:
                await measure(hosts)
            finally:
                turns.cancel()
                await asyncio.gather(turns, return_exceptions=True)
                for host in hosts:
                    await host.store.close()
                await cluster.close()

        uvloop.run(run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
