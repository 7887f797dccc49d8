"""A host whose containers come, run and go as dockerd has it, with a store that may fail at any commit.

Rules: the engine's containers are the truth; an id is never used again; what dockerd does not do again after a fault is
not done again here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.datapath import host_end
from mooring.core.docker_requests import ContainerSpec
from mooring.core.faults import Fault, Unavailable
from mooring.core.keys import key_of
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.ports import Transaction
from mooring.services.containers.admission import Admission
from mooring.testing.memory_store import MemoryStore, When
from tests.services.holder_hosts import HolderHost


class ShakyStore(MemoryStore):
    """Fails at one commit, before or after it took effect."""

    def __init__(self) -> None:
        super().__init__()
        self._left: tuple[int, When] | None = None

    def fail_at(self, commits: int, when: When) -> None:
        """After so many commits that go well."""
        self._left = commits, when

    def calm(self) -> None:
        """Nothing fails any more."""
        self._left = None

    async def commit(self, transaction: Transaction) -> int:
        """As a store does, unless it is time to fail."""
        if self._left is None:
            return await super().commit(transaction)
        left, when = self._left
        self._left = (left - 1, when) if left else None
        if not left and when is When.BEFORE:
            raise Unavailable("the store failed, as the test wanted")
        revision = await super().commit(transaction)
        if not left:
            raise Unavailable("the store failed, as the test wanted")
        return revision


class HolderHouse(HolderHost):
    """tells_names: whether the engine says for which container it asks (from 29 on)."""

    def __init__(self, typed: bool, tells_names: bool) -> None:
        super().__init__()
        self.typed, self.tells_names = typed, tells_names
        self.store: ShakyStore = ShakyStore()
        self.services = self._assemble()
        self._made = 0
        self._heard = 0

    # -- networks ---------------------------------------------------------------------------------------------------

    async def add_network(self, name: str, policy: str, sticky: str = "off") -> None:
        """`docker network create` in both families; the id is new each time."""
        self._made += 1
        network = await self.network(f"n{self._made}x", v6=True, sticky=sticky)
        await self.set_policy(network, policy)
        self.engine.networks.add(network)
        self.engine.names[network] = name
        self.engine.subnets |= {segment.subnet for segment in self.known(network).segments}

    async def remove_network(self, name: str) -> None:
        """`docker network rm`: refused while somebody runs in it. The pools go with it, each by itself."""
        network = self.full(name)
        if any(each.network == network and each.endpoint for one in self.containers for each in one.endpoints):
            return
        known = self.known(network)
        with suppress(Fault):
            await self.services.networks.delete(network)
        for segment in known.segments:
            with suppress(Fault):
                await self.services.ipam.release_pool(segment.pool)
        self.engine.networks.discard(network)
        self.engine.names.pop(network)

    def full(self, network: str) -> str:
        """The id that the name has now; "" for none."""
        return next((ident for ident, name in self.engine.names.items() if name == network), "")

    def network_of(self, container_endpoint: ContainerEndpoint) -> Network | None:
        """Our record of the endpoint's network, None when it is gone."""
        return (
            self.services.cache.network(container_endpoint.network)
            if container_endpoint.network in self.engine.names
            else None
        )

    def network_named(self, lease: Lease) -> str:
        """The id of the network that the lease's pool belongs to, "" for none."""
        pool = self.services.cache.pool(lease.pool)
        return pool.network if pool is not None else ""

    # -- containers -------------------------------------------------------------------------------------------------

    @property
    def containers(self) -> list[Container]:
        """All, as they are."""
        return [*self.engine._containers.values()]

    def named(self, name: str) -> Container | None:
        """The container with the name."""
        return next((one for one in self.containers if one.name == name), None)

    def make(self, name: str, spec: ContainerSpec, admission: Admission | None) -> Container:
        """The engine makes it, with what is in admission put into its configuration."""
        self._made += 1
        endpoints = []
        for each in spec.endpoints:
            grant = admission.grants.get(each.network) if admission is not None else None
            container_endpoint = ContainerEndpoint(self.full(each.network), each.network, wanted_mac=each.mac)
            four, six = (ip_interface(text) if text else None for text in (each.ipv4, each.ipv6))
            if isinstance(four, IPv4Interface):
                container_endpoint = replace(container_endpoint, wanted4=four.ip)
            if isinstance(six, IPv6Interface):
                container_endpoint = replace(container_endpoint, wanted6=six.ip)
            endpoints.append(
                granted(container_endpoint, grant.ipv4, grant.ipv6, grant.mac, grant.nameable)
                if grant
                else container_endpoint
            )
        ident = f"{self._made:x}-{name}".encode().hex().ljust(64, "0")
        return self.engine.create(ident, name, *endpoints, labels=spec.labels)

    async def start_container(self, container: Container) -> bool:
        """Every network of it; it does not run when one of them refuses."""
        done: list[ContainerEndpoint] = []
        try:
            for container_endpoint in container.endpoints:
                done.append(await self.plug_in(container, container_endpoint))  # noqa: PERF401 - what is done counts on a fault
        except Fault:
            for container_endpoint in done:
                await self.pull(container_endpoint)
            return False
        self.engine.start(container.id)
        for container_endpoint in done:
            self.engine.start(
                container.id,
                container_endpoint.network,
                container_endpoint.endpoint,
                *map(str, container_endpoint.held),
            )
        return True

    async def stop_container(self, container: Container) -> None:
        """It ends; what we do not take back now, dockerd does not ask for again."""
        for container_endpoint in container.endpoints:
            if container_endpoint.endpoint:
                await self.pull(container_endpoint)
        self.engine.stop(container.id)

    async def plug_in(self, container: Container, container_endpoint: ContainerEndpoint) -> ContainerEndpoint:
        """RequestAddress for each family, CreateEndpoint, Join. Raises Fault; then dockerd releases what it got."""
        network = self.network_of(container_endpoint)
        if network is None:
            raise Unavailable("the network is gone")
        token = self.clock.token()
        mac = container_endpoint.wanted_mac or "02:42:" + ":".join(token[at : at + 2] for at in (4, 6, 8, 10))
        endpoint = f"{token}".ljust(64, "0")
        got: list[tuple[str, IPv4Interface | IPv6Interface]] = []
        name = container.name if self.tells_names else ""
        try:
            for segment, wanted in zip(
                network.segments, (container_endpoint.wanted4, container_endpoint.wanted6), strict=True
            ):
                before = self.leases()
                request = AddressRequest(segment.pool, Role.ENDPOINT, wanted, mac=mac, name=name)
                answer = ip_interface(str(await self.services.ipam.request_address(request)))
                got.append((segment.pool, answer))
                if wanted is None:
                    self.check_choice(container, network, mac, before.get(answer.ip))
            (_, v4), (_, v6) = got
            assert isinstance(v4, IPv4Interface)
            assert isinstance(v6, IPv6Interface)
            await self.services.endpoints.create(EndpointRequest(network.id, endpoint, v4, v6, mac))
            try:
                await self.services.endpoints.attach(network.id, endpoint, JoinRequest(f"/run/docker/netns/{token}"))
            except Fault:
                await self.services.endpoints.delete(network.id, endpoint)
                raise
            self.kernel.lived_in.add(host_end(endpoint))
        except Fault:
            for pool, address in got:
                with suppress(Fault):
                    await self.services.endpoints.release(pool, address.ip)
            raise
        return replace(container_endpoint, endpoint=endpoint, ipv4=v4.ip, ipv6=v6.ip, mac=mac)

    async def pull(self, container_endpoint: ContainerEndpoint) -> None:
        """Leave, DeleteEndpoint, and ReleaseAddress for each family."""
        self.kernel.lived_in.discard(host_end(container_endpoint.endpoint))
        with suppress(Fault):
            await self.services.endpoints.detach(container_endpoint.network, container_endpoint.endpoint)
        with suppress(Fault):
            await self.services.endpoints.delete(container_endpoint.network, container_endpoint.endpoint)
        network = self.services.cache.network(container_endpoint.network)
        for address in container_endpoint.held if network is not None else ():
            segment = network.segment_of(address) if network is not None else None
            with suppress(Fault):
                await self.services.endpoints.release(segment.pool if segment is not None else "", address)

    def check_choice(self, container: Container, network: Network, mac: str, before: Lease | None) -> None:
        """What was chosen for a container was nobody else's fixed address."""
        if before is None or before.state is not State.FIXED:
            assert before is None or before.state in (State.COOLING, State.DYNAMIC), before
            return
        key = key_of(container.labels, container.name, network.options.sticky, container.id)
        named = self.tells_names and before.key in (key, f"name:{container.name}")
        assert mac == before.mac or container.id in before.holders or named, (container, before)

    def leases(self) -> dict[Address, Lease]:
        """Every lease by its address."""
        return {lease.address: lease for lease in self.services.cache.every(Lease)}

    # -- what we hear and do by ourselves ---------------------------------------------------------------------------

    async def hear(self, lost: bool = False, again: bool = False) -> None:
        """The events since the last time, unless they were lost; again: all that the engine remembers."""
        for event in [*self.engine._events]:
            if again or (event.at > self._heard and not lost):
                with suppress(Fault):
                    await self.keeping.watching.heed(event)
            self._heard = max(self._heard, event.at)

    async def settle(self) -> None:
        """As many passes as it takes, far enough apart, without a fault."""
        self.store.calm()
        for _ in range(5):
            self.clock.advance(200)
            await self.keeping.container_reconciler.once()
            running = {each.endpoint for one in self.containers for each in one.endpoints if each.endpoint}
            await self.services.garbage_collector.once(frozenset(map(host_end, running)))


def granted(
    endpoint: ContainerEndpoint, ipv4: Address | None, ipv6: Address | None, mac: str, nameable: frozenset[Address]
) -> ContainerEndpoint:  # fmt: skip
    """The endpoint's configuration with what was granted."""
    fields = {"wanted4": ipv4, "wanted6": ipv6}
    named = {field: address for field, address in fields.items() if address is not None and address in nameable}
    return replace(endpoint, wanted_mac=mac, **named)  # type: ignore[arg-type]
