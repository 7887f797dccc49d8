"""Networks and endpoints of the library: what was granted is recorded, or given back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_network

import pytest

from mooring.core.endpoints import Endpoint, Event, State
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound, Unavailable
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, Network, Origin, Pending
from mooring.core.plumbing import Bridge, Veth
from mooring.core.pools import Pool
from mooring.core.requests import EndpointGrant, EndpointSpec, JoinRequest, NetworkSpec, SubnetSpec
from mooring.services.networking.assembly import Others
from mooring.services.sandboxes.provisioning import Provisioning
from mooring.testing.memory_driver import MemoryDriver
from tests.services.hosts import MemoryHost

V4, V6 = SubnetSpec(4), SubnetSpec(6)
SMALL = SubnetSpec(4, ip_network("10.9.0.0/29"))


class Controller:
    """A host with a driver of somebody else's (`far`), and another host that is an IPAM driver (`other`)."""

    def __init__(self) -> None:
        self.far = MemoryDriver()
        self.other = MemoryHost()
        self.host = MemoryHost(Others({"far": self.far}, {"other": self.other.services.ipam}))

    @property
    def work(self) -> Provisioning:
        """The service, over the host's parts."""
        s = self.host.services
        return Provisioning(s.records, s.drivers, s.networks, s.endpoints)

    async def network(
        self, name: str = "web", driver: str = "bridge", *subnets: SubnetSpec, ipam: str = "default"
    ) -> Network:
        """A network with those subnets, or one of IPv4."""
        return await self.work.create_network(NetworkSpec(name, driver, subnets or (V4,), ipam=ipam))

    def left(self, host: MemoryHost | None = None) -> list[object]:
        """Every record that counts: leases that cool do not."""
        cache = (host or self.host).services.cache
        found: list[object] = [*cache.every(Network), *cache.every(Endpoint), *cache.every(Pool)]
        return found + [lease for lease in cache.every(Lease) if lease.state is not LeaseState.COOLING]


@pytest.fixture
async def controller() -> Controller:
    """Both hosts have started."""
    controller = Controller()
    await controller.host.start()
    await controller.other.start()
    return controller


async def test_a_network_is_carved_named_and_built(controller: Controller) -> None:
    """Both families, a gateway each, labels and the driver recorded, a bridge in the kernel."""
    spec = NetworkSpec("web", "bridge", (V4, V6), labels={"tier": "1"}, attachable=True)
    network = await controller.work.create_network(spec)
    assert [str(segment.subnet) for segment in network.segments] == ["10.32.0.0/24", "fd00:32::/64"]
    assert [str(segment.gateway) for segment in network.segments] == ["10.32.0.1/24", "fd00:32::1/64"]
    assert (network.name, network.driver, network.origin) == ("web", "bridge", Origin.LIBRARY)
    assert (network.labels, network.attachable, network.pending) == ({"tier": "1"}, True, None)
    assert [fact.name for fact in controller.host.facts if isinstance(fact, Bridge)] == [network.bridge]


async def test_a_given_subnet_gateway_range_and_auxiliary_addresses_are_kept(controller: Controller) -> None:
    """What the user says is taken as it is, and set aside addresses are not given to endpoints."""
    router: dict[str, Address] = {"router": IPv4Address("10.9.0.1")}
    subnet = SubnetSpec(4, ip_network("10.9.0.0/24"), ip_network("10.9.0.0/30"), ip_address("10.9.0.3"), router)
    network = await controller.network("web", "bridge", subnet)
    assert str(network.ipv4[0].gateway) == "10.9.0.3/24"
    assert network.ipv4[0].auxiliary == router
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert str(endpoint.ipv4) == "10.9.0.2/24"
    with pytest.raises(Exhausted):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b"))


async def test_names_are_unique(controller: Controller) -> None:
    """Of networks on the host and of endpoints in a network; a refusal names who has it and changes nothing."""
    network = await controller.network()
    await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    before = len(controller.left())
    with pytest.raises(Conflict, match=network.id[:12]):
        await controller.network()
    with pytest.raises(Conflict, match="endpoint name 'a' is in use in network web"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert len(controller.left()) == before
    for _ in range(2):
        await controller.work.create_endpoint(EndpointSpec(network.id))


async def test_a_refusal_at_any_step_of_a_network_leaves_nothing(controller: Controller) -> None:
    """An unknown driver, a driver that refuses, a second subnet that cannot be: no pool, no lease, no record."""
    with pytest.raises(NotFound, match="no network driver 'nope'"):
        await controller.network("web", "nope")
    with pytest.raises(NotFound, match="no IPAM driver 'nope'"):
        await controller.network("web", "bridge", ipam="nope")
    controller.far.refusals["create_network"] = BadRequest("no")
    with pytest.raises(BadRequest):
        await controller.network("web", "far")
    with pytest.raises(Conflict):
        await controller.network("web", "bridge", SMALL, SMALL)
    with pytest.raises(BadRequest, match="null"):
        await controller.network("web", "bridge", SMALL, ipam="null")
    assert controller.left() == []


async def test_a_driver_that_remembers_is_told_in_between_two_commits(controller: Controller) -> None:
    """The record says what is begun while the driver is asked, so that a crash leaves no secret."""
    seen: list[object] = []

    async def look(method: str) -> None:
        cache = controller.host.services.cache
        records = [*cache.every(Network)] if "network" in method else [*cache.every(Endpoint)]
        seen.append((method, *(record.pending for record in records)))

    controller.far.before = look
    network = await controller.network("web", "far")
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert endpoint.pending is None
    endpoints = controller.host.services.endpoints
    await endpoints.attach(network.id, endpoint.id, JoinRequest("s"))
    await endpoints.detach(network.id, endpoint.id)
    await controller.work.delete_endpoint(network.id, endpoint.id)
    await controller.work.delete_network(network.id)
    assert seen == [
        ("create_network", Pending.CREATE),
        ("create_endpoint", Event.CREATE),
        ("join", Event.ATTACH),
        ("leave", Event.DETACH),
        ("leave", Event.DELETE),
        ("delete_endpoint", Event.DELETE),
        ("delete_network", Pending.DELETE),
    ]
    assert controller.left() == []
    assert not controller.far.networks
    assert not controller.far.endpoints


async def test_a_driver_is_told_addresses_and_may_not_change_them(controller: Controller) -> None:
    """A grant for what was given is refused, and everything is undone; one for what was left open is taken."""
    network = await controller.network("web", "far")
    controller.far.grant = EndpointGrant(ipv4=IPv4Interface("10.32.0.99/24"))
    with pytest.raises(Conflict, match=r"driver far changed 10\.32\.0\.2/24 to 10\.32\.0\.99/24"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert not controller.far.endpoints
    free = await controller.work.create_network(NetworkSpec("free", "far", ipam="null"))
    controller.far.grant = EndpointGrant(ipv4=IPv4Interface("192.0.2.7/24"), mac="02:00:00:00:00:07")
    endpoint = await controller.work.create_endpoint(EndpointSpec(free.id, "a"))
    assert (str(endpoint.ipv4), endpoint.mac) == ("192.0.2.7/24", "02:00:00:00:00:07")


async def test_an_address_that_is_asked_for_is_given_or_refused(controller: Controller) -> None:
    """Inside the subnet and free it is given; otherwise the refusal says what the network has or who has it."""
    network = await controller.network("web", "bridge", SMALL)
    spec = EndpointSpec(network.id, "a", (ip_address("10.9.0.5"),), "02:00:00:00:00:05")
    endpoint = await controller.work.create_endpoint(spec)
    assert (str(endpoint.ipv4), endpoint.mac, endpoint.state) == ("10.9.0.5/29", "02:00:00:00:00:05", State.CREATED)
    before = len(controller.left())
    with pytest.raises(Conflict):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b", (ip_address("10.9.0.5"),)))
    with pytest.raises(BadRequest, match=r"it has 10\.9\.0\.0/29"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b", (ip_address("192.0.2.1"),)))
    with pytest.raises(NotFound):
        await controller.work.create_endpoint(EndpointSpec("0" * 64, "b"))
    assert len(controller.left()) == before


async def test_an_endpoint_may_have_no_address(controller: Controller) -> None:
    """allocate False: none but those that are named."""
    network = await controller.network("web", "bridge", SMALL, V6)
    named = await controller.work.create_endpoint(
        EndpointSpec(network.id, "a", (ip_address("10.9.0.5"),), allocate=False)
    )
    assert (str(named.ipv4), named.ipv6) == ("10.9.0.5/29", None)
    assert (await controller.work.create_endpoint(EndpointSpec(network.id, "b", allocate=False))).addresses == ()


async def test_a_full_subnet_is_passed_over(controller: Controller) -> None:
    """A network with two subnets of a family gives from the second when the first is full."""
    tiny = SubnetSpec(4, ip_network("10.9.1.0/30"))
    network = await controller.network("web", "bridge", tiny, SMALL)
    given = [await controller.work.create_endpoint(EndpointSpec(network.id)) for _ in range(3)]
    assert [str(endpoint.ipv4) for endpoint in given] == ["10.9.1.2/30", "10.9.0.2/29", "10.9.0.3/29"]


async def test_an_endpoint_keeps_its_addresses_while_nothing_is_joined(controller: Controller) -> None:
    """No interface until it joins; the addresses stay over leave, and are free after deletion only."""
    network = await controller.network()
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    services = controller.host.services
    assert not [fact for fact in controller.host.facts if isinstance(fact, Veth)]
    await services.endpoints.attach(network.id, endpoint.id, JoinRequest("/s", inside=True))
    [veth] = [fact for fact in controller.host.facts if isinstance(fact, Veth)]
    assert (veth.inside, veth.peer_mac) == ("/s", endpoint.mac)
    await services.endpoints.detach(network.id, endpoint.id)
    for _ in range(3):
        controller.host.clock.advance(300)
        await services.repair.once()
    kept = services.cache.endpoint(network.id, endpoint.id)
    assert kept == endpoint
    await controller.work.delete_endpoint(network.id, endpoint.id)
    assert services.cache.endpoint(network.id, endpoint.id) is None
    lease = services.cache.lease("default", ip_address("10.32.0.2"))
    assert lease is not None
    assert lease.state is LeaseState.COOLING


async def test_nothing_that_is_in_use_is_deleted(controller: Controller) -> None:
    """A network with endpoints and an endpoint in a sandbox are refused, with who is in the way."""
    network = await controller.network()
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    await controller.host.services.endpoints.attach(network.id, endpoint.id, JoinRequest("/s", inside=True))
    with pytest.raises(Conflict, match=r"endpoint a is in use \(held by sandbox /s\)"):
        await controller.work.delete_endpoint(network.id, endpoint.id)
    with pytest.raises(Conflict, match=r"network web has endpoints \(held by a\)"):
        await controller.work.delete_network(network.id)
    await controller.work.delete_endpoint(network.id, endpoint.id, force=True)
    await controller.work.delete_network(network.id)
    assert controller.left() == []
    with pytest.raises(NotFound):
        await controller.work.delete_network(network.id)


async def test_another_ipam_driver_gives_and_gets_back(controller: Controller) -> None:
    """Subnet, gateway and addresses come from it, are not leased here, and are released when they are not needed."""
    network = await controller.network("web", "bridge", V4, ipam="other")
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert str(endpoint.ipv4) == "10.32.0.2/24"
    assert not [*controller.host.services.cache.every(Pool)]
    assert len(controller.left(controller.other)) == 3
    await controller.work.delete_endpoint(network.id, endpoint.id)
    await controller.work.delete_network(network.id)
    assert controller.left(controller.other) == []
    assert controller.left() == []


async def test_a_driver_that_cannot_be_reached_keeps_the_note(controller: Controller) -> None:
    """A deletion is marked, told again later, and forced when somebody says so."""
    network = await controller.network("web", "far")
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    controller.far.refusals = {name: Unavailable("gone") for name in ("delete_endpoint", "delete_network")}
    with pytest.raises(Unavailable):
        await controller.work.delete_endpoint(network.id, endpoint.id)
    marked = controller.host.services.cache.endpoint(network.id, endpoint.id)
    assert marked is not None
    assert marked.pending is Event.DELETE
    await controller.work.delete_endpoint(network.id, endpoint.id, force=True)
    with pytest.raises(Unavailable):
        await controller.work.delete_network(network.id)
    with pytest.raises(Conflict, match="is being deleted"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b"))
    controller.far.refusals = {}
    await controller.work.delete_network(network.id)
    assert controller.left() == []


async def test_a_driver_without_gateways_gets_none(controller: Controller) -> None:
    """What the driver says before the network is made counts for both families."""
    controller.far.gateways = (False, True)
    network = await controller.network("web", "far", V4, V6)
    assert [segment.gateway is None for segment in network.segments] == [True, False]
    assert str((await controller.work.create_endpoint(EndpointSpec(network.id))).ipv4) == "10.32.0.1/24"


async def test_a_driver_that_fails_to_clean_up_hides_nothing_and_stops_nobody_who_forces(
    controller: Controller,
) -> None:
    """The first fault is told; the note stays, and force deletes what is recorded."""
    network = await controller.network("web", "far")
    controller.far.refusals = {"create_endpoint": Exhausted("full"), "delete_endpoint": NotFound("what?")}
    with pytest.raises(Exhausted):
        await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    [noted] = controller.host.services.cache.every(Endpoint)
    assert noted.pending is Event.CREATE
    with pytest.raises(NotFound):
        await controller.work.delete_endpoint(network.id, noted.id)
    await controller.work.delete_endpoint(network.id, noted.id, force=True)
    controller.far.refusals = {"delete_network": Conflict("no")}
    with pytest.raises(Conflict):
        await controller.work.delete_network(network.id)
    await controller.work.delete_network(network.id, force=True)
    assert controller.left() == []


async def test_a_driver_by_name_and_another_by_option_contradict(controller: Controller) -> None:
    """The option is an engine's way to name the driver."""
    with pytest.raises(BadRequest, match="mode=null contradicts driver bridge"):
        await controller.work.create_network(NetworkSpec("web", "bridge", (V4,), options={"mode": "null"}))
    assert controller.left() == []


async def test_what_is_asked_of_our_drivers_is_known_or_refused(controller: Controller) -> None:
    """Unknown options and a MAC that another endpoint has, with who has it; other drivers read their own options."""
    with pytest.raises(BadRequest, match="IPAM option"):
        await controller.work.create_network(NetworkSpec("web", "bridge", (V4,), ipam_options={"nonsense": "1"}))
    network, far = await controller.network(), await controller.network("far", "far")
    with pytest.raises(BadRequest, match="endpoint option"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "a", options={"nonsense": "1"}))
    await controller.work.create_endpoint(EndpointSpec(far.id, "a", options={"nonsense": "1"}))
    mac = "02:00:00:00:00:05"
    first = await controller.work.create_endpoint(EndpointSpec(network.id, "a", mac=mac))
    with pytest.raises(Conflict, match=rf"MAC {mac} is in use in network web \(held by endpoint a\)"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b", mac=mac))
    await controller.work.delete_endpoint(network.id, first.id)
    await controller.work.create_endpoint(EndpointSpec(network.id, "b", mac=mac))


async def test_a_tenant_has_its_own_addresses(controller: Controller) -> None:
    """The segment is in the tenant's space, where its leases are: a start finds nothing to give back."""
    spec = NetworkSpec("web", "bridge", (SMALL,), ipam_options={"tenant": "blue"})
    network = await controller.work.create_network(spec)
    endpoint = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert network.ipv4[0].space == "blue"
    services = controller.host.services
    assert services.cache.lease("blue", endpoint.addresses[0]) is not None
    assert services.endpoint_index.unattached() == []


async def test_a_network_on_demand_gets_its_subnets_with_its_first_endpoint(controller: Controller) -> None:
    """One of each family that it was made for, and a named one; all of them go with it."""
    options = {"subnets": "on-demand"}
    network = await controller.work.create_network(NetworkSpec("late", "bridge", (V4, V6), options=options))
    assert network.segments == ()
    first = await controller.work.create_endpoint(EndpointSpec(network.id, "a"))
    assert (str(first.ipv4), str(first.ipv6)) == ("10.32.0.2/24", "fd00:32::2/64")
    named = EndpointSpec(network.id, "b", subnets=(ip_network("10.1.0.0/24"),), allocate=True)
    assert str((await controller.work.create_endpoint(named)).ipv4) == "10.1.0.2/24"
    bare = await controller.work.create_endpoint(EndpointSpec(network.id, "c", allocate=False))
    assert bare.addresses == ()
    for endpoint in controller.host.services.cache.every(Endpoint):
        await controller.work.delete_endpoint(network.id, endpoint.id)
    await controller.work.delete_network(network.id)
    assert controller.left() == []


async def test_an_endpoint_may_say_which_subnet_of_its_network_it_is_from(controller: Controller) -> None:
    """One that the network has not is refused, and a full one is not passed over."""
    network = await controller.network("web", "bridge", SMALL, SubnetSpec(4, ip_network("10.8.0.0/30")))
    chosen = EndpointSpec(network.id, "a", subnets=(ip_network("10.8.0.0/30"),))
    assert str((await controller.work.create_endpoint(chosen)).ipv4) == "10.8.0.2/30"
    with pytest.raises(Exhausted, match=r"10\.8\.0\.0/30 is full"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "b", subnets=(ip_network("10.8.0.0/30"),)))
    with pytest.raises(BadRequest, match=r"has no subnet 10\.7\.0\.0/24"):
        await controller.work.create_endpoint(EndpointSpec(network.id, "c", subnets=(ip_network("10.7.0.0/24"),)))
    await controller.work.create_endpoint(EndpointSpec(network.id, "d"))


async def test_subnets_on_demand_are_of_our_own_ipam_driver(controller: Controller) -> None:
    """Refused before anything is asked for."""
    spec = NetworkSpec("late", "bridge", (V4,), options={"subnets": "on-demand"}, ipam="other")
    with pytest.raises(BadRequest, match="own IPAM driver"):
        await controller.work.create_network(spec)
    assert controller.left() == []
