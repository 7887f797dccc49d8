"""Hosts in memory that are members of one cluster: all services over the doubles, and a daemon's part in it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from mooring.core.blocks import taken_from, taken_over
from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.datapath import host_end
from mooring.core.networks import Address
from mooring.core.overlays import PORT
from mooring.core.plumbing import Inside
from mooring.services.assembly import Services, assemble
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.cluster.own_record import HostFacts
from mooring.services.cluster.shared_values import SharedValues
from mooring.services.networking.assembly import World
from mooring.services.networking.cluster_runtime import ClusterRuntime
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_cluster_setup import MemoryClusterSetup
from tests.services.hosts import POLICY, MemoryHost

ENDPOINT = "https://etcd:2379"
ACCESS = ClusterAccess(cluster="", endpoints=(ENDPOINT,))


class MemberHost(MemoryHost):
    """A host that can be in the cluster of these servers. boots: how often it has booted. membership: its place."""

    def __init__(self, servers: MemoryCluster, number: int, vxlan_port: int = PORT) -> None:
        self.servers, self.name, self.boots = servers, f"web{number}", 1
        self.setup = MemoryClusterSetup({ENDPOINT: servers}, f"10.0.0.{number}")
        self.membership: ClusterMembership
        super().__init__(policy=replace(POLICY, vxlan_port=vxlan_port))
        self.clock = servers.clock
        self.renew()

    def renew(self) -> None:
        """A new process of the daemon, which has read nothing yet."""
        self.services = self._assemble()

    def _assemble(self) -> Services:
        clock = self.servers.clock
        policy = replace(self.policy, boot=f"boot{self.boots}", host=self.name)
        world = World(self.store, self.kernel, self.guard, self.engine, clock, self.setup)
        services = assemble(world, policy)
        facts = HostFacts(self.name, f"machine of {self.name}", policy.boot, "1.0", policy.vxlan_port)
        self.membership = ClusterMembership(self.setup, clock, facts)
        services.cluster_runtime.follow(self.membership)
        return services

    @property
    def runtime(self) -> ClusterRuntime:
        """What runs while it is in the cluster."""
        return self.services.cluster_runtime

    async def start(self) -> MemberHost:
        """The daemon has read what it has."""
        await super().start()
        await self.membership.enter_kept()
        return self

    async def restart(self) -> None:
        """The daemon died and is back."""
        await super().restart()
        await self.membership.enter_kept()

    async def reboot(self) -> None:
        """The machine, too."""
        self.boots += 1
        await super().reboot()

    async def turn(self, seconds: float = 0.0) -> None:
        """It is heard if it reaches the servers, and has a turn."""
        self.clock.advance(seconds)
        await self.membership.attempt()
        await self.runtime.once()


async def members(size: int = 2) -> list[MemberHost]:
    """So many hosts that have joined one cluster, and are heard."""
    servers = MemoryCluster(ManualClock())
    hosts = [await MemberHost(servers, number + 1).start() for number in range(size)]
    begun = await hosts[0].membership.begin(ACCESS, "", "", False)
    for host in hosts[1:]:
        await host.membership.join(begun.membership.access, "", "", False)
    for host in hosts:
        await host.turn()
    return hosts


SUBNET = ip_network("10.32.0.0/24")
NETWORK = "a".ljust(64, "0")


async def neighbours(size: int = 2) -> list[MemberHost]:
    """Such hosts, each with its part of one network, of whose subnet each has a block."""
    hosts = await members(size)
    for host in hosts:
        await host.network("a")
        assert host.runtime.plan is not None
        await host.runtime.plan.share("default", SUBNET)
        await host.turn()
    return hosts


async def run(host: MemberHost, name: str) -> Address:
    """A container runs in the network; its address."""
    await host.endpoint(NETWORK, name)
    endpoint = host.services.cache.endpoint(NETWORK, name.ljust(64, "0"))
    assert endpoint is not None
    link = host_end(endpoint.id)
    host.kernel.inside[link] = Inside(endpoint.mac, tuple(i for i in (endpoint.ipv4, endpoint.ipv6) if i is not None))
    host.kernel.lived_in.add(link)
    host.services.ipam.index.endpoint_containers.note(container(name))
    return endpoint.addresses[0]


def container(name: str, endpoint: str = "", *, running: bool = True) -> Container:
    """The container as the engine tells of it; endpoint: another than the first that it had."""
    place = ContainerEndpoint(NETWORK, "a", endpoint=(endpoint or name).ljust(64, "0"))
    return Container(f"id of {name}", name, running, 0.0, endpoints=(place,))


def answers(host: MemberHost, name: str) -> bool:
    """Whether the container has its interface."""
    return ("veth", host_end(name.ljust(64, "0"))) in host.kernel.facts


async def take_blocks(host: MemberHost, other: MemberHost) -> None:
    """The cluster says that the host's blocks are the other's."""
    values = SharedValues(host.servers.client("operator"))
    mine, theirs = host.runtime.member, other.runtime.member
    assert mine is not None
    assert theirs is not None
    for seen in (await values.blocks("default", SUBNET)).values():
        if seen.value is not None and seen.value.host == mine.host:
            free = taken_from(seen.value)
            await values.put(taken_over(free, theirs.host, (), theirs.boot), seen.revision)
