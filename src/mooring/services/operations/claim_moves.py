"""Bringing a key's addresses to this host by hand: what other hosts of the cluster have, idle or not heard any more.

Rules: only what outlives its container is moved; what a host that is heard uses is never taken, whoever forces; what
has come is kept for its key as if its last container had just gone.
"""

from __future__ import annotations

from mooring.core.address_claims import AddressClaim, may_move
from mooring.core.addresses import parse_address
from mooring.core.claims import Claim, held_for
from mooring.core.faults import BadRequest, Conflict, NotFound, StaleRevision
from mooring.core.keys import is_ports, is_reservations, key_in_words, outlives
from mooring.core.leases import Lease, Place, State, is_over
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.core.reservations import key_named
from mooring.core.sessions import Standing
from mooring.core.views import Change
from mooring.ports import Clock
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.ipam.allocator import ATTEMPTS, Ipam, IpamPolicy
from mooring.services.ipam.pools import contended
from mooring.services.records.record_cache import RecordCache


class ClaimMoves:
    """`move`."""

    def __init__(self, cache: RecordCache, ipam: Ipam, clock: Clock, policy: IpamPolicy) -> None:
        self._cache, self._shared, self._claims = cache, ipam.shared, ipam.fixed_claims
        self._clock, self._policy = clock, policy

    async def move(self, space: str | None, what: str, force: bool, dry: bool) -> list[Change]:
        """The address, or all that the key has, is this host's, and waits here for a container of the key.

        force: also from a host that is not heard and may still use it. What is here already is no change. Raises
        NotFound where no host has it, Conflict naming holder and host where it may not come, BadRequest, Unavailable.
        """
        found = await self._found(space, what.strip())
        changes = []
        for pool, claim in found:
            plan = self._shared.joined(pool)
            if claim.host == plan.member.host:
                continue
            if is_reservations(claim.key) or is_ports(claim.key):
                what = f"address {claim.address} is its host's, and cannot come"
                hint = "end it there (`mooring lease release`, `mooring port rm`), or forget a host that is gone"
                raise Conflict(what, holder=plan.hosts.words(claim.held_by()), hint=hint)
            if not outlives(claim.key):
                host = plan.hosts.name(claim.host)
                hint = f"if host {host} is gone for good, `mooring cluster hosts forget {host}` frees it"
                what = f"address {claim.address} is one container's, which cannot come"
                raise Conflict(what, holder=plan.hosts.words(claim.held_by()), hint=hint)
            plan.check()
            async with plan.hosts.named():
                await self._check(plan, claim, force)
                after = f"fixed for {key_in_words(claim.key)}, idle on this host"
                before = plan.hosts.words(claim.held_by())
                changes.append(Change(pool.space, str(claim.address), before, after))
                if not dry:
                    await self._move(plan, pool, claim, force)
        return changes

    async def _found(self, space: str | None, what: str) -> list[tuple[Pool, AddressClaim]]:
        address, key = _meant(what)
        found: list[tuple[Pool, AddressClaim]] = []
        pools = [pool for pool in self._cache.every(Pool) if pool in self._shared and space in (None, pool.space)]
        for pool in pools:
            plan = self._shared.joined(pool)
            claim = None
            if address is None:
                claim = await plan.keys.of_key(self._claims.spec(pool, key, "", ""))
            elif address in pool.subnet:
                claim = await plan.keys.at(pool.space, pool.subnet, address)
            if claim is not None:
                found.append((pool, claim))
        if not found:
            hint = "`docker network ls` lists those there are" if not pools else "see `mooring lease ls` on its host"
            raise NotFound(f"no host has {what[:70]} in a network that hosts share", hint=hint)
        return found

    async def _check(self, plan: AddressPlan, claim: AddressClaim, force: bool) -> None:
        standing = await plan.sessions.standing(claim.host) if claim.host else Standing(heard=False)
        verdict = may_move(claim, plan.member.host, standing, plan.sessions.rule, force)
        if not verdict.allowed:
            what = f"address {claim.address} cannot come here: {verdict.rule}"
            raise Conflict(what, holder=verdict.holder, hint=verdict.hint)

    async def _move(self, plan: AddressPlan, pool: Pool, claim: AddressClaim, force: bool) -> None:
        spec = self._claims.spec(pool, claim.key, claim.mac, claim.key)
        with self._claims.pending(pool.space, claim.address):
            after = await plan.claims.claim(spec, claim.address, force)
            if after.sequence != claim.sequence:
                raise Conflict(f"address {claim.address} was released meanwhile", hint="try again")
            for _ in range(ATTEMPTS):
                try:
                    await self._cache.commit(put=[self._waiting(pool, after)])
                    return
                except StaleRevision:
                    continue
            raise contended(f"address {claim.address}")

    def _waiting(self, pool: Pool, claim: AddressClaim) -> Lease:
        """The lease that waits for a container of the claim's key; one that has holders here stays as it is."""
        now, hold = self._clock.now(), self._policy.hold
        lease = self._cache.lease(pool.space, claim.address)
        if lease is not None and (lease.state is not State.FIXED or is_over(lease, now)):
            lease = None
        if lease is not None and (lease.holders or lease.active is not None):
            return lease
        place = Place(pool.space, claim.address, pool.id)
        return held_for(lease, place, Claim(key=claim.key, holder="", mac=claim.mac), now, hold)


def _meant(text: str) -> tuple[Address | None, str]:
    """The address that the text is, or the key. Raises BadRequest."""
    if not text:
        raise BadRequest("nothing is named", hint="give an address, or a key")
    try:
        return parse_address(text), ""
    except BadRequest:
        return None, key_named(text)
