"""This host's place in a cluster: joining, being heard, leaving.

Rules: the host's record is in the cluster before the file is on the host, so that a join that was cut off is found and
finished by the next; a host that does not reach the cluster stays in it; operators' commands are done one by one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from mooring.core.cluster_hosts import (
    Check,
    ClusterAccess,
    ClusterHost,
    ClusterRecord,
    Membership,
    Verdict,
    checks,
    overlapping,
    reach,
)
from mooring.core.faults import Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.sessions import SessionRule
from mooring.core.subnet_index import Holdings
from mooring.ports import Clock, Cluster, ClusterSetup
from mooring.services.cluster.attempts import attempted
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.own_record import HostFacts, OwnRecord

log = logging.getLogger(__name__)

TTL = SessionRule().ttl
"""Seconds that a session outlives its last refresh."""
REFRESH = SessionRule().refresh
"""Seconds between two."""
AGAIN = 1.0
"""Seconds between two tries when the first has failed."""
WATCHED = 2 * REFRESH
"""Seconds in which a machine that is this host, too, would have been heard again."""

Entered = Callable[[Cluster, Membership], Awaitable[None]]
Left = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Other:
    """A session of this host's that was begun in another boot. revision: the first that was seen. since: when that
    was, in seconds since the boot. lives: it was refreshed then: it is a copy's, not this machine's from before its
    boot."""

    revision: int
    since: float
    lives: bool = False


@dataclass(frozen=True, slots=True)
class Joining:
    """What came of an attempt to join. checks: what was looked at. changed: something is, or would be, another."""

    membership: Membership
    checks: Sequence[Check]
    changed: bool


class ClusterMembership:
    """confirmed: when this host asked for the last refresh of its session that was confirmed, in seconds since boot;
    None: not since the daemon's start, or since another machine was heard as this host. tried: whether the first try
    since the host entered is over. unreached: why the last try failed, "" when it did not; unreached_at: when the first
    of those was that failed since one did not, seconds since the boot. drained: see ClusterHost. forgotten: the cluster
    has no record of this host. cluster: the store; None: in no cluster. doubtful: whether it may have been forgotten
    since it was heard last, or a copy of this machine is heard in its place."""

    def __init__(
        self,
        setup: ClusterSetup | None,
        clock: Clock,
        facts: HostFacts,
        has: Callable[[], Awaitable[Holdings]] | None = None,
    ) -> None:
        """has: the subnets that this host has something in, or reaches."""
        self._setup, self._clock, self._facts, self._has = setup, clock, facts, has
        self.membership: Membership | None = None
        self.cluster: Cluster | None = None
        self.confirmed: float | None = None
        self.tried = self.drained = self.forgotten = False
        self.unreached = ""
        self.unreached_at: float | None = None
        self._followers: list[tuple[Entered, Left]] = []
        self._looked = self._cut = False
        self._session = 0
        self._other: _Other | None = None
        self.record = OwnRecord(setup, clock, facts)
        self.at_return: Callable[[], Awaitable[None]] | None = None
        """Awaited before this host is heard again where others may have seen its end: once it is, nothing says so."""
        self.at_leaving: Callable[[], Awaitable[None]] | None = None
        """Awaited before this host leaves by force: what others may take from it by themselves it is not told then."""
        self._lock = asyncio.Lock()
        self._joined = asyncio.Event()

    def follow(self, entered: Entered, left: Left) -> None:
        """They are told when this host is in a cluster from now on, and when it is not any more, while the cluster can
        still be asked; both where it is reached in another way from now on. They raise no Fault."""
        self._followers.append((entered, left))

    def tell_soon(self) -> None:
        """What the others know of this host is looked at in the next refresh."""
        self.record.tell_soon()

    async def enter_kept(self) -> None:
        """This host is in the cluster in which it was kept, if any. Raises no Fault: what is in the way is noted."""
        if not self._looked:
            self._looked = True
            async with self._lock:
                await attempted("entering it", self._enter_kept, self._note)

    async def run(self) -> None:
        """Be heard, as long as this host is in a cluster. Never ends by itself, whatever goes wrong here."""
        try:
            await self.enter_kept()
            while True:
                await self._joined.wait()
                await self.attempt()
                await self._clock.sleep(AGAIN if self._cut or self._other is not None else REFRESH)
        finally:
            if self.cluster is not None:
                await self.cluster.close()

    async def attempt(self) -> None:
        """Be heard, if that can be done. Raises no Fault: why not is noted."""
        async with self._lock:  # or a host that has just left would be heard again
            if self.doubtful and self.at_return is not None:
                await attempted("what is overdue", self.at_return, self._note)
            if await attempted("being heard", self.refresh, self._note):
                self.unreached, self.unreached_at, self._cut = "", None, False
            self.tried = True

    @property
    def doubtful(self) -> bool:
        """See the class: not once it is known. Before the first try nothing is done by the cluster's word (`tried`)."""
        if self.membership is None or self.forgotten or not self.tried:
            return False
        if self._other is not None and (self._other.lives or self._clock.boot() - self._other.since < WATCHED):
            return True
        return self._cut if self.confirmed is None else self._clock.boot() - self.confirmed >= TTL

    async def _enter_kept(self) -> None:
        if self._setup is None or (kept := self._setup.kept()) is None:
            return
        if self._is_foreign(kept):
            raise Conflict(
                f"this machine is a copy of host {kept.name} ({kept.host}) of the cluster, or has a new machine id",
                hint="`mooring cluster leave --force`, then join as a host of its own",
            )
        await self._enter(kept)

    def _is_foreign(self, kept: Membership) -> bool:
        """It was made on another machine, and came here with a copy of its disk."""
        return kept.machine != self._facts.machine

    async def refresh(self) -> None:
        """The others hear this host, and know what is true of it now. Raises Unavailable, Conflict."""
        membership, asked = self.membership, self._clock.boot()
        if membership is None or self.cluster is None:
            return
        records, host = HostRecords(self.cluster), membership.host
        found, at = await records.host(host)
        self.forgotten = found is None
        if found is None:
            raise NotFound(
                f"the cluster has forgotten this host, {membership.name}",
                hint="`mooring cluster leave --force`, then join again",
            )
        try:
            self._session = await records.put_session(host, self._facts.boot, self._session, TTL)
        except StaleRevision:
            boot, revision = await records.session(host)
            if boot not in ("", self._facts.boot):
                # It ends by itself once nobody refreshes it, and that is how long is waited.
                self._session, self.confirmed = 0, None
                self._see(revision)
                raise Conflict(
                    f"another machine is host {membership.name} ({host}) of the cluster as well, or this one was "
                    f"until its restart: that is heard for {TTL:.0f} s yet",
                    hint="if one is a copy of the other, let it `mooring cluster leave --force` and join anew",
                ) from None
            # Of an earlier daemon of this host; or a refresh was done whose answer was lost.
            self._session = await records.put_session(host, self._facts.boot, revision, TTL)
        self.confirmed, self._other = asked, None
        self.drained = found.drained
        if self.record.is_due:
            await self.record.tell(records, membership, found, at)

    def _see(self, revision: int) -> None:
        """There is a session of another boot, written at the revision."""
        if self._other is None:
            self._other = _Other(revision, self._clock.boot())
        self._other.lives |= self._other.revision != revision

    async def present(self) -> None:
        """See OwnRecord. Raises Unavailable."""
        if self.membership is not None and self.cluster is not None:
            await self.record.present(HostRecords(self.cluster), self.membership)

    async def begin(self, access: ClusterAccess, name: str, underlay: str, dry: bool) -> Joining:
        """There is a cluster at the endpoints, and this host is in it; access.cluster is not looked at. Raises Conflict
        where one is that has other hosts, and as `join`."""
        async with self._lock:
            cluster = self._host.connect(access)
            try:
                records = HostRecords(cluster)
                found, hosts, heard = await records.cluster(), await records.hosts(), await records.heard()
                here = self.membership.host if self.membership is not None else ""
                if found is not None and any(host.id != here and not self._left_over(host, heard) for host in hosts):
                    raise Conflict(
                        f"cluster {found.id} is there already, made by {found.by}",
                        hint="join it with the token of a host in it (`mooring cluster token`), or another --prefix",
                    )
                if here and (found is None or found.id != self.entered()[0].access.cluster):
                    raise Conflict(
                        f"this host is in cluster {self.entered()[0].access.cluster}",
                        hint="`mooring cluster leave` ends that",
                    )
                ident = "" if dry else self._clock.token()  # which the real one would draw anew
                made = found or ClusterRecord(id=ident, made=self._clock.now(), by=name or self._facts.name)
                if found is None and not dry:
                    await records.make_cluster(made)
                joining = await self._join(replace(access, cluster=made.id), cluster, name, underlay, dry)
                return replace(joining, changed=joining.changed or found is None)
            except StaleRevision:
                raise Conflict("somebody else made a cluster there meanwhile", hint="join that one") from None
            finally:
                await cluster.close()

    async def join(self, access: ClusterAccess, name: str, underlay: str, dry: bool) -> Joining:
        """This host is in that cluster, and reaches it in this way. name, underlay: "" for the machine's own.

        Raises Conflict for a host that is in another one, or that cannot be in this one; NotFound where that cluster is
        not; BadRequest, Unavailable. dry: nothing is done, and what is in the way is among the checks.
        """
        async with self._lock:
            cluster = self._host.connect(access)
            try:
                record = await HostRecords(cluster).cluster()
                if record is None or record.id != access.cluster:
                    there = f"cluster {record.id} is there" if record is not None else "no cluster is there"
                    raise NotFound(f"cluster {access.cluster} is not at these endpoints: {there}")
                return await self._join(access, cluster, name, underlay, dry)
            finally:
                await cluster.close()

    async def _join(self, access: ClusterAccess, cluster: Cluster, name: str, underlay: str, dry: bool) -> Joining:
        now = self.membership
        if now is not None and now.access.cluster != access.cluster:
            raise Conflict(f"this host is in cluster {now.access.cluster}", hint="`mooring cluster leave` ends that")
        if now is not None:
            return await self._again(now, access, name, underlay, dry)
        records = HostRecords(cluster)
        hosts, heard = await records.hosts(), await records.heard()
        before = next((host for host in hosts if self._left_over(host, heard)), None)
        host, joined = (before.id, before.joined) if before is not None else (self._clock.token(), self._clock.now())
        mine = await self.record.made(host, name or self._facts.name, underlay, access, joined)
        mine = replace(mine, drained=before is not None and before.drained)
        others = [host for host in hosts if host.id != mine.id]
        offset = await self._host.offset(access)
        found = [
            *(Check("store", Verdict.NOTE, line) for line in await cluster.complaints()),
            *reach(access.endpoints),
            *checks(mine, others, heard, offset),
            *(overlapping(await records.shared_subnets(), await self._has()) if self._has is not None else ()),
        ]
        membership = Membership(
            access=access, host=mine.id, name=mine.name, machine=self._facts.machine, underlay=underlay
        )
        if dry:
            return Joining(membership, found, True)
        if refused := [check.text for check in found if check.verdict is Verdict.REFUSED]:
            raise Conflict(refused[0])
        _, revision = await records.host(mine.id)
        await records.put_host(mine, revision)
        self._host.keep(membership)
        await self._enter(membership)
        return Joining(membership, found, True)

    async def _again(self, now: Membership, access: ClusterAccess, name: str, underlay: str, dry: bool) -> Joining:
        """This host is in the cluster already: what the token and the operator say is taken over."""
        wanted = replace(now, access=access, name=name or now.name, underlay=underlay or now.underlay)
        changed = wanted != now
        if changed and not dry:
            await self._host.underlay(wanted.underlay, access.endpoints)
            self._host.keep(wanted)
            confirmed = self.confirmed  # it is who it was
            await self._exit()
            await self._enter(wanted)
            self.confirmed = confirmed
        return Joining(wanted, [Check("identity", Verdict.OK, f"{wanted.name}, in the cluster already")], changed)

    async def leave(self, force: bool, dry: bool) -> Membership:
        """This host is in no cluster; what it was. force: also where the cluster cannot be told, or has something of
        the host's. Raises NotFound, Conflict, Unavailable."""
        async with self._lock:
            if self.membership is None and self._setup is not None:
                kept = self._setup.kept()
                if kept is not None and self._is_foreign(kept):  # the cluster has nothing of this machine
                    if not dry:
                        self._setup.keep(None)
                        self.unreached = ""
                    return kept
            membership, cluster = self.entered()
            gone = False
            if force and not dry and self.at_leaving is not None:
                await attempted("what moves by itself", self.at_leaving, self._note)
            try:
                gone = await self._end(HostRecords(cluster), membership, force, dry)
            except Unavailable as fault:
                if not force:
                    raise Unavailable(fault.what, hint="`mooring cluster leave --force` goes without it") from None
            if not dry:
                self._host.keep(None)
                await self._exit(membership.host if gone else "")
            return membership

    async def _end(self, records: HostRecords, membership: Membership, force: bool, dry: bool) -> bool:
        """The cluster has nothing of this host any more but its mark; whether that is to go. Raises Conflict,
        Unavailable."""
        boot, _ = await records.session(membership.host)
        if boot not in ("", self._facts.boot):
            if not force:
                raise Conflict(
                    f"another machine is heard as host {membership.name} ({membership.host})",
                    hint="`mooring cluster leave --force` leaves the host to that",
                )
            return False
        held = await records.held(membership.host)
        if held and not force:
            left = sorted(str(subnet) for _, subnet in await records.places_of(membership.host))
            raise Conflict(
                f"this host takes part in networks of the cluster, or did just now: {', '.join(left[:5]) or held[0]}"
                + (f" and {len(left) - 5} more" if len(left) > 5 else ""),
                hint="remove these networks on this host first (`docker network rm`)",
            )
        if not dry:
            await records.end_session(membership.host, self._facts.boot)
            found, revision = await records.host(membership.host)
            if found is not None and not held:
                await records.delete_host(membership.host, revision)
        return not held

    def entered(self) -> tuple[Membership, Cluster]:
        """What this host is in. Raises NotFound for one that is in none."""
        if self.membership is None or self.cluster is None:
            raise NotFound("this host is in no cluster", hint="join one with `mooring cluster join TOKEN`")
        return self.membership, self.cluster

    @property
    def _host(self) -> ClusterSetup:
        if self._setup is None:
            raise Unavailable("this daemon can be in no cluster")
        return self._setup

    async def _enter(self, membership: Membership) -> None:
        cluster = self.cluster = self._host.connect(membership.access)
        self.membership = membership
        self.confirmed, self.unreached_at, self._session = None, None, 0
        self.record.tell_soon()
        self.tried, self.forgotten, self.unreached, self._cut, self._other = False, False, "", False, None
        for entered, _ in self._followers:
            await entered(cluster, membership)
        self._joined.set()

    async def _exit(self, gone: str = "") -> None:
        """gone: the id of the host whose mark goes, once nobody here looks for it: a store without it would count as
        one that was restored from a backup."""
        for _, left in self._followers:
            await left()
        if gone and self.cluster is not None:
            with suppress(Unavailable):
                await HostRecords(self.cluster).end_mark(gone)
        cluster, self.cluster, self.membership, self.unreached = self.cluster, None, None, ""
        self._joined.clear()
        if cluster is not None:
            await cluster.close()

    def _left_over(self, host: ClusterHost, heard: Collection[str]) -> bool:
        """It is this machine, in this boot, from a join that was cut off, and so never heard. A copy of this machine
        has another boot, unless it was copied while it ran."""
        return (host.machine, host.boot) == (self._facts.machine, self._facts.boot) and host.id not in heard

    def _note(self, fault: Fault) -> None:
        """Said once in the log, and as long as it is so to whoever asks."""
        if self.unreached != str(fault):
            log.warning("the cluster: %s", fault)
        self.unreached, self._cut = str(fault), isinstance(fault, Unavailable)
        if self.unreached_at is None:
            self.unreached_at = self._clock.boot()
