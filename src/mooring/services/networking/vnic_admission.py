"""What a new VNIC may be: at an address, and in a subnet, that its Docker network can give, so that nobody learns of it
from the engine only.

Rules: what is reserved for somebody, or the network's own, is no VNIC's; a lease that a container has is no obstacle,
for a VNIC that ended comes back under it. The host may be in the subnet, as it is not in the VNICs' layer 2, but the
addresses that it has are given to nobody.
"""

from __future__ import annotations

from mooring.core.faults import Conflict
from mooring.core.leases import State, is_over
from mooring.core.networks import Address
from mooring.core.vnics import Group, VnicSpec
from mooring.services.ipam.allocator import Ipam
from mooring.services.records.endpoint_index import Records
from mooring.services.records.holder_names import holder_of, reservation_in_words

_TAKEN = (State.RESERVED, State.AUXILIARY, State.GATEWAY)


class VnicAdmission:
    """Asked before a VNIC is recorded."""

    def __init__(self, records: Records, ipam: Ipam) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._ipam = ipam

    async def check(self, spec: VnicSpec) -> None:
        """Raises Conflict, Forbidden for what its network, or the engine's request for one, would be refused for."""
        group, index = spec.group, self._ipam.index
        await self._ipam.host.refresh()
        index.check_use(spec.address)
        self._check_lease(group, spec.address)
        if self._ipam.vnics.network(group) is not None:
            return
        space = group.tenant or "default"
        # One of exactly the subnet without a network may be that of the VNICs' network, which is just being made.
        if not any(pool.space == space and not pool.network for pool in index.pools_at(group.subnet)):
            self._ipam.check_subnet(space, group.subnet)
        if spec.gateway is not None:
            index.check_use(spec.gateway)

    def _check_lease(self, group: Group, address: Address) -> None:
        lease = self._cache.lease(group.tenant or "default", address)
        if lease is None or lease.state not in _TAKEN or is_over(lease, self._clock.now()):
            return
        if self._cache.pool(lease.pool) is None:
            return  # left over
        who, hint = holder_of(lease, None), "choose another address"
        if lease.state is State.RESERVED:
            who, hint = reservation_in_words(lease), f"{hint}, or `mooring lease release {address}` first"
        raise Conflict(f"address {address} is not free", holder=who, hint=hint)
