"""Networks of the cluster as an operator sees them."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.filters import NetworkFilter, NetworkMode
from mooring.core.overlays import Overlay
from mooring.services.operations.cluster_network_rows import ClusterNetworkRows
from mooring.services.operations.inspection import DaemonFacts, Inspection
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import make


def looking(host: MemberHost) -> tuple[Inspection, ClusterNetworkRows]:
    """The host's."""
    services = host.services
    facts = DaemonFacts("1.0", 0.0, "", "", "")
    inspection = Inspection(services.cache, services.ipam.index, host.clock, facts, lambda: None)
    rows = ClusterNetworkRows(
        services.cache,
        lambda: services.ipam.shared.plan,
        services.repair.overlays.of,
        services.ingress_ports.of_network,
    )
    return inspection, rows


async def test_a_network_of_the_cluster_says_who_takes_part() -> None:
    """By the hosts' names, with its id there and its VNI; whatever the cluster does, what is on record is shown."""
    one, two = await members(2)
    for host in (one, two):
        ident = await make(host, "app", mode="vxlan")
    inspection, rows = looking(two)
    (listed,) = (await inspection.networks(NetworkFilter())).rows
    assert (listed.scope, listed.mode) == ("cluster", "vxlan")
    assert [len((await inspection.networks(NetworkFilter(mode=mode))).rows) for mode in NetworkMode] == [0, 1, 0, 0]
    shown = (await rows.completed(inspection.network(ident))).cluster
    assert shown is not None
    assert (len(shown.id), shown.vni > 4095, shown.unreached) == (12, True, "")
    assert shown.hosts is not None
    assert sorted(host.name for host in shown.hosts) == ["web1", "web2"]
    two.servers.lose_majority()
    away = (await rows.completed(inspection.network(ident))).cluster
    assert away is not None
    assert (away.id, away.hosts, away.unreached) == (shown.id, None, "the cluster's store has no leader")
    await two.membership.leave(True, False)
    alone = (await rows.completed(inspection.network(ident))).cluster
    assert alone is not None
    assert alone.unreached == "this host is in no cluster"


async def test_the_mtu_that_is_shown_is_the_one_that_its_interfaces_have() -> None:
    """Less than that of an underlay of 1500 bytes by what a tunnel takes; 1500 where there is none yet."""
    (host,) = await members(1)
    ident = await make(host, "app", mode="vxlan")
    inspection, rows = looking(host)
    host.services.repair.overlays.open(ident, Overlay(7, ip_address("192.0.2.1"), 1500))
    assert (await rows.completed(inspection.network(ident))).mtu == 1450


async def test_other_networks_have_no_part_in_it() -> None:
    """And are of this host alone."""
    (host,) = await members(1)
    ident = await make(host, "mine", mode="bridge")
    inspection, rows = looking(host)
    detail = await rows.completed(inspection.network(ident))
    assert (detail.scope, detail.cluster) == ("local", None)
