"""Networks of this host that are made the cluster's while their containers run.

Rules: what is in use is claimed in the cluster before the network is the cluster's, address by address, and nothing in
the kernel or of Docker changes; what is broken off is taken back by a turn, as a network that is not made
(cluster_networks.py); what was given meanwhile is claimed by the turns after it; which network was published is in the
cluster, too, as Docker does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec, taken
from mooring.core.blocks import Block, Decides, decides, division
from mooring.core.cluster_hosts import Membership
from mooring.core.cluster_networks import as_shared
from mooring.core.cluster_options import published
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.keys import is_ports, outlives
from mooring.core.leases import Lease, State
from mooring.core.networks import Mode, Network, Origin, Scope, Subnets
from mooring.core.pools import Pool
from mooring.ports import Cluster
from mooring.services.cluster.address_plan import COMPARE, AddressPlan
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.cluster_networks import ClusterNetworks, check_shareable
from mooring.services.records.endpoint_index import Records
from mooring.services.records.locks import KeyedLocks

# States of an address that somebody uses, or that is kept for somebody; the gateway's is the same on each host.
TAKEN = frozenset({State.DYNAMIC, State.FIXED})


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing a network is, or was. network: its id here. addresses: how many are claimed for it. hosts: names
    of the other hosts that take part. asked: addresses whose block another host owns, which is asked for them. changed:
    False where it was the cluster's already."""

    network: str
    subnets: tuple[str, ...]
    addresses: int = 0
    hosts: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    changed: bool = True


@dataclass(slots=True)
class _Progress:
    done: int = 0
    of: int = 0


class PublishedNetworks:
    """`publish`, and a Part of the cluster's runtime, after ClusterNetworks."""

    def __init__(self, records: Records, ipam: Ipam, cluster_networks: ClusterNetworks) -> None:
        self._cache, self._clock, self._locks = records.cache, records.clock, records.locks
        self._ipam, self._networks = ipam, cluster_networks
        self._alone = KeyedLocks()
        self._under_way: dict[str, _Progress] = {}
        self._looked = float("-inf")

    async def publish(self, network_id: str, dry: bool = False) -> Published:
        """The network, which is this host's alone, is one of the cluster; its containers go on as they are.

        Raises BadRequest for a network that cannot be shared, Conflict where something of it is somebody else's in the
        cluster, NotFound, Unavailable; then it is as it was, or a turn takes back what was begun.
        """
        async with self._alone.hold(network_id):
            network, pools = self._meant(network_id)
            if network.options.scope is Scope.CLUSTER:
                return Published(network.id, _subnets(network), changed=False)
            self._check(network, pools)
            after = replace(network, options=replace(network.options, scope=Scope.CLUSTER))
            alone = check_shareable(after, pools)
            plan = self._networks.entered_plan()
            plan.check()
            async with plan.hosts.named():
                found = await self._look(plan, after, pools, alone)
                if not dry:
                    await self._publish(plan, network, after, pools)
        return found

    async def _publish(self, plan: AddressPlan, network: Network, after: Network, pools: Sequence[Pool]) -> None:
        self._under_way[network.id] = _Progress()
        try:
            async with self._networks.joining(after, pools) as parts:
                async with self._locks.share(network.id):  # it is not removed meanwhile
                    await self._claim(plan, pools, network.id)
                async with self._locks.hold(network.id):
                    if self._cache.network(network.id) != network:
                        raise Conflict(f"network {network.id[:12]} was changed meanwhile", hint="try again")
                    self._check(network, pools)  # reservations, and ports
                    await self._cache.commit(put=[after, *parts])
            # What was given since it was looked at, and was not yet to be claimed.
            await self._claim(plan, pools, network.id)
        finally:
            del self._under_way[network.id]

    async def entered(self, _cluster: Cluster, _membership: Membership) -> None:
        """See Part."""
        self._looked = float("-inf")

    async def left(self) -> None:
        """See Part."""

    async def turn(self) -> list[Fault]:
        """Every address of published networks is claimed, and what was published before the store was lost is again;
        what could not be done."""
        plan, faults = self._ipam.shared.plan, list[Fault]()
        if plan is None or self._clock.boot() - self._looked < COMPARE:
            return faults
        try:
            plan.check_reached()
            for network in [each for each in self._cache.every(Network) if published(each)]:
                if network.id not in self._under_way and self._cache.host_network(network.id) is not None:
                    async with plan.hosts.named():
                        faults += await self._claim_left(plan, self._pools(network), network.id)
            await self._find_lost(plan, faults)
            self._looked = self._clock.boot()
        except Unavailable as fault:
            faults.append(fault)
        return faults

    def waiting(self) -> Mapping[str, int]:
        """See Waiting."""
        left = sum(progress.of - progress.done for progress in self._under_way.values())
        return {"address of a network that is published|addresses of networks that are published": left}

    async def _find_lost(self, plan: AddressPlan, faults: list[Fault]) -> None:
        """Networks that the cluster knows as published here, and the records as this host's own. Raises Unavailable."""
        here = {
            network.id: network
            for network in self._cache.every(Network)
            if network.options.scope is Scope.LOCAL and network.bridged and self._cache.host_network(network.id) is None
        }
        if not here:
            return
        for each in (await plan.networks.networks()).members:
            if each.value is not None and each.value.host == plan.member.host and each.value.published in here:
                try:
                    await self.publish(each.value.published)
                except Unavailable:
                    raise
                except Fault as fault:
                    what = f"network {each.value.published[:12]} was published, and cannot be again: {fault.what}"
                    faults.append(Conflict(what, holder=fault.holder, hint=fault.hint))

    def _meant(self, network_id: str) -> tuple[Network, list[Pool]]:
        network = self._cache.network(network_id)
        if network is None:
            raise NotFound(f"network {network_id[:12]} is not there", hint="`mooring network ls` lists those there are")
        return network, self._pools(network)

    def _pools(self, network: Network) -> list[Pool]:
        found = (self._cache.pool(segment.pool) for segment in network.segments if segment.pool)
        return [pool for pool in found if pool is not None]

    def _check(self, network: Network, pools: Sequence[Pool]) -> None:
        """Raises BadRequest for a network that cannot be the cluster's, Conflict for what in it is for one host."""
        who = f"network {network.id[:12]}"
        if network.origin is not Origin.ENGINE or network.options.mode is not Mode.BRIDGE or not network.bridged:
            mode = network.options.mode.value
            raise BadRequest(f"{who} is of mode {mode}, and only networks of mode bridge can be published")
        if network.options.subnets is not Subnets.AT_CREATION or network.on_demand:
            raise BadRequest(f"{who} gets its subnets on demand, and hosts meet by a subnet that is there")
        for lease in (lease for pool in pools for lease in self._ipam.index.leases(pool.id)):
            if lease.state is State.RESERVED or lease.whom:
                raise Conflict(
                    f"address {lease.address} of {who} is reserved, and cannot come along",
                    holder=lease.whom, hint="end that, publish the network, and make it again",
                )  # fmt: skip
            if is_ports(lease.key):
                raise Conflict(
                    f"address {lease.address} of {who} is a port's, and cannot come along",
                    holder=lease.key, hint="end that, publish the network, and make it again",
                )  # fmt: skip

    def _taken(self, pools: Sequence[Pool]) -> list[tuple[Pool, Lease]]:
        return [(pool, lease) for pool in pools for lease in self._ipam.index.leases(pool.id) if lease.state in TAKEN]

    async def _look(self, plan: AddressPlan, network: Network, pools: Sequence[Pool], alone: bool) -> Published:
        """What would be claimed. Raises Conflict for what is another host's as far as the cluster says, Unavailable."""
        wanted = as_shared(network)
        seen = await plan.networks.check(wanted, alone)
        known = seen.at(wanted.space, wanted.subnet).value
        hosts = [each.host for each in seen.of(known)] if known is not None else []
        asked: list[str] = []
        for pool in pools:
            blocks = await plan.values.blocks(pool.space, pool.subnet)
            claims = {claim.address: claim for claim, _ in await plan.values.claims(pool.space, pool.subnet)}
            keys = {each.key: each for each, _ in await plan.values.identities(pool.space, pool.subnet)}
            theirs = {index: block.value for index, block in blocks.items() if block.value is not None}
            for _, lease in self._taken([pool]):
                decided = _decided(pool, theirs, claims.get(lease.address), lease)
                if decided.claim is not None and not self._is_mine(plan, decided.claim, lease):
                    raise taken(decided.claim)
                if decided.owner not in ("", plan.member.host):
                    asked.append(str(lease.address))
                identity = keys.get(lease.key) if outlives(lease.key) else None
                if identity is not None and identity.address != lease.address:
                    claim = claims.get(identity.address)
                    if claim is not None and claim.sequence == identity.sequence:
                        what = f"address {lease.address} belongs to a key that has {claim.address} in the cluster"
                        raise Conflict(what, holder=claim.held_by(), hint="release one of the two addresses first")
        await plan.hosts.look()
        others = tuple(plan.hosts.name(host) for host in hosts if host != plan.member.host)
        return Published(network.id, _subnets(network), len(self._taken(pools)), others, tuple(asked))

    def _is_mine(self, plan: AddressPlan, claim: AddressClaim, lease: Lease) -> bool:
        """Whether this host has the claim, or may have it for its key."""
        return claim.host == plan.member.host or (outlives(claim.key) and claim.key == lease.key and not claim.boot)

    async def _claim(self, plan: AddressPlan, pools: Sequence[Pool], network_id: str) -> None:
        """This host has a claim of each address in use, or its block. Raises Conflict, Unavailable."""
        progress = self._under_way[network_id]
        left = list(self._unclaimed(plan, pools))
        progress.done, progress.of = 0, len(left)
        for pool, lease in left:
            await self._claim_one(plan, pool, lease)
            progress.done += 1

    async def _claim_left(self, plan: AddressPlan, pools: Sequence[Pool], network_id: str) -> list[Fault]:
        """The same by a turn, for what is left; what could not be done. Raises Unavailable."""
        faults: list[Fault] = []
        for pool, lease in list(self._unclaimed(plan, pools)):
            try:
                await self._claim_one(plan, pool, lease)
            except Unavailable:
                raise
            except Fault as fault:
                what = f"address {lease.address} of network {network_id[:12]} is in use here and not this host's"
                faults.append(Conflict(f"{what}: {fault.what}", holder=fault.holder, hint="restart that container"))
        return faults

    def _unclaimed(self, plan: AddressPlan, pools: Sequence[Pool]) -> Iterator[tuple[Pool, Lease]]:
        for pool, lease in self._taken(pools):
            kept = self._cache.host_claim(pool.space, pool.subnet, lease.address)
            if kept is not None and kept.phase is Phase.HELD:
                if pool in self._ipam.shared and self._is_used_untold(plan, kept, lease):
                    yield pool, lease
            elif lease.state is State.FIXED or not self._is_in_block(pool, lease):
                yield pool, lease

    def _is_used_untold(self, plan: AddressPlan, kept: HostClaim, lease: Lease) -> bool:
        """Whether the address was put to use after it was claimed, and before the network was the cluster's."""
        return bool(kept.claim.key) and lease.active is not None and kept.claim.boot != plan.member.boot

    def _is_in_block(self, pool: Pool, lease: Lease) -> bool:
        ranges = self._ipam.index.blocks.ranges(pool.space, pool.subnet) or ()
        return any(start <= int(lease.address) < end for start, end in ranges)

    async def _claim_one(self, plan: AddressPlan, pool: Pool, lease: Lease) -> None:
        """Raises Conflict when it is somebody else's, Unavailable. A lease that is gone by now leaves a claim for a
        turn to release."""
        now = self._cache.lease(pool.space, lease.address)
        if now is None or now.state not in TAKEN:
            return
        if await plan.regained(pool.space, pool.subnet, now.address):
            return
        if now.state is State.FIXED:
            kept = self._cache.host_claim(pool.space, pool.subnet, now.address)
            if kept is None or kept.phase is not Phase.HELD:
                await self._ipam.fixed_claims.adopt(pool, now)
            if pool in self._ipam.shared and now.active is not None:
                await self._ipam.fixed_claims.use(now)
            return
        who = now.mac or now.name or now.owner or self._clock.token()
        spec = Spec(pool.space, pool.subnet, self._clock.token(), mac=now.mac, holder=who)
        with plan.blocks.being_claimed.own(pool.space, now.address):
            await plan.claims.claim(spec, now.address)


def _decided(pool: Pool, blocks: dict[int, Block], claim: AddressClaim | None, lease: Lease) -> Decides:
    divided = division(pool.subnet)
    block = blocks.get(divided.index_of(lease.address)) if divided is not None else None
    return decides(block, lease.address, claim)


def _subnets(network: Network) -> tuple[str, ...]:
    return tuple(str(segment.subnet) for segment in network.segments)
