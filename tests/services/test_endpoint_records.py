"""What the use cases of endpoints share."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.networks import Network
from mooring.core.requests import EndpointSpec, JoinRequest, NetworkSpec, SubnetSpec
from mooring.services.networking.assembly import Others
from mooring.services.networking.endpoint_records import EndpointRecords
from mooring.services.sandboxes.provisioning import Provisioning
from mooring.testing.memory_driver import MemoryDriver
from tests.services.hosts import MemoryHost


async def controller(far: MemoryDriver) -> tuple[MemoryHost, Provisioning, Network]:
    """A host with a network of the driver."""
    host = await MemoryHost(Others({"far": far})).start()
    s = host.services
    work = Provisioning(s.records, s.drivers, s.networks, s.endpoints)
    return host, work, await work.create_network(NetworkSpec("web", "far", (SubnetSpec(4),)))


async def test_operations_on_one_endpoint_queue_and_on_two_run_at_once() -> None:
    """While one endpoint's driver call hangs, another of the network joins, and the first one's leave waits."""
    far = MemoryDriver()
    host, work, network = await controller(far)
    endpoints = host.services.endpoints
    slow, quick = [await work.create_endpoint(EndpointSpec(network.id, name)) for name in ("slow", "quick")]
    entered, go = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def hang(method: str) -> None:
        order.append(method)
        if len(order) == 1:
            entered.set()
            await go.wait()

    far.before = hang
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(endpoints.attach(network.id, slow.id, JoinRequest("/one")))
        await entered.wait()
        leaving = tasks.create_task(endpoints.detach(network.id, slow.id))
        await endpoints.attach(network.id, quick.id, JoinRequest("/two"))
        assert far.joined == {quick.id: "/two"}
        assert not leaving.done()
        go.set()
    assert order == ["join", "join", "leave"]
    assert far.joined == {quick.id: "/two"}


async def test_a_network_is_not_deleted_under_an_endpoint_that_is_being_made() -> None:
    """The deletion waits, and is then refused because there is one."""
    far = MemoryDriver()
    _, work, network = await controller(far)
    entered, go = asyncio.Event(), asyncio.Event()

    async def hang(method: str) -> None:
        if method == "create_endpoint":
            entered.set()
            await go.wait()

    far.before = hang

    async def delete() -> None:
        with pytest.raises(Conflict, match="has endpoints"):
            await work.delete_network(network.id)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work.create_endpoint(EndpointSpec(network.id, "a")))
        await entered.wait()
        tasks.create_task(delete())
        await asyncio.sleep(0)
        go.set()


async def test_a_driver_that_is_gone_stops_nobody_who_forces() -> None:
    """Without force it is not known or not reached; with force what is recorded goes without it."""
    far = MemoryDriver()
    host, work, network = await controller(far)
    endpoint = await work.create_endpoint(EndpointSpec(network.id, "a"))
    host.others = None
    await host.restart()
    s = host.services
    with pytest.raises(NotFound, match="no network driver 'far'"):
        await s.endpoints.delete(network.id, endpoint.id)
    await s.endpoints.delete(network.id, endpoint.id, force=True)
    await s.networks.delete(network.id, force=True)
    assert s.cache.count(Network) == 0


async def test_a_join_whose_outcome_nobody_knows_is_noted_until_it_is_told() -> None:
    """The driver fails in the middle and cannot be told of the end: the note stays, and leaving tells it."""
    far = MemoryDriver()
    host, work, network = await controller(far)
    endpoint = await work.create_endpoint(EndpointSpec(network.id, "a"))
    far.refusals = {name: Unavailable("gone") for name in ("join", "leave")}
    endpoints = host.services.endpoints
    with pytest.raises(Unavailable):
        await endpoints.attach(network.id, endpoint.id, JoinRequest("/s"))
    noted = host.services.cache.endpoint(network.id, endpoint.id)
    assert noted is not None
    assert noted.pending is not None
    far.refusals = {}
    await endpoints.detach(network.id, endpoint.id)
    assert host.services.cache.endpoint(network.id, endpoint.id) == endpoint


async def test_what_is_not_known_is_named() -> None:
    """The network, then the endpoint."""
    host, _, network = await controller(MemoryDriver())
    s = host.services
    records = EndpointRecords(s.cache, s.drivers, s.ipam, s.port_allocator, s.records.locks)
    with pytest.raises(NotFound, match="network 000000000000"):
        records.known("0" * 64, "e")
    with pytest.raises(NotFound, match="endpoint e is not known in network"):
        records.known(network.id, "e")
