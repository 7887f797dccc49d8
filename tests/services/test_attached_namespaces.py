"""Namespaces that are no container's in networks: what the daemon does of it, over a kernel in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface

import pytest

from mooring.core.attached_namespaces import endpoint_of
from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.leases import State as LeaseState
from mooring.core.namespace_views import NamespaceView
from mooring.core.networks import Network
from mooring.core.plumbing import GuardedPort, Inside, Veth
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, EndpointRequest, Role
from mooring.services.networking.engine_networks import EngineNetworks
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.services.operations.attached_namespaces import AttachedNamespaces, Namespace
from tests.services.holder_hosts import HolderHost, ident
from tests.services.lost_stores import copied
from tests.services.operators import operate

WEB, BACK = "web".ljust(64, "0"), "back".ljust(64, "0")
LAB = Namespace("boot:1", "lab-1", frozenset({"lo"}))
OTHER = Namespace("boot:2", "lab-2", frozenset({"lo", "eth0"}))


@dataclass
class Walk:
    """A host with networks 10.32.0.0/24 (web) and 10.32.1.0/24 (back)."""

    host: HolderHost
    namespaces: AttachedNamespaces

    async def begin(self, *addresses: str, who: Namespace = LAB, network: str = "web") -> NamespaceView:
        """The daemon's first half."""
        return await self.namespaces.attach(who, network, [*map(ip_address, addresses)])

    async def attach(self, *addresses: str, who: Namespace = LAB, network: str = "web") -> NamespaceView:
        """All of it."""
        view = await self.begin(*addresses, who=who, network=network)
        self.enter(view)
        await self.namespaces.confirm(who.identity, view.network)
        return view

    def enter(self, view: NamespaceView) -> None:
        """Its interface is in the namespace."""
        self.host.kernel.inside[host_end(view.endpoint)] = Inside("", ())

    def end(self, view: NamespaceView) -> None:
        """The namespace is gone, or somebody has removed the interface."""
        self.host.kernel.lose(host_end(view.endpoint))

    def endpoint(self, who: Namespace = LAB, network: str = WEB) -> Endpoint | None:
        """Its record."""
        return self.host.services.cache.endpoint(network, endpoint_of(network, who.identity))

    def states(self, address: str = "10.32.0.2") -> tuple[object, bool]:
        """Of the lease, and whether the kernel has the interface."""
        lease = self.host.lease(address)
        return lease.state if lease is not None else None, any(
            isinstance(fact, Veth) for fact in self.host.kernel.facts.values()
        )

    async def passes(self, *, age: float = MINIMUM_AGE + 1) -> list[str]:
        """Two passes of repair, so far apart; what they did."""
        done = (await self.host.services.repair.once()).repaired
        self.host.clock.advance(age)
        return [*done, *(await self.host.services.repair.once()).repaired]


@pytest.fixture
async def walk() -> Walk:
    """See Walk."""
    host = HolderHost()
    await host.serve("web", "back")
    host.engine.names |= {WEB: "web", BACK: "back"}
    return Walk(host, operate(host).attached_namespaces)


async def test_a_namespace_has_what_a_container_has(walk: Walk) -> None:
    """A guarded port on the bridge, and inside an interface of a free name, an address, a MAC and the gateway."""
    view = await walk.attach(who=OTHER)
    assert (view.name, view.network, view.network_name, view.addresses, view.changed) == (
        "lab-2", WEB, "web", ["10.32.0.2"], True,
    )  # fmt: skip
    (interface,) = view.interfaces
    endpoint = walk.endpoint(OTHER)
    assert endpoint is not None
    assert (interface.name, interface.mac, interface.addresses) == ("eth1", endpoint.mac, ["10.32.0.2/24"])
    assert [(way.destination, way.via, way.link) for way in view.routes] == [("0.0.0.0/0", "10.32.0.1", "eth1")]
    assert (endpoint.state, endpoint.pending, endpoint.interface) == (State.ATTACHED, None, "eth1")
    veth = walk.host.kernel.facts["veth", host_end(endpoint.id)]
    assert isinstance(veth, Veth)
    assert (veth.peer, veth.peer_mac, veth.bridge) == (
        interface.source, endpoint.mac, walk.host.known(WEB).bridge,
    )  # fmt: skip
    assert any(isinstance(fact, GuardedPort) and fact.port == veth.name for fact in walk.host.kernel.facts.values())
    assert not (await walk.begin(who=OTHER)).changed


async def test_a_second_network_leaves_the_way_out_and_takes_it_over(walk: Walk) -> None:
    """One default route, of the first in gateway order, and of the other when that is left."""
    await walk.attach(network="back")
    both = await walk.attach()
    assert sorted((each.name, each.addresses) for each in both.interfaces) == [
        ("eth0", ["10.32.1.2/24"]), ("eth1", ["10.32.0.2/24"]),
    ]  # fmt: skip
    assert [way.link for way in both.routes] == ["eth0"]
    left = await walk.namespaces.detach(LAB, "back")
    assert ([each.name for each in left.interfaces], [way.link for way in left.routes]) == (["eth1"], ["eth1"])


async def test_detach_takes_all_back_and_says_so_once(walk: Walk) -> None:
    """With a dry run first; the address cools, and the next attach may name it."""
    await walk.attach()
    dry = await walk.namespaces.detach(LAB, "web", dry=True)
    assert (dry.addresses, dry.changed, walk.states()) == (["10.32.0.2"], True, (LeaseState.DYNAMIC, True))
    gone = await walk.namespaces.detach(LAB, "web")
    assert (gone.addresses, gone.changed, gone.interfaces) == (["10.32.0.2"], True, [])
    assert walk.states() == (LeaseState.COOLING, False)
    assert not (await walk.namespaces.detach(LAB, "web")).changed
    assert (await walk.attach("10.32.0.2")).addresses == ["10.32.0.2"]


async def test_who_fails_undoes_only_what_nobody_has_confirmed(walk: Walk) -> None:
    """Two may attach it at once."""
    view = await walk.begin()
    walk.enter(view)
    await walk.namespaces.confirm(LAB.identity, "web")
    assert not (await walk.namespaces.detach(LAB, "web", unconfirmed=True)).changed
    assert walk.states() == (LeaseState.DYNAMIC, True)
    await walk.namespaces.detach(LAB, "web")
    await walk.begin()
    assert (await walk.namespaces.detach(LAB, "web", unconfirmed=True)).changed
    assert walk.states() == (LeaseState.COOLING, False)


async def test_after_a_lost_store_it_is_a_namespace_still(walk: Walk) -> None:
    """By the alias of its interface: no container's, so that no engine's list takes it; detached by what it is."""
    host = walk.host
    backup = await copied(host.store)
    view = await walk.attach()
    endpoint = walk.endpoint()
    assert endpoint is not None
    host.kernel.inside[host_end(view.endpoint)] = Inside(endpoint.mac, (ip_interface("10.32.0.2/24"),))
    host.store = backup
    await host.restart()
    for _ in range(3):
        await walk.passes()
        await host.keeping.container_reconciler.once(eager=True)
    again = walk.endpoint()
    assert again is not None
    assert (again.addresses, again.mac, again.state) == (endpoint.addresses, endpoint.mac, State.ATTACHED)
    gone = await operate(host).attached_namespaces.detach(LAB, "web")
    assert (gone.addresses, gone.changed) == (["10.32.0.2"], True)


async def test_an_address_by_id_is_given_to_the_namespace_of_that_name(walk: Walk) -> None:
    """It stays reserved for it, whatever comes and goes; another address than its own is refused."""
    await operate(walk.host).reservations.reserve(
        None, ip_address("10.32.0.9"), ip_address("10.32.0.9"), "lab-1", "", None, False
    )
    with pytest.raises(Conflict, match=r"10\.32\.0\.9.* is not free"):
        await walk.begin("10.32.0.9", who=OTHER)
    assert (await walk.attach()).addresses == ["10.32.0.9"]
    with pytest.raises(Conflict, match=r"namespace lab-1 is in network web already, with 10\.32\.0\.9"):
        await walk.begin("10.32.0.5")
    await walk.namespaces.detach(LAB, "web")
    lease = walk.host.lease("10.32.0.9")
    assert lease is not None
    assert (lease.state, lease.whom) == (LeaseState.RESERVED, "lab-1")


async def test_what_nobody_confirmed_is_taken_back(walk: Walk) -> None:
    """In the second pass, and not in the first; whoever goes on before has it all the same."""
    view = await walk.begin()
    with pytest.raises(Conflict, match="is not inside"):
        await walk.namespaces.confirm(LAB.identity, "web")
    assert "dns" not in [endpoint.name for endpoint in walk.host.services.cache.every(Endpoint)]
    again = await walk.begin()
    assert (again.endpoint, again.addresses, again.changed) == (view.endpoint, view.addresses, True)
    walk.enter(view)  # and then whoever asked was killed
    await walk.host.services.repair.once()
    assert walk.states() == (LeaseState.DYNAMIC, True)
    assert "namespace lab-1 removed: nothing is attached to it" in await walk.passes()
    assert walk.states() == (LeaseState.COOLING, False)


async def test_what_lives_is_never_taken(walk: Walk) -> None:
    """Neither for want of a process in it, nor since no engine lists it, nor when an engine releases its address."""
    view = await walk.attach()
    walk.host.engine.create(ident("db"), "db")
    for _ in range(3):
        await walk.host.keeping.container_reconciler.once(eager=True)
        assert await walk.passes() == []
    network = walk.host.known(WEB)
    await walk.host.services.endpoints.release(network.ipv4[0].pool, ip_address("10.32.0.2"))
    endpoint = walk.endpoint()
    assert endpoint is not None
    with pytest.raises(Conflict, match="namespace lab-1"):
        await walk.host.services.ipam.request_address(
            AddressRequest(network.ipv4[0].pool, Role.ENDPOINT, ip_address("10.32.0.2"), "02:00:00:00:00:07")
        )
    for mac in (endpoint.mac, "02:00:00:00:00:07"):  # with its MAC, or its address from an IPAM driver of others
        with pytest.raises(Conflict, match="namespace lab-1"):
            await walk.host.services.endpoints.create(
                EndpointRequest(WEB, "d" * 64, endpoint.ipv4 if mac != endpoint.mac else None, None, mac)
            )
    assert walk.endpoint() == endpoint
    assert view.addresses == ["10.32.0.2"]


async def test_a_namespace_that_is_gone_is_seen_twice_and_told_meanwhile(walk: Walk) -> None:
    """A reboot as well; it may be attached again before, with the same address."""
    view = await walk.attach()
    del walk.host.kernel.inside[host_end(view.endpoint)]  # moved out of it by hand
    again = await walk.attach()
    assert (again.addresses, again.changed) == (["10.32.0.2"], True)
    walk.end(view)
    again = await walk.attach()
    assert (again.addresses, again.changed) == (["10.32.0.2"], True)
    walk.host.kernel.reboot()
    await walk.host.services.repair.once()
    walk.host.clock.advance(60)
    assert walk.states()[0] is LeaseState.DYNAMIC
    found = walk.host.services.garbage_collector.missing
    assert [each.text.partition(":")[0] for each in found] == [
        f"namespace lab-1 of network {WEB[:12]} has no interface"
    ]
    assert "`mooring attach` it again" in found[0].remedy
    assert "namespace lab-1 removed: nothing is attached to it" in await walk.passes()
    assert walk.states()[0] is LeaseState.COOLING


async def test_one_that_is_gone_is_meant_by_its_name_and_gives_it_up(walk: Walk) -> None:
    """To `detach`, and to the next namespace of that name; one that lives keeps it."""
    new = Namespace("boot:3", "lab-1")
    view = await walk.attach()
    with pytest.raises(Conflict, match="another namespace called lab-1 is in network web"):
        await walk.begin(who=new)
    assert not (await walk.namespaces.detach(new, "web")).changed
    walk.end(view)
    assert (await walk.attach(who=new)).changed
    assert walk.endpoint() is None
    assert (await walk.namespaces.detach(Namespace("", "lab-1"), "web")).addresses == ["10.32.0.3"]


async def test_a_network_stays_while_a_namespace_is_in_it(walk: Walk) -> None:
    """Docker does not know of it, removes the network and goes on; it goes when the namespace has."""
    view = await walk.attach()
    services = walk.host.services
    door = EngineNetworks(services.networks, services.cache, services.endpoint_index, "mooring")
    pool = walk.host.known(WEB).ipv4[0].pool
    with pytest.raises(Conflict, match=r"subnet 10\.32\.0\.0/24 is in use \(held by namespace lab-1\)"):
        await services.ipam.release_pool(pool)
    with pytest.raises(Conflict, match="namespace lab-1"):
        await door.delete(WEB)
    await services.repair.once()
    walk.host.engine.networks.discard(WEB)
    await walk.passes()
    assert any("stays because namespace lab-1 is in it" in each for each in services.repair.report.findings)  # type: ignore[union-attr]
    walk.end(view)
    await walk.passes()
    await walk.passes()
    assert services.cache.network(WEB) is None
    assert services.cache.pool(pool) is None


async def test_what_cannot_be_is_refused_and_leaves_nothing(walk: Walk) -> None:
    """Another host's, a container's, a wrong name or address; a kernel that refuses."""
    revision = walk.host.services.cache.revision
    walk.host.engine.create(ident("db"), "db")
    elsewhere = Namespace("other-boot:1", "lab-1")
    docker = Namespace("boot:1", "pid-7", containers=("f" * 64, ident("db")))
    for who, network, addresses, fault, says in (
        (elsewhere, "web", (), Conflict, "on another host"),
        (docker, "web", (), Conflict, r"`mooring attach db web`"),
        (Namespace("boot:1", "a b"), "web", (), BadRequest, "cannot be an ID"),
        (LAB, "nowhere", (), NotFound, "no network"),
        (LAB, "web", ("10.99.0.1",), BadRequest, "is in no subnet"),
        (LAB, "web", ("10.32.0.1",), Conflict, "gateway"),
        (LAB, "web", ("10.32.0.5", "10.32.0.6"), BadRequest, "at most one address"),
    ):  # fmt: skip
        with pytest.raises(fault, match=says):
            await walk.begin(*addresses, who=who, network=network)
    assert walk.host.services.cache.revision == revision
    with pytest.raises(NotFound, match="not attached to network web"):
        await walk.namespaces.confirm(LAB.identity, "web")
    walk.host.kernel.foreign.add(f"mp-{endpoint_of(WEB, LAB.identity)[:12]}")
    with pytest.raises(Fault):
        await walk.begin()
    assert (walk.endpoint(), walk.states()) == (None, (LeaseState.COOLING, False))


async def test_the_daemons_own_namespaces_are_refused_and_never_taken_for_one_that_is_gone(walk: Walk) -> None:
    """The host's, from wherever the command is run, and routing domains; their processes may have numbers of others."""
    await walk.attach(who=replace(LAB, name="pid-7"))
    domains = {0: "boot:host", 3: "boot:red"}
    network = walk.host.services.cache.network(BACK)
    assert network is not None
    await walk.host.services.cache.commit(put=[replace(network, domain=3)])

    async def in_domain(domain: int, work: Callable[[], str]) -> str:
        assert work() == "here"
        return domains[domain]

    walk.host.kernel.in_domain = in_domain  # type: ignore[method-assign, assignment]
    walk.namespaces._here = lambda: "here"
    with pytest.raises(Conflict, match="is the host's own network namespace"):
        await walk.begin(who=Namespace("boot:host", "pid-7"))
    with pytest.raises(Conflict, match="is routing domain 3 of"):
        await walk.begin(who=Namespace("boot:red", "3"))
    assert not (await walk.namespaces.detach(Namespace("boot:5", "pid-7"), "web")).changed  # that lives
    view = await walk.namespaces.detach(Namespace("boot:host", "pid-7"), "web")
    assert (view.changed, view.interfaces, walk.endpoint()) == (True, [], None)


async def test_networks_without_a_bridge_or_addresses_of_ours_are_refused(walk: Walk) -> None:
    """The user is told which to choose."""
    cache = walk.host.services.cache
    for name, raw in (("bare", {"mode": "null"}),):
        walk.host.engine.networks.add(await walk.host.network(name, v4=True, v6=False, internal=False, **raw))
        with pytest.raises(Conflict, match="has no bridge on this host"):
            await walk.begin(network=name)
    assert cache.count(Network) == 3
    assert cache.count(Pool) == 3
