"""What this host knows of the cluster's other hosts for the sake of their names: who is heard, and what each is called.

Rules: one scan of the sessions every few seconds, and no watch, which would tell of each refresh of each host; while
the cluster does not answer nothing is learnt, and everything stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.core.cluster_hosts import Membership
from mooring.core.faults import Fault
from mooring.core.sessions import SessionRule
from mooring.ports import Clock, Cluster
from mooring.services.cluster.host_records import HostRecords
from mooring.services.containers.remote_names import RemoteNames

# Seconds between two looks at the sessions.
LOOK = 5.0
RULE = SessionRule()


class ClusterNames:
    """A part of the cluster's runtime. scanned: whether everything that is advertised has been told."""

    def __init__(
        self, remote: RemoteNames, clock: Clock, scanned: Callable[[], bool], rule: SessionRule = RULE
    ) -> None:
        self._remote = remote
        self._scanned = scanned
        self._clock = clock
        self._rule = rule
        self._records: HostRecords | None = None
        self._own = ("", "")
        self._looked = float("-inf")
        self._since: dict[str, float] = {}  # when a host was first seen to have no session

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part."""
        self._records, self._own = HostRecords(cluster), (membership.host, membership.name)
        self._looked = float("-inf")
        self._remote.begin(*self._own)

    async def left(self) -> None:
        """See Part."""
        self._records = None
        self._since.clear()
        self._remote.end()

    async def turn(self) -> list[Fault]:
        """See Part: a host without a session for longer than the rule's grace is not heard."""
        if self._scanned():
            self._remote.note_scanned()
        now, hosts = self._clock.boot(), self._remote.hosts
        if self._records is None or not hosts or now - self._looked < LOOK:
            return []
        try:
            heard = await self._records.heard()
            if not self._remote.names.keys() >= set(hosts):
                found = {host.id: host.name for host in await self._records.hosts()}
                self._remote.names = found | dict((self._own,))
        except Fault as fault:
            return [fault]
        if now - self._looked >= self._rule.ttl:
            self._since.clear()  # a session may have come and gone since the last look
        self._looked = now
        self._since = {host: self._since.get(host, now) for host in hosts if host not in heard}
        self._remote.note_silent(
            frozenset(host for host, since in self._since.items() if now - since >= self._rule.grace)
        )
        return []
