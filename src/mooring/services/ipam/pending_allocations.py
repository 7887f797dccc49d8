"""Which fixed address waits for who asks, and to whom one was promised that is not in use yet.

Rules: what a call of the engine proves is a MAC (fixed addresses have one of their own) or a container's name; between
RequestAddress and CreateEndpoint nobody else is promised the same address, since two holders may start at once.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.core.faults import Conflict
from mooring.core.keys import is_ports
from mooring.core.leases import Claimant, Lease, State, holder
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest
from mooring.ports import Clock
from mooring.services.records.fixed_index import FixedIndex

# Seconds between RequestAddress and CreateEndpoint, at most: dockerd makes the one call right after the other.
PENDING = 10.0


class PendingAllocations:
    """Over the index of fixed leases. is_past: whether a lease is in use only by what an earlier boot had."""

    def __init__(self, fixed_index: FixedIndex, clock: Clock, is_past: Callable[[Lease], bool]) -> None:
        self._fixed_index = fixed_index
        self._clock = clock
        self._is_past = is_past
        self._given: dict[tuple[str, Address], tuple[str, float, str]] = {}

    def awaited(self, pool: Pool, request: AddressRequest) -> Lease | None:
        """The idle fixed lease of the pool's network and family that belongs to who asks, None when there is none."""
        if not pool.network or not (request.mac or request.name):
            return None
        found = self._fixed_index.with_mac(pool.network, request.mac) if request.mac else []
        if request.name:
            # A name may be another container's by now: where there is a MAC, that is the proof.
            for known in self._fixed_index.holders_named(request.name):
                found += [
                    lease for lease in self._fixed_index.of_holder(known.id) if not self._fixed_index.proof(lease)
                ]
            found += self._fixed_index.of_key(pool.network, f"name:{request.name}")
        found += self._of_same_port(pool, request)
        for lease in found:
            here = lease.space == pool.space and self._fixed_index.network_of(lease) == pool.network
            if here and lease.address.version == pool.subnet.version and (lease.active is None or self._is_past(lease)):
                return lease
        return None

    def claimant(self, lease: Lease | None, request: AddressRequest) -> Claimant:
        """Who asks for the address, as far as the call proves it."""
        if lease is None or lease.state is not State.FIXED or not request.name or self._fixed_index.proof(lease):
            return Claimant(request.name, request.mac)
        mine = [known.id for known in self._fixed_index.holders_named(request.name) if known.id in lease.holders]
        return Claimant(request.name, request.mac, container=mine[0] if mine else "", key=f"name:{request.name}")

    def make(self, lease: Lease, request: AddressRequest) -> None:
        """The fixed address is promised to who asks. Raises Conflict while it is promised to somebody else."""
        place, now = (lease.space, lease.address), self._clock.now()
        who, until, _ = self._given.get(place, ("", 0.0, ""))
        asks = _asker(request)
        if who and who != asks and now < until:
            raise Conflict(
                f"address {lease.address} is being assigned to another container that is starting",
                holder=holder(lease),
                hint="start them one at a time",
            )
        self._given[place] = (asks, now + PENDING, lease.key)

    def renew(self, space: str, address: Address) -> None:
        """Who was promised the address has come, and it is about to be on record that it is in use."""
        if (given := self._given.get((space, address))) is not None:
            self._given[space, address] = (given[0], self._clock.now() + PENDING, given[2])

    def is_promised(self, lease: Lease) -> bool:
        """Whether somebody who is starting is about to have the fixed address."""
        return self._clock.now() < self._given.get((lease.space, lease.address), ("", 0.0, ""))[1]

    def _of_same_port(self, pool: Pool, request: AddressRequest) -> list[Lease]:
        """What else the port has of which who asks was promised an address just now: dockerd asks for each family."""
        asks, now = _asker(request), self._clock.now()
        keys = {key for who, until, key in self._given.values() if who == asks and now < until and is_ports(key)}
        return [lease for key in sorted(keys) for lease in self._fixed_index.of_key(pool.network, key)]

    def end(self, space: str, address: Address) -> None:
        """That the address is in use is on record, or it is released."""
        self._given.pop((space, address), None)

    def end_all(self) -> None:
        """The engine has started anew: nobody waits for anything."""
        self._given.clear()


def _asker(request: AddressRequest) -> str:
    """Who asks, as far as the call says."""
    return f"{request.mac} {request.name}"
