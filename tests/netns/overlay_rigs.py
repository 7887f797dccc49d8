"""Several hosts in one process: namespaces joined by a switch, each with a kernel and the service of overlays.

Rules: what a cluster would tell each host, the site tells, when a test says so; a network has another id on every host,
as with Docker, so its bridges have different MACs.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from tempfile import TemporaryDirectory

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.datapath import endpoint_facts, host_facts, network_facts
from mooring.core.endpoints import Endpoint
from mooring.core.networks import Address, Network, NetworkOptions, Segment
from mooring.core.overlays import PORT, Overlay, Remote
from mooring.core.plumbing import Domain, Fact, Remove, plan
from mooring.services.networking.overlays import Overlays
from mooring.services.records.endpoint_index import EndpointIndex, Records
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_store import MemoryStore
from tests.netns.rigs import Namespace, plug


@dataclass
class Machine:
    """A host: number N has 192.0.2.N and fd00:192::N in the underlay, and 10.<network>.0.<200 + N> in its networks."""

    number: int
    space: Namespace
    kernel: LinuxKernel
    records: Records
    overlays: Overlays
    version: int = 4
    inner: Address | None = None
    networks: dict[str, Network] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def address(self) -> Address:
        """In the underlay of its overlays: the encrypted one, where it has an address in that."""
        return self.inner or self.outer

    @property
    def outer(self) -> Address:
        """On the switch."""
        return ip_address(f"192.0.2.{self.number}" if self.version == 4 else f"fd00:192::{self.number}")

    def desired(self) -> dict[tuple[str, ...], Fact]:
        """Everything that should be in the kernel."""
        wanted = {fact.key: fact for fact in host_facts(ipv6=True)}
        for network in self.networks.values():
            wanted |= self.overlays.facts(network, {fact.key: fact for fact in network_facts(network)})
            for endpoint in self.records.endpoint_index.of_network(network.id):
                shaped = self.overlays.shape(network, endpoint_facts(network, endpoint))
                wanted |= {fact.key: fact for fact in shaped}
        return wanted

    async def build(self) -> int:
        """The kernel is as desired, with the fewest changes; how many."""
        ops = plan(self.desired().values(), await self.kernel.observe())
        await self.kernel.apply(ops)
        return len(ops)


@dataclass
class Site:
    """The hosts, and what they publish: by network, the endpoints by id."""

    switch: Namespace
    machines: list[Machine] = field(default_factory=list)
    published: dict[str, dict[str, Remote]] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    async def machine(self, version: int = 4) -> Machine:
        """One more host, on the switch. version: of its address in the underlay."""
        number, space = len(self.machines) + 1, Namespace.new()
        self.stack.callback(space.close)
        self.plug_in(number, space)
        folder = self.stack.enter_context(TemporaryDirectory(prefix="mooring-site-"))
        records = Records(*_records(), KeyedLocks(), ManualClock())
        with space.inside():  # where the kernel's threads are, which begin with its first work
            kernel = LinuxKernel(folder=f"{folder}/tenants")
            await kernel.observe()
            await kernel.apply(plan(host_facts(ipv6=True), ()))
        made = Machine(number, space, kernel, records, Overlays(records, kernel), version)
        self.machines.append(made)
        return made

    def plug_in(self, number: int, space: Namespace) -> None:
        """The host is on the switch, with its addresses in the underlay."""
        there = f"/proc/{os.getpid()}/fd/{space.fd}"
        self.switch.sh(
            f"ip link add port{number} type veth peer name under0 netns {there}",
            f"ip link set port{number} master switch up",
        )
        space.sh(
            f"ip address add 192.0.2.{number}/24 dev under0; ip -6 address add fd00:192::{number}/64 dev under0 nodad",
            "ip link set under0 up",
        )

    async def network(
        self, name: str, number: int, vni: int, options: NetworkOptions | None = None, *, internal: bool = False,
        domain: int = 0, offload: bool = True, port: int = PORT,
        multicast: bool = False,
    ) -> None:  # fmt: skip
        """A network with 10.<number>.0.0/24 and fd00:<number>::/64 is on every host."""
        self.published[name] = {}
        space = f"tenant{domain}" if domain else ""
        ipv4 = Segment(ip_network(f"10.{number}.0.0/24"), ip_interface(f"10.{number}.0.1/24"), space, "")
        ipv6 = Segment(ip_network(f"fd00:{number}::/64"), ip_interface(f"fd00:{number}::1/64"), space, "")
        for machine in self.machines:
            network = Network(
                f"{name}{machine.number}".ljust(24, "0"), options or NetworkOptions(), internal, (ipv4,), (ipv6,),
                created=0.0, domain=domain,
            )  # fmt: skip
            machine.networks[name] = network
            await machine.records.cache.commit(put=[network])
            last = 200 + machine.number
            own = (ip_interface(f"10.{number}.0.{last}/24"), ip_interface(f"fd00:{number}::{last}/64"))
            machine.overlays.open(network.id, Overlay(vni, machine.address, 1500, own, port, offload, multicast))
            itself = Remote(network.mac, tuple(each.ip for each in own), machine.address)
            self.published[name][f"host{machine.number}"] = itself
            await machine.build()
        await self.publish()

    async def container(self, machine: Machine, name: str, number: int) -> Namespace:
        """A container of that host with the addresses .<number> and ::<number> of the network. Nobody else has them any
        more, but the other hosts know of it when they are told (`publish`)."""
        network = machine.networks[name]
        first = network.ipv4[0].subnet.network_address.packed[1]
        mac = f"02:00:00:00:{first:02x}:{number:02x}"
        ipv4, ipv6 = IPv4Interface(f"10.{first}.0.{number}/24"), IPv6Interface(f"fd00:{first}::{number}/64")
        ident = f"{name}{number}x{machine.number}".ljust(24, "0")
        endpoint = Endpoint(ident, network.id, ipv4, ipv6, mac, created=0.0)
        await machine.records.cache.commit(put=[endpoint])
        await machine.overlays.settle()
        await machine.build()
        space = Namespace.new()
        self.stack.callback(space.close)
        plug(endpoint, network, machine.space, space)
        remote = Remote(mac, endpoint.addresses, machine.address)
        self.published[name] = {k: v for k, v in self.published[name].items() if v.mac != mac}
        self.published[name][endpoint.id] = remote
        return space

    async def end(self, machine: Machine, name: str, number: int) -> None:
        """The container is gone; nobody has been told yet."""
        network = machine.networks[name]
        ident = f"{name}{number}x{machine.number}".ljust(24, "0")
        endpoint = machine.records.cache.endpoint(network.id, ident)
        assert endpoint is not None
        await machine.records.cache.commit(delete=[endpoint])
        await machine.overlays.settle()
        await machine.build()

    async def publish(self) -> None:
        """Every host knows what every other one has."""
        for machine in self.machines:
            for name, network in machine.networks.items():
                others = {i: remote for i, remote in self.published[name].items() if remote.host != machine.address}
                await machine.overlays.rescan(network.id, others)
            await machine.overlays.settle()

    async def close(self) -> None:
        """Nothing is left."""
        for machine in self.machines:
            if any(network.domain for network in machine.networks.values()):
                observed = await machine.kernel.observe()
                await machine.kernel.apply([Remove(fact) for fact in observed if isinstance(fact, Domain)])
            await machine.kernel.close()
        self.stack.close()


def _records() -> tuple[RecordCache, EndpointIndex]:
    cache = RecordCache(MemoryStore())
    return cache, EndpointIndex(cache)


def site() -> Site:
    """A switch, which has 192.0.2.254 and fd00:192::254, and no host yet."""
    switch = Namespace.new()
    switch.sh(
        "ip link add switch type bridge forward_delay 0 mcast_snooping 0; ip link set switch up",
        "ip address add 192.0.2.254/24 dev switch; ip -6 address add fd00:192::254/64 dev switch nodad",
    )
    made = Site(switch)
    made.stack.callback(switch.close)
    return made
