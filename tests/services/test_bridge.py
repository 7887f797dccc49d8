"""The bridge driver, over the memory kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.datapath import host_end, network_facts, sandbox_end
from mooring.core.endpoint_options import ENDPOINT_IFNAME
from mooring.core.endpoints import State
from mooring.core.faults import BadRequest
from mooring.core.networks import Origin
from mooring.core.plumbing import Bridge, Remove, Veth
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.services.drivers.bridge import BridgeDriver
from mooring.testing.memory_kernel import MemoryKernel
from tests.contracts.test_drivers import ENDPOINT, NETWORK, REQUEST


def veths(kernel: MemoryKernel) -> list[Veth]:
    """The pairs in the kernel."""
    return [fact for fact in kernel.facts.values() if isinstance(fact, Veth)]


async def test_an_engine_finds_the_interface_on_the_host_and_the_library_in_the_sandbox() -> None:
    """For an engine it is made with the endpoint, beside its host end; for the library at the join, inside."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    await driver.create_endpoint(NETWORK, ENDPOINT)
    assert veths(kernel) == []
    attachment = await driver.join(NETWORK, ENDPOINT, REQUEST)
    assert attachment.link == sandbox_end(ENDPOINT.id)
    assert [veth.inside for veth in veths(kernel)] == [REQUEST.key]
    await driver.leave(NETWORK, ENDPOINT)
    await driver.create_endpoint(replace(NETWORK, origin=Origin.ENGINE), ENDPOINT)
    assert [veth.inside for veth in veths(kernel)] == [""]


async def test_an_interface_in_a_living_sandbox_is_the_engines_to_take_out() -> None:
    """At leave it goes when the container has ended, and stays while it runs, until the endpoint is deleted."""
    network, attached = replace(NETWORK, origin=Origin.ENGINE), replace(ENDPOINT, state=State.ATTACHED)
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    await driver.create_endpoint(network, ENDPOINT)
    kernel.lived_in.add(host_end(ENDPOINT.id))
    await driver.leave(network, attached)
    assert len(veths(kernel)) == 1
    await driver.delete_endpoint(network, ENDPOINT)
    assert veths(kernel) == []
    kernel.lived_in.clear()
    await driver.create_endpoint(network, ENDPOINT)
    await driver.leave(network, attached)
    assert veths(kernel) == []


async def test_the_librarys_interfaces_go_at_leave() -> None:
    """Nobody else takes them out."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    await driver.join(NETWORK, ENDPOINT, REQUEST)
    kernel.lived_in.add(host_end(ENDPOINT.id))
    await driver.leave(NETWORK, replace(ENDPOINT, state=State.ATTACHED))
    assert veths(kernel) == []


async def test_joining_tells_the_neighbours() -> None:
    """Each address of the endpoint is announced on the bridge when its interface is made, and only then."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    for _ in range(2):
        await driver.join(NETWORK, ENDPOINT, REQUEST)
    assert [(link, str(address)) for link, address, _ in kernel.announced] == [(NETWORK.bridge, "10.9.0.2")]


async def test_an_attached_endpoint_is_not_plugged_again_after_a_restart() -> None:
    """Its interface is in the sandbox; a second one under its name would be somebody's surprise."""
    kernel = MemoryKernel()
    attached = replace(ENDPOINT, state=State.ATTACHED)
    await BridgeDriver(kernel).join(NETWORK, attached, REQUEST)
    assert veths(kernel) == []


async def test_a_bridge_that_went_missing_is_rebuilt_under_a_join() -> None:
    """Also when this process had built it: somebody may have deleted it."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    await driver.create_network(NETWORK)
    [bridge] = [fact for fact in kernel.facts.values() if isinstance(fact, Bridge)]
    await kernel.apply([Remove(bridge)])
    await driver.join(NETWORK, ENDPOINT, REQUEST)
    assert network_facts(NETWORK) <= frozenset(kernel.facts.values())


async def test_published_ports_come_and_go_and_their_connections_are_forgotten() -> None:
    """The rules are there after publish, and gone after unpublish with the tracked connections."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    address = ENDPOINT.addresses[0]
    published = replace(ENDPOINT, published=(PortBinding(Protocol.TCP, None, 8080, address, 80),))
    await driver.join(NETWORK, published, REQUEST)
    before = frozenset(kernel.facts)
    await driver.publish(NETWORK, published)
    await driver.unpublish(NETWORK, published)
    assert {key for key in before if key[0] != "member"} <= frozenset(kernel.facts)
    assert not any("8080" in str(key) for key in kernel.facts)
    assert kernel.forgotten == [address]


async def test_who_asks_learns_which_interface_it_is() -> None:
    """The name on the host, and whether it exists."""
    kernel = MemoryKernel()
    driver = BridgeDriver(kernel)
    assert await driver.info(NETWORK, ENDPOINT) == {"mooring.interface": host_end(ENDPOINT.id)}
    assert not await driver.is_connected(ENDPOINT)
    await driver.join(NETWORK, ENDPOINT, REQUEST)
    assert await driver.is_connected(ENDPOINT)


async def test_an_interface_is_named_where_the_engine_uses_the_name() -> None:
    """Join answers it; an engine that would not use it is refused before anything is made."""
    kernel = MemoryKernel()
    named = replace(ENDPOINT, options={ENDPOINT_IFNAME: "lan0"})
    with pytest.raises(BadRequest, match=r"before 29\.8"):
        await BridgeDriver(kernel).create_endpoint(NETWORK, named)
    assert veths(kernel) == []
    driver = BridgeDriver(kernel, lambda: True)
    await driver.create_endpoint(NETWORK, named)
    assert (await driver.join(NETWORK, named, REQUEST)).name == "lan0"
    assert (await driver.join(NETWORK, ENDPOINT, REQUEST)).name == ""
