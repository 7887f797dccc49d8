"""Whether an endpoint that has an address is dead when another one comes with the same address, or its release does.

Rules: an engine that died with its endpoints asks for their addresses again under new ids, and says so by activating
the plugin anew; what it has attached since lives, whoever asks; a dead endpoint's other addresses go with it; who was
refused an address releases it all the same, and that is not the word of the one who has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Conflict
from mooring.core.leases import Lease
from mooring.core.networks import Address, Network
from mooring.ports import Clock
from mooring.services.ipam.allocator import Ipam

# Seconds in which dockerd has released the address of an endpoint that it was refused: it does so at once.
RELEASED = 30.0


class Takeovers:
    """Of the endpoints of one engine."""

    def __init__(self, ipam: Ipam, clock: Clock) -> None:
        self._ipam = ipam
        self._clock = clock
        self._since = clock.now()
        self._refused: dict[tuple[str, Address], list[float]] = {}

    def engine_started(self) -> None:
        """The engine runs anew: what was attached before may be dead. Without this word, what this process was not
        told of may: an engine never runs anew without saying so, and what it has attached since is alive."""
        self._since = self._clock.now()

    def check_dead(self, old: Endpoint) -> None:
        """Raises Conflict for an endpoint that the running engine has attached, or that is no engine's."""
        if is_namespaces(old.id):
            raise Conflict("the address is in use", holder=namespace_name(old), hint="detach it first")
        if old.state is State.ATTACHED and old.created > self._since:
            raise Conflict("the address is in use", holder=f"endpoint {old.id[:12]}", hint="stop that container first")

    def note_refused(self, network_id: str, addresses: Iterable[Address]) -> None:
        """An endpoint with these addresses, which another one has, was refused: their releases will come."""
        for address in addresses:
            self._refused.setdefault((network_id, address), []).append(self._clock.now() + RELEASED)

    def is_of_refused(self, network_id: str, address: Address) -> bool:
        """Whether a release of the address is that of an endpoint which was refused. Each counts once."""
        ends = self._refused.pop((network_id, address), [])
        rest = [until for until in ends if until > self._clock.now()]
        if rest[1:]:
            self._refused[network_id, address] = rest[1:]
        return bool(rest)

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
