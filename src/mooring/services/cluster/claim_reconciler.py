"""This host's claims as its own store and the cluster have them, made alike.

Rules: what the cluster has and this host does not is released after two sightings of the same revision, by a write that
expects it, and so is a claim for a lease that is not there; not while somebody lives with it, for a missing record is
no proof; what this host uses and the cluster has given to another, or to nobody, is told at once. The key of a claim
leads to it, or the claim goes once it is idle.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import partial

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Identity, Phase, Spec, without
from mooring.core.blocks import SharedSubnet
from mooring.core.faults import StaleRevision
from mooring.core.keys import outlives
from mooring.core.leases import State
from mooring.core.networks import Subnet
from mooring.ports import Clock
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.known_claims import KnownClaims
from mooring.services.cluster.shared_values import Member, Seen, SharedValues
from mooring.services.records.record_cache import RecordCache

# What was sighted: an address or a key of a subnet; its revision, and when it was first sighted in that.
Thing = tuple[Subnet, str]
Sighting = tuple[int, float]
NOTHING: Seen[Identity] = Seen(None, 0)


class ClaimReconciler:
    """`reconcile`, over and over."""

    def __init__(
        self,
        cache: RecordCache,
        claims: AddressClaims,
        known: KnownClaims,
        values: SharedValues,
        clock: Clock,
        member: Member,
        sightings: float,
    ) -> None:
        self._cache, self._claims, self._known, self._values = cache, claims, known, values
        self._clock, self._member, self._sightings = clock, member, sightings
        self._sighted: dict[Thing, Sighting] = {}

    async def reconcile(self, shared: SharedSubnet, lost: list[AddressClaim]) -> None:
        """The cluster has nothing of this host that this host does not have, and no identity that leads nowhere. lost:
        gets claims that were in use here and are not this host's by now, also where it ends early. Raises Unavailable.
        """
        space, subnet = shared.space, shared.subnet
        before, self._sighted = self._sighted, {key: seen for key, seen in self._sighted.items() if key[0] != subnet}
        claims = {claim.address: (claim, at) for claim, at in await self._values.claims(space, subnet)}
        for claim, revision in claims.values():
            kept = self._cache.host_claim(space, subnet, claim.address)
            if kept is None and self._lives_here(claim) and await self._regain(claim):
                continue
            if self._is_leftover(kept, claim):
                if self._is_old(before, (subnet, str(claim.address)), revision):
                    await self._let_go(claim)
            elif kept is not None and kept.phase is Phase.HELD and claim.boot and not kept.claim.boot and not kept.idle:
                # The cluster takes for used what is not: a start was refused here after it was sent.
                await self._claims.leave(space, subnet, claim.address, partial(self._is_as_it_was, kept))
        await self._without_forgotten(claims.values(), before)
        for kept in self._cache.every(HostClaim):
            if (kept.claim.space, kept.claim.subnet) == (space, subnet) and kept.phase is Phase.HELD:
                lost += await self._compare(kept, before)
        identities = await self._values.identities(space, subnet)
        for identity, revision in identities:
            found = claims.get(identity.address)
            leads = found is not None and found[0].sequence == identity.sequence
            if not leads and self._is_old(before, (subnet, identity.key), revision):
                await self._claims.drop_identity(identity, revision)
        led = {identity.key: Seen(identity, revision) for identity, revision in identities}
        for claim, _ in claims.values():
            if outlives(claim.key) and not _leads(led.get(claim.key, NOTHING).value, claim):
                await self._lead(claim, led.get(claim.key, NOTHING), before)

    async def _lead(self, claim: AddressClaim, led: Seen[Identity], before: dict[Thing, Sighting]) -> None:
        """The key of this host's claim leads to that, after two sightings; or it leads to another one, as it does where
        a store was restored while this host was off, and then this one goes once it is idle. Raises Unavailable."""
        kept = self._cache.host_claim(claim.space, claim.subnet, claim.address)
        mine = kept is not None and claim.is_of(self._member.host, kept.claim.sequence, kept.claim.generation)
        if kept is None or not mine or kept.phase is not Phase.HELD:
            return
        if not self._is_old(before, (claim.subnet, f"{claim.key} of {claim.sequence}"), led.revision):
            return
        spec = Spec(claim.space, claim.subnet, claim.sequence, key=claim.key)
        if (await self._known.identity(spec)).revision != led.revision:
            return
        if await self._known.of_identity(spec, led) is None:
            with suppress(StaleRevision):
                await self._values.put(claim.identity(), led.revision)
        elif not claim.boot and not kept.claim.boot:
            still = partial(self._is_as_it_was, kept)
            await self._claims.release(claim.space, claim.subnet, claim.address, still)

    async def _without_forgotten(
        self, claims: Collection[tuple[AddressClaim, int]], before: dict[Thing, Sighting]
    ) -> None:
        """No claim has a part of a host that the cluster has no record of any more, after two sightings: whoever forgot
        it may have seen an older claim, or the host has written itself into one since. Raises Unavailable."""
        named = {host for claim, _ in claims for host in _hosts_in(claim)}
        if named <= {self._member.host}:
            return
        known = {host.id for host in await self._values.hosts.hosts()}
        if self._member.host not in known:
            return  # this host is the one that was forgotten, or has only begun to join
        for claim, revision in claims:
            strange = _hosts_in(claim) - known
            if strange and self._is_old(before, (claim.subnet, f"{claim.address} of {sorted(strange)}"), revision):
                after = claim
                for host in strange:
                    after = without(after, host)
                if claim.host in strange:
                    after = msgspec.structs.replace(after, host="", boot="", generation=claim.generation + 1)
                with suppress(StaleRevision):  # the next comparison sees what is left
                    if after.holders or after.boot:
                        await self._values.put(after, revision)
                    else:
                        await self._claims.end(claim, revision)

    async def regained(self, claim: AddressClaim | None) -> bool:
        """Whether the claim is this host's, and its own store had lost it; then it is kept here again. Raises
        Unavailable."""
        if claim is None or self._cache.host_claim(claim.space, claim.subnet, claim.address) is not None:
            return False
        if not self._lives_here(claim):
            return False
        return await self._regain(claim)

    async def _regain(self, claim: AddressClaim) -> bool:
        """The claim is kept here again, if it decides over the address: whoever lives there may have that from the
        block. Raises Unavailable."""
        async with self._claims.turn_of(claim):
            if await self._known.known(claim) != claim:
                return False
            if self._cache.host_claim(claim.space, claim.subnet, claim.address) is None:
                kept = HostClaim(claim=claim, phase=Phase.HELD, known_in=self._member.boot)
                await self._cache.commit(put=[kept])
            return True

    def _lives_here(self, claim: AddressClaim) -> bool:
        """Whether the claim is this host's, and in use here by what lives: its own store has lost it, and knows the
        address from the kernel (restored_store.py)."""
        lease = self._cache.lease(claim.space, claim.address)
        if lease is None or lease.state not in (State.DYNAMIC, State.FIXED) or claim.mac not in ("", lease.mac):
            return False
        return claim.host == self._member.host and (not claim.key or claim.boot == self._member.boot)

    async def _compare(self, kept: HostClaim, before: dict[Thing, Sighting]) -> list[AddressClaim]:
        """What this host holds is as the cluster says; the claim if it was in use here, and is lost."""
        mine = kept.claim
        what = f"{mine.address} of {mine.sequence}"
        if self._claims.lacks_lease(kept):
            if self._is_old(before, (mine.subnet, f"{what} without a lease"), 0):
                await self._claims.abandon(mine)
            return []
        theirs = await self._known.known(mine)
        if self._claims.is_used(mine):
            held = theirs is not None and theirs.is_of(self._member.host, mine.sequence, mine.generation)
            return [mine] if not held and await self._claims.lose(mine) else []
        if not self._is_in(theirs, mine) and self._is_old(before, (mine.subnet, what), 0):
            await self._claims.rejoin(mine)
        return []

    def _is_old(self, before: dict[Thing, Sighting], thing: Thing, revision: int) -> bool:
        """Whether it was sighted before in that revision, long enough ago."""
        now = self._clock.boot()
        known = before.get(thing, (revision, now))
        self._sighted[thing] = known if known[0] == revision else (revision, now)
        return now - self._sighted[thing][1] >= self._sightings

    async def _let_go(self, claim: AddressClaim) -> None:
        """The leftover is released, unless this host has come to have a part in it meanwhile. Raises Unavailable."""
        async with self._claims.turn_of(claim):
            if self._is_leftover(self._cache.host_claim(claim.space, claim.subnet, claim.address), claim):
                await self._claims.let_go(claim)

    def _is_as_it_was(self, kept: HostClaim) -> bool:
        """Whether nothing came of the claim since it was looked at: a start may have been on its way."""
        return self._cache.host_claim(kept.claim.space, kept.claim.subnet, kept.claim.address) == kept

    def _is_in(self, theirs: AddressClaim | None, mine: AddressClaim) -> bool:
        """Whether this host has a part in what the cluster says, and that is the claim that it keeps."""
        there = theirs is not None and theirs.sequence == mine.sequence
        return there and theirs is not None and without(theirs, self._member.host) != theirs

    def _is_leftover(self, kept: HostClaim | None, claim: AddressClaim) -> bool:
        """Whether the cluster says that this host has a part in the claim, wherever that is, and this host does not."""
        if kept is not None and kept.claim.sequence == claim.sequence:
            return False
        return claim.host == self._member.host or without(claim, self._member.host) != claim


def _leads(identity: Identity | None, claim: AddressClaim) -> bool:
    """Whether it leads to the claim."""
    return identity is not None and identity.sequence == claim.sequence


def _hosts_in(claim: AddressClaim) -> set[str]:
    """Ids of the hosts that have the claim, or a part in it."""
    return {claim.host, *(holder.partition("/")[0] for holder in claim.holders)} - {""}
