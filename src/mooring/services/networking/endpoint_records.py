"""Endpoint records and what they stand for, as the use cases of endpoints share it.

Rules: the record goes first, then what it stood for outside of the store; whoever changes an endpoint is alone with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from mooring.core.attached_namespaces import is_namespaces
from mooring.core.endpoints import Endpoint, Event
from mooring.core.faults import Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import OUR_IPAM, Network, Origin, Pending
from mooring.core.port_bindings import PortBinding
from mooring.ports import Driver
from mooring.services.drivers.bridge import BridgeDriver
from mooring.services.drivers.null import BareDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import ATTEMPTS, Ipam
from mooring.services.networking.own_subnets import OWNED
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import RecordCache


class EndpointRecords:
    """Finds, notes and ends endpoints."""

    def __init__(
        self, cache: RecordCache, drivers: Drivers, ipam: Ipam, port_allocator: PortAllocator, locks: KeyedLocks
    ) -> None:
        self._cache = cache
        self._drivers = drivers
        self._ipam = ipam
        self._port_allocator = port_allocator
        self._locks = locks

    @asynccontextmanager
    async def alone(self, network_id: str, endpoint_id: str) -> AsyncIterator[None]:
        """Nobody else changes the endpoint, and nobody its network."""
        async with self._locks.share(network_id), self._locks.hold(f"endpoint {endpoint_id}"):
            yield

    @asynccontextmanager
    async def together(self, places: Iterable[tuple[str, str]]) -> AsyncIterator[None]:
        """Nobody else changes any of the endpoints (network, endpoint), and nobody their networks.

        Every network comes before every endpoint and each in its order, so that two who want some of the same never
        wait for each other.
        """
        places = set(places)
        async with contextlib.AsyncExitStack() as stack:
            for network_id in sorted({network_id for network_id, _ in places}):
                await stack.enter_async_context(self._locks.share(network_id))
            for endpoint_id in sorted({endpoint_id for _, endpoint_id in places}):
                await stack.enter_async_context(self._locks.hold(f"endpoint {endpoint_id}"))
            yield

    def network(self, network_id: str) -> Network:
        """The network, unless it is half made or on its way out. Raises NotFound, Conflict."""
        network = self._cache.network(network_id)
        if network is None:
            raise NotFound(
                f"network {network_id[:12]} is not known to Mooring",
                hint="remove and create it again (`docker network rm`, `docker network create`)",
            )
        if network.pending is Pending.DELETE:
            raise Conflict(f"network {network.name or network_id[:12]} is being deleted")
        if network.pending is Pending.CREATE:
            raise Conflict(
                f"network {network.name or network_id[:12]} is incomplete: its driver did not answer", hint="delete it"
            )
        return network

    def known(self, network_id: str, endpoint_id: str) -> tuple[Network, Endpoint]:
        """Both of them. Raises NotFound, and Conflict as `network`."""
        network = self.network(network_id)
        endpoint = self._cache.endpoint(network_id, endpoint_id)
        if endpoint is None:
            raise NotFound(
                f"endpoint {endpoint_id[:12]} is not known in network {network_id[:12]}",
                hint="restart the container, which creates a new endpoint",
            )
        return network, endpoint

    async def driver(self, network: Network, force: bool) -> Driver:
        """The network's driver; with force something that does nothing in the place of one that cannot be had."""
        try:
            return await self._drivers.network_driver(network.driver)
        except (NotFound, Unavailable):
            if not force:
                raise
            return BareDriver()

    async def save(self, before: Endpoint, after: Endpoint) -> None:
        """The record, which was `before` when it was read, is `after`; nothing to do when they are equal.

        Raises NotFound when it was deleted meanwhile: whoever is alone with an endpoint may still lose it to an engine
        that gave its address to another.
        """
        known = self._cache.endpoint(before.network, before.id)
        if known is None:
            raise NotFound(f"endpoint {before.id[:12]} has been deleted", hint="another one has its address now")
        if known != before:
            raise StaleRevision(f"endpoint {before.id[:12]}")
        if after != before:
            await self._cache.commit(put=[after])

    async def note(self, endpoint: Endpoint, event: Event) -> Endpoint:
        """The record says what is begun."""
        noted = replace(endpoint, pending=event)
        await self.save(endpoint, noted)
        return noted

    async def release_addresses(self, network: Network, endpoint: Endpoint, force: bool) -> None:
        """Another IPAM driver's addresses are given up. Raises Unavailable when it cannot be reached; force: never."""
        if network.ipam == OUR_IPAM or network.origin is Origin.ENGINE:
            return
        try:
            for address in endpoint.addresses:
                segment = network.segment_of(address)
                if segment is not None:
                    ipam = await self._drivers.ipam_driver(network.ipam)
                    await ipam.release_address(segment.pool, address)
        except Fault:
            if not force:
                raise

    async def delete(self, network: Network, endpoint: Endpoint) -> None:
        """The record is gone, and with it the leases that no engine will release: those of a network of the library and
        of an attached namespace, and of pools that the network asked for itself; fixed ones are not in use any more in
        any case."""
        for _ in range(ATTEMPTS):
            put, gone = self._ipam.without_endpoint(network, endpoint)
            if network.origin is not Origin.LIBRARY and not is_namespaces(endpoint.id):
                put = [lease for lease in put if lease.state is State.FIXED or self._is_owned(lease)]
                gone = [lease for lease in gone if self._is_owned(lease)]
            with contextlib.suppress(StaleRevision):
                await self._cache.commit(put=put, delete=[endpoint, *gone])
                return
        raise Unavailable(f"addresses of endpoint {endpoint.id[:12]} were changed by other requests", hint="try again")

    async def end(self, network: Network, endpoint: Endpoint, driver: Driver | None = None) -> None:
        """What the endpoint had outside of the store goes. driver: the network's, when the caller has it."""
        await self._port_allocator.release(endpoint.published)
        driver = driver or await self._drivers.network_driver(network.driver)
        await driver.delete_endpoint(network, endpoint)

    async def unpublish(
        self, network: Network, before: Endpoint, after: Endpoint, kept: tuple[PortBinding, ...] = ()
    ) -> None:
        """Record `after` with nothing published but what is kept, then take the rules away; also when it was recorded
        and the answer was lost, since nobody would come back for the ports. kept: the very ones of before.published."""
        try:
            await self.save(before, replace(after, published=kept))
        except BaseException:
            known = self._cache.endpoint(before.network, before.id)
            if known is not None and known.published == kept:
                await self._close(network, before, kept)
            raise
        await self._close(network, before, kept)

    async def _close(self, network: Network, before: Endpoint, kept: tuple[PortBinding, ...]) -> None:
        staying = set(map(id, kept))
        gone = tuple(each for each in before.published if id(each) not in staying)
        if not gone:
            return
        await self._port_allocator.release(gone)
        driver = await self._drivers.network_driver(network.driver)
        if isinstance(driver, BridgeDriver):
            await driver.unpublish(network, _closing(before, gone))
            return
        await driver.unpublish(network, before)
        if kept:  # another driver is told of all or nothing
            await driver.publish(network, replace(before, published=kept))

    def _is_owned(self, lease: Lease) -> bool:
        """Whether the network asked for the lease's pool itself."""
        pool = self._cache.pool(lease.pool)
        return pool is not None and OWNED in pool.options


def _closing(endpoint: Endpoint, gone: tuple[PortBinding, ...]) -> Endpoint:
    """The endpoint with what it publishes no longer, and only the addresses that are concerned: connections to the
    others go on."""
    families = {port_binding.target.version for port_binding in gone}
    return replace(
        endpoint,
        published=gone,
        ipv4=endpoint.ipv4 if 4 in families else None,
        ipv6=endpoint.ipv6 if 6 in families else None,
    )
