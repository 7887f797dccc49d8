"""A host in memory whose engine has containers with fixed addresses."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_interface

import msgspec

from mooring.core.intents import Intent, Purpose
from mooring.core.leases import Claimant, Lease
from mooring.core.networks import Address, Network
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.services.holders import Grant, Seat
from tests.services.hosts import MemoryHost

ENGINE = "engine-1"


def ident(name: str) -> str:
    """A full container id."""
    return name.encode().hex().ljust(64, "0")


class HolderHost(MemoryHost):
    """Claims and settles as the proxy does."""

    def known(self, network: str) -> Network:
        """The network's record."""
        found = self.services.mirror.network(network)
        assert found is not None
        return found

    def seat(self, network: str, key: str, *wanted: str, mac: str = "", settable: bool = True) -> Seat:
        """A seat in the network."""
        addresses: tuple[Address, ...] = tuple(map(ip_address, wanted))
        return Seat(self.known(network), key, addresses, mac, settable)

    async def begin(self, name: str, *seats: Seat) -> tuple[Intent, list[Grant]]:
        """A create is on its way."""
        intent = self.services.holders.begin(Purpose.CREATE, ENGINE, name=name)
        grants = await self.services.holders.claim(intent, seats, Claimant(name=name))
        return intent, grants

    async def made(self, name: str, *seats: Seat) -> list[Grant]:
        """A container was created; its id is `ident(name)`."""
        intent, grants = await self.begin(name, *seats)
        await self.services.holders.settle(intent, ident(name))
        return grants

    def lease(self, address: object) -> Lease | None:
        """The address's record."""
        return self.services.mirror.lease("default", ip_address(str(address)))

    def held(self, name: str) -> list[str]:
        """The addresses that the container holds."""
        return [str(lease.address) for _, lease in self.services.holders.held_by(ident(name))]

    async def set_policy(self, network: str, claim: str) -> None:
        """The network was made with `--ipam-opt claim=...`."""
        pools = [self.services.mirror.pool(segment.pool) for segment in self.known(network).segments]
        changed = [msgspec.structs.replace(pool, options={"claim": claim}) for pool in pools if pool is not None]
        await self.services.mirror.commit(put=changed)

    async def plug(self, name: str, network: str, grant: Grant) -> str:
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

    async def unplug(self, endpoint: str, network: str, grant: Grant) -> None:
        """The container stops: Leave, DeleteEndpoint and ReleaseAddress."""
        assert grant.ipv4 is not None
        await self.services.endpoints.detach(network, endpoint)
        await self.services.endpoints.delete(network, endpoint)
        await self.services.endpoints.release(self.known(network).ipv4[0].pool, grant.ipv4)
