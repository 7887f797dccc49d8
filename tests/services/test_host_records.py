"""What the cluster keeps of its hosts; how it is used is tested with the membership."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.cluster_hosts import ClusterRecord
from mooring.core.cluster_keys import block_key, member_key, network_key
from mooring.core.faults import StaleRevision, Unavailable
from mooring.services.cluster.host_records import HostRecords
from mooring.testing.memory_cluster import MemoryCluster
from tests.core.test_cluster_hosts import MINE


async def test_records_are_written_by_compare_and_swap() -> None:
    """A second cluster, a second host of one id, a session that another writes: stale."""
    records = HostRecords(MemoryCluster().client("a"))
    cluster = ClusterRecord(id="c", made=1.0, by="web1")
    await records.make_cluster(cluster)
    assert await records.cluster() == cluster
    revision = await records.put_host(MINE, 0)
    assert await records.host("new") == (MINE, revision)
    assert await records.hosts() == [MINE]
    await records.put_session("new", "b2", 0, 5.0)
    assert (await records.session("new"))[0] == "b2"
    for stale in (
        records.make_cluster(cluster),
        records.put_host(replace(MINE, name="x"), 0),
        records.put_session("new", "b3", 0, 5.0),
    ):
        with pytest.raises(StaleRevision):
            await stale
    await records.end_session("new", "b3")  # of another boot
    assert await records.heard() == {"new"}
    await records.end_session("new", "b2")
    assert await records.heard() == frozenset()
    await records.delete_host("new", revision)
    assert await records.host("new") == (None, 0)


async def test_the_subnets_of_the_cluster_are_those_of_its_keys() -> None:
    """Whatever is kept of them; what cannot be read says nothing."""
    client = MemoryCluster().client("a")
    one, two = ip_network("10.32.0.0/16"), ip_network("fd00::/64")
    for key in (block_key("default", one, 3), network_key("red", two), "block/x", "addr/a/b/c"):
        await client.put(key, b"{}", 0)
    assert await HostRecords(client).shared_subnets() == {one, two}


async def test_what_a_host_has_is_said_by_values_and_by_the_keys_of_its_networks() -> None:
    """Blocks and addresses bear its id; that it takes part in a network is in a key of its own."""
    client, one = MemoryCluster().client("a"), ip_network("10.32.0.0/16")
    for key, value in (
        (block_key("default", one, 3), b'{"host":"A"}'),
        (network_key("default", one), b"{}"),
        (member_key("default", one, "A"), b"{}"),
        (member_key("default", one, "B"), b"{}"),
    ):
        await client.put(key, value, 0)
    held = [block_key("default", one, 3), member_key("default", one, "A")]
    assert list(await HostRecords(client).held("A")) == held


async def test_what_is_no_record_is_a_fault() -> None:
    """A newer Mooring wrote it, or somebody else did."""
    client = MemoryCluster().client("a")
    await client.put("host/x", b"nonsense", 0)
    with pytest.raises(Unavailable, match="the record of a host of the cluster cannot be read"):
        await HostRecords(client).hosts()
