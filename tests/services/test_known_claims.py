"""What the cluster says of a claim: by its key, or by the block that bears it until it has one."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.address_claims import AddressClaim
from mooring.services.cluster.known_claims import KnownClaims
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import claim, cluster, owned, shared, turns


async def test_a_claim_is_known_from_its_block_until_it_has_a_key() -> None:
    """`written` gives it one; an address that nobody claims is its owner's."""
    async with cluster() as world:
        host = world.hosts[0]
        known = KnownClaims(host.plan.values, host.plan.blocks)
        made = await claim(host, "key:db")
        assert await known.known(made) == made
        assert not (await known.decides(SPACE, world.subnet, made.address)).written
        assert (await known.written(made)).value == made
        assert await known.counts(made)
        assert (await known.decides(SPACE, world.subnet, made.address)).written
        await host.plan.claims.release(SPACE, world.subnet, made.address)
        await turns(world, 3)
        decided = await known.decides(SPACE, world.subnet, made.address)
        assert (decided.owner, decided.claim) == (host.name, None)
        assert not await known.counts(made)
        assert owned(host)


@pytest.mark.parametrize("given_up", [False, True])
@pytest.mark.parametrize("look", ["known", "written"])
async def test_a_claim_that_goes_from_its_block_to_its_key_meanwhile_is_known_all_the_same(
    look: str, given_up: bool
) -> None:
    """Between the look at the key and that at the block; an identity that leads to it is not dropped for that.
    given_up: the block is nobody's then."""
    async with cluster() as world:
        host, other = world.hosts
        made = await claim(host, "key:db")
        gone: list[str] = []
        if given_up:
            await host.plan.blocks.give_up(shared(world))

        async def pause(step: Step) -> None:
            if step.client == "h1" and step.key.startswith("addr/") and step.when is When.AFTER and not gone:
                gone.append(step.key)
                await host.plan.blocks.tend(shared(world))
            await asyncio.sleep(0)

        world.servers.pause = pause
        known = KnownClaims(other.plan.values, other.plan.blocks)
        found = await known.known(made) if look == "known" else (await known.written(made)).value
        assert isinstance(found, AddressClaim)
        assert gone
        assert found == made
        assert bool(owned(host)) is not given_up
