"""Claims here and there are made alike: leftovers go after two sightings, what was lost is told at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address

import msgspec
import pytest

from mooring.core.address_claims import HostClaim, Phase, used
from mooring.core.claims import given
from mooring.core.faults import Conflict, Unavailable
from mooring.core.leases import Place
from mooring.core.networks import Address
from mooring.services.cluster.forgetting import Forgetting
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE, Host
from tests.services.cluster_worlds import World
from tests.services.plan_hosts import claim, cluster, forget, owned, shared, turns
from tests.services.test_host_blocks import spec


async def test_a_claim_that_came_too_late_is_released_after_two_sightings() -> None:
    """Its host had given it up before it was written."""
    async with cluster(sightings=30.0) as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        await turns(world, 1)
        kept = host.cache.host_claim(SPACE, world.subnet, made.address)
        assert kept is not None
        await host.cache.commit(delete=[kept])
        await turns(world, 1, seconds=25.0)
        assert any(key.startswith("addr/") for key in world.servers.records)
        await turns(world, 4, seconds=25.0)
        assert not any(key.startswith(("addr/", "key/")) for key in world.servers.records)


async def test_a_host_that_is_a_holder_by_a_late_move_alone_is_none_after_two_sightings() -> None:
    """Also where the claim has moved on to another host since."""
    async with cluster() as world:
        host, other = world.hosts
        made = await claim(host, "key:db")
        await turns(world, 1)
        world.servers.delay_next()
        with suppress(Unavailable):
            await claim(other, "key:db")
        await turns(world, 2)
        world.servers.deliver()
        await claim(host, "key:db")
        await turns(world, 4, seconds=25.0)
        seen = await host.plan.values.claim(SPACE, world.subnet, made.address)
        assert seen.value is not None
        assert (seen.value.host, sorted(seen.value.holders)) == ("h0", ["h0/key:db"])


async def test_an_identity_that_leads_nowhere_goes_after_two_sightings() -> None:
    """Nobody gets the address by it meanwhile."""
    async with cluster() as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        await turns(world, 1)
        seen = await host.plan.values.identity(SPACE, world.subnet, "key:db")
        assert seen.value is not None
        await host.plan.values.put(msgspec.structs.replace(seen.value, sequence="x"), seen.revision)
        await turns(world, 3, seconds=25.0)
        assert (await host.plan.values.identity(SPACE, world.subnet, "key:db")).value is None
        assert (await host.plan.values.claim(SPACE, world.subnet, made.address)).value is not None


async def test_a_start_that_was_refused_and_yet_written_is_told_to_be_none() -> None:
    """The cluster does not take it for used for ever."""
    async with cluster() as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        await turns(world, 1)
        world.servers.fail_next(When.AFTER)
        with suppress(Unavailable):
            await host.plan.claims.use(SPACE, world.subnet, made.address, made.key)
        await turns(world, 3, seconds=25.0)
        seen = await host.plan.values.claim(SPACE, world.subnet, made.address)
        assert seen.value is not None
        assert seen.value.boot == ""


async def test_a_forgotten_host_that_returns_keeps_only_what_is_still_there() -> None:
    """What nobody else took was given up for it: its containers ask anew. What another has, it is a holder of again."""
    async with cluster() as world:
        host, other = world.hosts
        alone, both = await claim(host, "key:alone"), await claim(host, "key:both")
        await claim(other, "key:both")
        await turns(world, 1)
        await forget(world, host, other)
        hosts = other.plan.values.hosts
        await hosts.delete_host(host.name, (await hosts.host(host.name))[1])
        host.boots, host.on = host.boots + 1, True
        host.build()
        await host.cache.load()
        await host.plan.begin()
        await turns(world, 1)
        await host.join()
        await turns(world, 6, seconds=25.0)
        assert host.cache.host_claim(SPACE, world.subnet, alone.address) is None
        kept = host.cache.host_claim(SPACE, world.subnet, both.address)
        assert kept is not None
        assert kept.phase is Phase.HELD
        seen = await other.plan.values.claim(SPACE, world.subnet, both.address)
        assert seen.value is not None
        assert {each.partition("/")[0] for each in seen.value.holders} == {"h0", "h1"}
        assert all(each.phase is Phase.HELD for each in host.cache.every(HostClaim))


async def test_a_named_address_that_was_forgotten_while_its_host_was_cut_off_is_told_as_lost() -> None:
    """It has no key, and nobody asks before it is used: the lease is gone, and its container is told of."""
    async with cluster() as world:
        host, other = world.hosts
        wanted = ip_address(f"10.0.0.{16 * owned(other)[0] + 9}")
        await ran(world, host, wanted)
        world.servers.cut(host.name)
        world.clock.advance(30.0)
        await other.plan.sessions.standing(host.name)
        world.clock.advance(10.0)
        await Forgetting(
            other.plan.values, other.plan.sessions, other.plan.blocks, other.plan.claims
        ).forget(host.name, shared(world))  # fmt: skip
        world.servers.mend()
        assert [claim.address for claim in (await host.plan.turn()).claims] == [wanted]
        assert host.cache.lease(SPACE, wanted) is None
        await turns(world, 3, seconds=25.0)
        assert list(host.cache.every(HostClaim)) == []
        await other.run(wanted)


async def test_a_claim_whose_lease_was_never_written_or_is_gone_goes_after_two_sightings() -> None:
    """The daemon died between the two; or its endpoint went without a word from the engine."""
    async with cluster(sightings=30.0) as world:
        host, other = world.hosts
        wanted = ip_address(f"10.0.0.{16 * owned(other)[0] + 9}")
        await ran(world, host, wanted)
        lease = host.cache.lease(SPACE, wanted)
        assert lease is not None
        await turns(world, 3, seconds=25.0)
        assert host.cache.host_claim(SPACE, world.subnet, wanted) is not None
        await host.cache.commit(delete=[lease])
        await turns(world, 1, seconds=25.0)
        kept = host.cache.host_claim(SPACE, world.subnet, wanted)
        assert kept is not None
        assert kept.phase is Phase.HELD
        await turns(world, 4, seconds=25.0)
        assert list(host.cache.every(HostClaim)) == []
        assert not any(key.startswith("addr/") for key in world.servers.records)


async def ran(world: World, host: Host, wanted: Address) -> None:
    """A container of the host has the address, which the others have answered for."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(host.run(wanted))
        while not asking.done():
            await turns(world, 1, seconds=0.1)
            await asyncio.sleep(0)


async def test_a_start_that_is_on_its_way_while_claims_are_compared_stays_one() -> None:
    """The cluster has it as used a moment before this host's own store has: that is no start that was refused."""
    async with cluster() as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        await turns(world, 1)
        world.clock.advance(25.0)
        written = asyncio.Event()

        async def compare_between(step: Step) -> None:
            await asyncio.sleep(0)
            used = (step.method, step.when) == ("put", When.AFTER) and step.key.startswith("addr/")
            if used and not written.is_set():
                written.set()
                for _ in range(500):
                    await asyncio.sleep(0)

        async def compare() -> None:
            await written.wait()
            await host.plan.turn()

        world.servers.pause = compare_between
        await asyncio.gather(host.plan.claims.use(SPACE, world.subnet, made.address, made.key), compare())
        kept = host.cache.host_claim(SPACE, world.subnet, made.address)
        assert kept is not None
        assert (kept.claim.boot, kept.idle) == (host.plan.member.boot, False)


async def test_a_claim_that_a_lost_store_had_is_kept_again_while_its_container_lives() -> None:
    """The kernel told of the address: no other host is given it because this one has lost its record of the claim."""
    async with cluster(sightings=30.0) as world:
        host, other = world.hosts
        wanted = ip_address(f"10.0.0.{16 * owned(other)[0] + 9}")
        await ran(world, host, wanted)
        await turns(world, 1)
        kept = host.cache.host_claim(SPACE, world.subnet, wanted)
        assert kept is not None
        await host.cache.commit(delete=[kept])
        await turns(world, 4, seconds=25.0)
        assert host.cache.host_claim(SPACE, world.subnet, wanted) == kept
        with pytest.raises(Conflict):
            await other.run(wanted)
        await host.stop(wanted)
        await turns(world, 4, seconds=25.0)
        assert list(host.cache.every(HostClaim)) == []
        assert not any(key.startswith("addr/") for key in world.servers.records)


async def test_a_fixed_address_that_a_lost_store_had_is_kept_again_while_its_container_lives() -> None:
    """It is a dynamic lease until somebody has told of its key; the claim says that it is in use."""
    async with cluster(sightings=30.0) as world:
        host = world.hosts[0]
        made = await claim(host, "key:db")
        used = await host.plan.claims.use(SPACE, world.subnet, made.address, made.key)
        await turns(world, 1)
        kept = host.cache.host_claim(SPACE, world.subnet, made.address)
        assert kept is not None
        lease = given(None, Place(SPACE, made.address, host.pool.id), 0.0, "02:00:00:00:00:01")
        await host.cache.commit(put=[lease], delete=[kept])
        await turns(world, 4, seconds=25.0)
        after = host.cache.host_claim(SPACE, world.subnet, made.address)
        assert after is not None
        assert (after.phase, after.claim.boot, after.claim.sequence) == (Phase.HELD, used.boot, used.sequence)


async def test_a_leftover_goes_also_where_its_address_is_given_from_the_block() -> None:
    """A restored store has it, as in use here, and the block does not bear it: who lives there now is another."""
    async with cluster(sightings=30.0) as world:
        host = world.hosts[0]
        address = ip_address(f"10.0.0.{16 * owned(host)[0] + 5}")
        await ran(world, host, address)
        left = spec(host, "container:c9").claim(address, host.name, 0.0)
        await host.plan.values.put(used(left, host.plan.member.boot, 0.0), 0)
        await turns(world, 1, seconds=25.0)
        assert (await host.plan.values.claim(SPACE, world.subnet, address)).value is not None
        await turns(world, 4, seconds=25.0)
        assert (await host.plan.values.claim(SPACE, world.subnet, address)).value is None
        assert host.cache.host_claim(SPACE, world.subnet, address) is None
        assert address in host.dynamic


async def test_a_host_that_the_cluster_has_forgotten_is_in_no_claim_after_two_sightings() -> None:
    """It wrote itself into one once more before it knew: whoever gives that up is not held up by it."""
    async with cluster(3) as world:
        gone, host, other = world.hosts
        made = await claim(host, "key:db")
        await claim(gone, "key:alone")
        await turns(world, 1)
        await forget(world, gone, other)
        seen = await other.plan.values.claim(SPACE, world.subnet, made.address)
        assert seen.value is not None
        holders = seen.value.holders | {"h0/late"}
        await other.plan.values.put(msgspec.structs.replace(seen.value, holders=holders), seen.revision)
        late = msgspec.structs.replace(
            made, address=ip_address("10.0.0.99"), key="container:x", host="h0", sequence="x"
        )
        await other.plan.values.put(msgspec.structs.replace(late, holders=frozenset({"h0/x"})), 0)
        records = other.plan.values.hosts
        await records.delete_host("h0", (await records.host("h0"))[1])
        await host.plan.claims.release(SPACE, world.subnet, made.address)
        await turns(world, 8, seconds=25.0)
        assert not any(key.startswith(("addr/", "identity/")) for key in world.servers.records)


async def test_a_host_with_a_record_keeps_its_part_in_a_claim() -> None:
    """However long it is off."""
    async with cluster() as world:
        gone, host = world.hosts
        made = await claim(gone, "key:db")
        await turns(world, 1)
        gone.off()
        for _ in range(8):
            world.clock.advance(25.0)
            await host.turn()
        seen = await host.plan.values.claim(SPACE, world.subnet, made.address)
        assert seen.value is not None
        assert (seen.value.host, set(seen.value.holders)) == ("h0", {"h0/key:db"})


async def test_a_key_that_leads_nowhere_leads_to_its_claim_again_after_two_sightings() -> None:
    """Else it would be given another address elsewhere."""
    async with cluster(sightings=30.0) as world:
        host, other = world.hosts
        made = await claim(host, "key:db")
        await turns(world, 1)
        key = made.identity()
        await other.plan.values.delete(key, (await other.plan.values.identity(SPACE, world.subnet, "key:db")).revision)
        await turns(world, 1, seconds=25.0)
        assert (await other.plan.values.identity(SPACE, world.subnet, "key:db")).value is None
        await turns(world, 4, seconds=25.0)
        assert (await other.plan.values.identity(SPACE, world.subnet, "key:db")).value == key
        assert (await claim(other, "key:db")).address == made.address


@pytest.mark.parametrize("runs", [True, False])
async def test_of_two_claims_of_a_key_one_stays_that_is_used_or_to_which_it_leads(runs: bool) -> None:
    """As a store has them that was restored while the host of one was off. What runs goes on until it stops."""
    async with cluster(sightings=30.0) as world:
        host, other = world.hosts
        made = await claim(host, "key:db")
        if runs:
            await host.plan.claims.use(SPACE, world.subnet, made.address, "key:db")
        await turns(world, 1)
        values = other.plan.values
        await values.delete(made.identity(), (await values.identity(SPACE, world.subnet, "key:db")).revision)
        later = await claim(other, "key:db")
        assert later.address != made.address
        await turns(world, 6, seconds=25.0)
        assert (host.cache.host_claim(SPACE, world.subnet, made.address) is not None) is runs
        await host.plan.claims.leave(SPACE, world.subnet, made.address)
        await turns(world, 6, seconds=25.0)
        assert [each for each, _ in await values.claims(SPACE, world.subnet)] == [later]
        assert (await values.identity(SPACE, world.subnet, "key:db")).value == later.identity()
        assert (await claim(host, "key:db")).address == later.address
