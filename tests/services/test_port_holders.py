"""Who has a port, for people."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.services.networking.port_holders import PortHolders
from tests.services.hosts import MemoryHost

SERVER, OTHER = ip_address("169.254.53.53"), ip_address("192.0.2.1")


@pytest.mark.parametrize(
    ("at", "protocol", "port", "who"),
    [
        (None, Protocol.UDP, 53, "container dns, which publishes 0.0.0.0:53->10.32.0.2:53/udp"),
        (SERVER, Protocol.UDP, 53, "container dns, which publishes 169.254.53.53:53->10.32.0.2:53/udp"),
        # The one of the guard: another address, protocol or port is in nobody's way.
        (OTHER, Protocol.UDP, 53, "process mooring"),
        (None, Protocol.TCP, 53, "process dnsmasq (7)"),
        (None, Protocol.UDP, 54, "process mooring"),
    ],
)
async def test_a_published_port_is_its_container_s(at: object, protocol: Protocol, port: int, who: str) -> None:
    """And not that of the daemon, whose socket holds it; what nobody publishes is a process's."""
    host = MemoryHost()
    await host.start()
    network = await host.network("web")
    await host.endpoint(network, "e1")
    request = PortRequest(Protocol.UDP, 53, at, 53, 53)  # type: ignore[arg-type]
    await host.services.endpoints.publish(network, "e1".ljust(64, "0"), (request,))
    host.guard.taken[Protocol.TCP, 53] = "dnsmasq (7)"
    holders = PortHolders(host.services.endpoint_index, host.services.ipam.index.endpoint_containers, host.guard)
    assert (await holders.who(Protocol.UDP, SERVER, 53)).startswith("endpoint e1000") is (at is not OTHER)
    place = ContainerEndpoint(network, "web", endpoint="e1".ljust(64, "0"))
    host.services.ipam.index.endpoint_containers.note(Container("c" * 64, "dns", True, 0.0, endpoints=(place,)))
    assert await holders.who(protocol, SERVER, port) == who
