"""The steps of dnet's suites (libnetwork/test/integration/dnet: simple.bats, multi.bats, bridge.bats): endpoints live
apart from containers, and everything outlives the process that made it."""

from __future__ import annotations

from mooring.cnm import Controller, State
from mooring.core.names import AAAA, PTR, SRV, A, Answer, Verdict
from tests.cnm.hosts import MemoryHost


def ask(memory: MemoryHost, path: str, name: str, kind: int = A) -> Answer:
    """What the sandbox's resolver says."""
    return memory.resolver.ask(path, name, kind)


async def test_networks_come_and_go_by_name_and_by_id(controller: Controller) -> None:
    """simple.bats: a network of a foreign driver is made, found both ways and deleted both ways."""
    await controller.create_network("multihost", "test")
    await controller.network("multihost").delete()
    network = await controller.create_network("multihost", "test")
    assert [found.name for found in controller.networks()] == ["multihost"]
    await controller.network(network.id[:10]).delete()
    assert controller.networks() == []


async def test_an_endpoint_is_published_and_unpublished(memory: MemoryHost, controller: Controller) -> None:
    """simple.bats: an endpoint is there without any sandbox, and its driver knows it."""
    network = await controller.create_network("multihost", "test")
    endpoint = await network.create_endpoint("svc1")
    assert set(memory.driver.endpoints) == {endpoint.id}
    await network.endpoint("svc1").delete()
    assert memory.driver.endpoints == {}
    await network.delete()


async def test_an_endpoint_is_attached_and_detached(memory: MemoryHost, controller: Controller) -> None:
    """simple.bats: it goes into a sandbox and out of it, keeps its addresses, and can go into another."""
    network = await controller.create_network("multihost", "test")
    endpoint = await network.create_endpoint("svc1")
    addresses = endpoint.info().addresses
    for name in ("container_1", "container_2"):
        sandbox = await controller.create_sandbox(name)
        await endpoint.join(sandbox)
        assert memory.driver.joined == {endpoint.id: sandbox.path}
        assert (await endpoint.driver_info())["example.joined"] == sandbox.path
        await endpoint.leave(sandbox)
        assert memory.driver.joined == {}
        await sandbox.delete()
    assert endpoint.info().addresses == addresses


async def test_networks_do_not_share_their_endpoints(controller: Controller) -> None:
    """multi.bats: names of endpoints and addresses are each network's own."""
    nets = [await controller.create_network(f"multi{number}") for number in range(3)]
    for net in nets:
        await net.create_endpoint("svc")
    assert len({net.endpoint("svc").id for net in nets}) == 3
    assert len({net.subnets for net in nets}) == 3


async def test_everything_outlives_the_controller(memory: MemoryHost) -> None:
    """bridge.bats, restart: a new controller finds networks, endpoints and sandboxes, and disturbs nothing."""
    async with memory.open() as first:
        network = await first.create_network("br", ipv6=True, labels={"a": "b"}, options={"mtu": "1400"})
        endpoint = await network.create_endpoint("ep", aliases=["www"])
        sandbox = await first.create_sandbox("c1", hostname="c1", labels={"c": "d"})
        await endpoint.join(sandbox, priority=2)
        info, path, subnets, kernel = endpoint.info(), sandbox.path, network.subnets, dict(memory.kernel.facts)
        inside = await memory.namespaces.observe(path)
    async with memory.open() as second:
        assert second.restored == ()
        network, sandbox = second.network("br"), second.sandbox("c1")
        endpoint = network.endpoint("ep")
        assert (endpoint.info(), sandbox.path, network.subnets) == (info, path, subnets)
        assert (network.labels, network.options, sandbox.labels) == ({"a": "b"}, {"mtu": "1400"}, {"c": "d"})
        assert sandbox.endpoints() == [endpoint]
        assert memory.kernel.facts == kernel
        assert await memory.namespaces.observe(path) == inside
        assert ask(memory, path, "www").verdict is Verdict.FOUND
        await sandbox.delete()
        await endpoint.delete()
        await network.delete()


async def test_a_reboot_ends_sandboxes_and_nothing_else(memory: MemoryHost) -> None:
    """bridge.bats, ungraceful restart: without its namespace a sandbox goes; endpoints keep their addresses."""
    async with memory.open() as first:
        network = await first.create_network("br")
        endpoint = await network.create_endpoint("ep")
        await endpoint.join(await first.create_sandbox("c1"))
        addresses = endpoint.info().addresses
    memory.reboot()
    async with memory.open() as second:
        assert any("c1" in line for line in second.restored)
        assert second.sandboxes() == []
        endpoint = second.network("br").endpoint("ep")
        assert (endpoint.state, endpoint.info().addresses) == (State.CREATED, addresses)
        await endpoint.join(await second.create_sandbox("c1"))


async def test_a_sandbox_in_several_networks_knows_their_names(memory: MemoryHost, controller: Controller) -> None:
    """bridge.bats, multiple networks: others are found in each, not through another; the reverse has the network."""
    networks = [await controller.create_network(f"br{number}") for number in (1, 2)]
    place = await controller.create_sandbox("c1")
    others = [await controller.create_sandbox(f"o{number}") for number in (1, 2)]
    addresses = []
    for network, other in zip(networks, others, strict=True):
        await (await network.create_endpoint("me")).join(place)
        endpoint = await network.create_endpoint(f"db{network.name}")
        await endpoint.join(other)
        assert endpoint.ipv4 is not None
        addresses.append(endpoint.ipv4.ip)
    assert [ask(memory, place.path, f"dbbr{number}").addresses for number in (1, 2)] == [
        (address,) for address in addresses
    ]
    assert ask(memory, place.path, "DBBR2.br2").addresses == (addresses[1],)
    assert ask(memory, others[0].path, "dbbr2").verdict is Verdict.FORWARD
    assert ask(memory, place.path, "dbbr1", AAAA).verdict is Verdict.EMPTY
    reverse = ask(memory, place.path, addresses[0].reverse_pointer, PTR)
    assert reverse.names == ("dbbr1.br1",)


async def test_aliases_links_and_services(memory: MemoryHost, controller: Controller) -> None:
    """bridge.bats, alias: an alias is everybody's, a link its own sandbox's, a service has a port."""
    network = await controller.create_network("br")
    web, db = await controller.create_sandbox("web"), await controller.create_sandbox("db")
    served = await network.create_endpoint("db0", aliases=["database"], services=["sql:5432/tcp"])
    await served.join(db)
    await (await network.create_endpoint("web0", links={"store": "db0"})).join(web)
    assert served.ipv4 is not None
    for name in ("db0", "database", "store"):
        assert ask(memory, web.path, name).addresses == (served.ipv4.ip,)
    assert ask(memory, db.path, "store").verdict is Verdict.FORWARD
    (target,) = ask(memory, web.path, "_sql._tcp.db0", SRV).targets
    assert (target.port, target.address) == (5432, served.ipv4.ip)
    await served.leave()
    assert ask(memory, web.path, "database").verdict is Verdict.FORWARD


async def test_an_internal_network_has_no_way_out(memory: MemoryHost, controller: Controller) -> None:
    """bridge.bats, internal: there is no gateway, and unknown names are refused rather than asked elsewhere."""
    network = await controller.create_network("dark", internal=True)
    sandbox = await controller.create_sandbox("c1")
    endpoint = await network.create_endpoint("ep")
    await endpoint.join(sandbox)
    assert (endpoint.info().gateways, sandbox.gateway(4)) == ((), None)
    assert ask(memory, sandbox.path, "example.org").verdict is Verdict.REFUSED
    assert ask(memory, sandbox.path, "ep").verdict is Verdict.FOUND
