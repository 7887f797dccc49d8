"""Kept networks: what a network that is gone leaves to the next one of its name.

Rules: a network is its name to the people who make it, and its address space to us, so a kept network goes to the next
network of the same name and space, and to no other; only what has a key is left, for as long as the key's hold time
lasts; the heir gets what fits into its subnets, and the rest ends there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mooring.core.keys import CONTAINER_KEY, is_ports
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network, Subnet
from mooring.core.pools import Pool
from mooring.core.reservations import LATEST

# Addresses of one network that are kept, at most; those that were used last come first. A record of half a megabyte.
MOST_ADDRESSES = 4096


class KeptAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One address that waits for its key. mac: what belongs to it, "" for none. name: of the last container.

    hold: as in leases. until: seconds since the epoch, when the key has lost it.
    """

    address: Address
    key: str
    until: float
    mac: str = ""
    name: str = ""
    hold: float = 0.0


class KeptNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a network left. id: of the network. name: what its engine called it. since: seconds since the epoch.

    subnets: those in which the kept addresses are; nobody else gets one of them by choice meanwhile.
    """

    id: str
    name: str
    space: str
    since: float
    subnets: tuple[Subnet, ...]
    kept_addresses: tuple[KeptAddress, ...]

    @property
    def until(self) -> float:
        """When nothing of it is left."""
        return max((each.until for each in self.kept_addresses), default=self.since)


def kept_address_of(lease: Lease, now: float, hold: float) -> KeptAddress | None:
    """What stays of a lease whose network goes, None for nothing, as for a container's own address: it ends with the
    container, which may have gone before the network. hold: seconds that keys are kept for; what a port has waits for
    ever."""
    if lease.state is not State.FIXED or not lease.key or lease.key.startswith(CONTAINER_KEY):
        return None
    until = now + (lease.hold or hold)
    if is_ports(lease.key):
        until = LATEST
    elif not lease.holders and lease.active is None and lease.until is not None:
        until = lease.until
    if until <= now or (hold <= 0 and not is_ports(lease.key)):
        return None
    return KeptAddress(
        address=lease.address, key=lease.key, until=until, mac=lease.mac, name=lease.name, hold=lease.hold
    )  # fmt: skip


def left_by(
    known: KeptNetwork | None, network: Network, pool: Pool, leases: Iterable[Lease], now: float, hold: float
) -> KeptNetwork | None:
    """What is kept of the network, now that the pool has gone with these leases. known: what its other pools have left
    already. None when there is nothing."""
    found = [each for lease in leases if (each := kept_address_of(lease, now, hold)) is not None]
    if not found:
        return known
    found.sort(key=lambda each: each.until, reverse=True)
    before = known.kept_addresses if known is not None else ()
    fresh = {each.address: each for each in (*before, *found)}
    subnets = known.subnets if known is not None else ()
    return KeptNetwork(
        id=network.id, name=network.name, space=pool.space, since=known.since if known is not None else now,
        subnets=subnets if pool.subnet in subnets else (*subnets, pool.subnet),
        kept_addresses=tuple(fresh.values())[:MOST_ADDRESSES],
    )  # fmt: skip


def living(kept_network: KeptNetwork, now: float) -> KeptNetwork | None:
    """The kept network without what is over, None when that is all."""
    left = tuple(each for each in kept_network.kept_addresses if each.until > now)
    if not left:
        return None
    subnets = tuple(subnet for subnet in kept_network.subnets if any(each.address in subnet for each in left))
    return msgspec.structs.replace(kept_network, kept_addresses=left, subnets=subnets)
