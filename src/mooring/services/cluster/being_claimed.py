"""Addresses of this host's blocks that are being claimed: nobody here is given them meanwhile.

Rule: an address is given here or claimed, by whoever was first; what is not decided yet is in here, or held.
"""

from __future__ import annotations

from asyncio import shield
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim, Identity, Phase
from mooring.core.blocks import Block
from mooring.core.faults import Conflict, StaleRevision
from mooring.core.keys import outlives
from mooring.core.leases import State, holder
from mooring.core.networks import Address, Subnet
from mooring.core.pools import Pool
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.record_cache import RecordCache

Place = tuple[str, Subnet, int]


class BeingClaimed:
    """What `claiming` and `chosen` are in the middle of. host: this host's id."""

    def __init__(self, cache: RecordCache, index: AddressIndex, host: str) -> None:
        self._cache, self._index, self._host = cache, index, host
        self._chosen: set[tuple[str, Address]] = set()
        self._own: set[tuple[str, Address]] = set()
        self._waiting: dict[Place, dict[Address, AddressClaim]] = {}
        self._mine: set[str] = set()
        self._leading: set[str] = set()
        self.borne: set[str] = set()  # sequences of those that a block has borne, which may be settled by now
        self.led: set[str] = set()  # and of those to which their keys lead

    def __contains__(self, which: tuple[str, Address]) -> bool:
        """Whether the address of the space is being claimed."""
        space, address = which
        waits = any(address in waiting for place, waiting in self._waiting.items() if place[0] == space)
        return waits or which in self._chosen

    def at(self, place: Place) -> list[AddressClaim]:
        """What is being claimed of the block."""
        return list(self._waiting.get(place, {}).values())

    def is_mine(self, claim: AddressClaim) -> bool:
        """Whether it is a claim of this host's, which somebody here waits for at this moment."""
        return claim.sequence in self._mine

    @contextmanager
    def chosen(self, pool: Pool, address: Address) -> Iterator[None]:
        """The address, which is held, may be claimed; it is not held any more afterwards."""
        self._chosen.add((pool.space, address))
        try:
            yield
        finally:
            self._chosen.discard((pool.space, address))
            self._index.unhold(pool.id, int(address))

    @contextmanager
    def own(self, space: str, address: Address) -> Iterator[None]:
        """A lease of the address that is here is the one that it is claimed for."""
        self._own.add((space, address))
        try:
            yield
        finally:
            self._own.discard((space, address))

    def leading(self, block: Block) -> list[Identity]:
        """What is to lead to claims that the block is to bear, and does not yet."""
        wanted = self._leading - self.led
        return [claim.identity() for claim in block.carved.values() if claim is not None and claim.sequence in wanted]

    def note_led(self, identities: Sequence[Identity]) -> None:
        """Those lead to their claims by now; who has not waited for it does not ask any more."""
        self.led |= self._leading & {each.sequence for each in identities}

    @contextmanager
    def claiming(self, place: Place, claim: AddressClaim, mine: bool = False, leads: bool = False) -> Iterator[None]:
        """The claim is made, in the block. mine: for this host. leads: its key, which led nowhere, is to lead to it.
        Raises Conflict when somebody here has the address, or is claiming it."""
        if claim.address in self._waiting.get(place, ()):
            raise Conflict(f"address {claim.address} is being claimed", hint="try again")
        with self._kept(claim):
            waiting = self._waiting.setdefault(place, {})
            waiting[claim.address] = claim
            if mine:
                self._mine.add(claim.sequence)
            if leads:
                self._leading.add(claim.sequence)
            try:
                yield
            finally:
                del waiting[claim.address]
                if not waiting:
                    del self._waiting[place]
                for some in (self._mine, self._leading, self.borne, self.led):
                    some.discard(claim.sequence)

    @contextmanager
    def _kept(self, claim: AddressClaim) -> Iterator[None]:
        """Nobody here is given the address meanwhile. Raises Conflict when somebody has it."""
        number = int(claim.address)
        # Whoever chose it holds it.
        is_chosen = (claim.space, claim.address) in self._chosen
        pools = [] if is_chosen else self._index.pools_of(claim.space, claim.subnet)
        if self.is_used(claim) or any(self._index.of(pool.id).is_held(number) for pool in pools):
            raise self.in_use(claim)
        for pool in pools:
            self._index.of(pool.id).hold(number)
        try:
            yield
        finally:
            for pool in pools:
                self._index.unhold(pool.id, number)

    async def done(self, batch: Sequence[AddressClaim], boot: str) -> None:
        """This host keeps those of the batch that are its own: the cluster has them. Not those whose key is to lead to
        them first, and does not yet."""
        waiting = {each.sequence for some in self._waiting.values() for each in some.values()}
        self.borne |= waiting & {each.sequence for each in batch}
        mine = [each for each in batch if self.is_mine(each) and (each.sequence in self.led or not outlives(each.key))]
        kept = [HostClaim(claim=each, known_in=boot) for each in mine]
        try:
            if kept:
                await self._cache.commit(put=kept)
        finally:
            # Who has not waited for it does not know of it, and leaves it to us.
            left = [each for each in kept if not self.is_mine(each.claim) and self._here(each.claim) == each]
            if left:
                over = [msgspec.structs.replace(each, phase=Phase.RELEASING) for each in left]
                with suppress(StaleRevision):
                    await shield(self._cache.commit(put=over))

    def _here(self, claim: AddressClaim) -> HostClaim | None:
        return self._cache.host_claim(claim.space, claim.subnet, claim.address)

    def is_used(self, claim: AddressClaim) -> bool:
        """Whether somebody here has a lease of the address, who is not who claims it."""
        if (claim.space, claim.address) in self._own:
            return False
        lease = self._cache.lease(claim.space, claim.address)
        return lease is not None and lease.state is not State.COOLING

    def in_use(self, claim: AddressClaim) -> Conflict:
        """The refusal of an address that somebody here has."""
        lease = self._cache.lease(claim.space, claim.address)
        return Conflict(
            f"address {claim.address} is in use on host {self._host}",
            holder=holder(lease) if lease is not None else "",
            hint="choose another address, or leave the choice to Mooring",
        )
