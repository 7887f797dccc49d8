"""Networks, endpoints and sandboxes as a program holds them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import ip_address, ip_network

import pytest

from mooring.cnm import BadRequest, Conflict, Controller, Kind, NotFound, PortRequest, State, Subnet, Unavailable
from mooring.core.port_bindings import Protocol
from tests.cnm.hosts import MemoryHost


async def test_objects_are_names_for_records(controller: Controller) -> None:
    """Equal when they name the same, usable as keys, and not to be changed."""
    network = await controller.create_network("web")
    endpoint = await network.create_endpoint("ep")
    assert {network: 1}[controller.network("web")] == 1
    assert {endpoint: 1}[network.endpoint("ep")] == 1
    assert endpoint.network == network
    with pytest.raises(FrozenInstanceError):
        network.id = "x"  # type: ignore[misc]
    network.labels["a"] = "b"
    assert network.labels == {}


async def test_objects_print_what_they_are(controller: Controller) -> None:
    """In a line, also what is gone and what a closed controller had."""
    network = await controller.create_network("web", subnets=["10.9.0.0/24"])
    endpoint = await network.create_endpoint("db", addresses=["10.9.0.9"], mac="02:42:0a:09:00:09")
    sandbox = await controller.create_sandbox("c1", publish=["127.0.0.1:8080:80"])
    assert repr(network) == f"<Network web bridge 10.9.0.0/24 id={network.id[:12]}>"
    assert str(endpoint) == f"<Endpoint db 10.9.0.9/24 02:42:0a:09:00:09 created id={endpoint.id[:12]}>"
    assert str(endpoint.info()) == "10.9.0.9/24, 02:42:0a:09:00:09, created"
    await endpoint.join(sandbox)
    assert str(endpoint.info()) == (
        f"10.9.0.9/24, 02:42:0a:09:00:09, eth0 in sandbox {sandbox.id[:12]}, via 10.9.0.1, "
        "published 127.0.0.1:8080->10.9.0.9:80/tcp"
    )
    assert repr(sandbox) == f"<Sandbox c1 own {sandbox.path} id={sandbox.id[:12]}>"
    assert repr(controller) == "<Controller of 1 networks and 1 sandboxes>"
    assert str(await controller.repair()) == "nothing to repair"
    await endpoint.delete(force=True)
    assert repr(endpoint) == f"<Endpoint (gone) id={endpoint.id[:12]}>"


async def test_addresses_are_those_that_are_named(controller: Controller) -> None:
    """As docs/library.md has it: one of each family, none but those, and whoever holds one is named."""
    network = await controller.create_network("web", subnets=["10.9.0.0/24", "fd00:9::/64"])
    first = await network.create_endpoint("db", addresses=["10.9.0.9", "fd00:9::9"])
    assert [str(address) for address in first.info().addresses] == ["10.9.0.9/24", "fd00:9::9/64"]
    tap = await network.create_endpoint("tap", addresses=["10.9.0.10"], allocate=False)
    assert (str(tap.ipv4), tap.ipv6) == ("10.9.0.10/24", None)
    assert (await network.create_endpoint("half", addresses=["10.9.0.11"])).ipv6 is not None
    for taken in ("10.9.0.9", "10.9.0.1"):
        with pytest.raises(Conflict) as told:
            await network.create_endpoint("no", addresses=[taken])
        assert told.value.holder
    for wrong in (["10.8.0.9"], ["10.9.0.12", "10.9.0.13"], ["x"]):
        with pytest.raises(BadRequest):
            await network.create_endpoint("no", addresses=wrong)


async def test_what_is_gone_is_not_found(controller: Controller) -> None:
    """Every property and method of a deleted object says so, in one line with its id."""
    network, sandbox = await controller.create_network("web"), await controller.create_sandbox("c1")
    endpoint = await network.create_endpoint("ep")
    await endpoint.delete()
    await sandbox.delete()
    for name in ("name", "network", "ipv4", "ipv6", "mac", "state", "sandbox", "interface"):
        with pytest.raises(NotFound, match=f"no endpoint {endpoint.id[:12]}"):
            getattr(endpoint, name)
    for name in ("name", "path", "kind", "labels", "hosts_path", "resolv_conf_path"):
        with pytest.raises(NotFound, match=f"no sandbox {sandbox.id[:12]}"):
            getattr(sandbox, name)
    with pytest.raises(NotFound):
        sandbox.endpoints()
    for work in (
        endpoint.leave(),
        endpoint.driver_info(),
        endpoint.join(sandbox),
        sandbox.refresh(),
        sandbox.statistics(),
    ):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(NotFound):
        await (await network.create_endpoint("ep2")).join(sandbox)


async def test_subnets_are_as_they_were_said(controller: Controller) -> None:
    """Given ones are taken with their gateway and range; families that are wanted and not given are chosen."""
    whole = Subnet("10.9.0.0/24", range="10.9.0.128/25", gateway="10.9.0.254", auxiliary={"printer": "10.9.0.129"})
    network = await controller.create_network("web", subnets=[whole], ipv6=True)
    assert network.subnets == (ip_network("10.9.0.0/24"), ip_network("fd00:32::/64"))
    assert [str(gateway) for gateway in network.gateways] == ["10.9.0.254/24", "fd00:32::1/64"]
    endpoint = await network.create_endpoint()
    assert (str(endpoint.ipv4), str(endpoint.ipv6)) == ("10.9.0.128/24", "fd00:32::2/64")
    with pytest.raises(Conflict):
        await controller.create_network("other", subnets=["10.9.0.0/25"])


async def test_addresses_are_taken_or_refused_never_replaced(controller: Controller) -> None:
    """A given address and MAC are used; a taken one is a conflict; without allocation there are only the given ones."""
    network = await controller.create_network("web", subnets=["10.9.0.0/24", "fd00:9::/64"])
    endpoint = await network.create_endpoint("a", addresses=["10.9.0.77"], mac="02-00-00-00-00-77")
    assert (str(endpoint.ipv4), str(endpoint.ipv6), endpoint.mac) == (
        "10.9.0.77/24",
        "fd00:9::2/64",
        "02:00:00:00:00:77",
    )
    with pytest.raises(Conflict, match=r"10\.9\.0\.77"):
        await network.create_endpoint("b", addresses=[ip_address("10.9.0.77")])
    with pytest.raises(Conflict, match=r"10\.9\.0\.1"):
        await network.create_endpoint("b", addresses=["10.9.0.1"])
    six = await network.create_endpoint("b", addresses=["fd00:9::b"], allocate=False)
    assert (six.ipv4, str(six.ipv6)) == (None, "fd00:9::b/64")
    none = await network.create_endpoint("c", allocate=False)
    assert none.info().addresses == ()
    await endpoint.delete()
    again = await network.create_endpoint("a", addresses=["10.9.0.77"])
    assert str(again.ipv4) == "10.9.0.77/24"


async def test_an_endpoint_s_life_is_apart_from_a_sandbox_s(controller: Controller) -> None:
    """What joins next gets the same addresses and MAC, under the lowest free interface name."""
    network = await controller.create_network("web", ipv6=True)
    endpoint = await network.create_endpoint("ep")
    before = (endpoint.ipv4, endpoint.ipv6, endpoint.mac)
    for _ in range(2):
        sandbox = await controller.create_sandbox("c1")
        await endpoint.join(sandbox)
        assert (endpoint.state, endpoint.interface) == (State.ATTACHED, "eth0")
        await sandbox.delete()
        assert (endpoint.state, endpoint.interface, endpoint.sandbox) == (State.CREATED, "", None)
    assert (endpoint.ipv4, endpoint.ipv6, endpoint.mac) == before


async def test_a_failed_join_changes_nothing(memory: MemoryHost, controller: Controller) -> None:
    """The kernel refuses: the endpoint is where it was, the sandbox too, and the next join works."""
    network, sandbox = await controller.create_network("web"), await controller.create_sandbox("c1")
    first, second = await network.create_endpoint("a"), await network.create_endpoint("b")
    await first.join(sandbox)
    inside = await memory.namespaces.observe(sandbox.path)
    memory.refusals = [Unavailable("out of memory")] * 2  # the driver tries twice
    with pytest.raises(Unavailable, match="out of memory"):
        await second.join(sandbox)
    assert (second.state, sandbox.endpoints()) == (State.CREATED, [first])
    assert (await memory.namespaces.observe(sandbox.path)).facts == inside.facts
    await second.join(sandbox)


async def test_ports_are_published_by_the_gateway(controller: Controller) -> None:
    """What a sandbox wants published leads to its gateway, and follows it."""
    sandbox = await controller.create_sandbox("c1", publish=["8080:80", PortRequest(Protocol.UDP, 53, None, 53, 53)])
    one = await (await controller.create_network("net1")).create_endpoint("ep1")
    two = await (await controller.create_network("net2")).create_endpoint("ep2")
    await one.join(sandbox)
    assert {(found.host_port, found.target_port) for found in one.info().published} == {(8080, 80), (53, 53)}
    await two.join(sandbox, priority=1)
    assert (one.info().published, {found.host_port for found in two.info().published}) == ((), {8080, 53})
    await two.leave()
    assert {found.target for found in one.info().published} == {one.ipv4.ip if one.ipv4 else None}
    rival = await controller.create_sandbox("c2", publish=["8080:80"])
    other = await (await controller.create_network("net3")).create_endpoint("ep3")
    with pytest.raises(Conflict, match="8080"):
        await other.join(rival)
    assert other.state is State.CREATED


async def test_a_refresh_changes_what_is_said_and_keeps_the_rest(memory: MemoryHost, controller: Controller) -> None:
    """Files and labels follow; what is wrong changes nothing; nothing said makes everything anew."""
    sandbox = await controller.create_sandbox("c1", hostname="old", extra_hosts=["db:192.0.2.9"], labels={"a": "b"})
    endpoint = await (await controller.create_network("web")).create_endpoint("ep")
    await endpoint.join(sandbox)
    assert "old" in memory.files.texts[sandbox.hosts_path]
    await sandbox.refresh(hostname="new", labels={"c": "d"})
    text = memory.files.texts[sandbox.hosts_path]
    assert "new" in text
    assert "old" not in text
    assert "192.0.2.9" in text
    assert (sandbox.labels, sandbox.name, endpoint.sandbox) == ({"c": "d"}, "c1", sandbox)
    with pytest.raises(BadRequest, match="hostname"):
        await sandbox.refresh(hostname="a b")
    with pytest.raises(BadRequest, match="unknown setting"):
        await sandbox.refresh(name="other")  # type: ignore[call-arg]
    del memory.files.texts[sandbox.resolv_conf_path]
    await sandbox.refresh()
    assert "127.0.0.11" in memory.files.texts[sandbox.resolv_conf_path]


async def test_sandboxes_are_of_three_kinds(memory: MemoryHost, controller: Controller) -> None:
    """One of its own, somebody else's, the host's; each says which, and only the first has a namespace made."""
    memory.namespaces.external("/run/netns/x")
    own, host = await controller.create_sandbox("own"), await controller.create_sandbox("host", host=True)
    other = await controller.create_sandbox("other", path="/run/netns/x")
    assert [each.kind for each in (own, other, host)] == [Kind.OWN, Kind.EXTERNAL, Kind.HOST]
    assert (await memory.namespaces.made()).keys() == {own.id}
    assert other.path == "/run/netns/x"
    with pytest.raises(Conflict):
        await own.set_key("/run/netns/x")
    assert await own.statistics() == {}
    assert controller.sandboxes() == sorted([own, other, host], key=lambda each: each.id)


async def test_a_sandbox_of_another_controller_is_refused(memory: MemoryHost, controller: Controller) -> None:
    """Its namespace may be on another host: joining and leaving say so."""
    endpoint = await (await controller.create_network("web")).create_endpoint("ep")
    async with MemoryHost().open() as other:
        stranger = await other.create_sandbox("c1")
        with pytest.raises(BadRequest, match="sandbox must be a Sandbox of the same controller"):
            await endpoint.join(stranger)
        with pytest.raises(BadRequest, match="sandbox must be a Sandbox of the same controller"):
            await endpoint.leave(stranger)


@pytest.mark.parametrize("priority", [None, "1", 1.5, True, 2**31])
async def test_a_bad_priority_is_refused(controller: Controller, priority: object) -> None:
    """It is a whole number of 32 bits."""
    endpoint = await (await controller.create_network("web")).create_endpoint("ep")
    with pytest.raises(BadRequest, match=r"^priority"):
        await endpoint.join(await controller.create_sandbox(), priority)  # type: ignore[arg-type]


async def test_force_is_for_a_driver_that_does_not_answer(memory: MemoryHost, controller: Controller) -> None:
    """An endpoint in a sandbox goes although its driver cannot be told; without force it stays."""
    endpoint = await (await controller.create_network("web", "test")).create_endpoint("ep")
    sandbox = await controller.create_sandbox("c1")
    await endpoint.join(sandbox)
    for method in ("leave", "delete_endpoint"):
        memory.driver.refusals[method] = Unavailable("gone")
    with pytest.raises(Conflict):
        await endpoint.delete()
    with pytest.raises(BadRequest, match=r"^force"):
        await endpoint.delete(force=None)  # type: ignore[arg-type]
    await endpoint.delete(force=True)
    assert sandbox.endpoints() == []


async def test_a_network_goes_without_its_driver_by_force(memory: MemoryHost, controller: Controller) -> None:
    """Without force it stays, marked, until its driver answers."""
    network = await controller.create_network("web", "test")
    memory.driver.refusals["delete_network"] = Unavailable("gone")
    with pytest.raises(Unavailable, match="gone"):
        await network.delete()
    with pytest.raises(BadRequest, match=r"^force"):
        await network.delete(force=1)  # type: ignore[arg-type]
    await network.delete(force=True)
    with pytest.raises(NotFound):
        controller.network("web")
