"""Whether anybody is behind an endpoint of an engine, and the end of one that nobody is behind.

Rule: what lives is never taken. Dead is only what has no interface any more, or, for longer than a container takes to
start, one where nothing runs.
"""

from __future__ import annotations

from mooring.core.attached_namespaces import is_namespaces
from mooring.core.endpoints import Endpoint
from mooring.core.networks import Origin
from mooring.ports import Clock
from mooring.services.drivers.bridge import BridgeDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.networking.endpoint_records import EndpointRecords
from mooring.services.records.record_cache import RecordCache

# Seconds after which a container has been started, or will not be: its network is made before its process.
STARTED = 60.0


class Liveness:
    """Asked when a dead endpoint would be in somebody's way: dockerd with an IPAM driver of its own never tells of
    endpoints that died with it, and nobody heard what it told while Mooring was away."""

    def __init__(self, cache: RecordCache, drivers: Drivers, records: EndpointRecords, clock: Clock) -> None:
        self._cache = cache
        self._drivers = drivers
        self._records = records
        self._clock = clock

    async def is_alive(self, endpoint: Endpoint) -> bool:
        """Whether somebody may be behind it; always so for the library's and for other drivers' endpoints."""
        network = self._cache.network(endpoint.network)
        if network is None or network.origin is Origin.LIBRARY:
            return network is not None
        driver = await self._drivers.network_driver(network.driver)
        if not isinstance(driver, BridgeDriver):
            return True
        # A namespace without a process lives as well.
        if is_namespaces(endpoint.id) or self._clock.now() - endpoint.created < STARTED:
            return await driver.is_connected(endpoint)
        return not await driver.is_dead(endpoint)

    async def forget_dead(self, endpoint: Endpoint) -> None:
        """As a deletion, without its lock: the caller may hold it."""
        network = self._cache.network(endpoint.network)
        if network is not None and self._cache.endpoint(endpoint.network, endpoint.id) == endpoint:
            await self._records.delete(network, endpoint)
            await self._records.end(network, endpoint)
