"""Addresses by id: Weave Net's IPAM, told again over our records."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.containers import ContainerEndpoint, EngineEvent, EventKind
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.requests import AddressRequest, Role
from mooring.core.whom import for_container
from mooring.services.operations.addresses_by_id import AddressesById, Where
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, lease_of, operate, run_container, share

A, B = "a".ljust(64, "0"), "b".ljust(64, "0")
NET = ip_network("10.32.0.0/24")
HERE = asyncio.Event()  # whoever asks is there for ever


@pytest.fixture
async def host() -> MemoryHost:
    """A network 10.32.0.0/24 whose endpoint e1 has 10.32.0.2, and an engine."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a"), "e1")
    return host


@pytest.fixture
def addresses(host: MemoryHost) -> AddressesById:
    """What is asked by id."""
    return operate(host).addresses_by_id


async def allocate(
    addresses: AddressesById, ident: str, *, alive: bool = False, wait: float = 0.0, where: Where | None = None
) -> str:
    """Allocate an address for the id."""
    got = await addresses.allocate(ident, where or Where(), check_alive=alive, wait=wait, hung_up=HERE)
    return str(got)


async def claim(
    addresses: AddressesById, ident: str, asked: str, *, alive: bool = False, lenient: bool = False
) -> None:
    """Claim the address for the id."""
    await addresses.claim(ident, ip_interface(asked), Where(), check_alive=alive, no_error_on_unknown=lenient)


async def requested(host: MemoryHost, address: str, name: str = "") -> str:
    """Docker asks for the address, for a container of that name if it tells it."""
    pool = host.services.cache.network(A).ipv4[0].pool  # type: ignore[union-attr]
    asked = AddressRequest(pool, Role.ENDPOINT, ip_address(address), "02::8", name)
    return str(await host.services.ipam.request_address(asked))


async def fill(host: MemoryHost, addresses: AddressesById) -> None:
    """Nothing is left of the network."""
    for number in range(252):
        await allocate(addresses, f"fill-{number}")
    with pytest.raises(Exhausted, match=r"10\.32\.0\.0/24 is full"):
        await allocate(addresses, "late")


# -- allocate ----------------------------------------------------------------------------------------------------------


async def test_an_id_has_one_address_of_a_subnet(host: MemoryHost, addresses: AddressesById) -> None:
    """However often it asks, and over a restart; another id has another one (Weave's smoke test 100)."""
    assert await allocate(addresses, "lab-1") == "10.32.0.3/24"
    assert await allocate(addresses, "lab-1", where=Where(NET)) == "10.32.0.3/24"
    assert await allocate(addresses, "lab-2") == "10.32.0.4/24"
    await host.restart()
    again = operate(host).addresses_by_id
    assert await allocate(again, "lab-1") == "10.32.0.3/24"
    lease = lease_of(host, "10.32.0.3")
    assert lease is not None
    assert (lease.state, lease.whom, lease.until) == (State.RESERVED, "lab-1", None)


async def test_those_who_ask_at_once_get_one_address_for_each_id(addresses: AddressesById) -> None:
    """No two ids share one, and no id has two."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(allocate(addresses, f"lab-{number % 5}")) for number in range(20)]
    assert len({each.result() for each in asked}) == 5


async def test_a_part_of_a_subnet_limits_the_choice(addresses: AddressesById) -> None:
    """The length is that of the subnet, since that is what an interface needs; a part may be full alone."""
    part = Where(ip_network("10.32.0.64/31"))
    assert await allocate(addresses, "one", where=part) == "10.32.0.64/24"
    assert await allocate(addresses, "two", where=part) == "10.32.0.65/24"
    with pytest.raises(Exhausted, match=r"10\.32\.0\.64/31 is full"):
        await allocate(addresses, "three", where=part)


async def test_a_network_is_named_where_there_are_several(host: MemoryHost, addresses: AddressesById) -> None:
    """By its id or its name; otherwise all are told. The subnet alone will do, too."""
    await host.network("b")
    with pytest.raises(Conflict, match=r"2 subnets to choose from: 10\.32\.0\.0/24 \(default\), 10\.32\.1\.0/24"):
        await allocate(addresses, "lab-1")
    assert await allocate(addresses, "lab-1", where=Where(network=B)) == "10.32.1.2/24"
    assert await allocate(addresses, "lab-1", where=Where(NET)) == "10.32.0.3/24"
    assert sorted(map(str, await addresses.look_up("lab-1", Where()))) == ["10.32.0.3/24", "10.32.1.2/24"]
    assert [str(each) for each in await addresses.look_up("lab-1", Where(network=B))] == ["10.32.1.2/24"]


async def test_a_subnet_that_no_network_has_is_refused(addresses: AddressesById) -> None:
    """It is no subnet pool that one could allocate from."""
    with pytest.raises(NotFound, match=r"no network of Mooring's has 10\.99\.0\.0/24"):
        await allocate(addresses, "lab-1", where=Where(ip_network("10.99.0.0/24")))
    with pytest.raises(NotFound, match="has no network 'nix'"):
        await allocate(addresses, "lab-1", where=Where(network="nix"))


async def test_nobody_else_is_given_it(host: MemoryHost, addresses: AddressesById) -> None:
    """Neither by choice nor by name; a container of that name is whom it is for."""
    await allocate(addresses, "db")
    await host.endpoint(A, "e2")
    assert lease_of(host, "10.32.0.4").state is State.DYNAMIC  # type: ignore[union-attr]
    for name in ("", "web"):
        with pytest.raises(Conflict, match="reserved it for db"):
            await requested(host, "10.32.0.3", name)
    assert await requested(host, "10.32.0.3", "db") == "10.32.0.3/24"
    assert await allocate(addresses, "db") == "10.32.0.3/24"


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_who_waits_gets_the_next_address_that_is_free(host: MemoryHost, addresses: AddressesById) -> None:
    """One that is released, one after another."""
    await fill(host, addresses)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(allocate(addresses, "late", wait=60))
        await asyncio.sleep(0)
        assert not waiting.done()
        await addresses.release("fill-7", None, Where())
    assert waiting.result() == str(ip_interface("10.32.0.10/24"))


async def test_waiting_ends_with_the_time_or_with_the_client(host: MemoryHost, addresses: AddressesById) -> None:
    """And nothing is allocated for who is gone."""
    await fill(host, addresses)
    with pytest.raises(Exhausted):
        await allocate(addresses, "late", wait=0.01)
    gone = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            _refused(addresses.allocate("late", Where(), check_alive=False, wait=60, hung_up=gone))
        )
        await asyncio.sleep(0)
        gone.set()
        await addresses.release("fill-7", None, Where())
    assert "is full" in waiting.result()
    with pytest.raises(NotFound):
        await addresses.look_up("late", Where())


async def _refused(asked: object) -> str:
    with pytest.raises(Exhausted) as caught:
        await asked  # type: ignore[misc]
    return str(caught.value)


# -- containers --------------------------------------------------------------------------------------------------------


async def test_what_is_for_a_container_ends_with_it(host: MemoryHost, addresses: AddressesById) -> None:
    """With check-alive, and not before: a stop and a restart of the daemon do not matter. Without, it stays."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    run_container(host, WEB, "web", "e9")
    assert await allocate(addresses, "db", alive=True) == "10.32.0.3/24"
    assert await allocate(addresses, DB, alive=True) == "10.32.0.3/24"
    assert await allocate(addresses, "web") == "10.32.0.4/24"
    lease = lease_of(host, "10.32.0.3")
    assert lease is not None
    assert (lease.state, lease.whom, lease.note) == (State.RESERVED, for_container(DB), "db")
    host.engine.stop(DB)
    await host.restart()
    assert lease_of(host, "10.32.0.3") == lease
    host.engine.remove(DB)
    host.engine.remove(WEB)
    keeping = host.services.keeping
    assert keeping is not None
    for container in (DB, WEB):
        await keeping.watching.heed(EngineEvent(EventKind.DESTROYED, container, 1))
    assert lease_of(host, "10.32.0.3") is None
    assert lease_of(host, "10.32.0.4") is not None
    assert host.services.cache.holder(DB) is None


async def test_a_container_that_went_while_nobody_listened_is_missed(
    host: MemoryHost, addresses: AddressesById
) -> None:
    """By two lists of the engine, after the age that everything is given."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await allocate(addresses, "db", alive=True)
    host.engine.remove(DB)
    keeping = host.services.keeping
    assert keeping is not None
    await keeping.container_reconciler.once()
    assert lease_of(host, "10.32.0.3") is not None
    host.clock.advance(300)
    await keeping.container_reconciler.once()
    await keeping.container_reconciler.once()
    assert lease_of(host, "10.32.0.3") is None


async def test_a_reservation_for_a_container_is_told_by_its_name(host: MemoryHost, addresses: AddressesById) -> None:
    """Also to an operator who wants the address for somebody else."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await allocate(addresses, "db", alive=True)
    place = ip_address("10.32.0.3")
    with pytest.raises(Conflict, match=r"held by the reservation for container dddddddddddd \(db\)"):
        await operate(host).reservations.reserve(None, place, place, "web", "", None, False)


async def test_check_alive_wants_a_container_that_runs(host: MemoryHost, addresses: AddressesById) -> None:
    """One that is not there, one that is stopped, and an engine that does not answer are told apart."""
    with pytest.raises(NotFound, match="Docker has no container db"):
        await allocate(addresses, "db", alive=True)
    host.engine.networks.add(A)
    host.engine.create(DB, "db", ContainerEndpoint(A, "web"))
    with pytest.raises(Conflict, match="container db is not running"):
        await claim(addresses, "db", "10.32.0.9/24", alive=True)
    host.engine.go_down()
    with pytest.raises(Unavailable):
        await allocate(addresses, "db", alive=True)
    assert await allocate(addresses, "db") == "10.32.0.3/24"


async def test_the_beginning_of_an_id_stands_for_a_container_as_docker_shows_it(
    host: MemoryHost, addresses: AddressesById
) -> None:
    """Twelve characters; fewer are an id of somebody else. Also while the engine does not answer."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await allocate(addresses, DB[:12], alive=True)
    for up in (True, False):
        host.engine.up = up
        assert str((await addresses.look_up(DB[:12], Where()))[-1]) == "10.32.0.3/24"
        with pytest.raises(NotFound):
            await addresses.look_up(DB[:11], Where())


async def test_a_container_is_looked_up_with_what_docker_gave_it(host: MemoryHost, addresses: AddressesById) -> None:
    """What the engine says that it has is its own, too."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    assert [str(each) for each in await addresses.look_up("db", Where())] == ["10.32.0.2/24"]
    await allocate(addresses, "db", alive=True)
    assert [str(each) for each in await addresses.look_up(DB, Where(NET))] == ["10.32.0.2/24", "10.32.0.3/24"]


# -- claim -------------------------------------------------------------------------------------------------------------


async def test_a_claim_is_refused_with_the_name_of_who_has_it(host: MemoryHost, addresses: AddressesById) -> None:
    """A container, an id, the gateway, a reservation for a pattern (Weave's smoke test 320)."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await claim(addresses, "lab-1", "10.32.0.9/24")
    await claim(addresses, "lab-1", "10.32.0.9/24")
    for address, holder in (("2", "endpoint e1"), ("9", "the reservation for lab-1"), ("1", "gateway")):
        with pytest.raises(Conflict, match=rf"10\.32\.0\.{address} is not free \(held by {holder}"):
            await claim(addresses, "lab-2", f"10.32.0.{address}/24")


async def test_a_container_claims_what_it_has(host: MemoryHost, addresses: AddressesById) -> None:
    """Weave does so at its start. From then on nobody gets it, also while the container is stopped."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await claim(addresses, "db", "10.32.0.2/24", alive=True)
    lease = lease_of(host, "10.32.0.2")
    assert lease is not None
    assert (lease.state, lease.whom) == (State.DYNAMIC, for_container(DB))
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    await host.services.endpoints.release(lease.pool, lease.address)
    assert lease_of(host, "10.32.0.2").state is State.RESERVED  # type: ignore[union-attr]


async def test_an_unknown_address_is_an_error_unless_it_is_said(addresses: AddressesById) -> None:
    """noErrorOnUnknown: what is in no network of ours is nobody's here; what is in one is claimed all the same."""
    with pytest.raises(NotFound, match=r"no pool has 192\.168\.7\.7"):
        await claim(addresses, "lab-1", "192.168.7.7/24")
    await claim(addresses, "lab-1", "192.168.7.7/24", lenient=True)
    await claim(addresses, "lab-1", "10.32.0.9/24", lenient=True)
    assert [(each.containerid, each.addrs) for each in addresses.owners()] == [("lab-1", ["10.32.0.9/24"])]


@pytest.mark.parametrize("asked", ["10.32.0.9/16", "10.32.0.0/24", "10.32.0.255/24"])
async def test_a_claim_that_no_interface_could_have_is_refused(addresses: AddressesById, asked: str) -> None:
    """The wrong length, the network's address, the broadcast address."""
    with pytest.raises(BadRequest):
        await claim(addresses, "lab-1", asked)


# -- release and list --------------------------------------------------------------------------------------------------


async def test_one_or_all_are_released(host: MemoryHost, addresses: AddressesById) -> None:
    """Free at once, for anybody; a second time there is nothing."""
    await allocate(addresses, "lab-1")
    await claim(addresses, "lab-1", "10.32.0.9/24")
    await claim(addresses, "lab-1", "10.32.0.10/24")
    assert await addresses.release("lab-1", ip_address("10.32.0.9"), Where()) == [ip_address("10.32.0.9")]
    assert await requested(host, "10.32.0.9") == "10.32.0.9/24"
    with pytest.raises(Conflict, match=r"10\.32\.0\.9 is not an address of lab-1 \(held by"):
        await addresses.release("lab-1", ip_address("10.32.0.9"), Where())
    assert len(await addresses.release("lab-1", None, Where())) == 2
    for address in (None, ip_address("10.32.0.10")):
        with pytest.raises(NotFound):
            await addresses.release("lab-1", address, Where())


async def test_what_is_in_use_is_never_taken(host: MemoryHost, addresses: AddressesById) -> None:
    """It goes when its container lets it go, and not before."""
    await allocate(addresses, "db")
    await requested(host, "10.32.0.3", "db")
    await addresses.release("db", None, Where())
    lease = lease_of(host, "10.32.0.3")
    assert lease is not None
    assert (lease.state, lease.whom) == (State.DYNAMIC, "")


async def test_what_an_operator_reserved_for_a_name_is_that_id_s(host: MemoryHost, addresses: AddressesById) -> None:
    """There is one mechanism. A pattern is nobody's id."""
    operated = operate(host)
    await operated.reservations.reserve(None, ip_address("10.32.0.20"), ip_address("10.32.0.20"), "db", "", None, False)
    await operated.reservations.reserve(None, ip_address("10.32.0.21"), ip_address("10.32.0.21"), "w*", "", None, False)
    assert await allocate(addresses, "db") == "10.32.0.20/24"
    assert [each.containerid for each in addresses.owners()] == ["db"]
    explained = await operated.lookup.explain("db")
    assert "An operator reserved it for db at" in " ".join(explained.reasons[0].text)


async def test_a_reservation_that_is_over_is_nobody_s(host: MemoryHost, addresses: AddressesById) -> None:
    """The id gets a new one, without an end."""
    reserve = operate(host).reservations.reserve
    ends = host.clock.now() + 60
    await reserve(None, ip_address("10.32.0.20"), ip_address("10.32.0.20"), "db", "", ends, False)
    host.clock.advance(120)
    assert await allocate(addresses, "db") == "10.32.0.3/24"


async def test_a_network_takes_its_addresses_with_it(host: MemoryHost, addresses: AddressesById) -> None:
    """Whoever they were for."""
    await allocate(addresses, "lab-1")
    pool = host.services.cache.network(A).ipv4[0].pool  # type: ignore[union-attr]
    await host.services.endpoints.delete(A, "e1".ljust(64, "0"))
    await host.services.networks.delete(A)
    await host.services.ipam.release_pool(pool)
    assert not list(host.services.cache.every(Lease))
    assert addresses.owners() == []


async def test_in_a_subnet_that_is_shared_with_other_hosts_no_id_gets_an_address_without_their_cluster(
    host: MemoryHost, addresses: AddressesById
) -> None:
    """The records of one host do not bind the others (with it: test_new_claims)."""
    await share(host)
    with pytest.raises(Unavailable, match=r"10\.32\.0\.0/24 is shared with other hosts"):
        await allocate(addresses, "x")
    with pytest.raises(Unavailable, match=r"10\.32\.0\.0/24 is shared with other hosts"):
        await claim(addresses, "x", "10.32.0.9/24")
