"""What was written in the last moment before the servers went away, and is not in the backup that comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import pytest
from msgspec import structs

from mooring.core.address_claims import AddressClaim, HostClaim
from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.cluster_keys import address_key
from mooring.core.faults import Conflict, Fault, Unavailable
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_verdicts import wrong_at_rest
from tests.services.cluster_worlds import World
from tests.services.fixed_hosts import WEB, fixed_world
from tests.services.holder_hosts import ident
from tests.services.plan_hosts import answered, claim, cluster, forget, owned, turns
from tests.services.test_fixed_claims import adopt, run_unseen


@asynccontextmanager
async def at_the_last_moment(world: World) -> AsyncIterator[None]:
    """What happens in the block is not in the store any more after it, and no host's number says so."""
    await turns(world, 3, 2.0)
    backup = world.servers.backup()
    yield
    world.servers.lose_majority()
    await turns(world, 2, 5.0)
    world.servers.restore(backup)
    world.servers.regain_majority()


async def create(host: Host, key: str, *, start: bool = False) -> str:
    """A container with a key; its address."""
    await host.create(key)
    if start:
        await host.use(key)
    return str(host.fixed[key].address)


async def seen(host: Host, address: str) -> AddressClaim | None:
    """What the cluster says of the address."""
    return await host.plan.keys.at(SPACE, host.world.subnet, ip_address(address))


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
async def test_a_key_that_was_claimed_then_keeps_its_address(starts: bool, restarted: bool) -> None:
    """Whether its container runs, or was only made; also where the daemon has died since. Nobody's key gets another."""
    async with cluster() as world:
        first, second = world.hosts
        async with at_the_last_moment(world):
            address = await create(first, "key:db", start=starts)
            if restarted:
                first.kill()
                await first.back(turning=False)
        await turns(world, 3, 1.0)
        assert first.fixed["key:db"].running is starts
        for _ in range(40):
            await run_or_not(second)
            await turns(world, 1, 1.0)
        assert address not in set(map(str, second.dynamic))
        known = await second.plan.values.identity(SPACE, world.subnet, "key:db")
        assert known.value is not None
        assert str(known.value.address) == address
        await turns(world, 8, 8.0)
        assert await wrong_at_rest(world.hosts, world.subnet) == []


async def run_or_not(host: Host) -> None:
    """A container, if there is an address for it."""
    try:
        await host.run()
    except Fault:
        return


async def test_what_was_started_then_is_taken_for_used_before_anybody_may_have_it() -> None:
    """The backup has the claim as idle, which any host may take."""
    async with cluster() as world:
        first, second = world.hosts
        address = await create(first, "key:db")
        await turns(world, 3, 2.0)
        async with at_the_last_moment(world):
            await first.use("key:db")
        for _ in range(8):
            with pytest.raises((Conflict, Unavailable)):
                await create(second, "key:db", start=True)
            await turns(world, 1, 1.0)
        assert first.kernel.keys() == {ip_address(address)}
        assert second.kernel == {}


async def test_what_came_from_another_host_then_is_not_put_off() -> None:
    """The backup has it at that one, idle."""
    async with cluster() as world:
        first, second = world.hosts
        await create(first, "key:db")
        await turns(world, 3, 2.0)
        async with at_the_last_moment(world):
            address = await create(second, "key:db", start=True)
        await turns(world, 8, 8.0)
        assert second.kernel.keys() == {ip_address(address)}
        with pytest.raises(Conflict, match="in use on host h1"):
            await first.use("key:db")


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_what_another_host_carved_out_then_is_not_given_there(meanwhile: bool) -> None:
    """Neither host knows of anything else that was lost. meanwhile: the block is written once more by somebody."""
    async with cluster() as world:
        first, second = world.hosts
        wanted = f"10.0.0.{16 * owned(second)[0] + 3}"
        async with at_the_last_moment(world):
            made = await answered_without_turns(world, first, "container:c1", wanted)
        values = SharedValues(second.client)

        async def write_first(step: Step) -> None:
            if (step.client, step.method, step.when) == (second.name, "put", When.BEFORE) and "block/" in step.key:
                world.servers.pause = let_others_run
                block = await values.block(SPACE, world.subnet, owned(second)[0])
                assert block.value is not None
                await values.put(block.value, block.revision)

        if meanwhile:
            world.servers.pause = write_first
        for _ in range(30):
            await run_or_not(second)
            await turns(world, 1, 1.0)
        assert made.address not in second.dynamic
        assert (await seen(second, wanted)) is not None


async def answered_without_turns(world: World, host: Host, key: str, wanted: str) -> AddressClaim:
    """As `answered`, and no host has counted what it wrote."""
    for each in world.hosts:
        each.plan.restored._count = nothing  # type: ignore[assignment, method-assign]
    made = await answered(world, host, key, wanted)
    for each in world.hosts:
        del each.plan.restored._count
    return made


async def nothing(*_: object) -> None:
    """A host that does not come to it."""


async def test_a_named_address_of_nobodys_block_is_not_given_to_who_takes_the_block() -> None:
    """Who is the first to have a block does not look for claims in it."""
    async with cluster(2, "10.0.0.0/24") as world:
        first, second = world.hosts
        free = min(set(range(16)) - set(owned(first)) - set(owned(second)))
        async with at_the_last_moment(world):
            made = await claim(first, "container:c1", f"10.0.0.{16 * free + 2}")
        await turns(world, 5, 1.0)
        while free not in owned(second):
            await second.plan.more(second.pool)
        block = (await second.plan.values.block(SPACE, world.subnet, free)).value
        assert block is not None
        assert set(block.carved) == {made.address}


async def test_a_host_that_was_forgotten_puts_nothing_there() -> None:
    """What it has may be another's by now."""
    async with cluster() as world:
        first, second = world.hosts
        await create(second, "key:db")
        await turns(world, 3, 2.0)
        await forget(world, second, by=first)
        _, revision = await first.plan.values.hosts.host(second.name)
        await first.plan.values.hosts.delete_host(second.name, revision)
        second.join = nothing  # type: ignore[method-assign]
        second.plan.restored.again.clear()
        await second.back(turning=False)
        await second.turn()
        assert not any(key.startswith("addr/") for key in world.servers.records)


@pytest.mark.parametrize("where", ["block", "key", "between"])
async def test_a_key_that_another_host_has_claimed_since_stays_that_ones(where: str) -> None:
    """Who forgot the host was broken off before its record was gone, so that it is who it was when it boots. where:
    that claim is, borne by its block, or in a key of its own, or on its way from one to the other."""
    async with cluster() as world:
        first, second = world.hosts
        await create(second, "key:db")
        await turns(world, 3, 2.0)
        await forget(world, second, by=first)
        address = await create(first, "key:db")
        if where == "key":
            await first.turn()
        await second.back(turning=False)
        looked: list[Step] = []

        async def goes_on(step: Step) -> None:
            key = address_key(SPACE, world.subnet, ip_address(address))
            if (step.client, step.method, step.key, step.when) == (second.name, "get", key, When.AFTER) and not looked:
                looked.append(step)
                await first.turn()

        if where == "between":
            world.servers.pause = goes_on
        await second.turn()
        assert bool(looked) is (where == "between")
        world.servers.pause = let_others_run
        await turns(world, 20, 6.0)
        known = await first.plan.values.identity(SPACE, world.subnet, "key:db")
        assert known.value is not None
        assert str(known.value.address) == address
        claims = [claim.host for claim, _ in await first.plan.values.claims(SPACE, world.subnet)]
        assert claims == [first.name]


@pytest.mark.parametrize("counted", [True, False])
async def test_an_address_that_was_fixed_as_it_ran_and_is_idle_stays_its_keys(counted: bool) -> None:
    """Adopted, and stopped since: the backup has neither; whether the host's number says so, or not."""
    async with fixed_world() as world:
        one, two = world.hosts
        for host in world.hosts:
            underlay = Underlay("192.0.2.1", "eth0", 1500)
            record = ClusterHost(
                id=host.name, name=host.name, machine=host.name, boot="", underlay=underlay, version="", joined=0.0
            )
            await host.plan.values.hosts.put_host(record, 0)
        await world.turns(3, 2.0)
        backup = world.servers.backup()
        address = await run_unseen(one, "db", {"mooring.key": "shop"})
        assert await adopt(one, "db") == []
        await one.services.endpoints.delete(one.full(WEB), "db".ljust(64, "0"))
        await one.services.ipam.release_address(one.pool, ip_address(address))
        one.engine.stop(ident("db"))
        if counted:
            await world.turns(2, 2.0)
        world.servers.lose_majority()
        await world.turns(2, 5.0)
        world.servers.restore(backup)
        world.servers.regain_majority()
        await world.turns(40, 1.0)
        claim = await two.seen(ip_address(address))
        assert claim is not None
        assert (claim.host, claim.key, claim.boot) == ("h1", "key:shop", "")
        assert str((await two.create("db", "shop")).ipv4) == address


@pytest.mark.parametrize(
    "when", [("scan", "key/", When.AFTER), ("put", "addr/", When.BEFORE), ("put", "key/", When.BEFORE)]
)
@pytest.mark.parametrize("led", [True, False])
async def test_a_key_that_another_host_claims_meanwhile_has_one_address(when: tuple[str, str, When], led: bool) -> None:
    """Before or after the claim of this host is written again. led: the backup has what led to the claim, which is not
    there, and leads nowhere therefore."""
    async with cluster() as world:
        first, second = world.hosts
        async with at_the_last_moment(world):
            await create(first, "key:db")
            world.servers.cut(first.name)
        if led:
            (kept,) = first.cache.every(HostClaim)
            await SharedValues(world.servers.client("backup")).put(kept.claim.identity(), 0)
        await turns(world, 4, 2.0)
        world.servers.mend()
        elsewhere: list[str] = []

        async def claim_first(step: Step) -> None:
            if (step.client, step.method, step.key.partition("/")[0] + "/", step.when) == (first.name, *when):
                world.servers.pause = let_others_run
                with suppress(Fault):
                    elsewhere.append(await create(second, "key:db"))

        world.servers.pause = claim_first
        await turns(world, 20, 6.0)
        known = await first.plan.values.identity(SPACE, world.subnet, "key:db")
        claims = [claim for claim, _ in await first.plan.values.claims(SPACE, world.subnet)]
        assert known.value is not None
        assert [(claim.key, claim.address) for claim in claims] == [("key:db", known.value.address)]
        assert [str(known.value.address)] == elsewhere or not elsewhere
        if elsewhere not in ([], [str(first.fixed["key:db"].address)]):
            del first.fixed["key:db"]  # it asks anew when it starts
        assert await wrong_at_rest(world.hosts, world.subnet) == []


async def test_what_leads_to_a_claim_is_there_also_where_another_host_writes_it_meanwhile() -> None:
    """It was an earlier claim's, and goes: without the key's word somebody else could be given another address."""
    async with cluster() as world:
        first, second = world.hosts
        async with at_the_last_moment(world):
            await create(first, "key:db")
            world.servers.cut(first.name)
        (kept,) = first.cache.every(HostClaim)
        stray, values = structs.replace(kept.claim.identity(), sequence="another"), SharedValues(second.client)
        revision = await values.put(stray, 0)
        await turns(world, 2, 2.0)
        world.servers.mend()

        async def drop_first(step: Step) -> None:
            if (step.client, step.method, step.when) == (first.name, "put", When.BEFORE) and step.key.startswith(
                "key/"
            ):
                world.servers.pause = let_others_run
                await values.delete(stray, revision)

        world.servers.pause = drop_first
        await turns(world, 2, 2.0)
        assert world.servers.pause is let_others_run
        known = await first.plan.values.identity(SPACE, world.subnet, "key:db")
        assert known.value == kept.claim.identity()
