"""What the cluster says of a claim: by its key, or by the block that bears it until it has one."""

from __future__ import annotations

from mooring.services.cluster.known_claims import KnownClaims
from tests.services.cluster_hosts import SPACE
from tests.services.plan_hosts import claim, cluster, owned, turns


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
