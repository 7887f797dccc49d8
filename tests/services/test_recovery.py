"""The start of a controller, case by case; tests/library interrupts every operation at every step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.endpoints import Endpoint, Event, State
from mooring.core.faults import Unavailable
from mooring.core.networks import Network, Pending
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, JoinRequest, PoolRequest, Role
from mooring.core.sandboxes import Sandbox
from mooring.services.sandboxes.provisioning import FOR_NETWORK
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.services.library_hosts import LibraryHost


@pytest.fixture
async def host() -> LibraryHost:
    """Nothing was there before."""
    return await LibraryHost().start()


async def test_a_start_over_what_is_right_changes_nothing(host: LibraryHost) -> None:
    """A sandbox that is alive notices nothing, and its names are answered again."""
    endpoint = await host.endpoint(await host.network("web"), "a")
    sandbox = await host.sandbox("box")
    await host.library.sandboxes.join(endpoint.network, endpoint.id, sandbox.id)
    before = (host.store.records, dict(host.kernel.facts), await host.namespaces.observe(sandbox.path))
    await host.start()
    assert host.lines == []
    assert (host.store.records, host.kernel.facts, await host.namespaces.observe(sandbox.path)) == before
    assert set(host.resolver.served) == {sandbox.path}


async def test_after_a_reboot_sandboxes_are_gone_and_endpoints_keep_their_addresses(host: LibraryHost) -> None:
    """The kernel has nothing left; networks are built again, and the next sandbox gets the address."""
    network = await host.network("web")
    endpoint = await host.endpoint(network, "a")
    sandbox = await host.sandbox("box")
    await host.library.sandboxes.join(endpoint.network, endpoint.id, sandbox.id)
    host.kernel.reboot()
    host.namespaces.reboot()
    await host.start()
    assert "sandbox box removed: its namespace was removed" in host.lines
    assert host.library.cache.count(Sandbox) == 0
    kept = host.library.cache.endpoint(network.id, endpoint.id)
    assert kept == endpoint
    again = await host.sandbox("box")
    await host.library.sandboxes.join(endpoint.network, endpoint.id, again.id)
    assert any("10.32.0.2" in str(fact) for fact in (await host.namespaces.observe(again.path)).facts)


async def test_what_was_granted_to_what_never_came_is_given_back(host: LibraryHost) -> None:
    """A subnet whose network was not recorded, and an address whose endpoint was not."""
    network = await host.network("web")
    pool = network.ipv4[0].pool
    ipam = await host.library.drivers.ipam_driver("default")
    await ipam.request_pool(PoolRequest("default", 4, options={FOR_NETWORK: "f" * 64}))
    await ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:00:00:00:00:09"))
    await host.start()
    assert host.lines == ["subnet 10.32.1.0/24 released", "address 10.32.0.2 released"]
    assert [each.id for each in host.library.cache.every(Pool)] == [pool]


async def test_leftover_namespaces_and_endpoints_of_sandboxes_that_are_no_more(host: LibraryHost) -> None:
    """A namespace without a record is removed; an endpoint in a sandbox that nobody knows is in none."""
    endpoint = await host.endpoint(await host.network("web"), "a")
    await host.library.endpoints.attach(endpoint.network, endpoint.id, JoinRequest("/nowhere", inside=True))
    await host.namespaces.create("stray")
    await host.start()
    assert host.lines[:2] == ["endpoint a taken out of a removed sandbox", "namespace stray removed: it has no sandbox"]
    assert [found.state for found in host.library.cache.every(Endpoint)] == [State.CREATED]
    assert await host.namespaces.made() == {}


@pytest.mark.parametrize(
    ("pending", "line", "left"),
    [
        (Pending.CREATE, "create of network far undone", 0),
        (Pending.DELETE, "delete of network far finished", 0),
        (None, "", 1),
    ],
)
async def test_a_network_that_was_begun_is_ended(
    host: LibraryHost, pending: Pending | None, line: str, left: int
) -> None:
    """Creations are undone and deletions finished, and the driver hears of it; the others stay."""
    network = await host.network("far", "far")
    await host.library.cache.commit(put=[replace(network, pending=pending)])
    await host.start()
    assert host.lines == ([line] if line else [])
    assert (host.library.cache.count(Network), len(host.far.networks)) == (left, left)


@pytest.mark.parametrize(
    ("pending", "line", "left"),
    [
        (Event.CREATE, "create of endpoint a undone", 0),
        (Event.DELETE, "delete of endpoint a finished", 0),
        (Event.ATTACH, "attach of endpoint a ended: it is in no sandbox", 1),
        (Event.DETACH, "detach of endpoint a ended: it is in no sandbox", 1),
    ],
)
async def test_an_endpoint_that_was_begun_is_ended(host: LibraryHost, pending: Event, line: str, left: int) -> None:
    """As with networks; a join that was not recorded as done is undone, a leave is finished."""
    endpoint = await host.endpoint(await host.network("far", "far"), "a")
    host.far.joined[endpoint.id] = "/somewhere"
    await host.library.cache.commit(put=[replace(endpoint, pending=pending)])
    await host.start()
    assert host.lines == [line]
    assert (host.library.cache.count(Endpoint), len(host.far.endpoints), host.far.joined) == (left, left, {})


async def test_a_plugin_that_does_not_answer_is_told_at_a_later_start(host: LibraryHost) -> None:
    """The start goes on without it, says so, and the note stays."""
    network = await host.network("far", "far")
    await host.library.cache.commit(put=[replace(network, pending=Pending.DELETE)])
    await host.network("web")
    host.far.refusals["delete_network"] = Unavailable("plugin far does not answer")
    await host.start()
    assert host.lines == ["delete of network far not restored: plugin far does not answer"]
    assert host.library.cache.count(Network) == 2
    host.far.refusals.clear()
    await host.start()
    assert [found.name for found in host.library.cache.every(Network)] == ["web"]


async def test_a_namespace_that_cannot_be_looked_at_does_not_stop_the_start(host: LibraryHost) -> None:
    """It is said in a line, and everything else is restored."""

    class Closed(MemoryNamespaces):
        async def identify(self, path: str) -> str:
            raise Unavailable(f"{path} is closed to us")

    sandbox = await host.sandbox("box")
    host.namespaces = Closed(host.kernel)
    await host.start()
    assert f"look at sandbox box not restored: {sandbox.path} is closed to us" in host.lines
    assert host.library.cache.count(Sandbox) == 1
