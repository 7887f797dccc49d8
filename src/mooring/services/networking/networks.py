"""Making and removing networks.

Rules: the record is written before the driver is told, and goes before the driver cleans up, so what the kernel has
without a record is a leftover and what a record has without the kernel is rebuilt (kernel_reconciler.py); a driver that
remembers is told of every end, so what is begun with it is noted in the record first (`pending`), and a start undoes or
finishes it; bridges of this host never overlap; a network without a subnet of Docker's gets one of ours; one of the
cluster is made with its word, and recorded together with this host's part in it (cluster_networks.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

import msgspec

from mooring.core.dns_places import check_dns
from mooring.core.domains import check_options, free_number
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Lease
from mooring.core.networks import OUR_IPAM, Network, NetworkOptions, Origin, Pending, Scope, Segment
from mooring.core.pools import Pool
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.ports import Driver, IpamDriver
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import Ipam
from mooring.services.ipam.pools import ATTEMPTS, contended
from mooring.services.networking.cluster_networks import ClusterNetworks
from mooring.services.networking.handoff_networks import confirmed, named
from mooring.services.networking.network_checks import (
    check_families,
    check_routes,
    must_have_addresses,
    must_match,
    options_of,
)
from mooring.services.networking.overlaps import Overlaps
from mooring.services.networking.own_subnets import OUR_SPACES, families_on_demand, owned_options, with_ipv6
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.records.endpoint_index import Records

# The lock under which a network finds its place among the others; ids of networks are hexadecimal.
ROOM = "room"


class Networks:
    """CreateNetwork and DeleteNetwork."""

    def __init__(
        self,
        records: Records,
        drivers: Drivers,
        ipam: Ipam,
        port_allocator: PortAllocator,
        overlaps: Overlaps,
        cluster_networks: ClusterNetworks,
        separate_tenants: bool = False,
        serves_dns: bool = True,
    ) -> None:
        """separate_tenants: new networks of a tenant are in a routing domain of its own. serves_dns: the daemon may
        have a DNS server."""
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._network_index = overlaps.network_index
        self._drivers = drivers
        self._ipam = ipam
        self._port_allocator = port_allocator
        self._overlaps = overlaps
        self.cluster_networks = cluster_networks
        self._separate_tenants = separate_tenants
        self._serves_dns = serves_dns
        self.check_encryption: Callable[[], Awaitable[None]] | None = None

    async def create(self, request: NetworkRequest) -> None:
        """The network is recorded and its bridge is up.

        Called again with the same request it repairs what is missing. Raises BadRequest for options that cannot be,
        Conflict when a subnet or the bridge's name is in use. On a fault nothing is left.
        """
        options = options_of(request)
        if options.encrypted and self.check_encryption is not None:
            await self.check_encryption()
        request = with_ipv6(request, options)
        driver = await self._drivers.network_driver(request.driver or options.mode.value)
        async with self._locks.hold(request.id):
            known = self._cache.network(request.id)
            if known is not None:
                must_match(known, request)
                await driver.create_network(known)
                return
            if request.origin is Origin.ENGINE:
                options = named(options, self._ipam.vnics)
                must_have_addresses(request, options)
                await self._retire_twins(request)
            owned: list[str] = []
            try:
                network = await self._enter(request, options, driver, owned)
            except BaseException:
                entered = self._cache.network(request.id)
                if entered is not None:  # by a commit whose answer was lost
                    await self._roll_back(entered, driver)
                for pool_id in owned:
                    await self._ipam.release_pool(pool_id)
                raise
            try:
                await driver.create_network(network)
                if network.pending is not None:
                    await self._cache.commit(put=[replace(network, pending=None)])
            except BaseException:
                await self._roll_back(network, driver)
                raise

    async def _enter(
        self, request: NetworkRequest, options: NetworkOptions, driver: Driver, owned: list[str]
    ) -> Network:
        """The network is recorded with its pools and overlaps no other. owned: gets the pools that were made for it."""
        async with self._locks.hold(ROOM):
            network, pools = await self._draft(request, options, driver, owned)
            if options.scope is Scope.LOCAL:
                await self.cluster_networks.check_local(pools)
                await self._cache.commit(put=[network, *pools])
                return network
        # The cluster is asked while others go on; then it is looked again whether there is room.
        async with self.cluster_networks.joining(network, pools) as parts, self._locks.hold(ROOM):
            again, pools = await self._draft(request, options, driver, owned)
            if again.segments != network.segments:
                raise Conflict("the subnets of the network were changed meanwhile", hint="try again")
            await self._cache.commit(put=[again, *pools, *parts])
            return again

    async def _draft(
        self, request: NetworkRequest, options: NetworkOptions, driver: Driver, owned: list[str]
    ) -> tuple[Network, list[Pool]]:
        """The network with its pools as they are to be recorded, which overlaps no other. owned: as `_enter`."""
        later = families_on_demand(request, options)
        for version in later:  # a name that there is not is told now
            self._ipam.subnet_pools.chosen(version, options.tenant or "default", owned_options(options, version))
        now = [
            part for part in request.ipv4 + request.ipv6 if part.subnet.prefixlen or part.subnet.version not in later
        ]
        segments = [await self._segment(part, part.subnet.version, options, owned) for part in now]
        ipv4 = tuple(segment for segment in segments if segment.subnet.version == 4)
        ipv6 = tuple(segment for segment in segments if segment.subnet.version == 6)
        network = Network(
            request.id,
            options,
            request.internal,
            ipv4,
            ipv6,
            self._clock.now(),
            dict(request.raw),
            driver=request.driver,
            origin=request.origin,
            name=request.name,
            labels=dict(request.labels),
            attachable=request.attachable,
            ipam=request.ipam,
            pending=Pending.CREATE if driver.remembers else None,
            on_demand=later,
        )
        network = self.placed(network)
        check_options(network)
        check_dns(network, self._serves_dns)
        check_routes(network)
        for segment in network.segments:
            if not segment.pool:  # another IPAM driver's: our own has looked when it gave the pool
                self._ipam.deny_list.check(segment.subnet)
        self._network_index.check_room(network)
        await self._overlaps.check(network)
        pools = self._pools(network)
        network = confirmed(network, pools, self._ipam.vnics)
        check_families(network, pools)
        return network, [msgspec.structs.replace(pool, network=network.id) for pool in pools]

    def placed(self, network: Network, reserved: Iterable[int] = ()) -> Network:
        """The network, in a routing domain if it is to be in one. reserved: numbers of domains that are others'. Raises
        Exhausted."""
        if not (self._separate_tenants and network.bridged and network.tenant):
            return network
        return replace(network, domain=free_number(self._cache.every(Network), network.tenant, reserved))

    async def readmit(self, network: Network, pools: Sequence[Pool], leases: Sequence[Lease]) -> bool:
        """A network that its engine has is on record again, with its pools and what they began with.

        False when it is by now. Repair makes the kernel follow. Raises Conflict when something on record is in its way.
        """
        network = await self.cluster_networks.as_published(network)
        async with self._locks.hold(network.id), self._locks.hold(ROOM):
            if self._cache.network(network.id) is not None:
                return False
            self._network_index.check_room(network)
            for pool in pools:
                for other in self._ipam.index.overlapping(pool.space, pool.subnet):
                    raise Conflict(f"subnet {pool.subnet} overlaps a recorded subnet", holder=f"pool {other.id}")
            parts = self.cluster_networks.parts(network)
            await self._cache.commit(put=[network, *pools, *leases, *parts])
        return True

    async def _roll_back(self, network: Network, driver: Driver) -> None:
        """Nothing of the network is left. A driver that cannot be told now is told at the next start by the note."""
        if driver.remembers:
            with contextlib.suppress(Fault):
                await driver.delete_network(network, ())
                await self._delete(network, driver)
        else:
            await self._delete(network, driver)

    async def delete(self, network_id: str, force: bool = False, empty: bool = False) -> None:
        """The network and every endpoint of it are gone; what is not known is gone already.

        Its pools are released as well: Docker has done so or is about to, or has forgotten (a retry comes without a
        body), and releasing what is released is success. force: also when its driver cannot be reached, which then may
        keep what it made. Raises Unavailable otherwise: the network is marked, and deleting it again goes on. empty:
        only when it has no endpoints. Raises Conflict otherwise, which names them.
        """
        async with self._locks.hold(network_id):
            network = self._cache.network(network_id)
            if network is None:
                return
            endpoints = self._endpoint_index.of_network(network_id)
            if empty:
                self.must_be_empty(network)
            driver = await self._mark(network, force)
            if driver is not None and driver.remembers:
                try:
                    await driver.delete_network(network, endpoints)
                except Fault:
                    if not force:
                        raise
            await self._release_subnets(network, force)
            await self._delete(network, driver)

    def must_be_empty(self, network: Network) -> None:
        """Raises Conflict when it has endpoints, and names them."""
        endpoints = self._endpoint_index.of_network(network.id)
        if endpoints:
            raise Conflict(
                f"network {network.name or network.id[:12]} has endpoints",
                holder=", ".join(endpoint.name or endpoint.id[:12] for endpoint in endpoints[:5]),
                hint="delete them first",
            )

    async def _mark(self, network: Network, force: bool) -> Driver | None:
        """The network's driver, None when it cannot be had and that is forgiven. The record says that it goes, where
        going takes more than one step: an engine repeats what it did not hear of, nobody else does."""
        try:
            driver = await self._drivers.network_driver(network.driver)
        except (NotFound, Unavailable):
            if not force:
                raise
            driver = None
        marked = replace(network, pending=Pending.DELETE)
        if network.origin is Origin.LIBRARY and network != marked:
            await self._cache.commit(put=[marked])
        return driver

    async def _release_subnets(self, network: Network, force: bool) -> None:
        """Another IPAM driver's subnets are given up."""
        if network.ipam == OUR_IPAM or network.origin is Origin.ENGINE:
            return
        try:
            for segment in network.segments:
                await release_segment(await self._drivers.ipam_driver(network.ipam), segment)
        except Fault:
            if not force:
                raise

    async def _delete(self, network: Network, driver: Driver | None) -> None:
        endpoints = self._endpoint_index.of_network(network.id)
        pools = self._pools(network)
        # Of the library's networks nobody asks a second time: the record goes last, for a start to find what is left.
        last = network.origin is Origin.LIBRARY
        if last:
            await self._release(pools)
        await self._forget(network, pools, endpoints)
        for endpoint in endpoints:
            await self._port_allocator.release(endpoint.published)
        if not last:
            await self._release(pools)
        await self.cluster_networks.forgo()
        if driver is not None and not driver.remembers:
            await driver.delete_network(network, endpoints)

    async def _forget(self, network: Network, pools: list[Pool], endpoints: Sequence[Endpoint]) -> None:
        """It is on record no more. A turn may write the host's part in the cluster meanwhile, and Docker, which takes
        the network for gone whatever it is told, does not ask again."""
        for _ in range(ATTEMPTS):
            put, gone = self._ipam.kept_networks.left(pools, network)
            put += self.cluster_networks.leaving(network)
            try:
                await self._cache.commit(put=put, delete=[*endpoints, network, *gone])
            except StaleRevision:
                continue
            self._ipam.kept_networks.tell(put)
            return
        raise contended(f"network {network.id[:12]}")

    async def _release(self, pools: list[Pool]) -> None:
        for pool in pools:
            await self._ipam.release_pool(pool.id)

    async def _segment(self, part: SegmentRequest, version: int, options: NetworkOptions, owned: list[str]) -> Segment:
        tenant = options.tenant
        if part.pool:
            return Segment(part.subnet, part.gateway, part.space, part.pool, dict(part.auxiliary))
        if part.subnet.prefixlen == 0:
            asked = PoolRequest(tenant or part.space, version, options=owned_options(options, version))
            grant = await self._ipam.request_pool(asked)
            owned.append(grant.pool)
            return Segment(grant.subnet, grant.gateway, tenant or part.space, grant.pool)
        pool = self._granted(part, tenant)
        if pool is None and tenant:
            raise BadRequest(
                f"tenant {tenant} has no free subnet {part.subnet}",
                hint=f"create the network through the proxy's socket, or ask for it with --ipam-opt tenant={tenant}",
            )
        # Engines before 28 ask for a gateway's address whatever the network wants; it stays reserved, and unused.
        gateway = None if pool is not None and pool.options.get("gateway") == "none" else part.gateway
        return Segment(
            part.subnet, gateway, pool.space if pool else part.space, pool.id if pool else "", dict(part.auxiliary)
        )

    def _granted(self, part: SegmentRequest, tenant: str) -> Pool | None:
        """The pool that Docker means: it names only the subnet and its own address space, never the PoolID.

        A tenant that was named to the IPAM driver alone does not show in the request, so a pool made in that way may be
        meant. Never one that has addresses in use already: another driver's network lives on it.
        """
        spaces = {tenant} if tenant else {part.space}
        free = [
            pool
            for pool in self._ipam.index.pools_at(part.subnet)
            if not pool.network
            and not self._ipam.is_in_use(pool.id)
            and (pool.space in spaces or (not tenant and part.space in OUR_SPACES and "tenant" in pool.options))
        ]
        free.sort(key=lambda pool: pool.created, reverse=True)
        return free[0] if free else None

    def _pools(self, network: Network) -> list[Pool]:
        """The pools of the network that are still there."""
        found = (self._cache.pool(segment.pool) for segment in network.segments if segment.pool)
        return [pool for pool in found if pool is not None]

    async def _retire_twins(self, request: NetworkRequest) -> None:
        """Remove networks of the same subnet whose pools Docker has released.

        Docker releases a network's pools before it deletes the network, and forgets the deletion when it crashes in
        between (libnetwork/network.go, delete): the subnet is in new hands, so the old network is dead.
        """
        subnets = {part.subnet for part in request.ipv4 + request.ipv6 if part.subnet.prefixlen}
        for other in self._network_index.with_subnets(subnets):
            if other.id != request.id and self.is_pool_released(other):
                await self.delete(other.id)

    def is_pool_released(self, network: Network) -> bool:
        """Whether Docker has released a pool of the network, which it does only when the network is to go."""
        return network.origin is Origin.ENGINE and any(
            segment.pool and self._cache.pool(segment.pool) is None for segment in network.segments
        )


async def release_segment(ipam: IpamDriver, part: Segment | SegmentRequest) -> None:
    """The subnet is given up, and each address of it before: not every IPAM driver sees to that."""
    gateway = [part.gateway.ip] if part.gateway is not None else []
    for address in (*gateway, *part.auxiliary.values()):
        await ipam.release_address(part.pool, address)
    await ipam.release_pool(part.pool)
