"""Networks of the cluster as an operator sees them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from mooring.core.filters import NetworkFilter, NetworkMode
from mooring.core.ingress import Way
from mooring.core.overlays import Overlay
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.services.operations.cluster_network_rows import ClusterNetworkRows
from mooring.services.operations.inspection import DaemonFacts, Inspection
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import make


def looking(host: MemberHost) -> tuple[Inspection, ClusterNetworkRows]:
    """The host's."""
    services = host.services
    facts = DaemonFacts("1.0", 0.0, "", "", "")
    inspection = Inspection(services.cache, services.ipam.index, host.clock, facts, lambda: None)
    overlays, ingress = services.repair.overlays, services.ingress_ports
    rows = ClusterNetworkRows(
        services.cache, services.endpoint_index, lambda: services.ipam.shared.plan, overlays.of, ingress.of_network
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


async def test_a_network_that_the_site_routes_says_what_is_behind_each_host() -> None:
    """Its blocks, and each address of its containers that is in another's: so a router has one way to each container,
    and the longer prefix wins. Nothing of the kind is said of an overlay."""
    hosts = await members(3)
    for host in hosts:
        ident = await make(host, "app", scope="cluster")
        await host.turn()
    for number, host in enumerate(hosts):
        await host.endpoint(ident, f"c{number}")
    taken = next(iter(hosts[0].services.endpoint_index.of_network(ident))).addresses[0]
    behind = []
    for host in hosts:
        inspection, rows = looking(host)
        part = (await rows.completed(inspection.network(ident))).cluster
        assert part is not None
        (endpoint,) = host.services.endpoint_index.of_network(ident)
        behind.append([ip_network(prefix) for prefix in part.prefixes])
        assert any(endpoint.addresses[0] in prefix for prefix in behind[-1])
    everything = [prefix for each in behind for prefix in each]
    assert not any(one.overlaps(other) for one in everything for other in everything if one is not other)
    assert sum(taken in prefix for prefix in everything) == 1


async def test_a_port_that_leads_to_another_host_is_told_with_where_and_who_else_has_it() -> None:
    """By the hosts' names; by their ids while the cluster does not answer."""
    one, two = await members(2)
    for host in (one, two):
        ident = await make(host, "app", mode="vxlan", ingress="any")
    (here, there), network = (
        (host.membership.entered()[0].host for host in (one, two)),
        one.services.cache.network(ident),
    )
    assert network is not None
    binding = PortBinding(Protocol.TCP, None, 8080, ip_address("10.30.0.18"), 80)
    other = replace(binding, target=ip_address("10.30.0.50"))
    ways = [Way(network, there, "e1", True, binding), Way(network, here, "e2", True, other)]
    inspection, _ = looking(one)
    plan, overlays = one.services.ipam.shared, one.services.repair.overlays
    rows = ClusterNetworkRows(
        one.services.cache, one.services.endpoint_index, lambda: plan.plan, overlays.of, lambda _: [ways]
    )
    part = (await rows.completed(inspection.network(ident))).cluster
    assert part is not None
    assert part.ingress == ["0.0.0.0:8080->10.30.0.18:80/tcp on web2, and not to 10.30.0.50 on web1"]
    one.servers.lose_majority()
    part = (await rows.completed(inspection.network(ident))).cluster
    assert part is not None
    assert part.ingress == [f"0.0.0.0:8080->10.30.0.18:80/tcp on {there}, and not to 10.30.0.50 on {here}"]
