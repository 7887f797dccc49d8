"""An Ipam over a store that outlives it, driven as dockerd does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import msgspec

from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Interface, Subnet
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import AddressRequest, PoolGrant, PoolRequest, Role
from mooring.core.subnet_index import Holdings
from mooring.ports import HostNet
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_store import MemoryStore

NETWORK = "a" * 64
POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool("default4", "default", (ip_network("10.32.0.0/12"),), 24, 16, 30),),
    subnet_pools6=(SubnetPool("default6", "default", (ip_network("fd00:32::/48"),), 64),),
    deny=(ip_network("10.66.0.0/16"),),
)


@dataclass
class Host:
    """An Ipam over a store, which outlives it."""

    policy: IpamPolicy = POLICY
    routes: Sequence[Subnet] = ()
    own: dict[Interface, str] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    cache: RecordCache = field(init=False)
    ipam: Ipam = field(init=False)

    def __post_init__(self) -> None:
        self.cache = RecordCache(self.store)
        self.ipam = Ipam(self.cache, self.clock, self.policy, self)

    async def host_net(self) -> HostNet:
        """See Surroundings."""
        return HostNet(self.own, Holdings(self.routes), Holdings((*self.routes, *(each.network for each in self.own))))

    def host_moved(self) -> bool:
        """See Surroundings."""
        return True

    async def restart(self) -> None:
        """The daemon died and is back."""
        self.__post_init__()
        await self.cache.load()

    async def pool(self, subnet: str = "10.0.0.0/24", limit: str | None = None, space: str = "default") -> PoolGrant:
        """A pool with a subnet typed by hand, gateway included."""
        net = ip_network(subnet)
        parsed = ip_network(limit) if limit else None
        return await self.ipam.request_pool(PoolRequest(space, net.version, net, range=parsed))

    async def bare(self, subnet: str) -> str:
        """A pool without a gateway."""
        net = ip_network(subnet)
        grant = await self.ipam.request_pool(PoolRequest("default", net.version, net, options={"gateway": "none"}))
        assert grant.gateway is None
        return grant.pool

    async def ask(self, pool: str, address: str | None = None, *, mac: str = "", name: str = "") -> str:
        """An endpoint's address."""
        wanted = ip_address(address) if address else None
        return str(await self.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, wanted, mac, name)))

    async def bind(self, *pools: str) -> None:
        """The network is created with these pools."""
        bound = [msgspec.structs.replace(self.known(pool), network=NETWORK) for pool in pools]
        await self.cache.commit(put=bound)

    async def endpoint(self, ident: str, address: Interface) -> Endpoint:
        """CreateEndpoint happened."""
        v4 = address if address.version == 4 else None
        endpoint = Endpoint(ident.ljust(64, "0"), NETWORK, v4, None, "02:00:00:00:00:01", 0.0)
        await self.cache.commit(put=[endpoint])
        return endpoint

    def known(self, pool: str) -> Pool:
        """The pool's record."""
        known = self.cache.pool(pool)
        assert known is not None
        return known

    def lease(self, address: str, space: str = "default") -> Lease | None:
        """The address's record."""
        return self.cache.lease(space, ip_address(address))

    async def put(self, pool: str, address: str, state: State, **fields: object) -> None:
        """Somebody else wrote a lease."""
        lease = Lease(space="default", address=ip_address(address), pool=pool, state=state, since=self.clock.now())
        await self.cache.commit(put=[msgspec.structs.replace(lease, **fields)])


def state(host: Host, address: Address) -> State | None:
    """The state of the address's lease."""
    lease = host.cache.lease("default", address)
    return lease.state if lease is not None else None
