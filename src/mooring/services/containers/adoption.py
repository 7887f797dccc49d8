"""Taking what an engine tells of a container into the records: labels and addresses that no proxy saw.

Rules: a container whose configuration names a fixed address is one of its holders, whatever its labels; a container
that is to have fixed addresses keeps the one that it has, and in each network one of a family; an address that it has
no proof for goes when it was given another one; nothing that somebody else holds is taken, that is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from mooring.core.claims import Claim, claimed, started
from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.faults import Conflict
from mooring.core.keys import CONTAINER_KEY, key_of, outlives
from mooring.core.label_words import Remark
from mooring.core.leases import Active, Claimant, Lease, Place, State, may_hold
from mooring.core.networks import Address, Network, Origin
from mooring.core.pools import Pool
from mooring.core.reservations import belonging
from mooring.ports import Clock
from mooring.services.containers.fixed_leases import Holders
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import Record, RecordCache

# What to do about a container that cannot ask for its address again.
PROOF = "recreate it through the proxy with all its networks given at creation, or give the network a --subnet"


@dataclass(frozen=True, slots=True)
class _Use:
    """A container has the address in the network, or its configuration names it (wanted). key: what it belongs to."""

    container: Container
    network: Network
    endpoint: ContainerEndpoint
    key: str
    address: Address
    wanted: bool


class Adoption:
    """`adopt` for each container that an engine tells of."""

    def __init__(self, cache: RecordCache, ipam: Ipam, holders: Holders, clock: Clock, policy: IpamPolicy) -> None:
        self._cache = cache
        self._index, self._claims = ipam.index, ipam.fixed_claims
        self._fixed_index = ipam.fixed_index
        self._holders = holders
        self._clock = clock
        self._policy = policy

    async def adopt(self, engine: str, container: Container, departures: int | None = None) -> list[str]:
        """The container holds what it should, as far as it can. engine: the engine's id. departures: how many there
        were before the engine was asked; one that has left something since then is not as it was seen, and is left
        alone.

        Returns findings, a line each: what it should hold and cannot. Raises Unavailable.
        """
        findings: list[str] = []
        self._index.endpoint_containers.note(container)
        for endpoint in container.endpoints:
            network = self._cache.network(endpoint.network) if endpoint.network else None
            if network is None or network.origin is Origin.LIBRARY:
                continue
            key = key_of(container.labels, container.name, network.options.sticky, container.id)
            for wanted, held in ((endpoint.wanted4, endpoint.ipv4), (endpoint.wanted6, endpoint.ipv6)):
                address = wanted or held
                if address is not None:
                    use = _Use(container, network, endpoint, key, address, wanted is not None)
                    try:
                        await self._adopt(use, engine, departures)
                    except _Refused as refusal:
                        findings.append(str(refusal))
        known = self._cache.holder(container.id)
        if known is not None and known.name != container.name:
            await self._holders.rename(container.id, container.name)
        return findings

    async def _adopt(self, use: _Use, engine: str, departures: int | None) -> None:
        """The container holds the address that it uses, as far as it may. Raises _Refused, Unavailable."""
        change = partial(self._change, use, engine, departures)
        taken = next((each for each in change()[0] if isinstance(each, Lease) and each.address == use.address), None)
        if taken is None:
            return
        try:
            async with self._claims.fixing(taken):
                await self._holders.commit(change, f"address {use.address}")
        except Conflict as fault:
            raise _Refused(f"container {use.container.name} cannot keep {use.address}: {fault}") from None

    def unproven(self, container: Container) -> list[Remark]:
        """What the container holds and cannot ask for at its next start, one for each network, unless the engine
        tells its name: its configuration has neither the address nor a MAC of the address's own."""
        found = []
        for endpoint in container.endpoints:
            network = self._cache.network(endpoint.network) if endpoint.network else None
            held = [
                lease
                for lease in self._fixed_index.of_holder(container.id)
                if self._fixed_index.network_of(lease) == endpoint.network
                and not lease.mac
                and lease.address not in endpoint.wanted
            ]
            if network is not None and held:
                addresses = " and ".join(str(lease.address) for lease in held)
                pools = [self._cache.pool(lease.pool) for lease in held]
                typed = all(pool is not None and not pool.source for pool in pools)
                found.append(
                    Remark(
                        f"container {container.name} keeps {addresses} in network {endpoint.name} only until it stops: "
                        "no address or MAC is set there, and Docker before 29 does not tell which container asks",
                        f"`mooring fix {container.name}` writes it into the configuration" if typed else PROOF,
                    )
                )
        return found

    def _change(self, use: _Use, engine: str, departures: int | None) -> tuple[list[Record], list[Record]]:
        """What is to be written and deleted, so that the container holds what it uses. Raises _Refused."""
        container, network = use.container, use.network
        if departures is not None and self._holders.has_left_since(container.id, departures):
            return [], []
        segment = network.segment_of(use.address)
        pool = self._cache.pool(segment.pool) if segment is not None else None
        others = self._holders.others(container.id, network.id, use.address)
        taken = self._taken(use, pool, others) if pool is not None else None
        if taken is None:
            return [], []
        put: list[Record] = [taken]
        gone: list[Record] = []
        mine = self._fixed_index.of_key(network.id, taken.key)
        for lease, rest in (
            *self._holders.fixed_allocator.left_behind(mine, taken),
            *self._holders.instead_of(others, container.id),
        ):
            (gone if rest is None else put).append(rest or lease)
        if self._cache.holder(container.id) is None:
            put.append(Holder(id=container.id, engine=engine, name=container.name, since=self._clock.now()))
        return put, gone

    def _taken(self, use: _Use, pool: Pool, others: Sequence[Lease]) -> Lease | None:
        """The lease with the container among its holders, None when there is nothing to do. others: what it holds of
        the family in the network. Raises _Refused."""
        container, endpoint, key, address, wanted = use.container, use.endpoint, use.key, use.address, use.wanted
        lease = self._cache.lease(pool.space, address)
        uses = bool(endpoint.endpoint) and self._index.endpoint(pool, address) == endpoint.endpoint
        if lease is not None and container.id in lease.holders:
            if lease.key == CONTAINER_KEY + container.id and outlives(key):
                # Fixed by an earlier version, to which a label meant less, or before the network was sticky.
                known = self._fixed_index.of_key(endpoint.network, key)
                if all(each.address.version != address.version for each in known):
                    return belonging(lease, key, None, self._clock.now())
            return lease if others and (uses or wanted) else None
        now = self._clock.now()
        fixed = lease is not None and lease.state is State.FIXED
        if not fixed and not key:
            return None
        kept = next((other for other in others if _is_kept(other)), None)
        if not wanted and kept is not None:
            raise _Refused(
                f"container {container.name} has {address}, although {kept.address} is fixed for it: {_why(kept)}"
            )
        claim = Claim(key=key or CONTAINER_KEY + container.id, holder=container.id, name=container.name)
        if uses and lease is not None and lease.state in (State.FIXED, State.DYNAMIC):
            active = Active(endpoint.endpoint, self._policy.host, self._policy.boot)
            proof = "" if fixed else endpoint.proof
            mine = msgspec.structs.replace(claim, mac=proof)
            return started(claimed(lease, lease, mine, now), active)
        if not wanted:
            return None  # what it had when it was asked, and has no more
        claimant = Claimant(container.name, endpoint.wanted_mac, container.labels, container.id, claim.key)
        verdict = may_hold(lease, claimant, self._policy.claim_policy(pool), now)
        if not verdict.allowed or (self._index.endpoint(pool, address) and not fixed):
            holder = f", held by {verdict.holder}" if verdict.holder else ""
            hint = verdict.hint or f"see `mooring explain {address}`"
            raise _Refused(f"container {container.name} requests {address}{holder}: {verdict.rule}; {hint}")
        return claimed(lease, Place(pool.space, address, pool.id), claim, now)


def _is_kept(lease: Lease) -> bool:
    """Whether a container that was given another address than this one of its own keeps it all the same: somebody else
    has it too, or there is a MAC in its configuration that proves it, or will once it is made anew. Without that each
    start gives it another one."""
    return lease.active is not None or len(lease.holders) > 1 or bool(lease.mac)


def _why(kept: Lease) -> str:
    """Why a container was given another address than its own, and what to do."""
    if kept.active is not None or len(kept.holders) > 1:
        return "that was in use when it started, or others hold it too; start it again when no other container uses it"
    mac = f", with `--mac-address {kept.mac}` or its `mooring.key`" if kept.mac else ""
    return (
        "its configuration has no address, and this Docker version does not tell Mooring which container is asking; "
        f"recreate it through the proxy{mac}"
    )


class _Refused(Exception):
    """What the container should hold is somebody else's. Its text is a finding."""
