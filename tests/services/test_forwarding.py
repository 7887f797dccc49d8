"""Published ports of a driver that forwards by itself; tests/services/test_endpoints.py has those of the bridge."""

from __future__ import annotations

import pytest

from mooring.core.faults import Conflict
from mooring.core.publications import PortRequest, Protocol
from mooring.core.requests import EndpointWish, JoinRequest, NetworkWish, SubnetWish
from mooring.services.assembly import Others
from mooring.services.provisioning import Provisioning
from mooring.testing.memory_driver import MemoryDriver
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)


async def test_a_driver_that_publishes_by_itself_is_told_and_told_of_the_end() -> None:
    """No host port is held for it; what it was told is taken back at leave, whoever asks."""
    far = MemoryDriver()
    host = await MemoryHost(Others({"far": far})).start()
    s = host.services
    work = Provisioning(s.mirror, s.roster, s.drivers, s.networks, s.endpoints, host.clock, s.locks)
    network = await work.create_network(NetworkWish("web", "far", (SubnetWish(4),)))
    endpoint = await work.create_endpoint(EndpointWish(network.id, "a"))
    await s.endpoints.attach(network.id, endpoint.id, JoinRequest("/s"))
    for _ in range(2):
        await s.endpoints.publish(network.id, endpoint.id, WEB)
    assert [told.ports for told in far.published.values()] == [WEB]
    assert host.guard.held == set()
    await s.endpoints.unpublish(network.id, endpoint.id)
    assert not far.published
    await s.endpoints.publish(network.id, endpoint.id, WEB)
    await s.endpoints.detach(network.id, endpoint.id)
    assert not far.published


async def test_an_endpoint_of_the_library_is_never_taken_for_dead() -> None:
    """Its port is refused to others, although no interface of it can be seen: an engine's would make room."""
    host = await MemoryHost().start()
    s = host.services
    work = Provisioning(s.mirror, s.roster, s.drivers, s.networks, s.endpoints, host.clock, s.locks)
    network = await work.create_network(NetworkWish("web", "bridge", (SubnetWish(4),)))
    first, second = [await work.create_endpoint(EndpointWish(network.id, name)) for name in ("a", "b")]
    await s.endpoints.attach(network.id, first.id, JoinRequest("/s", inside=True))
    await s.endpoints.publish(network.id, first.id, WEB)
    host.kernel.reboot()
    with pytest.raises(Conflict, match=first.id[:12]):
        await s.endpoints.publish(network.id, second.id, WEB)
    assert s.mirror.endpoint(network.id, first.id) is not None
