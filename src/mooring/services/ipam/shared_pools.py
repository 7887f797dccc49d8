"""Pools whose subnet is shared with other hosts of a cluster: what this host may give of them, and what it asks for.

Rules: an address is given here only from a block of this host, or with a claim of its own; whoever refuses is named; a
pool that is not shared costs one look at an attribute.
"""

from __future__ import annotations

from mooring.core.address_claims import Phase, Spec
from mooring.core.blocks import division
from mooring.core.faults import Conflict, Unavailable
from mooring.core.keys import is_reservations
from mooring.core.leases import State
from mooring.core.networks import Address, Network
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest
from mooring.ports import Clock
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.record_cache import RecordCache


class SharedPools:
    """plan: set once this host is in a cluster."""

    def __init__(self, cache: RecordCache, index: AddressIndex, clock: Clock) -> None:
        self._cache, self._index, self._clock = cache, index, clock
        self._blocks = index.blocks
        self._plan: AddressPlan | None = None

    @property
    def plan(self) -> AddressPlan | None:
        """The plan of the cluster that this host is in; without one, nothing of what is shared is given."""
        return self._plan

    @plan.setter
    def plan(self, plan: AddressPlan | None) -> None:
        self._plan = plan
        self._blocks.serve(plan.member.boot if plan is not None and not plan.drained else None)

    def __contains__(self, pool: Pool) -> bool:
        return self._blocks.any and (pool.space, pool.subnet) in self._blocks

    def may_give(self, pool: Pool, address: Address, who: str) -> bool:
        """Whether this host may give the address to who has that MAC or name: the pool is not shared, it is in an own
        block and neither carved out nor about to be, or this host has a claim of it for him, or for a reservation."""
        if pool not in self:
            return True
        claim = self._cache.host_claim(pool.space, pool.subnet, address)
        if claim is not None and is_reservations(claim.claim.key):
            lease = self._cache.lease(pool.space, address)  # it says for whom, and has been asked
            return claim.phase is Phase.HELD and lease is not None and lease.state is State.RESERVED
        if claim is not None:
            his = any(holder.partition("/")[2] == who for holder in claim.claim.holders)
            return his and claim.phase is Phase.HELD
        if self.plan is not None and (pool.space, address) in self.plan.blocks.being_claimed:
            return False
        ranges = self._blocks.ranges(pool.space, pool.subnet) or ()
        return any(start <= int(address) < end for start, end in ranges)

    async def check_known(self, pool: Pool, address: Address) -> None:
        """Of what is reserved here the cluster has said in this boot that it is: before that this host may have been
        forgotten while it was off, and another host been given it. Raises Conflict, Unavailable."""
        kept = self._cache.host_claim(pool.space, pool.subnet, address) if pool in self else None
        if kept is None or kept.phase is not Phase.HELD or not is_reservations(kept.claim.key):
            return
        plan = self.joined(pool)
        if kept.known_in == plan.member.boot:
            return
        plan.check_reached()
        async with plan.hosts.named():
            if not await plan.keys.confirm(kept):
                raise Conflict(f"address {address} is not this host's any more", hint="try again in a minute")

    def check_give(self, pool: Pool, address: Address, who: str) -> None:
        """Raises Conflict where `may_give` says no, of an address that who asks was told before."""
        if not self.may_give(pool, address, who):
            raise Conflict(f"address {address} is not this host's any more", hint="start the container again")

    async def claim(self, pool: Pool, request: AddressRequest, wanted: Address | None = None) -> Address:
        """An address of a shared pool that this host claims for who asks: the one that is wanted, or any.

        Raises Conflict when somebody has it, naming who and where, Exhausted, Unavailable.
        """
        plan = self.joined(pool)
        who = request.mac or request.name or self._clock.token()
        spec = Spec(pool.space, pool.subnet, self._clock.token(), mac=request.mac, holder=who)
        return (await plan.claim(spec, wanted)).address

    async def room(self, pool: Pool, request: AddressRequest) -> Address | None:
        """There is something to choose from in the pool; the address that was claimed where there are no blocks. Raises
        Exhausted, naming who has the rest, Unavailable."""
        if division(pool.subnet) is None:
            return await self.claim(pool, request)
        await self.joined(pool).more(pool, 1)
        return None

    async def release(self, pool: Pool, address: Address) -> None:
        """This host has no claim of the address, which nobody here has any more; the cluster is told when it can be."""
        if pool in self and self._cache.host_claim(pool.space, pool.subnet, address) is not None:
            await self.joined(pool).claims.release(pool.space, pool.subnet, address)

    def would_refuse(self, network: Network) -> bool:
        """Whether the network is the cluster's, which is not reached: some of what is asked for in it is refused."""
        shared = any((part.space, part.subnet) in self._index.blocks for part in network.segments)
        return shared and (self.plan is None or not self.plan.is_reached)

    def joined(self, pool: Pool) -> AddressPlan:
        """The plan, of which the pool is. Raises Unavailable without one."""
        if self.plan is None:
            raise Unavailable(
                f"subnet {pool.subnet} is shared with other hosts, and this host is in no cluster",
                hint="join the cluster again (`mooring cluster join`)",
            )
        return self.plan
