"""What an operator asks and does, over a host in memory."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec

from mooring.core.blocks import SharedSubnet
from mooring.core.containers import ContainerEndpoint, Holder
from mooring.core.leases import Lease, State
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.services.networking.assembly import World
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import Operations, operations
from tests.services.hosts import POLICY, MemoryHost

DB, WEB = "d" * 64, "e" * 64


def operate(host: MemoryHost) -> Operations:
    """The use cases of an operator on the host."""
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    return operations(host.services, world, DaemonFacts("0", 0.0, "", "", "", policy=POLICY))


def lease_of(host: MemoryHost, address: str) -> Lease | None:
    """The lease of the address."""
    return host.services.cache.lease("default", ip_address(address))


async def fix(host: MemoryHost, address: str, *holders: str, key: str = "key:db", **more: object) -> Lease:
    """The address is fixed for the key, and these containers (full ids) name it. A holder's name: its first letter."""
    at: Address = ip_address(address)
    pool = next(pool for pool in host.services.cache.every(Pool) if at in pool.subnet)
    lease = Lease(
        space="default", address=at, pool=pool.id, state=State.FIXED, since=host.clock.now(), key=key,
        holders=frozenset(holders),
    )  # fmt: skip
    lease = msgspec.structs.replace(lease, **more)
    engine = host.engine.id
    known = [Holder(id=each, engine=engine, name=f"name-{each[0]}", since=0.0) for each in holders if ":" not in each]
    await host.services.cache.commit(put=[lease, *known])
    return lease


def run_container(
    host: MemoryHost, ident: str, name: str, endpoint: str, *addresses: str, wanted: bool = False
) -> None:
    """The engine has a running container whose endpoint in network `a` has the addresses."""
    network = "a".ljust(64, "0")
    first = ip_address(addresses[0]) if addresses and wanted else None
    assert first is None or first.version == 4
    host.engine.networks.add(network)
    host.engine.names[network] = "web"
    host.engine.create(ident, name, ContainerEndpoint(network, "web", wanted4=first))
    host.engine.start(ident, network, endpoint.ljust(64, "0"), *addresses)


async def share(host: MemoryHost) -> None:
    """The subnets of the host's pools are the cluster's."""
    cache = host.services.cache
    await cache.commit(put=[SharedSubnet(space=p.space, subnet=p.subnet, since=0.0) for p in cache.every(Pool)])
