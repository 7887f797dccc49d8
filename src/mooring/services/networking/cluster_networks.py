"""Networks of this host that other hosts of the cluster take part in.

Rules: before the cluster hears of a network it is noted here as one that is being left, so that whatever is broken off
is taken back by a turn; a network is made with the cluster's word alone, and removed without: it is told when it can
be. What is shared stays so until this host has given back what it had of it, or is in no cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import msgspec

from mooring.core.address_claims import AddressClaim, HostClaim
from mooring.core.blocks import HostBlock, LeftSubnet, SharedSubnet
from mooring.core.cluster_hosts import Membership, other_ports
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork, NetworkMember, as_shared
from mooring.core.cluster_options import published
from mooring.core.faults import BadRequest, Conflict, Fault, StaleRevision, Unavailable
from mooring.core.networks import Network, Scope, Subnet
from mooring.core.overlays import PORT
from mooring.core.pools import Pool
from mooring.ports import Cluster, Engine
from mooring.services.cluster.address_plan import COMPARE, AddressPlan
from mooring.services.cluster.shared_networks import SharedNetworks
from mooring.services.cluster.shared_values import ATTEMPTS, contended
from mooring.services.ipam.allocator import Ipam
from mooring.services.records.endpoint_index import Records
from mooring.services.records.locks import KeyedLocks
from mooring.services.records.record_cache import Record


class ClusterNetworks:
    """A part of the cluster's runtime, and what networks ask when they are made and removed. is_member: whether this
    host is in a cluster, reached or not."""

    def __init__(self, records: Records, ipam: Ipam, engine: Engine | None, vxlan_port: int = PORT) -> None:
        """engine: knows what networks are called; None where there is none. vxlan_port: of UDP, of this host's
        tunnels."""
        self._cache, self._clock, self._locks = records.cache, records.clock, records.locks
        self._ipam, self._engine, self._vxlan_port = ipam, engine, vxlan_port
        self.is_member: Callable[[], bool] = lambda: False
        self._places = KeyedLocks()
        self._begun: set[str] = set()  # ids of networks that are being made
        self._confirmed = float("-inf")
        self._names: dict[str, str] = {}  # of networks, by full id

    @asynccontextmanager
    async def joining(self, network: Network, pools: Sequence[Pool]) -> AsyncIterator[list[Record]]:
        """This host takes part in the cluster's network of these subnets, which is made if it is not there; what is to
        be committed together with the network and its pools before this is left. With an exception the host does not.

        Raises BadRequest for what cannot be shared, Conflict as SharedNetworks.join, Unavailable without a cluster.
        """
        alone = check_shareable(network, pools)
        wanted = as_shared(network, self._clock.now())
        plan = self.entered_plan()
        self._begun.add(network.id)
        try:
            async with self._place(wanted):
                await self._finish_others(network.id, wanted, plan)
                # Without the cluster nothing is begun that waits for it.
                seen = await plan.networks.networks(wanted.space)
                if wanted.overlay:
                    await self._check_port(seen.of_subnet(wanted.subnet), plan)
                await self._cache.commit(put=[HostNetwork(network=network.id, shared=wanted, leaving=True)])
                try:
                    shared = await plan.networks.join(
                        wanted, network.options.vni, alone=alone, published=docker_id(network)
                    )
                    yield self.parts(network, shared)
                except Fault as fault:
                    part = self._cache.host_network(network.id)
                    if part is not None and part.leaving and not isinstance(fault, Unavailable):
                        with suppress(Fault):  # then a turn does it
                            await self._leave(part, plan)
                    raise
        finally:
            self._begun.discard(network.id)

    async def _check_port(self, members: Sequence[NetworkMember], plan: AddressPlan) -> None:
        """Raises Conflict where the tunnels of others that take part end at another port, Unavailable."""
        others = {member.host for member in members} - {plan.member.host}
        hosts = [host for host in await plan.values.hosts.hosts() if host.id in others] if others else []
        if unlike := other_ports(self._vxlan_port, hosts):
            raise Conflict(
                f"tunnels of the network end at UDP port {self._vxlan_port} here, {unlike[0].vxlan_port} on host "
                f"{unlike[0].name}: neither would hear the other",
                holder=", ".join(f"host {host.name}" for host in unlike[:5]),
                hint="set `vxlan_port` to the same on all hosts, and restart the daemons",
            )

    def parts(self, network: Network, shared: ClusterNetwork | None = None) -> list[Record]:
        """What a network of the cluster has on record beside itself; nothing for another one. shared: as the cluster
        has it, None while that has not been asked."""
        if network.options.scope is not Scope.CLUSTER or not all(segment.pool for segment in network.segments):
            return []
        now = self._clock.now()
        shared = shared if shared is not None else as_shared(network, now)
        subnets = [SharedSubnet(space=shared.space, subnet=subnet, since=now) for subnet in shared.subnets]
        return [HostNetwork(network=network.id, shared=shared), *subnets]

    async def as_published(self, network: Network) -> Network:
        """The network, of which an engine does not say that it is the cluster's, as it is where this host has published
        it. What cannot be asked is as the engine says (published_networks.py looks again)."""
        plan = self._ipam.shared.plan
        if plan is None or network.options.scope is Scope.CLUSTER or not network.segments:
            return network
        first = network.segments[0]
        try:
            seen = await plan.networks.networks(first.space)
        except Unavailable:
            return network
        mine = seen.part(first.space, first.subnet, plan.member.host).value
        if mine is None or mine.published != network.id:
            return network
        return replace(network, options=replace(network.options, scope=Scope.CLUSTER))

    def leaving(self, network: Network) -> list[Record]:
        """What is to be written when the network is removed: that the cluster has to be told."""
        part = self._cache.host_network(network.id)
        return [msgspec.structs.replace(part, leaving=True)] if part is not None else []

    async def forgo(self) -> None:
        """Where this host is in no cluster, what it would have to tell one is dropped. Raises Unavailable."""
        if not self.is_member():
            for part in self._being_left():
                with suppress(StaleRevision):
                    await self._drop(part)
            if left := tuple(self._cache.every(LeftSubnet)):
                with suppress(StaleRevision):
                    await self._cache.commit(delete=left)

    async def check_local(self, pools: Sequence[Pool]) -> None:
        """Raises Conflict for pools of subnets that this host shared, and has not told the cluster that it left."""
        await self.forgo()
        for pool in pools:
            if any(_is_in(pool, part) for part in self._being_left()):
                raise Conflict(
                    f"subnet {pool.subnet} is one of the cluster's until that has heard that this host has left it",
                    hint="choose another subnet, or see `mooring cluster status`",
                )

    async def entered(self, _cluster: Cluster, _membership: Membership) -> None:
        """See Part."""
        self._confirmed = float("-inf")

    async def left(self) -> None:
        """See Part."""

    async def turn(self) -> list[Fault]:
        """Networks that were removed are left, and from time to time it is looked whether the cluster still knows of
        the others. What could not be done."""
        faults: list[Fault] = []
        try:
            plan = self.entered_plan()
            for part in self._being_left():
                await self._alone(part, partial(self._leave, plan=plan), faults)
            new = any(not part.shared.id and not part.leaving for part in self._cache.every(HostNetwork))
            if new or self._clock.boot() - self._confirmed >= COMPARE:
                for part in self._cache.every(HostNetwork):
                    await self._alone(part, partial(self._confirm, networks=plan.networks), faults)
                await plan.networks.sweep()
                await plan.left.sweep()
                await self._leave_strays(plan)
                self._confirmed = self._clock.boot()
            if silent := plan.networks.silent:
                faults.append(_waits_for([plan.hosts.name(host) for host in silent]))
        except Unavailable as fault:
            faults.append(fault)
        return faults

    def waiting(self) -> Mapping[str, int]:
        """See Waiting."""
        return {"network to leave|networks to leave": len(self._being_left())}

    async def _leave_strays(self, plan: AddressPlan) -> None:
        """What the cluster was told late of a network that this host had left is taken back. Raises Unavailable."""
        for stray in await plan.networks.strays(self._taken_part_in()):
            async with self._place(stray):
                if (stray.space, stray.subnet) not in self._taken_part_in():
                    await plan.networks.leave(stray)

    def _taken_part_in(self) -> set[tuple[str, Subnet]]:
        return {(part.shared.space, part.shared.subnet) for part in self._cache.every(HostNetwork)}

    async def _alone(
        self, part: HostNetwork, work: Callable[[HostNetwork], Awaitable[None]], faults: list[Fault]
    ) -> None:
        """Do it while nobody else does anything with the network. Raises Unavailable."""
        if part.network in self._begun:
            return
        async with self._locks.hold(part.network):
            if part.network in self._begun:  # it came while we waited, has the place, and waits for the network
                return
            async with self._place(part.shared):
                now = self._cache.host_network(part.network)
                if now is None or now.leaving is not part.leaving:
                    return
                try:
                    await work(now)
                except StaleRevision:
                    return
                except Unavailable:
                    raise
                except Fault as fault:
                    faults.append(fault)

    async def _confirm(self, part: HostNetwork, networks: SharedNetworks) -> None:
        """This host is in the network, as the cluster has it now. Raises Conflict, StaleRevision, Unavailable."""
        if part.leaving:
            return
        network = self._cache.network(part.network)
        if network is None:
            await self._cache.commit(put=[msgspec.structs.replace(part, leaving=True)])
            return
        name = await self._name(network)
        found = await networks.confirm(part.shared, network.options.vni, name, docker_id(network))
        found = msgspec.structs.replace(found, ending=False, closed=False)
        if found != part.shared:
            await self._cache.commit(put=[msgspec.structs.replace(part, shared=found)])

    async def _name(self, network: Network) -> str:
        """What the engine calls it; "" while that is not known."""
        if network.name or self._engine is None:
            return network.name
        if network.id not in self._names:
            try:
                found = await self._engine.network(network.id)
            except Fault:
                return ""
            if found is None:
                return ""
            self._names[network.id] = found.name
        return self._names[network.id]

    async def _finish_others(self, network_id: str, wanted: ClusterNetwork, plan: AddressPlan) -> None:
        """Whatever else this host had in that place, it has left, and so has the network, which may have had its id
        before, what that was in. Raises Unavailable."""
        for part in self._cache.every(HostNetwork):
            here = (part.shared.space, part.shared.subnet) == (wanted.space, wanted.subnet)
            if part.leaving and (part.network == network_id or (here and part.network not in self._begun)):
                await self._leave(part, plan)

    async def _leave(self, part: HostNetwork, plan: AddressPlan) -> None:
        """The cluster has nothing of this host's part any more, and neither has this host. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            with suppress(StaleRevision):
                for subnet in part.shared.subnets:
                    await plan.release_subnet(part.shared.space, subnet)
                await plan.networks.leave(part.shared)
                await self._drop(part, plan.left.noted(part.shared))
                return
        raise contended(f"this host's part in network {part.shared.subnet}")

    async def _drop(self, part: HostNetwork, left: Sequence[LeftSubnet] = ()) -> None:
        """Nothing is shared any more of what the part was in. left: what is said of that."""
        gone: list[Record] = [each for each in self._cache.every(SharedSubnet) if _is_in(each, part)]
        gone += [block for block in self._cache.every(HostBlock) if _is_in(block, part)]
        gone += [kept for kept in self._cache.every(HostClaim) if _is_in(kept.claim, part)]
        await self._cache.commit(put=left, delete=[part, *gone])
        self._names.pop(part.network, None)

    def _being_left(self) -> list[HostNetwork]:
        return [part for part in self._cache.every(HostNetwork) if part.leaving and part.network not in self._begun]

    def entered_plan(self) -> AddressPlan:
        """The cluster's. Raises Unavailable."""
        plan = self._ipam.shared.plan
        if plan is None and self.is_member():
            raise Unavailable("this host has not entered its cluster yet", hint="try again in a moment")
        if plan is None:
            raise Unavailable("this host is in no cluster", hint="join one with `mooring cluster join TOKEN`")
        return plan

    def _place(self, shared: ClusterNetwork) -> AbstractAsyncContextManager[None]:
        return self._places.hold(f"{shared.space} {shared.subnet}")


def _is_in(thing: SharedSubnet | HostBlock | AddressClaim | Pool, part: HostNetwork) -> bool:
    return thing.space == part.shared.space and thing.subnet in part.shared.subnets


def _waits_for(hosts: Sequence[str]) -> Conflict:
    """What is told while something of networks that are not there is kept."""
    return Conflict(
        "something of a network that is not in the cluster any more stays there: a host that is not heard may have it",
        holder=", ".join(f"host {host}" for host in hosts[:5]),
        hint="start that host; if it is gone for good, `mooring cluster hosts forget` it",
    )


def docker_id(network: Network) -> str:
    """What a host's member key says of a network that was published, "" of any other one."""
    return network.id if published(network) else ""


def check_shareable(network: Network, pools: Sequence[Pool]) -> bool:
    """Whether the subnets were chosen here, so that no other host can mean them. Raises BadRequest for a network that
    cannot be shared."""
    if not network.segments or len(pools) != len(network.segments):
        raise BadRequest(
            "a network of the cluster has subnets whose addresses Mooring gives",
            hint="add `--ipam-driver mooring` and the same `--subnet` on each host",
        )
    if network.domain and network.options.overlay:
        raise BadRequest(
            f"a network of tenant {network.tenant}, which has a routing domain of its own, cannot be of mode vxlan yet",
            hint="use -o scope=cluster alone, or `tenants = shared`",
        )
    return any(pool.source for pool in pools)
