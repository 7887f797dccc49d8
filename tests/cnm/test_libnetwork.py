"""libnetwork's own cases for its library, by what they assert: libnetwork_linux_test.go and sandbox_unix_test.go.

Where the model here differs on purpose, the test says so: an endpoint may have no name, and the host has one sandbox.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from mooring.cnm import BadRequest, Conflict, Controller, Exhausted, NotFound, State, Subnet, Unavailable
from tests.cnm.hosts import MemoryHost


async def test_an_unknown_driver_is_not_found(controller: Controller) -> None:
    """A network of a driver that nobody has is refused, and none is left. (NilRemoteDriver)"""
    with pytest.raises(NotFound, match="framerelay"):
        await controller.create_network("dummy", "framerelay")
    assert controller.networks() == []


async def test_a_network_has_the_name_the_driver_and_an_id(controller: Controller) -> None:
    """What was said can be read; a name is needed. (NetworkName, NetworkType, NetworkID)"""
    with pytest.raises(BadRequest, match="name is empty"):
        await controller.create_network("")
    network = await controller.create_network("web", labels={"tier": "1"}, attachable=True, internal=True)
    assert (network.name, network.driver, network.ipam) == ("web", "bridge", "default")
    assert (network.labels, network.attachable, network.internal) == ({"tier": "1"}, True, True)
    assert len(network.id) == 64
    assert network.created > 0


async def test_a_network_name_is_unique(controller: Controller) -> None:
    """A second network of the name is refused, naming the first; after its deletion the name is free."""
    first = await controller.create_network("web")
    with pytest.raises(Conflict, match=first.id[:12]):
        await controller.create_network("web", "null")
    await first.delete()
    await controller.create_network("web")


async def test_a_network_with_endpoints_is_not_deleted(controller: Controller) -> None:
    """Deleting is refused while there is an endpoint, and works afterwards. (DeleteNetworkWithActiveEndpoints)"""
    network = await controller.create_network("web")
    endpoint = await network.create_endpoint("ep1")
    with pytest.raises(Conflict):
        await network.delete()
    await endpoint.delete()
    await network.delete()
    assert controller.networks() == []


async def test_what_was_deleted_is_not_found(controller: Controller) -> None:
    """Deleting a network or an endpoint again says so. (UnknownNetwork, UnknownEndpoint)"""
    network = await controller.create_network("web")
    endpoint = await network.create_endpoint("ep1")
    await endpoint.delete()
    with pytest.raises(NotFound, match=endpoint.id[:12]):
        await endpoint.delete()
    await network.delete()
    with pytest.raises(NotFound, match=network.id[:12]):
        await network.delete()
    with pytest.raises(NotFound, match=network.id[:12]):
        await network.create_endpoint("ep2")


async def test_networks_and_endpoints_are_listed(controller: Controller) -> None:
    """Both lists have what was made, and each is found in its own. (NetworkEndpointsWalkers)"""
    network = await controller.create_network("net1")
    one, two = await network.create_endpoint("ep1"), await network.create_endpoint("ep2")
    assert set(network.endpoints()) == {one, two}
    other = await controller.create_network("net2")
    assert set(controller.networks()) == {network, other}
    assert other.endpoints() == []
    await other.delete()
    assert controller.networks() == [network]


async def test_an_endpoint_name_is_unique_in_its_network(controller: Controller) -> None:
    """A second is refused, but not in another network; many have no name. (DuplicateEndpoint)"""
    network, other = await controller.create_network("net1"), await controller.create_network("net2")
    await network.create_endpoint("ep1")
    with pytest.raises(Conflict, match="ep1"):
        await network.create_endpoint("ep1")
    await other.create_endpoint("ep1")
    assert (await network.create_endpoint()).name == (await network.create_endpoint()).name == ""


async def test_networks_are_found_by_id_and_by_name(controller: Controller) -> None:
    """The empty reference is bad, an unknown one is not found. (ControllerQuery)"""
    network = await controller.create_network("net1")
    with pytest.raises(BadRequest):
        controller.network("")
    with pytest.raises(NotFound, match="no network network1"):
        controller.network("network1")
    assert controller.network("net1") == controller.network(network.id) == network


async def test_endpoints_are_found_by_id_and_by_name(controller: Controller) -> None:
    """The same for a network's endpoints. (NetworkQuery)"""
    network = await controller.create_network("net1")
    one, two = await network.create_endpoint("ep11"), await network.create_endpoint("ep12")
    assert network.endpoint("ep11") == network.endpoint(one.id) == one
    assert network.endpoint("ep12") == two
    with pytest.raises(NotFound, match="no endpoint IamNotAnEndpoint in network net1"):
        network.endpoint("IamNotAnEndpoint")
    with pytest.raises(BadRequest):
        network.endpoint("")


async def test_an_endpoint_in_a_sandbox_is_deleted_by_force_only(controller: Controller) -> None:
    """Deleting is refused, the endpoint stays where it is; force takes it out. (EndpointDeleteWithActiveContainer)"""
    network, sandbox = await controller.create_network("web"), await controller.create_sandbox("c1")
    endpoint = await network.create_endpoint("ep1")
    await endpoint.join(sandbox)
    with pytest.raises(Conflict):
        await endpoint.delete()
    assert endpoint.sandbox == sandbox
    await endpoint.delete(force=True)
    assert sandbox.endpoints() == network.endpoints() == []


async def test_an_endpoint_is_in_one_sandbox(controller: Controller) -> None:
    """Joining another one is refused; joining the same again is fine. (EndpointMultipleJoins)"""
    network = await controller.create_network("web")
    endpoint = await network.create_endpoint("ep1")
    one, two = await controller.create_sandbox("c1"), await controller.create_sandbox("c2")
    await endpoint.join(one)
    await endpoint.join(one)
    with pytest.raises(Conflict):
        await endpoint.join(two)
    assert (endpoint.sandbox, two.endpoints()) == (one, [])


async def test_a_deleted_sandbox_lets_all_its_endpoints_go(controller: Controller) -> None:
    """They are in no sandbox, keep their addresses, and join the next one with them. (LeaveAll)"""
    one, two = await controller.create_network("net1"), await controller.create_network("net2", ipv6=True)
    sandbox = await controller.create_sandbox("c1")
    endpoints = [await one.create_endpoint("ep1"), await two.create_endpoint("ep2")]
    for endpoint in endpoints:
        await endpoint.join(sandbox)
    before = [endpoint.info().addresses for endpoint in endpoints]
    await sandbox.delete()
    assert [endpoint.state for endpoint in endpoints] == [State.CREATED, State.CREATED]
    again = await controller.create_sandbox("c1")
    for endpoint in endpoints:
        await endpoint.join(again)
    assert [endpoint.info().addresses for endpoint in endpoints] == before


async def test_leaving_what_was_not_joined_is_refused(controller: Controller) -> None:
    """Leaving without a join, another sandbox, and what is no sandbox. (ContainerInvalidLeave)"""
    network = await controller.create_network("web")
    endpoint = await network.create_endpoint("ep1")
    one, two = await controller.create_sandbox("c1"), await controller.create_sandbox("c2")
    with pytest.raises(Conflict):
        await endpoint.leave(one)
    with pytest.raises(Conflict, match="ep1 is in no sandbox"):
        await endpoint.leave()
    await endpoint.join(one)
    with pytest.raises(BadRequest, match="sandbox"):
        await endpoint.leave("c1")  # type: ignore[arg-type]
    with pytest.raises(Conflict):
        await endpoint.leave(two)
    await endpoint.leave()
    assert endpoint.sandbox is None


async def test_objects_show_what_happens_to_their_records(controller: Controller) -> None:
    """An endpoint found before a join shows it afterwards. (EndpointUpdateParent)"""
    network, sandbox = await controller.create_network("web"), await controller.create_sandbox("c1")
    made = await network.create_endpoint("ep1")
    found = network.endpoint("ep1")
    await made.join(sandbox)
    assert found.state is State.ATTACHED
    assert found.sandbox == sandbox
    assert found.interface == "eth0"


async def test_the_host_s_sandbox(controller: Controller) -> None:
    """Endpoints of the host's network join the host's sandbox, of which there is one, and no other. (Host)"""
    network = await controller.create_network("host", "host")
    assert network.subnets == network.gateways == ()
    place, own = await controller.create_sandbox("h", host=True), await controller.create_sandbox("c1")
    with pytest.raises(Conflict):
        await controller.create_sandbox("h2", host=True)
    one, two = await network.create_endpoint("ep1"), await network.create_endpoint("ep2")
    await one.join(place)
    await two.join(place)
    assert one.info().addresses == ()
    assert set(place.endpoints()) == {one, two}
    bridged = await (await controller.create_network("web")).create_endpoint("ep1")
    with pytest.raises(Conflict):
        await bridged.join(place)
    await two.leave()
    with pytest.raises(Conflict):
        await two.join(own)
    assert (bridged.state, two.state) == (State.CREATED, State.CREATED)


async def test_an_endpoint_says_where_it_is(controller: Controller) -> None:
    """Before a join there is no sandbox and no gateway; afterwards all of it fits. (EndpointJoin)"""
    network = await controller.create_network("net1", subnets=["10.9.0.0/24"], ipv6=True)
    endpoint = await network.create_endpoint("ep1")
    info = endpoint.info()
    assert (info.sandbox, info.gateways, info.interface, info.state) == ("", (), "", State.CREATED)
    assert [interface.network for interface in info.addresses] == list(network.subnets)
    with pytest.raises(BadRequest, match="sandbox"):
        await endpoint.join(None)  # type: ignore[arg-type]
    sandbox = await controller.create_sandbox("c1")
    await endpoint.join(sandbox, priority=3)
    info = endpoint.info()
    assert (info.sandbox, info.interface, info.priority) == (sandbox.id, "eth0", 3)
    assert info.gateways == tuple(gateway.ip for gateway in network.gateways)
    with pytest.raises(Conflict):
        await network.delete()
    second = await (await controller.create_network("net2")).create_endpoint("ep2")
    await second.join(sandbox)
    assert second.interface == "eth1"
    assert [found.name for found in sandbox.endpoints()] == ["ep1", "ep2"]


async def test_an_external_namespace_may_come_later(memory: MemoryHost, controller: Controller) -> None:
    """An endpoint joined before the key gets its interface when the key comes, one after it at once. (ExternalKey)"""
    one, two = await controller.create_network("net1"), await controller.create_network("net2")
    before, after = await one.create_endpoint("ep1"), await two.create_endpoint("ep2")
    sandbox = await controller.create_sandbox("c1", external=True)
    await before.join(sandbox)
    assert (sandbox.path, before.sandbox) == ("", sandbox)
    with pytest.raises(BadRequest, match="path is empty"):
        await sandbox.set_key("")
    with pytest.raises(NotFound):
        await sandbox.set_key("/proc/1/ns/none")
    memory.namespaces.external("/proc/7/ns/net")
    await sandbox.set_key("/proc/7/ns/net")
    await after.join(sandbox)
    assert sandbox.path == "/proc/7/ns/net"
    assert {"eth0", "eth1"} <= (await memory.namespaces.observe(sandbox.path)).names
    with pytest.raises(Conflict):
        await controller.create_sandbox("c2", path="/proc/7/ns/net")
    await sandbox.delete()
    assert await memory.namespaces.exists("/proc/7/ns/net")


async def test_resolv_conf_leads_to_the_resolver(memory: MemoryHost, controller: Controller) -> None:
    """In a network of its own a sandbox asks 127.0.0.11, and keeps what it was told besides. (ResolvConf)"""
    network = await controller.create_network("web")
    sandbox = await controller.create_sandbox("c1", search=["example.org"], dns_options=["ndots:2"])
    await (await network.create_endpoint("ep1")).join(sandbox)
    text = memory.files.texts[sandbox.resolv_conf_path]
    assert [line for line in text.splitlines() if line.startswith("nameserver")] == ["nameserver 127.0.0.11"]
    assert "search example.org" in text
    assert "ndots:2" in text


async def test_many_join_and_leave_at_once(controller: Controller) -> None:
    """Sandboxes in two networks each, made and ended at the same time, do not disturb one another. (Parallel)"""
    networks = [await controller.create_network("net1"), await controller.create_network("net2", ipv6=True)]

    async def live(number: int) -> None:
        sandbox = await controller.create_sandbox(f"c{number}")
        for network in networks:
            endpoint = await network.create_endpoint(f"ep{number}")
            await endpoint.join(sandbox)
        assert len(sandbox.endpoints()) == 2
        await sandbox.endpoints()[0].leave()
        await sandbox.delete()
        for network in networks:
            await network.endpoint(f"ep{number}").delete()

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(live(number))
    assert controller.sandboxes() == []
    for network in networks:
        await network.delete()


async def test_the_null_ipam_gives_a_bridge_nothing(controller: Controller) -> None:
    """A bridge without subnets is refused; a network without plumbing needs none. (NullIpam)"""
    with pytest.raises(BadRequest):
        await controller.create_network("web", ipam="null")
    assert (await controller.create_network("dark", "null", ipam="null")).subnets == ()


async def test_auxiliary_addresses_are_set_aside(controller: Controller) -> None:
    """No endpoint gets one, by itself or by asking; one outside of the subnet is refused. (AuxAddresses)"""
    small = Subnet("10.9.0.0/29", gateway="10.9.0.1", auxiliary={"a": "10.9.0.2", "b": "10.9.0.4"})
    network = await controller.create_network("web", subnets=[small])
    with pytest.raises(Conflict, match=r"10\.9\.0\.4"):
        await network.create_endpoint(addresses=["10.9.0.4"])
    given = [(await network.create_endpoint()).ipv4 for _ in range(3)]
    assert [str(interface) for interface in given] == ["10.9.0.3/29", "10.9.0.5/29", "10.9.0.6/29"]
    with pytest.raises(Exhausted):
        await network.create_endpoint()
    with pytest.raises(BadRequest, match=r"auxiliary 10\.8\.0\.9"):
        await controller.create_network("no", subnets=[Subnet("10.7.0.0/24", auxiliary={"a": "10.8.0.9"})])


async def test_what_a_driver_refuses_is_given_back(memory: MemoryHost, controller: Controller) -> None:
    """Subnet and address are free after the driver refused them. (IpamReleaseOnNetDriverFailures)"""
    memory.driver.refusals["create_network"] = Unavailable("I will not")
    with pytest.raises(Unavailable, match="I will not"):
        await controller.create_network("web", "test", subnets=["10.9.0.0/24"])
    del memory.driver.refusals["create_network"]
    network = await controller.create_network("web", "test", subnets=["10.9.0.0/24"])
    memory.driver.refusals["create_endpoint"] = Unavailable("I will not")
    with pytest.raises(Unavailable, match="I will not"):
        await network.create_endpoint("ep1", addresses=["10.9.0.9"])
    del memory.driver.refusals["create_endpoint"]
    endpoint = await network.create_endpoint("ep1", addresses=["10.9.0.9"])
    assert endpoint.ipv4 is not None
    assert endpoint.ipv4.ip == ip_address("10.9.0.9")


async def test_sandboxes_are_found_by_name(controller: Controller) -> None:
    """The empty reference is bad, an unknown one is not found, a name is given once. (ControllerGetSandbox)"""
    with pytest.raises(BadRequest):
        controller.sandbox("")
    with pytest.raises(NotFound):
        controller.sandbox("c1")
    sandbox = await controller.create_sandbox("c1")
    assert controller.sandbox("c1") == controller.sandbox(sandbox.id) == sandbox
    with pytest.raises(Conflict):
        await controller.create_sandbox("c1")
    await sandbox.delete()
    with pytest.raises(NotFound):
        controller.sandbox("c1")
    with pytest.raises(NotFound, match=sandbox.id[:12]):
        await sandbox.delete()


async def test_an_empty_sandbox(controller: Controller) -> None:
    """It has no endpoints and no gateway, and ends like any other. (AddEmpty)"""
    sandbox = await controller.create_sandbox()
    assert sandbox.name
    assert (sandbox.endpoints(), sandbox.gateway(4), sandbox.gateway(6)) == ([], None, None)
    await sandbox.delete()
    assert controller.sandboxes() == []


async def test_the_highest_priority_is_the_gateway(controller: Controller) -> None:
    """Order of joining does not matter, and the next one takes over. (AddMultiPrio)"""
    sandbox = await controller.create_sandbox("c1")
    for name, priority in (("net1", 5), ("net2", 10), ("net3", 7)):
        network = await controller.create_network(name)
        await (await network.create_endpoint(name)).join(sandbox, priority)
    assert [endpoint.name for endpoint in sandbox.endpoints()] == ["net2", "net3", "net1"]
    for name in ("net2", "net3", "net1"):
        gateway = sandbox.gateway(4)
        assert gateway is not None
        assert gateway.name == name
        await gateway.leave()
    assert sandbox.gateway(4) is None


async def test_gateways_are_chosen_for_each_family(controller: Controller) -> None:
    """IPv4 and IPv6 may leave by different endpoints. (GatewayEndpointRespectsPriorityPerAddressFamily)"""
    sandbox = await controller.create_sandbox("c1")
    four = await (await controller.create_network("four")).create_endpoint("four")
    six = await (await controller.create_network("six", ipv4=False, ipv6=True)).create_endpoint("six")
    both = await (await controller.create_network("both", ipv6=True)).create_endpoint("both")
    await both.join(sandbox)
    await four.join(sandbox, 10)
    assert (sandbox.gateway(4), sandbox.gateway(6)) == (four, both)
    await six.join(sandbox, 20)
    assert (sandbox.gateway(4), sandbox.gateway(6)) == (four, six)
    with pytest.raises(BadRequest, match="version"):
        sandbox.gateway(5)


async def test_equal_priorities_go_by_the_network_s_name(controller: Controller) -> None:
    """Internal networks come last, then names decide. (AddSamePrio)"""
    sandbox = await controller.create_sandbox("c1")
    for name, internal in (("b", False), ("0", True), ("a", False)):
        network = await controller.create_network(name, internal=internal)
        await (await network.create_endpoint(name)).join(sandbox)
    assert [endpoint.name for endpoint in sandbox.endpoints()] == ["a", "b", "0"]
