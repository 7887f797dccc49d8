"""The Cluster port over etcd 3.4 and later, and what stands in for it (kine).

Rules: a member that does not serve is left for the next one; a request that only reads is asked again until its time is
over, a write that may have happened never; no two endpoints of different clusters are ever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence, Set
from contextlib import aclosing
from functools import partial
from math import ceil

from mooring.adapters.etcd.member import Credentials, Member, Outcome, Refused
from mooring.adapters.etcd.messages import (
    PROGRESS_REQUEST,
    RANGE,
    TRANSACTION,
    Found,
    Status,
    after_prefix,
    alarms,
    answers_of,
    authenticate_request,
    delete_request,
    found,
    header_number,
    lease_of,
    lease_request,
    put_request,
    put_with_request,
    range_request,
    status,
    succeeded,
    token_of,
    told,
    watch_request,
)
from mooring.adapters.etcd.request_groups import MOST, RequestGroups
from mooring.core.faults import BadRequest, Compacted, StaleRevision, Unavailable
from mooring.ports import Change, Entry, check_key

TOTAL = 4.5
"""Seconds after which a call raises Unavailable, whatever the members do."""
PAUSE = 0.1
"""Seconds between two rounds of asking all members."""
ASKED = 2.0
"""Seconds between two questions whether a watch is still in touch."""
SILENCE = 5.0
"""Seconds without a word after which a watch is given up."""
PAGE = 1000
LARGE = 1 << 30
"""Bytes of data from which on a member has probably kept all its history; its quota is twice as much by default."""


class EtcdCluster:
    """One host's Cluster. prefix: under which all keys are in the etcd, so that others may use it as well.

    endpoints: those of its members, one or more. page: how many entries are read at once.
    """

    def __init__(
        self, endpoints: Sequence[str], credentials: Credentials, prefix: str = "mooring/", page: int = PAGE
    ) -> None:
        if not endpoints:
            raise BadRequest("a cluster needs an endpoint", hint="write https://HOST:PORT")
        if not prefix:
            raise BadRequest("a cluster needs a prefix for its keys")
        self._members = [Member(endpoint, credentials) for endpoint in endpoints]
        self._credentials = credentials
        self._prefix = prefix.encode()
        self._page = page
        self._turn = 0
        self._cluster = 0
        self._token = ""
        self._closed = False
        write, read = partial(self.ask, "KV/Txn"), partial(self.ask, "KV/Range", again=True)
        self._writes = RequestGroups(TRANSACTION, write, write)
        self._reads = RequestGroups(RANGE, read, partial(self.ask, "KV/Txn", again=True))

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        name = self._key(key)
        answer, _ = await self._reads.ask(name, range_request(name))
        entries = found(answer, len(self._prefix)).entries
        return entries[0] if entries else None

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """See the port. Pages are of the revision of the first one."""
        start = self._prefix + prefix.encode()
        end = after_prefix(start)
        for _ in range(3):
            page = await self._read(range_request(start, end, self._page))
            entries, revision = page.entries, page.revision
            try:
                while page.more:
                    following = self._prefix + page.entries[-1].key.encode() + b"\0"
                    page = await self._read(range_request(following, end, self._page, revision))
                    entries += page.entries
            except Compacted:
                continue
            return entries, revision
        raise Unavailable("the cluster's store compacts its history faster than it can be read")

    async def put(self, key: str, value: bytes, expect: int, ttl: float | None = None) -> int:
        """See the port. The time begins before the write, hence a second more."""
        name = self._key(key)
        lease = 0
        if ttl is not None:
            lease = lease_of(await self.ask("Lease/LeaseGrant", lease_request(ceil(ttl) + 1), again=True))
        return await self._write(key, name, put_request(name, value, expect, lease))

    async def put_with(self, key: str, value: bytes, expect: int, new: Mapping[str, bytes]) -> tuple[int, Set[str]]:
        """See the port. One transaction, where the store knows of such a one and takes it."""
        names = {self._key(each): its for each, its in new.items()}
        if self._writes.grouping and 0 < len(new) <= MOST:
            try:
                answer = await self.ask("KV/Txn", put_with_request(self._key(key), value, expect, names))
            except Refused as refused:
                if refused.outcome is not Outcome.REFUSED:
                    raise
            else:
                if not succeeded(answer):
                    raise StaleRevision(key)
                own = answers_of(answer, TRANSACTION)
                if len(own) != len(new):
                    raise Refused("the answer is not one of etcd's", Outcome.UNKNOWN)
                return header_number(answer, 3), {name for name, each in zip(new, own, strict=True) if succeeded(each)}
        revision = await self.put(key, value, expect)
        # None is under way any more when this ends; and whoever is cancelled as one fails would be told only of that.
        done = await asyncio.gather(*(self._is_new(each, its) for each, its in new.items()), return_exceptions=True)
        for fault in done:
            if isinstance(fault, BaseException):
                raise fault
        return revision, {name for name, was_new in zip(new, done, strict=True) if was_new}

    async def _is_new(self, key: str, value: bytes) -> bool:
        try:
            await self.put(key, value, 0)
        except StaleRevision:
            return False
        return True

    async def delete(self, key: str, expect: int) -> None:
        """See the port."""
        name = self._key(key)
        if expect == 0:
            raise StaleRevision(key)
        await self._write(key, name, delete_request(name, expect))

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Sequence[Change], None]:
        """See the port.

        It begins at `after`, not behind it: etcd before 3.4.34 and 3.5.15 leaves out a deletion right behind the
        revision up to which was compacted (etcd#18089).
        """
        start = self._prefix + prefix.encode()
        revision = (await self._read(range_request(start))).revision
        if revision < after:  # a backup was restored: what comes now is no sequel to what was seen
            raise Compacted
        member = await self._connected(end_of_time())
        questions = _questions(watch_request(start, max(after, 1)))
        async with aclosing(member.watch(questions, self._token, SILENCE)) as answers:
            async for answer in answers:
                said = told(answer, len(self._prefix))
                if said.compacted:
                    raise Compacted
                if said.canceled is not None:
                    raise Unavailable(f"etcd at {member.endpoint} ended the watch: {said.canceled}")
                yield [change for change in said.changes if change.revision > after]

    async def complaints(self) -> Sequence[str]:
        """See the port."""
        if self._closed:
            return ["the cluster's store is closed"]
        lines: list[str] = []
        told_by: dict[int, Member] = {}
        clusters: dict[int, str] = {}
        for member, said in zip(self._members, await asyncio.gather(*map(self._status_of, self._members)), strict=True):
            if isinstance(said, str):
                lines.append(said)
                continue
            told_by[said.member] = member
            clusters.setdefault(said.cluster, member.endpoint)
            if said.old:
                lines.append(f"etcd at {member.endpoint} is {said.version}, and 3.4 is needed")
            if said.member and not said.leader:  # what stands in for an etcd has neither
                lines.append(f"etcd at {member.endpoint} has no leader: no majority of the members is in touch")
            if said.size > LARGE:
                lines.append(
                    f"etcd at {member.endpoint} has {said.size / (1 << 30):.1f} GiB of data, and by default takes no"
                    " more than 2: does it compact its history (--auto-compaction-retention)?"
                )
            if said.learner:
                lines.append(f"etcd at {member.endpoint} is a learner and serves nobody")
        if len(clusters) > 1:
            lines.append(f"the endpoints are of different clusters: {', '.join(clusters.values())}")
        for number, what in await self._alarms(list(told_by.values())):
            lines.append(f"etcd at {told_by[number].endpoint if number in told_by else f'{number:x}'} {what}")
        return lines

    async def close(self) -> None:
        """See the port."""
        self._closed = True
        for member in self._members:
            await member.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the cluster's store is closed")

    def _key(self, key: str) -> bytes:
        check_key(key)
        return self._prefix + key.encode()

    async def _read(self, request: bytes) -> Found:
        return found(await self.ask("KV/Range", request, again=True), len(self._prefix))

    async def _write(self, key: str, name: bytes, request: bytes) -> int:
        answer, revision = await self._writes.ask(name, request)
        if not succeeded(answer):
            raise StaleRevision(key)
        return revision

    async def ask(self, method: str, request: bytes, *, again: bool = False) -> bytes:
        """Ask a member that serves. method, request: of etcd's API. again: it may be done twice. Raises Unavailable."""
        end, tries = end_of_time(), 0
        while True:
            self._check_open()
            try:
                member = await self._connected(end)
                return await member.ask(method, request, end, self._token)
            except Refused as refused:
                self._check_open()
                if refused.token:
                    self._token = ""
                if refused.outcome is Outcome.REFUSED:
                    raise
                self._turn += 1
                if refused.outcome is Outcome.UNKNOWN and not again:
                    raise
                tries += 1
                if tries % len(self._members) == 0:
                    if asyncio.get_running_loop().time() + PAUSE >= end:
                        raise
                    await asyncio.sleep(PAUSE)

    async def _connected(self, end: float) -> Member:
        """The member whose turn it is, with a connection. Raises Refused, and then nothing was asked."""
        member = self._members[self._turn % len(self._members)]
        known = await member.reach(end)
        if self._credentials.user and not self._token:
            request = authenticate_request(self._credentials.user, self._credentials.password)
            self._token = token_of(await member.ask("Auth/Authenticate", request, end))
        if known:
            return member
        said = status(await member.ask("Maintenance/Status", b"", end, self._token))
        if said.old:
            raise Refused(f"etcd at {member.endpoint} is {said.version}, and 3.4 is needed")
        # What stands in for an etcd knows but a few forms of a transaction.
        self._reads.grouping = self._writes.grouping = bool(said.member)
        self._cluster = self._cluster or said.cluster
        if said.cluster != self._cluster:
            raise Refused(f"etcd at {member.endpoint} is of another cluster than the endpoint before")
        member.known = True
        return member

    async def _status_of(self, member: Member) -> Status | str:
        end = end_of_time()
        try:
            await member.reach(end)
            return status(await member.ask("Maintenance/Status", b"", end, self._token, with_leader=False))
        except Unavailable as fault:
            return str(fault)

    async def _alarms(self, members: Sequence[Member]) -> list[tuple[int, str]]:
        """What one of them knows; what stands in for an etcd has no alarms."""
        for member in members[:1]:
            try:
                return alarms(await member.ask("Maintenance/Alarm", b"", end_of_time(), self._token))
            except Unavailable:
                break
        return []


async def _questions(begin: bytes) -> AsyncIterator[bytes]:
    """What a watch sends: what it wants to know, and then again and again whether it is in touch."""
    yield begin
    while True:
        await asyncio.sleep(ASKED)
        yield PROGRESS_REQUEST


def end_of_time() -> float:
    """When a call that begins now is over, by the loop's clock."""
    return asyncio.get_running_loop().time() + TOTAL
