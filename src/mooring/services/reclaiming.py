"""Taking back what Docker forgot to give back: leases, pools and networks that nobody has any more.

Rules: nothing is taken because it was not seen once: it must be missing in two passes and for a minimum age; the
engine's list counts only when that engine has had a network of ours (another engine at the same socket proves nothing);
a network with a container's interface in it is never taken, whatever the engine says, it is told as a finding.

Docker forgets in many ways (libnetwork/network.go, endpoint.go): the IPv4 address when the IPv6 one fails, all that an
unreadable or lost reply granted, and everything that it released while Mooring was not there to hear it.
"""

from __future__ import annotations

from mooring.core.datapath import host_end
from mooring.core.engines import EngineView, KnownEngine
from mooring.core.faults import Fault
from mooring.core.networks import Network
from mooring.core.pools import Pool
from mooring.ports import Clock, Engine
from mooring.services.ipam import Ipam
from mooring.services.mirror import Mirror
from mooring.services.networks import Networks
from mooring.services.roster import Roster

# Seconds that a thing must have been missing before it is taken: longer than dockerd's retries (15 s), by far.
MINIMUM_AGE = 120.0


class Reclaiming:
    """One `once` for each repair pass."""

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        ipam: Ipam,
        networks: Networks,
        engine: Engine,
        clock: Clock,
        minimum_age: float = MINIMUM_AGE,
    ) -> None:
        self._mirror = mirror
        self._roster = roster
        self._ipam = ipam
        self._networks = networks
        self._engine = engine
        self._clock = clock
        self._minimum_age = minimum_age
        self._missing: dict[str, float] = {}
        self._seen: dict[str, float] = {}

    async def once(self, interfaces: frozenset[str]) -> tuple[list[str], list[str]]:
        """What was taken back and what could not be, a line each. interfaces: host ends that exist."""
        taken: list[str] = []
        findings: list[str] = []
        self._seen = {}
        try:
            view = await self._ask()
            await self._networks_nobody_has(view, interfaces, taken, findings)
            await self._pools_nobody_has(view, taken)
            await self._leases_nobody_has(taken)
            await self._ipam.sweep()
        except Fault as fault:
            findings.append(f"could not take back what Docker forgot: {fault}")
        self._missing = self._seen
        return taken, findings

    async def _ask(self) -> EngineView | None:
        """What the engine says, or None when nobody says it or when its word does not count."""
        try:
            view = await self._engine.view()
        except Fault:
            # An engine that is down is Docker's matter; what was missing stays missing until somebody can tell.
            self._seen.update({subject: since for subject, since in self._missing.items() if "engine" in subject})
            return None
        if any(known.id == view.id for known in self._mirror.every(KnownEngine)):
            return view
        if any(network.id in view.networks for network in self._mirror.every(Network)):
            await self._mirror.commit(put=[KnownEngine(view.id, self._clock.now())])
            return view
        return None

    def _is_overdue(self, subject: str, since: float) -> bool:
        """Note that the subject is missing; whether it has been for long enough, and in an earlier pass too."""
        now = self._clock.now()
        first = self._seen[subject] = self._missing.get(subject, now)
        return subject in self._missing and now - max(since, first) >= self._minimum_age

    async def _networks_nobody_has(
        self, view: EngineView | None, interfaces: frozenset[str], taken: list[str], findings: list[str]
    ) -> None:
        for network in self._mirror.every(Network):
            if self._networks.is_abandoned(network):
                why, subject = "Docker released its subnets", f"network {network.id}"
            elif view is not None and network.id not in view.networks:
                why, subject = "the engine does not have it", f"engine's network {network.id}"
            else:
                continue
            if not self._is_overdue(subject, network.created):
                continue
            if any(host_end(endpoint.id) in interfaces for endpoint in self._roster.of_network(network.id)):
                findings.append(f"network {network.id[:12]} stays because a container is in it, although {why}")
                continue
            await self._networks.delete(network.id)
            taken.append(f"network {network.id[:12]} removed: {why}")

    async def _pools_nobody_has(self, view: EngineView | None, taken: list[str]) -> None:
        for pool in self._mirror.every(Pool):
            if pool.network:
                if self._mirror.network(pool.network) is None:
                    await self._ipam.release_pool(pool.id)
                    taken.append(f"subnet {pool.subnet} released: its network is gone")
            elif (
                view is not None
                and pool.subnet not in view.subnets
                and self._is_overdue(f"engine's pool {pool.id}", pool.created)
            ):
                await self._ipam.release_pool(pool.id)
                taken.append(f"subnet {pool.subnet} released: no network of the engine has it")

    async def _leases_nobody_has(self, taken: list[str]) -> None:
        for lease in self._roster.unattached():
            if self._is_overdue(f"lease {lease.space} {lease.address}", lease.since):
                await self._ipam.release_address(lease.pool, lease.address)
                taken.append(f"lease {lease.address} given back: no endpoint has it")
