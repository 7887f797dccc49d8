"""This host's own record in the cluster: what is true of it, told to the others.

Rules: what the host is is looked at anew each time; what is wrong with that is noted, and the host is heard all the
same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, ClusterRecord, Membership, TunnelEnd
from mooring.core.faults import Fault, StaleRevision, Unavailable
from mooring.core.overlays import PORT
from mooring.ports import Clock, ClusterSetup
from mooring.services.cluster.host_records import HostRecords

log = logging.getLogger(__name__)

TELL = 60.0
"""Seconds between two looks whether the host's record is true."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is true of this machine. machine: text of its own, and not its machine id; boot: of its present boot.
    vxlan_port: of UDP, where its tunnels end."""

    name: str
    machine: str
    boot: str
    version: str
    vxlan_port: int = PORT


class OwnRecord:
    """tunnel: how the others encrypt for this host."""

    def __init__(self, setup: ClusterSetup | None, clock: Clock, facts: HostFacts) -> None:
        self._setup, self._clock, self.facts = setup, clock, facts
        self.tunnel: Callable[[], TunnelEnd | None] = lambda: None
        self._told = float("-inf")
        self._untold = ""

    @property
    def is_due(self) -> bool:
        """Whether it is time to look whether the record is true."""
        return self._clock.boot() - self._told >= TELL

    def tell_soon(self) -> None:
        """It is time."""
        self._told = float("-inf")

    async def tell(self, records: HostRecords, membership: Membership, found: ClusterHost, at: int) -> None:
        """The host's record says what is true of it now. What is wrong with that is noted, and tried again later: the
        host is heard all the same. at: the revision of what was found."""
        self._told = self._clock.boot()
        try:
            mine = await self.made(found.id, membership.name, membership.underlay, membership.access, found.joined)
            mine = replace(mine, drained=found.drained)
            if mine.tunnel is None:  # not known yet, after a start: the others would forget it, and what they have open
                mine = replace(mine, tunnel=found.tunnel)
            if mine != found:
                await records.put_host(mine, at)
        except Fault as fault:
            if self._untold != str(fault):
                log.warning("what the cluster knows of this host may be old: %s", fault)
            self._untold = str(fault)
        else:
            self._untold = ""

    async def present(self, records: HostRecords, membership: Membership) -> None:
        """The cluster has the record, also when its store was restored from a backup of before the host joined, or has
        lost everything: then it is told which cluster it is, as nobody could join it. Raises Unavailable."""
        if await records.cluster() is None:
            made = ClusterRecord(id=membership.access.cluster, made=self._clock.now(), by=membership.name)
            with suppress(StaleRevision):
                await records.make_cluster(made)
        if (await records.host(membership.host))[0] is None:
            names = membership.host, membership.name, membership.underlay
            mine = await self.made(*names, membership.access, self._clock.now())
            with suppress(StaleRevision):
                await records.put_host(mine, 0)

    async def made(self, host: str, name: str, underlay: str, access: ClusterAccess, joined: float) -> ClusterHost:
        """The record as it is to be. Raises BadRequest for an underlay that the host has not, Unavailable."""
        if self._setup is None:
            raise Unavailable("this daemon can be in no cluster")
        facts = self.facts
        return ClusterHost(
            id=host, name=name, machine=facts.machine, boot=facts.boot, version=facts.version, joined=joined,
            underlay=await self._setup.underlay(underlay, access.endpoints), tunnel=self.tunnel(),
            vxlan_port=facts.vxlan_port,
        )  # fmt: skip
