"""A host in memory that may join a cluster in memory."""

from __future__ import annotations

import pytest

from mooring.core.cluster_hosts import ClusterAccess, Membership
from mooring.core.faults import BadRequest, Unavailable
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_cluster_setup import MemoryClusterSetup


async def test_a_host_has_links_servers_and_a_file() -> None:
    """What it has not is refused as a real one would."""
    servers = MemoryCluster()
    setup = MemoryClusterSetup({"https://e:1": servers}, "10.0.0.1")
    access = ClusterAccess(cluster="c", endpoints=("https://e:1",))
    for given in ("eth0", "10.0.0.1"):
        assert await setup.underlay(given, access.endpoints) == await setup.underlay("", ())
    with pytest.raises(BadRequest):
        await setup.underlay("wg0", ())
    await setup.connect(access).put("a", b"1", 0)
    assert servers.records == {"a": b"1"}
    with pytest.raises(Unavailable):
        setup.connect(ClusterAccess(cluster="c", endpoints=("https://e:2",)))
    with pytest.raises(BadRequest):
        setup.connect(ClusterAccess(cluster="c", endpoints=()))
    kept = Membership(access=access, host="h", name="n", machine="m")
    setup.keep(kept)
    assert setup.kept() == kept
    assert await setup.offset(access) == 0.0
    setup.links.clear()
    with pytest.raises(Unavailable):
        await setup.underlay("", ())
