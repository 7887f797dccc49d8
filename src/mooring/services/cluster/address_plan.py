"""The address plan of the subnets that several hosts share: one object for whoever needs it, and its turns.

Rules: a turn does what waits, and what one thing of it cannot do, the others do all the same; after the cluster was not
reached, this host first looks what is still its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec
from mooring.core.addresses import address_of
from mooring.core.blocks import ANOTHER, HostBlock, SharedSubnet, division
from mooring.core.faults import Conflict, Exhausted, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Lease
from mooring.core.networks import Address, Subnet
from mooring.core.pools import Pool
from mooring.core.sessions import SessionRule, alone_until
from mooring.ports import Clock, Cluster
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.claim_keys import ClaimKeys
from mooring.services.cluster.claim_reconciler import ClaimReconciler
from mooring.services.cluster.forgetting import Forgetting
from mooring.services.cluster.host_blocks import SIGHTINGS, HostBlocks
from mooring.services.cluster.known_claims import KnownClaims
from mooring.services.cluster.known_hosts import KnownHosts
from mooring.services.cluster.left_subnets import LeftSubnets
from mooring.services.cluster.restored_cluster import RestoredCluster
from mooring.services.cluster.sessions import Sessions
from mooring.services.cluster.shared_networks import SharedNetworks
from mooring.services.cluster.shared_values import ATTEMPTS, Member, SharedValues
from mooring.services.cluster.subnet_ends import SubnetEnds
from mooring.services.cluster.unknown_hosts import UnknownHosts
from mooring.services.cluster.wants import Wants
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.record_cache import RecordCache

# Seconds between two comparisons of everything.
COMPARE = 20.0


@dataclass(slots=True)
class Turn:
    """What a turn found. leases, claims: what was this host's, was in use, and is not any more: whoever uses it is to
    stop at once, and so is, at a start, who uses an address without a lease: a daemon may die before it has told.
    faults: what could not be done."""

    leases: list[Lease] = field(default_factory=list)
    claims: list[AddressClaim] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class AddressPlan:
    """Build it with the index of a cache that is not loaded yet; `begin` after the load."""

    def __init__(
        self,
        cache: RecordCache,
        index: AddressIndex,
        cluster: Cluster,
        clock: Clock,
        member: Member,
        rule: SessionRule | None = None,
        sightings: float = SIGHTINGS,
        heard: Callable[[], float | None] | None = None,
    ) -> None:
        """sightings: seconds between two sightings, after which what was seen both times is acted upon. heard: see
        Sessions."""
        self._cache, self._index, self._clock, self.member = cache, index, clock, member
        self.restored = RestoredCluster(cache, cluster, clock, member)
        self.values = SharedValues(cluster, self.restored.sure, self.restored.note_write)
        self.sessions = Sessions(self.values, clock, member, rule or SessionRule(), heard)
        self.blocks = HostBlocks(cache, index, self.values, clock, member, sightings, self.restored)
        wants = self._wants = Wants(self.values, self.blocks, self.sessions, clock)
        self.claims = AddressClaims(cache, self.blocks, wants, self.sessions, self.values, clock, member)
        self._known = KnownClaims(self.values, self.blocks)
        self.keys = ClaimKeys(cache, self.claims, self._known, self.values, clock, member)
        self._reconciler = ClaimReconciler(cache, self.claims, self._known, self.values, clock, member, sightings)
        self._forgetting = Forgetting(self.values, self.sessions, self.blocks, self.claims)
        self.networks = SharedNetworks(self.values, member, clock, sightings)
        self._ends = SubnetEnds(cache, index, self.blocks, self.claims, self.values, member)
        self.left = LeftSubnets(
            cache, self.blocks, self.claims, self.values, clock, member, sightings, self.restored
        )  # fmt: skip
        self.hosts = KnownHosts(self.values.hosts, clock)
        self._unknown = UnknownHosts(self.values.hosts, member.host, clock, sightings)
        self._refreshed = self._compared = float("-inf")
        self.forgotten = False  # the cluster has no record of this host: it takes nothing, and what it had is lost
        self.unreached: float | None = None  # since when what waits cannot be done, seconds since the boot

    async def begin(self) -> None:
        """After a start: what only the cluster can tell counts for nothing until it has; nor what this machine had as
        another host, which may be somebody else's by now. Raises Unavailable."""
        await self.claims.begin()
        mine = [block for block in self._cache.every(HostBlock) if block.boot] if self.restored.is_new else []
        if mine:
            await self._cache.commit(put=[msgspec.structs.replace(block, boot=ANOTHER) for block in mine])
        self.restored.last_writes.suspect()

    @property
    def drained(self) -> bool:
        """Whether this host gives and claims nothing new: what it has goes on, and what is empty goes back."""
        return self.blocks.drained

    def drain(self, drained: bool) -> None:
        """It does not any more, or does again."""
        self.blocks.drained = drained
        self._index.blocks.serve(None if drained else self.member.boot)

    def check(self) -> None:
        """Raises Conflict where this host takes nothing new, Unavailable as `check_reached`."""
        if self.forgotten:
            raise Conflict(
                "the cluster has forgotten this host", hint="`mooring cluster leave --force`, then join it again"
            )
        if self.drained:
            raise Conflict(
                "this host is drained: it takes no new addresses of networks of the cluster",
                hint="start the container on another host, or end that (`mooring cluster hosts drain --off HOST`)",
            )
        self.check_reached()

    @property
    def is_reached(self) -> bool:
        """Whether what needs the cluster is not refused at once."""
        return self.unreached is None and not self.restored.waiting

    def check_reached(self) -> None:
        """Raises Unavailable where the cluster was not reached just now: nobody waits for that again."""
        if self.restored.waiting:
            raise self.restored.refusal()
        if self.unreached is not None:
            silent = self._clock.boot() - self.unreached
            raise Unavailable(
                f"the cluster has to be asked, and has not been reached for {silent:.0f} s",
                hint="see `mooring cluster status`",
            )

    def unanswered(self, seconds: float) -> Unavailable:
        """The refusal where the cluster was asked, and has not answered for so long."""
        confirmed = self.sessions.confirmed
        last = f", and was reached last {self._clock.boot() - confirmed:.0f} s ago" if confirmed is not None else ""
        what = f"the cluster has to be asked, and has not answered for {seconds:g} s{last}"
        return Unavailable(what, hint="see `mooring cluster status`")

    async def share(self, space: str, subnet: Subnet) -> None:
        """The subnet is the cluster's: nothing of it is given but from blocks of this host, and by claims. Its pool is
        there, and nothing of it has been given yet. Raises Unavailable."""
        await self._cache.commit(put=[SharedSubnet(space=space, subnet=subnet, since=self._clock.now())])

    async def release_subnet(self, space: str, subnet: Subnet) -> None:
        """This host has neither a claim nor a block of the subnet, which no network of its own has any more. Raises
        StaleRevision, Unavailable."""
        await self._ends.end_now(space, subnet)

    def is_shared(self, pool: Pool) -> bool:
        """Whether the pool's subnet is the cluster's."""
        return (pool.space, pool.subnet) in self._index.blocks

    async def more(self, pool: Pool, enough: int | None = None) -> None:
        """This host has one block more of the pool's subnet. Raises as HostBlocks.more."""
        self.check()
        async with self.hosts.named():
            await self.blocks.more(pool.space, pool.subnet, enough)

    async def claim(self, spec: Spec, wanted: Address | None = None, force: bool = False) -> AddressClaim:
        """This host has a claim for the spec: of the address that is wanted, of the one that its key has, or of one
        that is free. See AddressClaims.claim; raises Exhausted, too."""
        self.check()
        async with self.hosts.named():
            return await self._claim(spec, wanted, force)

    async def _claim(self, spec: Spec, wanted: Address | None, force: bool) -> AddressClaim:
        if wanted is not None:
            return await self.claims.claim(spec, wanted, force)
        refusal: Fault | None = None
        for _ in range(ATTEMPTS):
            pool, address = await self._free(spec.space, spec.subnet)
            try:
                with self.blocks.being_claimed.chosen(pool, address):
                    return await self.claims.claim(spec, address, force)
            except Conflict as fault:
                # Somebody elsewhere has been given it in the meantime; or the key's own is refused.
                refusal = fault
                if f"{address}" not in fault.what:
                    break
        raise refusal or Unavailable(f"no address of {spec.subnet} could be claimed", hint="try again")

    async def use(self, space: str, subnet: Subnet, address: Address, key: str) -> AddressClaim:
        """This host's claim is in use in this boot. See AddressClaims.use."""
        async with self.hosts.named():
            return await self.claims.use(space, subnet, address, key)

    async def regained(self, space: str, subnet: Subnet, address: Address) -> bool:
        """Whether the cluster has the address as in use by what lives here, though this host's store had lost that.
        Raises Unavailable."""
        return await self._reconciler.regained((await self._known.decides(space, subnet, address)).claim)

    async def _free(self, space: str, subnet: Subnet) -> tuple[Pool, Address]:
        """An address that is free as far as this host knows, and held. Raises Exhausted, NotFound, Unavailable."""
        pools = self._index.pools_of(space, subnet)
        if not pools:
            raise NotFound(f"subnet {subnet} has no pool on this host")
        start, end = self._index.bounds(pools[0].id)
        if division(subnet) is None:
            taken = {int(claim.address) for claim, _ in await self.values.claims(space, subnet)}
            occupancy = self._index.of(pools[0].id)
            number = next((n for n in range(start, end) if n not in taken and not occupancy.is_taken(n)), None)
            if number is None:
                raise Exhausted(f"subnet {subnet} is full: each of its addresses is claimed")
            occupancy.hold(number)
            return pools[0], address_of(subnet.version, number)
        for _ in range(ATTEMPTS):
            chosen = self._index.choose(pools[0], exact=True)
            if chosen is not None:
                return chosen[0], address_of(subnet.version, chosen[1])
            await self.more(pools[0], 1)
        raise Unavailable(f"others were given all of a block of {subnet} at once", hint="try again")

    async def whose(self, space: str, subnet: Subnet, address: Address) -> str:
        """Which host has the address, or decides over it, for a sentence; "" for this one, or nobody. Raises
        Unavailable."""
        decided = await self._known.decides(space, subnet, address)
        host = decided.claim.host if decided.claim is not None else decided.owner
        if host in ("", self.member.host):
            return ""
        await self.hosts.look()
        return f"host {self.hosts.name(host)} {'has it' if decided.claim is not None else 'decides over it'}"

    async def forget(self, host: str, dry: bool = False) -> None:
        """No address, block or part in a network of the cluster is the host's, which is gone for good. Raises Conflict
        while it is heard, or has only just gone silent; Unavailable, and then it may be done again. After a restore of
        the cluster's store nobody waits for the host any more, also where this is so. dry: nothing is done."""
        async with self.hosts.named():
            if dry:
                if self.restored.waiting or await self.values.hosts.places():
                    await self._forgetting.check(host)
                return
            with suppress(Unavailable):
                await self.restored.sure()
            if self.restored.waiting:
                await self._forgetting.check(host)
                await self.restored.excuse(host)
            for space, subnet in sorted(await self.values.hosts.places(), key=str):
                await self._forgetting.forget(host, SharedSubnet(space=space, subnet=subnet, since=0.0))
            await self.networks.forget(host)

    def overdue(self) -> list[AddressClaim]:
        """Claims in use here that another host may be given by itself, as this one has not been heard for so long:
        whoever uses them is to stop at once."""
        if self._clock.boot() < alone_until(self.sessions.confirmed, self.sessions.rule):
            return []
        return self.moving()

    def moving(self) -> list[AddressClaim]:
        """Claims in use here that another host may be given by itself once this one is not heard."""
        claims = (kept.claim for kept in self._cache.every(HostClaim) if kept.phase is Phase.HELD)
        return [claim for claim in claims if claim.moves and claim.boot == self.member.boot]

    async def turn(self) -> Turn:
        """What waits for the cluster is done as far as it can be; whoever is asked for something has answered."""
        turn = Turn()
        now, watching = self._clock.boot(), False
        try:
            await self.restored.look()
            await self.restored.sure()
        except Unavailable as fault:
            self.unreached = now if self.unreached is None else self.unreached
            turn.faults.append(fault)
            if self.restored.waiting and now - self._refreshed >= self.sessions.rule.refresh:
                with suppress(Unavailable):  # who is waited for may have to be forgotten
                    await self.hosts.look()
                    await self.sessions.watch(self.hosts.ids)
                    self._refreshed = now
            return turn
        if now - self._refreshed >= self.sessions.rule.refresh or self.unreached is not None:
            if not await self._is_reached(turn):
                return turn
            self._refreshed, watching = now, True
        compare = now - self._compared >= COMPARE
        for work in self._work(turn, compare, watching):
            try:
                await work()
            except StaleRevision:
                continue  # somebody here was quicker; the next turn sees what is left
            except Fault as fault:
                self.hosts.name_in(fault)
                turn.faults.append(fault)
                if isinstance(fault, Unavailable) and not await self._is_reached(turn):
                    return turn
        self.unreached = None
        if not turn.faults and compare:
            self._compared = now
        return turn

    async def _is_reached(self, turn: Turn) -> bool:
        """Whether the cluster answers: else each thing would wait for it. What is so is a fault of the turn's then."""
        try:
            await self.sessions.refresh()
        except Unavailable as fault:
            if self.unreached is None:
                self.unreached = self._clock.boot()
            self._compared = float("-inf")  # everything may be otherwise when it is back
            turn.faults = [fault]
            return False
        return True

    def _work(self, turn: Turn, compare: bool, watching: bool) -> Iterator[Callable[[], Awaitable[None]]]:
        async def verify(shared: SharedSubnet) -> None:
            owners = await self.blocks.verify(shared, turn.leases)
            place = shared.space, shared.subnet
            for host in await self._unknown.among(place, owners - {*self.hosts.ids}):
                await self._forgetting.take_back(host, shared)
            if (copied := self.blocks.copied(shared.space, shared.subnet)) is not None:
                turn.faults.append(copied)

        async def reconcile(shared: SharedSubnet) -> None:
            await self._reconciler.reconcile(shared, turn.claims)

        if watching:
            yield self.hosts.look
            yield lambda: self.sessions.watch(self.hosts.ids)
        for shared in self._cache.every(SharedSubnet):
            if compare:
                yield lambda shared=shared: verify(shared)  # type: ignore[misc]
                yield lambda shared=shared: reconcile(shared)  # type: ignore[misc]
            for step in (self._ends.end, self._wants.answer, self.blocks.tend, self.blocks.balance):
                yield lambda step=step, shared=shared: step(shared)  # type: ignore[misc]
        for kept in self._cache.every(HostClaim):
            if kept.phase is Phase.RELEASING or kept.idle:
                yield lambda kept=kept: self.claims.settle(kept)  # type: ignore[misc]
