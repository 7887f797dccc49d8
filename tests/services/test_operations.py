"""The operator's use cases, put together."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.cluster_networks import NetworkMember
from mooring.core.filters import PoolFilter
from mooring.core.networks import Network, Scope
from mooring.services.assembly import assemble
from mooring.services.cluster.shared_values import SharedValues
from mooring.services.networking.assembly import World
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import operations
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import POLICY
from tests.services.samples import ETCD, sample


async def test_a_host_without_an_engine_has_them_all() -> None:
    """Nothing is found on an empty host, and what needs no engine works."""
    world = World(MemoryStore(), MemoryKernel(), MemoryPortGuard(), None, ManualClock())
    services = assemble(world, POLICY)
    operated = operations(services, world, DaemonFacts("0", 0.0, "", "", "", policy=POLICY))
    await services.cache.load()
    assert (await operated.doctor.examine()).findings == ()
    assert (await operated.lookup.explain("10.40.0.1")).reasons
    assert (await operated.inspection.pools(PoolFilter())).rows == []
    await services.repair.once()
    assert operated.inspection.status().repair is not None


async def test_this_host_is_called_as_in_its_cluster() -> None:
    """By the name that it joined with, not by the machine's, which people see nowhere else."""
    operated = (await sample()).operations
    assert (await operated.names()).hosts == {}  # the sample's machine has no name
    await operated.cluster.begin(ClusterAccess(cluster="", endpoints=(ETCD,)), "rack7", "", False)
    assert list((await operated.names()).hosts.values()) == ["rack7"]
    await operated.cluster.leave(True, False)
    assert (await operated.names()).hosts == {}


async def test_a_network_that_was_of_a_cluster_is_no_remark_when_its_host_joins_again() -> None:
    """It is the very one that the host takes part in then; a network of the host's own is in the way."""
    host = await sample()
    access, cluster = ClusterAccess(cluster="", endpoints=(ETCD,)), host.operations.cluster
    await cluster.begin(access, "rack7", "", False)
    part = NetworkMember(space="default", subnet=ip_network("10.32.0.0/24"), host="other", network="n")
    await SharedValues(cluster.entered()[1]).put(part, 0)
    await cluster.leave(True, False)
    assert "subnets" in {check.what for check in (await cluster.begin(access, "rack7", "", True)).checks}
    shared = [replace(each, options=replace(each.options, scope=Scope.CLUSTER)) for each in host.cache.every(Network)]
    await host.cache.commit(put=shared)
    assert "subnets" not in {check.what for check in (await cluster.begin(access, "rack7", "", True)).checks}
