"""Publishing the ports of endpoints.

Rules: host ports are chosen and held by us for a driver that forwards, and recorded before it is told; another driver
is told what is asked for and sees to it itself; publishing twice is publishing once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Network, Origin
from mooring.core.publications import PortRequest, Publication
from mooring.ports import Driver
from mooring.services.bridging import BridgeDriver
from mooring.services.drivers import Drivers
from mooring.services.endpoint_records import EndpointRecords
from mooring.services.mirror import Mirror
from mooring.services.publishing import PortPublished, Publishing


class Forwarding:
    """ProgramExternalConnectivity and RevokeExternalConnectivity."""

    def __init__(self, mirror: Mirror, drivers: Drivers, records: EndpointRecords, publishing: Publishing) -> None:
        self._mirror = mirror
        self._drivers = drivers
        self._records = records
        self._publishing = publishing

    async def publish(self, network_id: str, endpoint_id: str, ports: tuple[PortRequest, ...]) -> None:
        """The ports are reachable at the host. Called again with the same ports it changes nothing.

        Raises NotFound, Conflict that names who has a port, Exhausted; then nothing is published.
        """
        async with self._records.alone(network_id, endpoint_id):
            network, endpoint = self._records.known(network_id, endpoint_id)
            driver = await self._drivers.network_driver(network.driver)
            if not driver.forwards:
                await self._publish_there(network, endpoint, driver, ports)
                return
            if endpoint.published and endpoint.ports == ports:
                await self._remind(network, endpoint, driver)
                return
            if endpoint.published:
                await self._records.withdraw(network, endpoint, endpoint)
                network, endpoint = self._records.known(network_id, endpoint_id)
            if not ports:
                return
            published = await self._choose(network, endpoint, ports)
            after = replace(endpoint, ports=ports, published=tuple(published))
            try:
                await self._records.save(endpoint, after)
                await driver.publish(network, after)
            except BaseException:
                await self._publishing.let_go(published)
                if self._mirror.endpoint(network_id, endpoint_id) == after:
                    await self._mirror.commit(put=[replace(after, published=())])
                raise
            finally:
                self._publishing.settle(published)

    async def _remind(self, network: Network, endpoint: Endpoint, driver: Driver) -> None:
        """What is recorded as published is held by this process, too, and its driver told again. The rules of bridges
        are for repair."""
        await self._publishing.hold(endpoint.published)
        if not isinstance(driver, BridgeDriver):
            await driver.publish(network, endpoint)

    async def unpublish(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint publishes nothing. Unknown ones are fine."""
        async with self._records.alone(network_id, endpoint_id):
            network = self._mirror.network(network_id)
            endpoint = self._mirror.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None:
                return
            driver = await self._drivers.network_driver(network.driver)
            if endpoint.published:
                await self._records.withdraw(network, endpoint, endpoint)
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
        self, network: Network, endpoint: Endpoint, ports: tuple[PortRequest, ...]
    ) -> Sequence[Publication]:
        """Host ports for the requests. An endpoint whose interface is gone is no holder: it is removed, and its port
        is free, because dockerd with an IPAM driver of its own never tells of endpoints that died with it."""
        asked: set[str] = set()
        while True:
            try:
                return await self._publishing.choose(network, endpoint, ports)
            except PortPublished as fault:
                other = fault.endpoint
                if other.id in asked or await self._is_alive(other):
                    raise
                asked.add(other.id)
                await self._forget_dead(other)

    async def _is_alive(self, endpoint: Endpoint) -> bool:
        network = self._mirror.network(endpoint.network)
        if network is None or network.origin is Origin.LIBRARY:
            return network is not None
        driver = await self._drivers.network_driver(network.driver)
        return not isinstance(driver, BridgeDriver) or await driver.is_plugged(endpoint)

    async def _forget_dead(self, endpoint: Endpoint) -> None:
        """As `delete`, without its lock: the caller may hold it."""
        network = self._mirror.network(endpoint.network)
        if network is not None and self._mirror.endpoint(endpoint.network, endpoint.id) == endpoint:
            await self._mirror.commit(delete=[endpoint])
            await self._records.end(network, endpoint)
            await self._records.release_owned(network, endpoint)
