"""A cluster's store that was restored from a backup: every host puts what is its own into it again.

Rules: a store that has gone back in time counts as one that is away, for whatever decides over addresses, until every
host has said that all of its own is in it again; of a block or a claim the higher generation is right; nothing that is
in use is taken from anybody because the store does not know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.blocks import Block, HostBlock
from mooring.core.cluster_marks import (
    RESTORED,
    RESTORES,
    ClusterMark,
    is_over,
    mark_key,
    next_restore,
    restore_number,
    restore_prefix,
)
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork, NetworkMember, VniHolder
from mooring.core.cluster_options import published
from mooring.core.faults import StaleRevision, Unavailable
from mooring.core.keys import outlives
from mooring.core.networks import Subnet
from mooring.ports import Clock, Cluster, Entry
from mooring.services.cluster.attempts import all_of
from mooring.services.cluster.free_blocks import opened
from mooring.services.cluster.last_writes import LastWrites, is_later, settle_older
from mooring.services.cluster.shared_values import ATTEMPTS, Member, Seen, SharedValues, contended
from mooring.services.records.record_cache import RecordCache

# Seconds for which a look is trusted, and after an outage until the others have had theirs.
FRESH = 3.0
# Seconds that hosts of which a restored store does not know have to come.
GRACE = 30.0
DONE = "done"
# Seconds after which a host's number grows though it has written nothing, so that it finds out, too.
COUNTED = 60.0


class RestoredCluster:
    """`look` each turn; `sure` before anything is decided by what the store says. waiting: why nothing is, for a
    person; "" when something is."""

    def __init__(self, cache: RecordCache, cluster: Cluster, clock: Clock, member: Member) -> None:
        self._cache, self._cluster, self._clock, self._member = cache, cluster, clock, member
        self._values = SharedValues(cluster)
        self.last_writes = LastWrites(cache, self._values, member)
        self.again: list[Callable[[], Awaitable[None]]] = []
        """Each puts into the cluster what it keeps there, and forgets what it has read from it."""
        self.doubtful: Callable[[], bool] = lambda: False
        """Whether the others may have forgotten this host, which would write itself back."""
        self.waiting = ""
        self.behind: bool | None = None
        """Whether this host's own store may be of before what the host has said last, None until it has looked."""
        self._lock = asyncio.Lock()
        self._looked = self._failed = float("-inf")
        self._failures = 0
        self._why = ""
        self._doubt, self._written = False, True
        self._counted = float("-inf")
        self._done = ""
        self._since: tuple[str, float] = ("", 0.0)

    async def is_same(self, space: str, subnet: Subnet) -> bool:
        """Whether the subnet is not of another network there than here: blocks of that count anew. Raises
        Unavailable."""
        for kept in self._cache.every(HostNetwork):
            if kept.shared.space == space and subnet in kept.shared.subnets:
                there = (await self._values.network(space, kept.shared.subnet)).value
                return there is None or there.id == kept.shared.id
        return True

    @property
    def is_new(self) -> bool:
        """Whether this host has asked nothing of the cluster yet, as who it is: what is here was another host's."""
        return not any(mark.host == self._member.host for mark in self._cache.every(ClusterMark))

    @property
    def has_written(self) -> bool:
        """Whether this host has something in the store that it has not counted yet, by `look`."""
        return self._written

    def note_write(self) -> None:
        """This host has something in the store that was not there before, which a restored one may lack."""
        self._written = True

    def doubt(self) -> None:
        """The store has something of an earlier time than this host: the next look says so."""
        self._doubt, self._looked = True, float("-inf")

    async def check_time(self, seen: Seen[Block] | None, local: HostBlock) -> None:
        """Raises Unavailable when the cluster has the block as it was before it came here: a backup was restored."""
        generation = seen.value.generation if seen is not None and seen.value is not None else 0
        if generation >= local.generation or local.leaving or not local.boot:
            return
        if await self.is_same(local.space, local.subnet):
            self.doubt()
            raise Unavailable(f"the cluster does not know any more whose block {local.index} of {local.subnet} is")

    async def sure(self) -> None:
        """What the store says may be relied on. Raises Unavailable otherwise, to all who ask at a time after one try:
        each takes seconds."""
        if self._is_old():
            failures = self._failures
            async with self._lock:
                if self._failures != failures:
                    raise Unavailable(self._why, hint="see `mooring cluster status`")
                if self._is_old():
                    await self._try()
        if self.waiting:
            raise self.refusal()
        if self.doubtful():
            raise Unavailable(
                "this host has not been heard for a while, nor again yet",
                hint="try again in some seconds, or see `mooring cluster status`",
            )
        if self._clock.boot() - self._failed < FRESH:
            raise Unavailable("the cluster's store has only just come back", hint="try again in some seconds")

    def refusal(self) -> Unavailable:
        """Why nothing is decided, while `waiting`."""
        return Unavailable(self.waiting, hint="start those hosts, or `mooring cluster hosts forget` them")

    async def excuse(self, host: str) -> None:
        """Nobody waits for the host, which is gone for good. Raises Unavailable."""
        with suppress(StaleRevision):
            await self._cluster.put(f"{restore_prefix(self._mark().restore)}{host}", b"", 0)
        await self.look()

    async def look(self) -> None:
        """Whether the store has gone back is known; if it has, all of this host's own is in it again. Raises
        Unavailable."""
        async with self._lock:
            await self._try()

    def _is_old(self) -> bool:
        return self._clock.boot() - self._looked >= FRESH

    async def _try(self) -> None:
        try:
            await self._look()
        except Unavailable as fault:
            self._failed, self._looked, self._failures = self._clock.boot(), float("-inf"), self._failures + 1
            if self._written:
                self.last_writes.suspect()
            self._why = fault.what
            raise
        self._looked = self._clock.boot()

    async def _look(self) -> None:
        mine, said = await all_of(self._cluster.get(mark_key(self._member.host)), self._cluster.get(RESTORED))
        mark, count = self._mark(), _number(mine)
        if self.behind is None:
            self.behind = count > mark.count
        restore = said.value.decode(errors="replace") if said is not None else ""
        went_back = restore == mark.restore and (count < mark.count or self._doubt)
        if went_back or restore_number(restore) < restore_number(mark.restore):
            restore = next_restore(restore, mark.restore, self._clock.token())
            try:
                await self._cluster.put(RESTORED, restore.encode(), said.revision if said is not None else 0)
            except StaleRevision:
                raise Unavailable("the cluster's store was restored from a backup just now") from None
        if restore != mark.restore:
            await self._put_all_again()
            with suppress(StaleRevision):
                await self._cluster.put(f"{restore_prefix(restore)}{self._member.host}", b"", 0)
            mark = ClusterMark(host=self._member.host, count=max(count, mark.count), restore=restore)
            await self._cache.commit(put=[mark])
            self._doubt, self._written = False, True
        if restore != self._done:
            await self._wait_for_all(restore)
        if self.last_writes.suspected and not self.waiting and not self.doubtful():
            await self.last_writes.put_again()
        if self._written or self._clock.boot() - self._counted >= COUNTED:
            await self._count(mark, mine)

    def _mark(self) -> ClusterMark:
        marks = (mark for mark in self._cache.every(ClusterMark) if mark.host == self._member.host)
        return next(marks, ClusterMark(host=self._member.host))

    async def _count(self, mark: ClusterMark, mine: Entry | None) -> None:
        """This host's number is a higher one, first in the cluster, then here."""
        count, self._written = max(mark.count, _number(mine)) + 1, False
        try:
            revision = mine.revision if mine is not None else 0
            await self._cluster.put(mark_key(self._member.host), str(count).encode(), revision)
            await self._cache.commit(put=[msgspec.structs.replace(mark, count=count)])
            self._counted = self._clock.boot()
        except StaleRevision:  # of a copy of this machine, or of a write whose answer was lost
            self._written = True
        except BaseException:
            self._written = True
            raise

    async def _put_all_again(self) -> None:
        """The cluster has everything that is this host's. Raises Unavailable."""
        for each in self.again:
            await each()
        for part in tuple(self._cache.every(HostNetwork)):
            if not part.leaving and part.shared.id:
                await self._put_network(part)
        for local in tuple(self._cache.every(HostBlock)):
            if not local.leaving and local.boot and await self.is_same(local.space, local.subnet):
                await self._put_block(local)
        for kept in tuple(self._cache.every(HostClaim)):
            if kept.phase is Phase.HELD and await self.is_same(kept.claim.space, kept.claim.subnet):
                await self._put_claim(kept.claim)

    async def _put_network(self, kept: HostNetwork) -> None:
        """The network is there, with its VNI, and this host is in it; unless there is another one by now."""
        mine: ClusterNetwork = kept.shared
        seen = await self._values.network(mine.space, mine.subnet)
        if seen.value is not None and seen.value.id != mine.id:
            return
        with suppress(StaleRevision):
            if seen.value is None or seen.value.ending:
                await self._values.put(mine, seen.revision)
        with suppress(StaleRevision):
            if mine.vni:
                await self._values.put(
                    VniHolder(vni=mine.vni, network=mine.id, space=mine.space, subnet=mine.subnet), 0
                )
        parts = await self._values.networks(mine.space)
        part = parts.part(mine.space, mine.subnet, self._member.host)
        with suppress(StaleRevision):
            if part.value is None or part.value.network != mine.id:
                here = self._cache.network(kept.network)
                member = NetworkMember(
                    space=mine.space, subnet=mine.subnet, host=self._member.host, network=mine.id,
                    published=kept.network if here is not None and published(here) else "",
                )  # fmt: skip
                await self._values.put(member, part.revision)

    async def _put_block(self, local: HostBlock) -> None:
        for _ in range(ATTEMPTS):
            seen = await self._values.block(local.space, local.subnet, local.index)
            block = seen.value
            assert block is not None
            mine = (block.host, block.generation) == (self._member.host, local.generation)
            if block.generation >= local.generation and not mine:
                return  # somebody had it after this host
            borne = block.carved if mine else {}
            after = Block(
                space=local.space, subnet=local.subnet, index=local.index, host=self._member.host,
                boot=self._member.boot, generation=local.generation,
                carved={address: borne.get(address) for address in local.carved},
            )  # fmt: skip
            if after == block:
                return
            if local.boot != self._member.boot and self._member.boot not in local.asked:
                local = msgspec.structs.replace(local, asked=local.asked | {self._member.boot})
                await self._cache.commit(put=[local])
            with suppress(StaleRevision):
                await self._values.put(after, seen.revision)
                return
        raise contended(f"block {local.index} of {local.subnet}")

    async def _put_claim(self, mine: AddressClaim) -> None:
        await opened(self._values, mine.space, mine.subnet, mine.address)
        for _ in range(ATTEMPTS):
            seen = await self._values.claim(mine.space, mine.subnet, mine.address)
            if seen.value is not None and is_later(seen.value, mine):
                return
            with suppress(StaleRevision):
                if seen.value != mine:
                    await self._values.put(mine, seen.revision)
                await settle_older(self._values, mine)
                await self._put_identity(mine)
                return
        raise contended(f"address {mine.address}")

    async def _put_identity(self, mine: AddressClaim) -> None:
        """The claim's key leads to it, or to one that was made later, where nobody knew of the restore: then this one
        goes once it is idle (claim_reconciler.py). Raises StaleRevision."""
        if not outlives(mine.key):
            return
        identity = mine.identity()
        seen = await self._values.identity(mine.space, mine.subnet, mine.key)
        if seen.value is not None and seen.value.sequence != mine.sequence:
            other = await self.last_writes.led_to(seen.value, {})
            if other is not None and is_later(other, mine):
                return
        if seen.value != identity:
            await self._values.put(identity, seen.revision)

    async def _wait_for_all(self, restore: str) -> None:
        """All hosts have put their own into the store after that restore, or it is said for whom is waited."""
        if self._since[0] != restore:
            self._since = restore, self._clock.boot()
        prefix = restore_prefix(restore)
        there = {entry.key.removeprefix(prefix) for entry in (await self._cluster.scan(prefix))[0]}
        if DONE not in there:
            missing = [host for host in await self._values.hosts.hosts() if host.id not in there]
            if missing:
                names = ", ".join(host.name for host in missing[:5])
                self.waiting = f"the cluster's store was restored from a backup, and host {names} has not been back yet"
                return
            if self._clock.boot() - self._since[1] < GRACE:
                self.waiting = "the cluster's store was restored from a backup, and its hosts put it right"
                return
            with suppress(StaleRevision):
                await self._cluster.put(f"{prefix}{DONE}", b"", 0)
        self._done, self.waiting = restore, ""
        with suppress(Unavailable):
            await self._tidy(restore)

    async def _tidy(self, restore: str) -> None:
        """Of what hosts have said of that restore, and of those before it, only that it is over stays. Of a later one
        each word counts yet. Raises Unavailable."""
        last = f"{restore_prefix(restore)}{DONE}"
        for entry in (await self._cluster.scan(RESTORES))[0]:
            if entry.key != last and is_over(entry.key, restore):
                with suppress(StaleRevision):
                    await self._cluster.delete(entry.key, entry.revision)


def _number(entry: Entry | None) -> int:
    """A host's number as the store has it."""
    text = entry.value.decode(errors="replace") if entry is not None else ""
    return int(text) if text.isdecimal() else 0
