"""Reservations, addresses by id and ports in subnets that several hosts share: as on one host."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.leases import Lease, State
from mooring.services.containers.fixed_allocator import Grant
from mooring.services.operations import addresses_by_id
from mooring.services.operations.addresses_by_id import Where
from mooring.services.operations.claim_moves import ClaimMoves
from mooring.testing.memory_cluster import Step
from tests.services.claim_operators import (
    addresses_of,
    allocate,
    by_id,
    claim,
    let_go,
    port,
    release,
    request,
    reserve,
    reserved,
)
from tests.services.fixed_hosts import FixedHost, fixed_world
from tests.services.operators import operate

# -- reservations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.0.0.9", "10.0.0.40", "10.0.0.77", "10.0.0.115"])
async def test_what_is_reserved_here_is_refused_elsewhere_naming_whom_it_is_for_and_the_host(address: str) -> None:
    """Whoever's block it is in; also to reserve it there, by hand, by id, for a port and for a key."""
    async with fixed_world() as world:
        one, two = world.hosts
        (change,) = await world.answered(reserve(one, address))
        assert (change.before, change.after) == ("free", "reserved for db")
        assert await reserve(one, address) == []
        who = r"held by a reservation for db on host h1, idle since"
        for work in (
            reserve(two, address, whom="other"), request(two, address, "db"), claim(two, "lab", address),
            port(two, "p", address), two.create("x", "k", ipv4=address), reserve(two, address, dry=True),
        ):  # fmt: skip
            with pytest.raises(Conflict, match=who):
                await world.answered(work)
        await world.turns()
        assert reserved(two) == []
        assert addresses_of(world) == {address}


async def test_a_range_is_all_or_nothing_in_the_cluster_too() -> None:
    """One address of it is used on another host: nothing is reserved, and nothing is left of it."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(request(two, "10.0.0.77", "web"))
        with pytest.raises(Conflict, match=r"10\.0\.0\.77 .*host h2"):
            await world.answered(reserve(one, "10.0.0.70", "10.0.0.80"))
        await world.turns(6)
        assert reserved(one) == []
        assert addresses_of(world) <= {"10.0.0.77"}
        assert len(await world.answered(reserve(one, "10.0.0.70", "10.0.0.76"))) == 7
        assert len(reserved(one)) == 7


async def test_a_reservation_that_is_released_or_over_gives_its_claim_back() -> None:
    """Also while the cluster is away: it is told later, over a restart."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.20"))
        await world.answered(reserve(one, "10.0.0.21", until=world.clock.now() + 60.0))
        await world.turns()
        world.servers.lose_majority()
        await one.turn()
        assert await release(one, "10.0.0.20")
        world.clock.advance(61.0)
        await one.services.ipam.sweep()
        await one.restart()
        await one.turn()
        assert addresses_of(world) == {"10.0.0.20", "10.0.0.21"}
        world.servers.regain_majority()
        await world.turns(6)
        assert addresses_of(world) == set()
        assert list(one.services.cache.every(HostClaim)) == []
        await world.answered(reserve(two, "10.0.0.20"))


async def test_without_the_cluster_nothing_new_is_reserved_and_what_is_serves_on() -> None:
    """503 at once, naming the cluster; whom it is for gets it, and gives it back."""
    async with fixed_world() as world:
        one = world.hosts[0]
        await world.answered(reserve(one, "10.0.0.20"))
        await world.turns()
        world.servers.lose_majority()
        await one.turn()
        for work in (reserve(one, "10.0.0.30"), allocate(one, "lab"), port(one, "p"), claim(one, "lab", "10.0.0.31")):
            with pytest.raises(Unavailable, match="the cluster has to be asked, and has not been reached for"):
                await work
        assert await request(one, "10.0.0.20", "db") == "10.0.0.20"
        await let_go(one, "10.0.0.20")
        assert reserved(one) == ["10.0.0.20"]
        kept = one.claim("10.0.0.20")
        assert kept is not None
        assert kept.phase is Phase.HELD


async def test_a_container_has_a_reserved_address_by_name_and_nobody_else_has() -> None:
    """In use it stays the reservation's, and is reserved again after it."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.20"))
        with pytest.raises(Conflict, match="reserved it for db"):
            await request(one, "10.0.0.20", "web")
        await request(one, "10.0.0.20", "db")
        await world.turns(40)
        with pytest.raises(Conflict, match="a reservation for db on host h1"):
            await world.answered(request(two, "10.0.0.20", "x"))
        await let_go(one, "10.0.0.20")
        await world.turns(40)
        assert reserved(one) == ["10.0.0.20"]
        assert addresses_of(world) == {"10.0.0.20"}


async def test_a_fixed_container_in_a_reserved_address_leaves_it_reserved_and_the_key_has_another_elsewhere() -> None:
    """What is reserved on one host moves by no key."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.20"))
        grant = await one.create("db", "shop", ipv4="10.0.0.20")
        endpoint = await one.connect("db", one.full("web"), grant)
        await world.turns(40)
        there = await world.answered(two.create("other", "shop"))
        assert str(there.ipv4) != "10.0.0.20"
        await one.disconnect(endpoint, one.full("web"), grant)
        await one.docker_remove("db")
        await world.turns(40)
        assert reserved(one) == ["10.0.0.20"]
        seen = await one.seen(ip_address("10.0.0.20"))
        assert seen is not None
        assert (seen.key, seen.boot, seen.host) == ("reserved:db", "", "h1")


async def test_what_a_forgotten_host_had_reserved_is_free_and_it_has_it_again_if_nobody_took_it() -> None:
    """Who is given it meanwhile keeps it, and the host says so."""
    async with fixed_world() as world:
        one, two = world.hosts
        for address in ("10.0.0.20", "10.0.0.90"):
            await world.answered(reserve(one, address))
        await request(one, "10.0.0.90", "db")
        await world.turns()
        world.servers.cut("h1")
        world.clock.advance(20.0)
        await two.plan.sessions.standing("h1")
        world.clock.advance(10.0)
        await two.turn()
        await two.plan.forget("h1")
        assert addresses_of(world) == set()
        await reserve(two, "10.0.0.20", whom="other")
        world.servers.mend("h1")
        turn = await one.plan.turn()
        assert [str(each.address) for each in turn.claims] == ["10.0.0.90"]
        faults = []
        for _ in range(80):
            world.clock.advance(1.0)
            faults += await one.turn()
        assert any("10.0.0.20" in fault.what and "lease release 10.0.0.20" in fault.hint for fault in faults)
        assert one.claim("10.0.0.20") is None
        await release(two, "10.0.0.20")
        await world.turns(60)
        assert one.claim("10.0.0.20") is not None


async def test_a_reservation_is_not_moved_by_hand() -> None:
    """Its host is named."""
    async with fixed_world() as world:
        one, two = world.hosts
        await world.answered(reserve(one, "10.0.0.20"))
        await world.answered(port(one, "lb", "10.0.0.21"))
        moves = ClaimMoves(two.services.cache, two.services.ipam, two.clock, two.policy)
        for address, what in (("10.0.0.20", "a reservation for db"), ("10.0.0.21", "port lb")):
            with pytest.raises(Conflict, match=f"is its host's, and cannot come.*held by {what} on host h1"):
                await moves.move(None, address, True, False)


# -- addresses by id ---------------------------------------------------------------------------------------------------


async def test_an_id_has_one_address_of_the_host_however_often_it_asks() -> None:
    """And other hosts give it to nobody, until it is released."""
    async with fixed_world() as world:
        one, two = world.hosts
        mine = await allocate(one, "lab")
        assert await allocate(one, "lab") == mine
        theirs = await allocate(two, "lab")
        assert theirs != mine
        with pytest.raises(Conflict, match=r"a reservation for lab on host h1"):
            await world.answered(claim(two, "other", mine))
        await claim(one, "lab", mine)
        assert [str(each) for each in await by_id(one).release("lab", None, Where())] == [mine]
        await world.turns(6)
        assert addresses_of(world) == {theirs}
        await world.answered(claim(two, "other", mine))


async def test_of_a_part_of_the_subnet_an_address_is_found_wherever_it_is_free() -> None:
    """In an own block or in nobody's; when all is gone it is full."""
    async with fixed_world() as world:
        one = world.hosts[0]
        got = [await allocate(one, f"lab{number}", subnet="10.0.0.40/30") for number in range(4)]
        assert sorted(got) == ["10.0.0.40", "10.0.0.41", "10.0.0.42", "10.0.0.43"]
        with pytest.raises(Exhausted, match=r"10\.0\.0\.40/30 is full"):
            await allocate(one, "more", subnet="10.0.0.40/30")


async def test_who_waits_for_room_gets_what_another_host_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the subnet is somebody's; the refusal without waiting says so."""
    monkeypatch.setattr(addresses_by_id, "LOOK_UP", 0.01)
    async with fixed_world(2, "10.0.0.0/29") as world:
        one, two = world.hosts
        got = [await world.answered(allocate(two, f"x{number}")) for number in range(5)]
        with pytest.raises(Exhausted, match="is full"):
            await world.answered(allocate(one, "late"))
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(allocate(one, "late", wait=600.0))
            await asyncio.sleep(0)
            await by_id(two).release("x3", None, Where())
            while not asking.done():
                world.clock.advance(1.0)
                for each in world.hosts:
                    await each.turn()
                await asyncio.sleep(0.01)
        assert asking.result() == got[3]


async def test_an_address_that_a_container_has_is_the_ids_after_it() -> None:
    """It is used in its host's own block, without a claim: that is there before the answer."""
    async with fixed_world() as world:
        one, two = world.hosts
        web, ident = one.full("web"), "d" * 64
        await one.endpoint(web, "e1")
        (lease,) = (each for each in one.services.cache.every(Lease) if each.state is State.DYNAMIC)
        address = str(lease.address)
        one.engine.create(ident, "db", ContainerEndpoint(web, "web"))
        one.engine.start(ident, web, "e1".ljust(64, "0"), address)
        await claim(one, "db", address)
        assert addresses_of(world) == set()  # its block bears it
        await world.turns()
        assert addresses_of(world) == {address}
        with pytest.raises(Conflict, match="a reservation for db on host h1"):
            await world.answered(request(two, address, "x"))
        await one.services.endpoints.delete(web, "e1".ljust(64, "0"))
        await let_go(one, address)
        await world.turns(40)
        assert reserved(one) == [address]
        await by_id(one).release("db", None, Where())
        await world.turns(6)
        assert addresses_of(world) == set()


# -- ports -------------------------------------------------------------------------------------------------------------


async def test_a_port_has_its_address_in_the_whole_cluster() -> None:
    """Its container uses it; nobody else is given it, nor makes a port of its name, until it is gone."""
    async with fixed_world() as world:
        one, two = world.hosts
        mine = await port(one, "lb")
        named = await world.answered(port(one, "named", "10.0.0.77"))
        assert [str(each) for each in named.addresses] == ["10.0.0.77"]
        with pytest.raises(Conflict, match=r"port lb has 10.* already .held by port lb on host h1"):
            await world.answered(port(two, "lb"))
        with pytest.raises(Conflict, match=r"10\.0\.0\.77 is claimed.*held by port named on host h1"):
            await world.answered(port(two, "other", "10.0.0.77"))
        await world.turns(6)
        assert not list(two.services.cache.every(HostClaim))
        grant = Grant("web", mine.addresses[0], None, mine.mac)  # type: ignore[arg-type]
        endpoint = await one.connect("c", one.full("web"), grant)
        await world.turns()
        seen = await one.seen(mine.addresses[0])
        assert seen is not None
        assert (seen.key, seen.mac, bool(seen.boot), seen.moves) == ("port:lb", mine.mac, True, False)
        await one.disconnect(endpoint, one.full("web"), grant)
        await world.turns(30)
        assert (await one.seen(mine.addresses[0])).boot == ""  # type: ignore[union-attr]
        await operate(one).network_ports.remove("lb", False, False)
        again = await port(one, "lb")  # at once, before anybody was told
        await operate(one).network_ports.remove("lb", False, False)
        await world.turns(6)
        assert again.name == "lb"
        assert addresses_of(world) == {"10.0.0.77"}
        assert not any("port:lb" in key for key in world.servers.records)
        await world.answered(port(two, "lb"))


# -- what befalls them -------------------------------------------------------------------------------------------------


async def test_what_was_claimed_and_never_recorded_is_given_back() -> None:
    """The daemon died in between; so did what it was about to write."""
    async with fixed_world() as world:
        one = world.hosts[0]
        async with one.services.ipam.new_claims.free(one.services.cache.pool(one.pool), None, "lab"):  # type: ignore[arg-type]
            await world.turns()  # a turn leaves alone what is to come
            (kept,) = one.services.cache.every(HostClaim)
            await one.restart()
        assert [each.claim for each in one.services.cache.every(HostClaim)] == [kept.claim]
        await world.turns(6)
        assert list(one.services.cache.every(HostClaim)) == []
        assert addresses_of(world) == set()


async def test_an_address_that_is_given_while_the_cluster_is_asked_is_not_reserved() -> None:
    """Who was first has it: what was read before is looked at again."""
    async with fixed_world() as world:
        one = world.hosts[0]
        pause = world.servers.pause
        given: list[Step] = []

        async def give(step: Step) -> None:
            if not given and step.client == "h1" and step.method == "put":
                given.append(step)
                await one.services.cache.commit(put=[_dynamic(one)])

        world.servers.pause = give
        with pytest.raises(Conflict, match=r"in use|cannot be reserved"):
            await world.answered(reserve(one, "10.0.0.115"))
        world.servers.pause = pause
        assert given


def _dynamic(host: FixedHost) -> Lease:
    pool = host.services.cache.pool(host.pool)
    assert pool is not None
    return Lease(
        space="default", address=ip_address("10.0.0.115"), pool=pool.id, state=State.DYNAMIC, since=0.0, mac="02::7"
    )
