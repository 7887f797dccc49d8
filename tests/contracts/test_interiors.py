"""What every Namespaces promises of links, addresses and routes inside a namespace."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.sandboxes import NamespaceAddress, NamespaceLink, NamespaceRemove, NamespaceRoute, plan_namespace
from tests.contracts.namespace_hosts import (
    DEFAULTS,
    EVERYWHERE4,
    EVERYWHERE6,
    MACS,
    ONE,
    TWO,
    Host,
    adds,
    equip,
    equipment,
    facts,
    link,
    routes,
)


async def test_what_was_added_is_observed(host: Host) -> None:
    """After an apply, observe shows the very facts that were asked for, and nothing that the kernel made by itself."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    inside = await host.namespaces.observe(path)
    assert inside.facts == set(ONE)
    assert inside.names == {"lo", "eth1"}
    assert [fact.mac for fact in inside.facts if isinstance(fact, NamespaceLink)] == [MACS[1]]
    assert set(await host.namespaces.statistics(path)) == {"eth1"}
    assert plan_namespace(ONE, inside.facts) == []


async def test_adding_the_same_again_is_success(host: Host) -> None:
    """Every call may come twice."""
    path = await host.namespaces.create("box")
    for _ in range(2):
        await equip(host, path)
        assert await facts(host, path) == set(ONE)


async def test_a_link_is_fetched_from_the_host(host: Host) -> None:
    """A driver may leave it there; it is on the host no more."""
    path = await host.namespaces.create("box")
    await host.pair(1)
    assert host.on_host("mp-1")
    await host.namespaces.apply(path, adds(*ONE))
    assert await facts(host, path) == set(ONE)
    assert not host.on_host("mp-1")


async def test_a_link_that_is_nowhere_is_not_found(host: Host) -> None:
    """Also one with a name that no link can have."""
    path = await host.namespaces.create("box")
    for source in ("mp-1", "a-name-that-is-far-too-long", "", "a b"):
        with pytest.raises(NotFound):
            await host.namespaces.apply(path, adds(replace(link(1), source=source)))
    assert await facts(host, path) == set()


async def test_a_link_returns_to_the_host(host: Host) -> None:
    """It has its old name and nothing of ours, and can go into the next namespace."""
    one, two = await host.namespaces.create("one"), await host.namespaces.create("two")
    host.plant("mp-1")
    for path in (one, two, one):
        await host.namespaces.apply(path, adds(link(1, returns=True), *ONE[1:]))
        found = await facts(host, path)
        assert found == set(ONE)
        assert not host.on_host("mp-1")
        await host.namespaces.apply(path, [NamespaceRemove(link(1, returns=True))])
        assert await facts(host, path) == set()
        assert host.on_host("mp-1")


async def test_what_a_link_claims_decides_nothing(host: Host) -> None:
    """Signs that somebody in the namespace writes, of other endpoints or of the same one, move nothing to the host and
    stand in nobody's way; the link that fits is the one that counts."""
    path = await host.namespaces.create("box")
    host.plant("mp-1")
    host.plant("evil", path, sign="one/e9")
    host.plant("twin", path, sign="one/e1")
    await host.namespaces.apply(path, adds(link(1, returns=True)))
    names = (await host.namespaces.observe(path)).names
    assert ("evil" in names, "eth1" in names) == (True, True)
    for plan in (plan_namespace(ONE, await facts(host, path)), plan_namespace((), await facts(host, path))):
        await host.namespaces.apply(path, plan)
        assert {"eth1", "evil", "twin"} <= (await host.namespaces.observe(path)).names
        assert not any(host.on_host(name) for name in ("mp-1", "eth1", "evil", "twin"))
    await host.namespaces.apply(path, [NamespaceRemove(link(1, returns=True))])
    names = (await host.namespaces.observe(path)).names
    assert ("eth1" in names, "twin" in names, host.on_host("mp-1")) == (False, True, True)


@pytest.mark.parametrize("returns", [False, True])
async def test_a_link_of_somebody_elses_is_not_taken_for_the_drivers(host: Host, returns: bool) -> None:
    """Though it has the name that the driver's link has on the host; with none on the host nothing is found."""
    path = await host.namespaces.create("box")
    host.plant("mp-1", path)
    with pytest.raises(NotFound):
        await host.namespaces.apply(path, adds(link(1, returns=returns)))
    await host.pair(1)
    await host.namespaces.apply(path, adds(link(1, returns=returns)))
    assert not host.on_host("mp-1")
    assert (await host.namespaces.observe(path)).names >= {"mp-1", "eth1"}


async def test_a_link_cannot_return_to_a_name_that_is_taken(host: Host) -> None:
    """The fault names it, and the link stays until the name is free."""
    path = await host.namespaces.create("box")
    host.plant("mp-1")
    await host.namespaces.apply(path, adds(link(1, returns=True)))
    host.plant("mp-1")
    with pytest.raises(Conflict, match="mp-1"):
        await host.namespaces.apply(path, [NamespaceRemove(link(1, returns=True))])
    assert await facts(host, path) == {link(1)}


async def test_a_link_goes_with_its_pair(host: Host) -> None:
    """What its driver deletes on the host is gone from the namespace, and the next of that name is another."""
    path = await host.namespaces.create("box")
    for _ in range(2):
        await equip(host, path)
        await host.namespaces.apply(path, [NamespaceRemove(link(1))])
        await host.kernel.discard(["mv-1"])
        await host.pair(1)
        assert await facts(host, path) == set()
        await host.kernel.discard(["mv-1"])


async def test_the_default_routes_change_hands(host: Host) -> None:
    """Another interface becomes the way out, and back, in both families, each in one op."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    await host.pair(2, path)
    await host.namespaces.apply(path, adds(*TWO[:3]))
    for number in (2, 1, 2):
        await host.namespaces.apply(path, adds(*DEFAULTS[number]))
        assert routes(await facts(host, path)) == set(DEFAULTS[number])
    await host.namespaces.apply(path, [NamespaceRemove(route) for route in DEFAULTS[1]])
    assert routes(await facts(host, path)) == set(DEFAULTS[2])
    await host.namespaces.apply(path, [NamespaceRemove(route) for route in DEFAULTS[2]])
    assert routes(await facts(host, path)) == set()


async def test_routes_may_be_on_link(host: Host) -> None:
    """Static ones, and default ones, which change hands with those by a gateway."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    static = [
        NamespaceRoute(ip_network("192.0.2.0/24"), None, "eth1"),
        NamespaceRoute(ip_network("fd09::/64"), None, "eth1"),
        NamespaceRoute(ip_network("198.51.100.0/24"), ip_address("10.1.0.9"), "eth1"),
    ]
    everything = [NamespaceRoute(EVERYWHERE4, None, "eth1"), NamespaceRoute(EVERYWHERE6, None, "eth1")]
    await host.namespaces.apply(path, adds(*static, *everything))
    assert routes(await facts(host, path)) == {*static, *everything}
    await host.namespaces.apply(path, adds(*DEFAULTS[1]))
    assert routes(await facts(host, path)) == {*static, *DEFAULTS[1]}
    await host.namespaces.apply(path, [NamespaceRemove(route) for route in static])
    assert routes(await facts(host, path)) == set(DEFAULTS[1])


async def test_a_route_to_the_links_own_subnet_is_the_kernels(host: Host) -> None:
    """It is success and changes nothing: the kernel made that route with the address."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    own = NamespaceRoute(ip_network("10.1.0.0/24"), None, "eth1")
    await host.namespaces.apply(path, [*adds(own), NamespaceRemove(own), *adds(*DEFAULTS[1])])
    assert await facts(host, path) == set(ONE)


@pytest.mark.parametrize(("to", "via"), [("0.0.0.0/0", "10.9.0.1"), ("::/0", "fd00:9::1")])
async def test_a_gateway_out_of_reach_is_refused_by_name(host: Host, to: str, via: str) -> None:
    """The routes are as before."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    with pytest.raises(BadRequest, match=via):
        await host.namespaces.apply(path, adds(NamespaceRoute(ip_network(to), ip_address(via), "eth1")))
    assert await facts(host, path) == set(ONE)


async def test_a_link_local_gateway_is_on_its_link(host: Host) -> None:
    """As routers of IPv6 have them."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    route = NamespaceRoute(EVERYWHERE6, ip_address("fe80::1"), "eth1")
    await host.namespaces.apply(path, adds(route))
    assert route in await facts(host, path)


async def test_removing_what_is_not_there_is_success(host: Host) -> None:
    """Removals may come late, twice, or for something never made."""
    path = await host.namespaces.create("box")
    gone = [NamespaceRemove(fact) for fact in reversed(ONE)]
    await host.namespaces.apply(path, gone)
    await equip(host, path)
    for _ in range(2):
        await host.namespaces.apply(path, gone[:-1])
        assert await facts(host, path) == {link(1)}


async def test_a_foreign_link_is_never_touched(host: Host) -> None:
    """A name that somebody else has is a Conflict that names it; it gets no addresses or routes."""
    path = await host.namespaces.create("box")
    await host.pair(1, path)
    host.plant("eth1", path)
    for fact in ONE[:4]:
        with pytest.raises(Conflict, match="eth1"):
            await host.namespaces.apply(path, adds(fact))
    assert await facts(host, path) == set()
    assert {"eth1", "mp-1"} <= (await host.namespaces.observe(path)).names


async def test_a_link_that_leaves_makes_way_for_the_next(host: Host) -> None:
    """Its endpoint's removal is among the ops; without that the name is a Conflict, and the living one stays."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    await host.pair(2, path)
    with pytest.raises(Conflict, match="eth1"):
        await host.namespaces.apply(path, adds(link(2, "eth1")))
    assert await facts(host, path) == set(ONE)
    await host.namespaces.apply(path, [*adds(link(2, "eth1")), NamespaceRemove(link(1))])
    assert await facts(host, path) == {link(2, "eth1")}


async def test_a_link_that_returns_makes_way_by_returning(host: Host) -> None:
    """It is back on the host, whole."""
    path = await host.namespaces.create("box")
    host.plant("mp-1")
    await host.namespaces.apply(path, adds(link(1, returns=True)))
    await host.pair(2, path)
    await host.namespaces.apply(path, [*adds(link(2, "eth1")), NamespaceRemove(link(1, returns=True))])
    assert await facts(host, path) == {link(2, "eth1")}
    assert host.on_host("mp-1")


async def test_an_address_of_another_interface_is_a_conflict(host: Host) -> None:
    """Unless that one is leaving."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    await host.pair(2, path)
    for address in (ip_interface("10.1.0.2/24"), ip_interface("fd00:1::2/64")):
        with pytest.raises(Conflict, match="eth1"):
            await host.namespaces.apply(path, adds(link(2), NamespaceAddress("eth2", address)))
        await host.namespaces.apply(path, [*adds(NamespaceAddress("eth2", address)), NamespaceRemove(link(1))])
        assert NamespaceAddress("eth2", address) in await facts(host, path)


async def test_a_link_can_be_renamed(host: Host) -> None:
    """The plan towards another name makes all that stood on the old one anew."""
    path = await host.namespaces.create("box")
    await equip(host, path)
    wanted = equipment(1, "net7")
    await host.namespaces.apply(path, plan_namespace(wanted, await facts(host, path)))
    assert await facts(host, path) == set(wanted)


async def test_what_stands_on_nothing_is_unavailable(host: Host) -> None:
    """An address or a route of an interface that is not there."""
    path = await host.namespaces.create("box")
    for fact in ONE[1:]:
        with pytest.raises(Unavailable, match="eth1"):
            await host.namespaces.apply(path, adds(fact))
