"""What runs on this host while it is in a cluster: the address plan, and parts of others that need the cluster.

Rules: the plan is there from the moment in which the host's place in a cluster is known, whether the cluster is reached
or not; nothing that goes wrong ends the loop, or keeps one part from its turn because of another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, runtime_checkable

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.blocks import HostBlock
from mooring.core.cluster_hosts import Membership
from mooring.core.faults import Fault
from mooring.core.networks import Address, Subnet
from mooring.ports import Clock, Cluster
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.attempts import attempted
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.cluster.shared_values import Member
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.evictions import Evictions
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

# Seconds between two turns, and between two that were asked for.
PERIOD = 1.0
SOONEST = 0.1


class Part(Protocol):
    """What else is done while this host is in a cluster. What it raises is a finding, and nothing more."""

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """This host is in a cluster from now on; also at a start, and anew after `left` where it is reached in another
        way. The plan is there; whether the cluster answers is not known. Before the first turn."""
        ...

    async def left(self) -> None:
        """This host is in no cluster any more, or is about to enter anew; also after an `entered` that raised. The
        cluster can still be asked, if it answers."""
        ...

    async def turn(self) -> list[Fault]:
        """Do what waits; what could not be done. About once a second, and after a nudge."""
        ...


@runtime_checkable
class Waiting(Protocol):
    """A part that says what waits for the cluster."""

    def waiting(self) -> Mapping[str, int]:
        """How many of what: the word for one and the words for more, with a bar between them."""
        ...


@runtime_checkable
class Restored(Protocol):
    """A part that reads or keeps something in the cluster beside the plan."""

    async def restored(self) -> None:
        """The cluster's store was restored from a backup. Raises Unavailable, and is called again then."""
        ...


@runtime_checkable
class Forgettable(Protocol):
    """A part that may have written something after this host was forgotten, before it knew."""

    async def forgotten(self) -> None:
        """The cluster has no record of this host: what others are told of it goes. Raises Unavailable, and is called
        again; also when it is done."""
        ...


class ClusterRuntime:
    """`run` is the daemon's task. plan, cluster, membership, member: None while this host is in no cluster; plan and
    member, too, until what the records say of it is ready. faults: what the last turn could not do."""

    def __init__(self, cache: RecordCache, ipam: Ipam, clock: Clock, boot: str, evictions: Evictions) -> None:
        """boot: the id of this host's boot."""
        self._cache, self._ipam, self._clock, self._boot = cache, ipam, clock, boot
        self.evictions = evictions
        self.plan: AddressPlan | None = None
        self.cluster: Cluster | None = None
        self.membership: Membership | None = None
        self.member: Member | None = None
        self.faults: tuple[Fault, ...] = ()
        self._parts: list[Part] = []
        self._heard: Callable[[], float | None] = lambda: None
        self._tried: Callable[[], bool] = lambda: True
        self._drained: Callable[[], bool] = lambda: False
        self._forgotten: Callable[[], bool] = lambda: False
        self._doubtful: Callable[[], bool] = lambda: False
        self._tell_soon: Callable[[], None] = lambda: None
        self._present: Callable[[], Awaitable[None]] | None = None
        self._here, self._nudged = asyncio.Event(), asyncio.Event()
        self._lock = asyncio.Lock()  # of turns, and of coming and going
        self._evicting = asyncio.Lock()
        self._looked = False
        self._begun: list[Part] = []  # to whom it was said that this host has entered
        self._entered: list[Part] = []  # those of them that could
        self._told: set[str] = set()

    def add(self, *parts: Part) -> None:
        """They have their turns, after the plan's and in the order of adding. Before this host enters a cluster."""
        self._parts += parts

    def follow(self, membership: ClusterMembership) -> None:
        """It says when this host enters and leaves a cluster, and is heard there."""
        self._heard, self._drained = lambda: membership.confirmed, lambda: membership.drained
        self._tried, self._forgotten = lambda: membership.tried, lambda: membership.forgotten
        self._doubtful, membership.at_return = lambda: membership.doubtful, self.stop_overdue
        membership.at_leaving = self.stop_moving
        self._present, self._tell_soon = membership.present, membership.tell_soon
        membership.follow(self.entered, self.left)

    def is_strange(self) -> bool:
        """Whether the cluster has forgotten this host, or may have: it is to write nothing of itself there."""
        return self._forgotten() or self._doubtful()

    def tell_soon(self) -> None:
        """What the others know of this host is looked at soon, as something of it has changed."""
        self._tell_soon()

    def nudge(self) -> None:
        """There is something to do."""
        self._nudged.set()

    def waiting(self) -> list[str]:
        """What this host has done already and the cluster is to be told, in a few words each."""
        claims = list(self._cache.every(HostClaim))
        counts: dict[str, int] = {
            "address to release|addresses to release": sum(kept.phase is Phase.RELEASING for kept in claims),
            "address that is not in use any more|addresses that are not in use any more": sum(
                kept.phase is Phase.HELD and kept.idle for kept in claims
            ),
            "block of addresses to give up|blocks of addresses to give up": sum(
                block.leaving for block in self._cache.every(HostBlock)
            ),
        }
        for part in self._parts:
            counts |= part.waiting() if isinstance(part, Waiting) else {}
        lines = [f"{count} {words.split('|')[count != 1]}" for words, count in counts.items() if count]
        restored = self.plan.restored.waiting if self.plan is not None else ""
        return [restored, *lines] if restored else lines

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """This host is in the cluster; the records are loaded, and the cluster is not waited for. Raises no Fault."""
        async with self._lock:
            self.cluster, self.membership = cluster, membership
            await self._guarded("the address plan", self._begin)
        self._here.set()
        self.nudge()

    async def _begin(self) -> None:
        """The plan is there. Raises Unavailable."""
        assert self.cluster is not None
        assert self.membership is not None
        member = Member(self.membership.host, self._boot)
        plan = AddressPlan(self._cache, self._ipam.index, self.cluster, self._clock, member, heard=self._heard)
        if self._present is not None:
            plan.restored.again.insert(0, self._present)
        plan.restored.again += [part.restored for part in self._parts if isinstance(part, Restored)]
        # Also until the plan knows that it is so: what is under way would go on as if the host had been heard.
        plan.restored.doubtful = lambda: self._doubtful() or (self._forgotten() and not plan.forgotten)
        await plan.begin()
        self.member, self.plan, self._ipam.shared.plan = member, plan, plan

    async def left(self) -> None:
        """This host is in no cluster any more: of what is shared it gives nothing. Raises no Fault."""
        self._here.clear()
        self.plan = self._ipam.shared.plan = None
        async with self._lock:
            for part in self._begun:
                await self._guarded(type(part).__name__, part.left)
            self.plan = self._ipam.shared.plan = None  # a turn may have been about to begin it
            self.cluster = self.membership = self.member = None
            self.faults, self._begun, self._entered = (), [], []

    async def run(self) -> None:
        """Turn after turn, as long as this host is in a cluster. Never ends by itself, whatever goes wrong here."""
        await asyncio.gather(self._turns(), self._watch())

    async def _turns(self) -> None:
        while True:
            await self._here.wait()
            self._nudged.clear()
            if self._tried():  # or a host that was forgotten would take something before it knows
                await self.once()
            await asyncio.sleep(SOONEST)
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD - SOONEST):
                    await self._nudged.wait()

    async def _watch(self) -> None:
        """Not with the turns: they wait for the cluster, and what is overdue is so because that does not answer."""
        while True:
            await self._here.wait()
            await self._guarded("what is overdue", self.stop_overdue)
            await asyncio.sleep(PERIOD)

    async def stop_overdue(self) -> None:
        """Who uses an address that another host may be given by itself is put off the network. Raises Unavailable."""
        plan = self.plan
        if plan is None or not self._tried():
            return  # after a start nobody knows before the first try when this host was heard last
        if overdue := plan.overdue():
            await self._put_off(overdue, "may be another host's by now: this one has not been heard for too long")
            for claim in overdue:
                kept = self._cache.host_claim(claim.space, claim.subnet, claim.address)
                if kept is not None and not kept.idle:
                    still = partial(_is_overdue, plan, kept.claim)  # else it may have been started again
                    await plan.claims.leave(claim.space, claim.subnet, claim.address, still)

    async def stop_moving(self) -> None:
        """This host leaves by force: who uses an address that another host may be given by itself then is put off the
        network, as nothing here says any more when that is. Raises Unavailable."""
        if self.plan is not None and (moving := self.plan.moving()):
            await self._put_off(moving, "may be another host's soon: this one has left the cluster")
            for claim in moving:
                await self.plan.claims.leave(claim.space, claim.subnet, claim.address)

    async def _put_off(self, claims: list[AddressClaim], why: str) -> None:
        """Whoever uses one of the claims is put off the network, without a word to the cluster."""
        self.evictions.of_claims(claims, why)
        async with self._evicting:
            faults = await self.evictions.turn(_nobody)
        for fault in faults:
            self._tell(fault, None)

    async def once(self) -> None:
        """One turn of everything. Raises no Fault."""
        async with self._lock:
            if self.cluster is None or self.membership is None:
                return
            faults: list[Fault] = []
            if self.plan is not None or await self._guarded("the address plan", self._begin, faults):
                await self._guarded("the address plan", partial(self._turn, faults), faults)
                for part in self._parts if not self._forgotten() else ():
                    turn = partial(self._turn_of, part, self.cluster, self.membership, faults)
                    await self._guarded(type(part).__name__, turn, faults)
                for part in self._entered if self._forgotten() else ():
                    if isinstance(part, Forgettable):
                        await self._guarded(type(part).__name__, part.forgotten, faults)
            self.faults = tuple(faults)
            self._told &= {str(fault) for fault in faults}

    async def _turn(self, faults: list[Fault]) -> None:
        if (plan := self.plan) is None:
            return
        if not self._looked:
            await self.evictions.look(plan.member.boot)
        plan.forgotten = self._forgotten()
        drained = plan.forgotten or self._drained()
        if plan.drained is not drained:
            plan.drain(drained)
        self._looked = False  # until what the turn tells has been noted
        turn = await plan.turn()
        self.evictions.of_leases(turn.leases, "is not this host's any more")
        self.evictions.of_claims(turn.claims, "is not this host's any more")
        self._looked = True
        async with self._evicting:
            turn.faults += await self.evictions.turn(plan.whose)
        for fault in turn.faults:
            self._tell(fault, faults)

    async def _turn_of(self, part: Part, cluster: Cluster, membership: Membership, faults: list[Fault]) -> None:
        if part not in self._begun:
            self._begun.append(part)
        if part not in self._entered:
            await part.entered(cluster, membership)
            self._entered.append(part)
        for fault in await part.turn():
            self._tell(fault, faults)

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]], faults: list[Fault] | None = None) -> bool:
        """Whether it was done; what went wrong is said once in the log."""
        return await attempted(what, work, partial(self._tell, faults=faults))

    def _tell(self, fault: Fault, faults: list[Fault] | None) -> None:
        if faults is not None:
            faults.append(fault)
        if str(fault) not in self._told:
            self._told.add(str(fault))
            log.warning("the cluster: %s", fault)


def _is_overdue(plan: AddressPlan, claim: AddressClaim) -> bool:
    """Whether the cluster has not been reached meanwhile."""
    return claim in plan.overdue()


async def _nobody(space: str, subnet: Subnet, address: Address) -> str:  # noqa: ARG001
    """Says nothing of who has the address: the cluster is not reached."""
    return ""
