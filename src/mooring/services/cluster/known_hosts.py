"""What the hosts of the cluster are called: for people, who know no ids.

Rule: a name decides nothing, and may be a minute old; a host that nobody knows keeps its id, and is looked for then.
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager, suppress

from mooring.core.cluster_hosts import ClusterHost
from mooring.core.faults import Fault, Unavailable
from mooring.ports import Clock
from mooring.services.cluster.host_records import HostRecords

# Seconds between two looks.
LOOK = 60.0
_HOST = re.compile(r"\bhost ([^\s,;:()]+)")


class KnownHosts:
    """The hosts as they were when the cluster was last asked."""

    def __init__(self, records: HostRecords, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._hosts: dict[str, ClusterHost] = {}
        self._looked = float("-inf")

    async def look(self) -> None:
        """They are known, and not older than a minute. Raises Unavailable."""
        now = self._clock.boot()
        if now - self._looked >= LOOK:
            self._hosts = {host.id: host for host in await self._records.hosts()}
            self._looked = now

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all of them."""
        return tuple(self._hosts)

    @property
    def hosts(self) -> tuple[ClusterHost, ...]:
        """All of them."""
        return tuple(self._hosts.values())

    def name(self, host: str) -> str:
        """What the host with the id is called; its id where nobody knows."""
        return self._hosts[host].name if host in self._hosts else host

    def words(self, text: str) -> str:
        """The text with names where it says "host ID"."""
        return _HOST.sub(lambda found: f"host {self.name(found[1])}", text)

    def name_in(self, fault: Fault) -> None:
        """The fault names hosts as people do."""
        fault.what, fault.holder, fault.hint = map(self.words, (fault.what, fault.holder, fault.hint))

    def named(self) -> AbstractAsyncContextManager[None]:
        """So do those of what is done in here, also where the host has joined just now."""
        return _Named(self)

    async def look_for(self, fault: Fault) -> None:
        """Whom the fault names is known, where the cluster can be asked."""
        text = f"{fault.what} {fault.holder} {fault.hint}"
        known = {name for each in self._hosts.values() for name in (each.id, each.name)}
        if {found[1] for found in _HOST.finditer(text)} - known:
            self._looked = float("-inf")
            with suppress(Unavailable):
                await self.look()


class _Named:
    """See KnownHosts.named."""

    __slots__ = ("_hosts",)

    def __init__(self, hosts: KnownHosts) -> None:
        self._hosts = hosts

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, _kind: object, fault: BaseException | None, _traceback: object) -> None:
        if isinstance(fault, Fault):
            if not isinstance(fault, Unavailable):  # of a cluster that does not answer nothing more is asked
                await self._hosts.look_for(fault)
            self._hosts.name_in(fault)
