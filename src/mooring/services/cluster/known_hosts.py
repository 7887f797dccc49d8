"""What the hosts of the cluster are called: for people, who know no ids.

Rule: a name decides nothing, and may be a minute old; a host that nobody knows keeps its id, and is looked for then.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

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

    @asynccontextmanager
    async def named(self) -> AsyncIterator[None]:
        """So do those of what is done in here, also where the host has joined just now."""
        try:
            yield
        except Unavailable as fault:  # of a cluster that does not answer nothing more is asked
            self.name_in(fault)
            raise
        except Fault as fault:
            text = f"{fault.what} {fault.holder} {fault.hint}"
            known = {name for each in self._hosts.values() for name in (each.id, each.name)}
            if {found[1] for found in _HOST.finditer(text)} - known:
                self._looked = float("-inf")
                with suppress(Unavailable):
                    await self.look()
            self.name_in(fault)
            raise
