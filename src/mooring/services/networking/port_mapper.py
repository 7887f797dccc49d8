"""Publishing the ports of endpoints; in the kernel it is drivers.bridge that does it, with core.firewall's elements.

Rules: host ports are chosen and held by us for a driver that forwards, and recorded before it is told; another driver
is told what is asked for and sees to it itself; publishing twice is publishing once; in one sandbox a family's ports
are published by one endpoint, the one that was told last that it is the family's gateway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Network
from mooring.core.port_bindings import PortBinding, PortRequest, gateway_families
from mooring.ports import Driver
from mooring.services.drivers.bridge import BridgeDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.networking.endpoint_records import EndpointRecords
from mooring.services.networking.liveness import Liveness
from mooring.services.networking.port_allocator import PortAllocator, PortPublished, Scope
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache


class PortMapper:
    """ProgramExternalConnectivity and RevokeExternalConnectivity."""

    def __init__(
        self,
        cache: RecordCache,
        endpoint_index: EndpointIndex,
        drivers: Drivers,
        records: EndpointRecords,
        port_allocator: PortAllocator,
        liveness: Liveness,
    ) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._drivers = drivers
        self._records = records
        self._port_allocator = port_allocator
        self._liveness = liveness

    async def publish(
        self, network_id: str, endpoint_id: str, ports: tuple[PortRequest, ...], ipv6_elsewhere: bool = False
    ) -> None:
        """The ports are reachable at the host, in the families that the endpoint is the sandbox's gateway of: what
        another endpoint of the sandbox published of these families it publishes no longer.

        It is decided anew each time; called again with nothing changed it changes nothing. ipv6_elsewhere: see
        core.port_bindings.gateway_families. Raises NotFound, Conflict that names who has a port, Exhausted; then the
        endpoint publishes only what it did before and is asked for still.
        """
        async with self._sandbox(network_id, endpoint_id) as places:
            network, endpoint = self._records.known(network_id, endpoint_id)
            driver = await self._drivers.network_driver(network.driver)
            if not driver.forwards:
                await self._publish_there(network, endpoint, driver, ports)
                return
            if not ports:
                if endpoint.published:
                    await self._records.unpublish(network, endpoint, endpoint)
                return
            peers = self._peers(endpoint, places)
            families = gateway_families(_families(endpoint), map(_published_families, peers), ipv6_elsewhere)
            near = [port_binding for peer in peers for port_binding in peer.published]
            for peer in peers:
                await self._narrow(peer, families)
            elsewhere = frozenset[int]().union(*map(_families, peers)) | (frozenset({6}) if ipv6_elsewhere else set())
            await self._open(network, endpoint, driver, ports, Scope(families, elsewhere, tuple(near)))
            if ipv6_elsewhere and 6 not in families:
                await self._open_left_behind(self._peers(endpoint, places), ports, tuple(near))

    @asynccontextmanager
    async def _sandbox(self, network_id: str, endpoint_id: str) -> AsyncIterator[set[tuple[str, str]]]:
        """Alone with every endpoint (network, endpoint) of the endpoint's sandbox."""
        known = self._cache.endpoint(network_id, endpoint_id)
        places = {(network_id, endpoint_id)}
        if known is not None and known.sandbox:
            places |= {(each.network, each.id) for each in self._endpoint_index.in_sandbox(known.sandbox)}
        async with self._records.together(places):
            yield places

    def _peers(self, endpoint: Endpoint, places: set[tuple[str, str]]) -> list[Endpoint]:
        """The other endpoints of its sandbox, as they are now; only those that we are alone with."""
        found = self._endpoint_index.in_sandbox(endpoint.sandbox) if endpoint.sandbox else []
        return [each for each in found if each.id != endpoint.id and (each.network, each.id) in places]

    async def _narrow(self, endpoint: Endpoint, families: frozenset[int]) -> None:
        """The endpoint publishes nothing of these families: another has them."""
        kept = tuple(each for each in endpoint.published if each.target.version not in families)
        network = self._cache.network(endpoint.network)
        if network is not None and kept != endpoint.published:
            await self._records.unpublish(network, endpoint, endpoint, kept)

    async def _open_left_behind(
        self, peers: list[Endpoint], ports: tuple[PortRequest, ...], near: tuple[PortBinding, ...]
    ) -> None:
        """The IPv6 gateway, which is another endpoint, publishes, if it is clear which one it is.

        Engine 28 takes the ports of both families from a gateway that is left with IPv6, and does not tell it again
        (sbJoin in libnetwork/endpoint.go).
        """
        able = [each for each in peers if each.attachment is not None and each.attachment.gateway6 is not None]
        if len(able) != 1 or any(6 in _published_families(each) for each in peers):
            return
        network, endpoint = self._records.known(able[0].network, able[0].id)
        driver = await self._drivers.network_driver(network.driver)
        if driver.forwards:
            await self._open(network, endpoint, driver, ports, Scope(frozenset({6}), frozenset({4, 6}), near))

    async def _open(
        self, network: Network, endpoint: Endpoint, driver: Driver, ports: tuple[PortRequest, ...], scope: Scope
    ) -> None:
        """The endpoint publishes the ports as far as they are in the scope, and nothing else."""
        kept = await self._port_allocator.kept(network, endpoint, ports, scope)
        if kept != endpoint.published:
            await self._records.unpublish(network, endpoint, endpoint, kept)
            network, endpoint = self._records.known(network.id, endpoint.id)
        # Recorded is not held: this process may be younger than the record.
        await self._port_allocator.hold(kept)
        fresh = await self._choose(network, endpoint, ports, scope)
        after = replace(endpoint, ports=ports, published=(*kept, *fresh))
        try:
            await self._records.save(endpoint, after)
            # The rules of a bridge that are recorded are for repair.
            if fresh or not isinstance(driver, BridgeDriver):
                await driver.publish(network, after)
        except BaseException:
            await self._port_allocator.release(fresh)
            if self._cache.endpoint(network.id, endpoint.id) == after:
                await self._cache.commit(put=[replace(after, published=kept)])
            raise
        finally:
            self._port_allocator.confirm(fresh)

    async def unpublish(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint publishes nothing. Unknown ones are fine."""
        async with self._records.alone(network_id, endpoint_id):
            network = self._cache.network(network_id)
            endpoint = self._cache.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None:
                return
            driver = await self._drivers.network_driver(network.driver)
            if endpoint.published:
                await self._records.unpublish(network, endpoint, endpoint)
            elif endpoint.ports and not driver.forwards:
                await driver.unpublish(network, endpoint)
                await self._records.save(endpoint, replace(endpoint, ports=()))

    async def _publish_there(
        self, network: Network, endpoint: Endpoint, driver: Driver, ports: tuple[PortRequest, ...]
    ) -> None:
        """As `publish`, for a driver that publishes by itself. What it was told is recorded, to be taken back."""
        if endpoint.ports not in ((), ports):
            await driver.unpublish(network, endpoint)
        if ports:
            after = replace(endpoint, ports=ports)
            await self._records.save(endpoint, after)
            await driver.publish(network, after)

    async def _choose(
        self, network: Network, endpoint: Endpoint, ports: tuple[PortRequest, ...], scope: Scope
    ) -> Sequence[PortBinding]:
        """Host ports for the requests. A dead endpoint is no holder: it is removed, and its port is free."""
        asked: set[str] = set()
        while True:
            try:
                return await self._port_allocator.choose(network, endpoint, ports, scope)
            except PortPublished as fault:
                other = fault.endpoint
                if other.id in asked or await self._liveness.is_alive(other):
                    raise
                asked.add(other.id)
                await self._liveness.forget_dead(other)


def _families(endpoint: Endpoint) -> frozenset[int]:
    return frozenset(address.version for address in endpoint.addresses)


def _published_families(endpoint: Endpoint) -> frozenset[int]:
    return frozenset(port_binding.target.version for port_binding in endpoint.published)
