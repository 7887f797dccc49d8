"""Who has a port of the host, for people: the container that publishes it, or else the process."""

from __future__ import annotations

from mooring.core.networks import Address
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.ports import PortGuard
from mooring.services.records.endpoint_containers import EndpointContainers
from mooring.services.records.endpoint_index import EndpointIndex


class PortHolders:
    """A published port is held by a socket of ours, so that the kernel alone would name us and not the container."""

    def __init__(self, endpoint_index: EndpointIndex, containers: EndpointContainers, guard: PortGuard) -> None:
        self._endpoint_index = endpoint_index
        self._containers = containers
        self._guard = guard

    async def who(self, protocol: Protocol, host: Address, port: int) -> str:
        """Who is in the way of one who wants the port at the one address of the host; as PortGuard.holder otherwise."""
        for binding, endpoint in self._endpoint_index.publishers(protocol, port):
            if _meets(binding, host):
                name = self._containers.name(endpoint.id)
                who = f"container {name}" if name else f"endpoint {endpoint.id[:12]}"
                return f"{who}, which publishes {binding}"
        return await self._guard.holder(protocol, host, port)


def _meets(binding: PortBinding, host: Address) -> bool:
    return host in (binding.host, binding.host or host) and binding.target.version == host.version
