"""A host in memory whose engine has containers with fixed addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, ip_address, ip_interface

import msgspec

from mooring.core.containers import ContainerEndpoint
from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.intents import Intent, Purpose, is_placeholder
from mooring.core.leases import Claimant, Lease, State
from mooring.core.networks import Address, Network
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.services.assembly import Keeping
from mooring.services.containers.admission import Admission
from mooring.services.containers.fixed_allocator import FixedSpec, Grant
from tests.services.hosts import MemoryHost

ENGINE = "engine-1"


def ident(name: str) -> str:
    """A full container id."""
    return name.encode().hex().ljust(64, "0")


class HolderHost(MemoryHost):
    """Claims and settles as the proxy does. typed: networks get subnets as if they were given by hand."""

    typed = True

    async def network(self, name: str, *, v4: bool = True, v6: bool = False, internal: bool = False, **raw: str) -> str:
        """See MemoryHost."""
        network = await super().network(name, v4=v4, v6=v6, internal=internal, **raw)
        if self.typed:
            pools = [self.services.cache.pool(segment.pool) for segment in self.known(network).segments]
            changed = [msgspec.structs.replace(pool, source="") for pool in pools if pool is not None]
            await self.services.cache.commit(put=changed)
        return network

    def known(self, network: str) -> Network:
        """The network's record."""
        found = self.services.cache.network(network)
        assert found is not None
        return found

    def fixed_spec(self, network: str, key: str, *wanted: str, mac: str = "", settable: bool = True) -> FixedSpec:
        """A seat in the network."""
        addresses: tuple[Address, ...] = tuple(map(ip_address, wanted))
        return FixedSpec(self.known(network), key, addresses, mac, settable)

    async def begin(self, name: str, *fixed_specs: FixedSpec) -> tuple[Intent, list[Grant]]:
        """A create is on its way."""
        intent = self.services.holders.begin(Purpose.CREATE, ENGINE, name=name)
        grants = await self.services.holders.claim(intent, fixed_specs, Claimant(name=name))
        return intent, grants

    async def made(self, name: str, *fixed_specs: FixedSpec) -> list[Grant]:
        """A container was created; its id is `ident(name)`."""
        intent, grants = await self.begin(name, *fixed_specs)
        await self.services.holders.complete(intent, ident(name))
        return grants

    def lease(self, address: object) -> Lease | None:
        """The address's record."""
        return self.services.cache.lease("default", ip_address(str(address)))

    def held(self, name: str) -> list[str]:
        """The addresses that the container holds."""
        return [str(lease.address) for _, lease in self.services.holders.held_by(ident(name))]

    async def set_policy(self, network: str, claim: str) -> None:
        """The network was made with `--ipam-opt claim=...`."""
        pools = [self.services.cache.pool(segment.pool) for segment in self.known(network).segments]
        changed = [msgspec.structs.replace(pool, options={"claim": claim}) for pool in pools if pool is not None]
        await self.services.cache.commit(put=changed)

    async def connect(self, name: str, network: str, grant: Grant) -> str:
        """The container starts: RequestAddress, CreateEndpoint and Join; the endpoint's id."""
        segment = self.known(network).ipv4[0]
        assert grant.ipv4 is not None
        request = AddressRequest(segment.pool, Role.ENDPOINT, grant.ipv4, mac=grant.mac)
        address = ip_interface(str(await self.services.ipam.request_address(request)))
        assert isinstance(address, IPv4Interface)
        endpoint = f"{name}-{self.clock.token()}".ljust(64, "0")
        await self.services.endpoints.create(EndpointRequest(network, endpoint, address, None, grant.mac))
        await self.services.endpoints.attach(network, endpoint, JoinRequest(f"/run/docker/netns/{name}"))
        return endpoint

    async def disconnect(self, endpoint: str, network: str, grant: Grant) -> None:
        """The container stops: Leave, DeleteEndpoint and ReleaseAddress."""
        assert grant.ipv4 is not None
        await self.services.endpoints.detach(network, endpoint)
        await self.services.endpoints.delete(network, endpoint)
        await self.services.endpoints.release(self.known(network).ipv4[0].pool, grant.ipv4)

    # -- through the controller, as the proxy drives it ---------------------------------------------------------------

    @property
    def keeping(self) -> Keeping:
        """The use cases of fixed addresses."""
        assert self.services.keeping is not None
        return self.services.keeping

    async def serve(self, *networks: str, v6: bool = False, **raw: str) -> None:
        """Start, with networks of these names that the engine knows."""
        await self.start()
        for name in networks:
            self.engine.networks.add(await self.network(name, v4=True, v6=v6, internal=False, **raw))

    def spec(self, *networks: str, labels: dict[str, str] | None = None, ipv4: str = "") -> ContainerSpec:
        """The body of a create; the address is for the first network."""
        endpoints = [EndpointConfig(name, ipv4 if number == 0 else "") for number, name in enumerate(networks)]
        return ContainerSpec({"fixed-ip": ""} if labels is None else labels, networks[0], tuple(endpoints))

    async def docker_create(self, name: str, *networks: str, labels: dict[str, str] | None = None) -> str:
        """`docker create --label fixed-ip` through the proxy; the container's id."""
        spec = self.spec(*networks, labels=labels)
        admission = await self.keeping.controller.create(name, spec, (1, 44))
        self.engine_creates(name, spec, admission)
        if admission is not None:
            await self.keeping.controller.complete(admission.intent, ident(name))
        return ident(name)

    def engine_creates(self, name: str, spec: ContainerSpec, admission: Admission | None) -> None:
        """The engine carries out a create with what is in admission."""
        endpoints = []
        for each in spec.endpoints:
            grant = admission.grants.get(each.network) if admission is not None else None
            container_endpoint = ContainerEndpoint(self.full(each.network), each.network)
            if grant is not None:
                container_endpoint = replace(
                    container_endpoint,
                    wanted4=grant.ipv4 if grant.ipv4 in grant.nameable else None,
                    wanted6=grant.ipv6 if grant.ipv6 in grant.nameable else None,
                    wanted_mac=grant.mac,
                )
            endpoints.append(container_endpoint)
        self.engine.create(ident(name), name, *endpoints, labels=spec.labels)

    async def docker_remove(self, name: str) -> None:
        """`docker rm` through the proxy."""
        intent = await self.keeping.controller.removal(name)
        self.engine.remove(ident(name))
        if intent is not None:
            await self.keeping.controller.departed(intent)

    def full(self, network: str) -> str:
        """The id of the network."""
        return network.ljust(64, "0")

    def fixed(self) -> dict[str, frozenset[str]]:
        """Address -> names of the holders, of every fixed lease."""
        leases = [lease for lease in self.services.cache.every(Lease) if lease.state is State.FIXED]
        return {str(lease.address): frozenset(map(unident, lease.holders)) for lease in leases}


async def started() -> HolderHost:
    """A host that serves."""
    host = HolderHost()
    await host.start()
    return host


def state(host: HolderHost, address: object) -> State | None:
    """The state of the address."""
    lease = host.lease(address)
    return lease.state if lease is not None else None


def unident(holder: str) -> str:
    """The name that the id was made of; a placeholder as it is."""
    if is_placeholder(holder):
        return holder
    return bytes.fromhex(holder).rstrip(b"\0").decode()
