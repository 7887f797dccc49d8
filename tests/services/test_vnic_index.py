"""VNICs found by what they share."""

from __future__ import annotations

from ipaddress import ip_network

from tests.services.vnic_hosts import LauncherHost


async def test_vnics_are_found_by_all_that_they_share_until_they_end() -> None:
    """Group, MAC, bridge, subnet and network; ended ones are remembered until they are made again."""
    host = await LauncherHost().start()
    assert isinstance(host, LauncherHost)
    index = host.services.vnics.index
    one, two = await host.vnic("red", "172.16.5.5"), await host.vnic("red", "172.16.5.6")
    group = one.group
    assert (index.groups(), set(index.of_group(group))) == ([group], {one, two})
    assert (index.at(group, one.address), index.with_mac(group, two.mac)) == (one, two)
    assert index.with_bridge(group.bridge) == group
    assert index.announced(ip_network("172.16.5.0/24")) == [group]
    network = host.services.cache.network(await host.handoff("n1", bridge=group.bridge))
    assert network is not None
    assert (index.network(group), index.of_network(network, one.address)) == (network, one)
    assert index.announced(group.subnet) == []
    await host.services.vnics.destroy(one)
    await host.services.vnics.destroy(two)
    assert (index.groups(), index.with_mac(group, two.mac), index.with_bridge(group.bridge)) == ([], None, None)
    assert set(index.ended) == {one.id, two.id}
    assert index.network(group) is network
    await host.services.networks.delete(network.id)
    assert index.network(group) is None
    await host.vnic("red", "172.16.5.5")
    assert set(index.ended) == {two.id}
