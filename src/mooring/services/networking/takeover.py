"""Whether an endpoint that has an address is dead when another one comes with the same address.

Rules: an engine that died with its endpoints asks for their addresses again under new ids, and says so by activating
the plugin anew; what it has attached since lives, whoever asks; a dead endpoint's other addresses go with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Conflict
from mooring.core.leases import Lease
from mooring.core.networks import Network
from mooring.ports import Clock
from mooring.services.ipam.allocator import Ipam


class Takeovers:
    """Of the endpoints of one engine."""

    def __init__(self, ipam: Ipam, clock: Clock) -> None:
        self._ipam = ipam
        self._clock = clock
        self._since: float | None = None

    def engine_started(self) -> None:
        """The engine runs anew: what was attached before may be dead. Without this word, everything may."""
        self._since = self._clock.now()

    def check_dead(self, old: Endpoint) -> None:
        """Raises Conflict for an endpoint that the running engine has attached."""
        if self._since is not None and old.state is State.ATTACHED and old.created > self._since:
            raise Conflict("the address is in use", holder=f"endpoint {old.id[:12]}", hint="stop that container first")

    def left_by(self, network: Network, dead: Iterable[Endpoint], heir: Endpoint) -> tuple[list[Lease], list[Lease]]:
        """What becomes of the leases of dead endpoints whose addresses the heir does not have: as they are without
        them, and those that are gone."""
        kept: list[Lease] = []
        gone: list[Lease] = []
        for old in dead:
            after, free = self._ipam.without_endpoint(network, old)
            kept += [lease for lease in after if lease.address not in heir.addresses]
            gone += [lease for lease in free if lease.address not in heir.addresses]
        return kept, gone
