"""Published ports of a driver that forwards by itself; tests/services/test_endpoints.py has those of the bridge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.networks import Network
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import EndpointRequest, EndpointSpec, JoinRequest, NetworkSpec, SubnetSpec
from mooring.services.networking.assembly import Others
from mooring.services.networking.liveness import STARTED
from mooring.services.sandboxes.provisioning import Provisioning
from mooring.testing.memory_driver import MemoryDriver
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import When
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)


async def joined(host: MemoryHost) -> tuple[Network, Endpoint]:
    """An endpoint of the driver `far`, in a sandbox."""
    s = host.services
    work = Provisioning(s.records, s.drivers, s.networks, s.endpoints)
    network = await work.create_network(NetworkSpec("web", "far", (SubnetSpec(4),)))
    endpoint = await work.create_endpoint(EndpointSpec(network.id, "a"))
    await s.endpoints.attach(network.id, endpoint.id, JoinRequest("/s"))
    return network, endpoint


async def test_a_driver_that_publishes_by_itself_is_told_and_told_of_the_end() -> None:
    """No host port is held for it; what it was told is taken back at leave, whoever asks."""
    far = MemoryDriver()
    host = await MemoryHost(Others({"far": far})).start()
    s = host.services
    network, endpoint = await joined(host)
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
    work = Provisioning(s.records, s.drivers, s.networks, s.endpoints)
    network = await work.create_network(NetworkSpec("web", "bridge", (SubnetSpec(4),)))
    first, second = [await work.create_endpoint(EndpointSpec(network.id, name)) for name in ("a", "b")]
    await s.endpoints.attach(network.id, first.id, JoinRequest("/s", inside=True))
    await s.endpoints.publish(network.id, first.id, WEB)
    host.kernel.reboot()
    with pytest.raises(Conflict, match=first.id[:12]):
        await s.endpoints.publish(network.id, second.id, WEB)
    assert s.cache.endpoint(network.id, first.id) is not None


async def test_a_container_that_died_unheard_holds_its_port_no_longer() -> None:
    """Its interface was left on the host. One that is being started has no process yet, and one that runs has."""
    host = await MemoryHost().start()
    network = await host.network("a")
    old, new = "old".ljust(64, "0"), "new".ljust(64, "0")
    await host.endpoint(network, "old")
    await host.services.endpoints.publish(network, old, WEB)
    await host.endpoint(network, "new")
    with pytest.raises(Conflict, match="old"):
        await host.services.endpoints.publish(network, new, WEB)
    host.clock.advance(STARTED + 1)
    host.kernel.lived_in.add(host_end(old))
    with pytest.raises(Conflict, match="old"):
        await host.services.endpoints.publish(network, new, WEB)
    host.kernel.lived_in.clear()
    await host.services.endpoints.publish(network, new, WEB)
    assert [endpoint.id for endpoint in host.services.cache.every(Endpoint)] == [new]


class LateGuard(MemoryPortGuard):
    """Something happens while a port is being held."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def hold(self, protocol: Protocol, host: IPv4Address | IPv6Address, port: int) -> None:
        """See PortGuard."""
        await self._meanwhile()
        await super().hold(protocol, host, port)


async def test_an_endpoint_that_died_under_its_publication_stays_dead() -> None:
    """An engine that came back gives the address to another while a call of its predecessor is under way: the old
    record is not written again, and the port is free."""
    host = await MemoryHost().start()
    network = await host.network("a")

    async def give_away() -> None:
        mac = "02:00:00:00:00:99"
        ipv4 = IPv4Interface("10.32.0.2/24")
        await host.services.endpoints.create(EndpointRequest(network, "n" * 64, ipv4, None, mac))

    host.guard = LateGuard(give_away)
    host.services = host._assemble()
    await host.start()
    await host.endpoint(network, "old")
    with pytest.raises(NotFound, match="has been deleted"):
        await host.services.endpoints.publish(network, "old".ljust(64, "0"), WEB)
    assert [endpoint.id for endpoint in host.services.cache.every(Endpoint)] == ["n" * 64]
    assert host.guard.held == set()


async def test_a_lost_answer_of_the_store_keeps_no_port() -> None:
    """The endpoint has left, as far as the store says: its port is free, although nobody heard so."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.endpoint(network, "e1")
    ident = "e1".ljust(64, "0")
    await host.services.endpoints.publish(network, ident, WEB)
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.services.endpoints.detach(network, ident)
    assert host.guard.held == set()
    assert not any("8080" in str(fact) for fact in host.facts)


class Forwarder(MemoryDriver):
    """Host ports are chosen and held for it."""

    forwards = True


async def test_a_driver_that_forwards_is_reminded() -> None:
    """After a restart the recorded ports are held again, and the driver is told as often as somebody asks."""
    far = Forwarder(remembers=False)
    host = await MemoryHost(Others({"far": far})).start()
    s = host.services
    network, endpoint = await joined(host)
    await s.endpoints.publish(network.id, endpoint.id, WEB)
    held = set(host.guard.held)
    await host.restart()
    calls: list[str] = []

    async def look(method: str) -> None:
        calls.append(method)

    far.before = look
    for _ in range(2):
        await host.services.endpoints.publish(network.id, endpoint.id, WEB)
    assert (host.guard.held, calls) == (held, ["publish"] * 2)


async def test_other_ports_take_back_those_of_before() -> None:
    """A driver that publishes by itself hears of the end first."""
    far = MemoryDriver()
    host = await MemoryHost(Others({"far": far})).start()
    s = host.services
    network, endpoint = await joined(host)
    calls: list[str] = []

    async def look(method: str) -> None:
        calls.append(method)

    far.before = look
    await s.endpoints.publish(network.id, endpoint.id, WEB)
    await s.endpoints.publish(network.id, endpoint.id, (PortRequest(Protocol.TCP, 81, first=81, last=81),))
    assert calls == ["publish", "unpublish", "publish"]
