"""What people reported of other address pools, tried on ours. A report is named by its project and number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Host
from tests.e2e.test_subnet_pools import LAB, clear, refused, row, subnets


@pytest.fixture
def pooled(host: Host) -> Iterator[Host]:
    """A host with the subnet pool lab: 10.64.0.0/24 in /26."""
    host.mooring("subnet-pool", "create", "lab", "--prefix", "10.64.0.0/24", "--length", "26")
    yield host
    for what in ("route delete 10.64.0.0/26 via 192.0.2.1", "route delete 10.0.0.0/8", "link delete lan0"):
        host.namespace.run("ip", *what.split(), check=False)
    clear(host)


def test_more_than_31_networks(pooled: Host) -> None:
    """moby/moby#23971 and #29239: the built-in driver ends at about 31 networks. A /24 has 64 /30, and the 65th is
    refused with figures."""
    for number in range(64):
        pooled.create_network(f"n{number}", *LAB, "--ipam-opt", "prefixlen=30", "-o", "mode=null")
    assert (row(pooled)["networks"], row(pooled)["percent"], row(pooled)["left"]) == (64, 100.0, [])
    assert "no free /30 (100% carved, nothing left" in refused(pooled, *LAB, "--ipam-opt", "prefixlen=30")


def test_a_full_pool_is_named_with_what_to_do(pooled: Host) -> None:
    """buildpacks/pack#2259, Dokploy/dokploy#1941: "all predefined address pools have been fully subnetted" names
    neither the pool nor the networks nor a way out."""
    for number in range(4):
        pooled.create_network(f"n{number}", *LAB)
    said = refused(pooled, *LAB)
    for words in ("subnet pool lab", "10.64.0.0/26 by pool", "and 1 more", "remove a network", "--add-prefix"):
        assert words in said


def test_a_pool_grows_for_networks_that_exist_and_without_a_restart(pooled: Host) -> None:
    """coollabsio/coolify#3529: daemon.json has to be edited and the engine restarted."""
    for number in range(4):
        pooled.create_network(f"n{number}", *LAB)
    pooled.run_container("one", "--network", "n0")
    pooled.mooring("subnet-pool", "set", "lab", "--add-prefix", "10.80.0.0/24")
    pooled.create_network("n4", *LAB)
    assert subnets(pooled, "n4") == ["10.80.0.0/26"]
    assert pooled.engine.inspect("one")["State"]["Running"]


def test_pruned_networks_give_their_subnets_back(pooled: Host) -> None:
    """ROCm/TheRock#4926: stale networks of CI runs fill the pool. After a prune it is empty."""
    for number in range(4):
        pooled.create_network(f"n{number}", *LAB)
    pooled.docker("network", "prune", "--force")
    assert (row(pooled)["networks"], row(pooled)["percent"]) == (0, 0.0)
    pooled.create_network("next", *LAB)


def test_a_route_of_the_host_is_passed_over(pooled: Host) -> None:
    """moby/moby#46615: a network conflicts with routes of the host, and their hosts cannot be reached any more."""
    pooled.namespace.run("ip", "route", "add", "blackhole", "10.64.0.0/26")
    try:
        pooled.create_network("one", *LAB)
        assert subnets(pooled, "one") == ["10.64.0.64/26"]
        assert row(pooled)["blocked"] == 25.0
        assert (
            "10.64.0.0/26 by an address or route of this host" in pooled.mooring("subnet-pool", "inspect", "lab").output
        )
    finally:
        pooled.namespace.run("ip", "route", "delete", "blackhole", "10.64.0.0/26")


def test_the_lan_is_passed_over(pooled: Host) -> None:
    """moby/libnetwork#1819: a network was made on the company's LAN."""
    pooled.namespace.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
    pooled.namespace.run("ip", "address", "add", "10.64.0.77/25", "dev", "lan0")
    pooled.namespace.run("ip", "link", "set", "lan0", "up")
    pooled.create_network("one", *LAB)
    assert subnets(pooled, "one") == ["10.64.0.128/26"]


def test_a_pool_that_the_host_covers_says_what_is_in_the_way(pooled: Host) -> None:
    """podman-container-tools/podman#21086: "could not find free subnet from subnet pools" on a fresh machine, without
    a word of the route that covers them."""
    pooled.namespace.run("ip", "route", "add", "10.0.0.0/8", "dev", "lo")
    said = refused(pooled, *LAB)
    assert "0% carved, 100% blocked, nothing left" in said
    assert "10.0.0.0/8 by an address or route of this host" in said


def test_networks_of_other_drivers_are_passed_over(pooled: Host) -> None:
    """moby/moby#50011: a new network overlaps the subnet of an existing bridge."""
    pooled.docker("network", "create", "--subnet", "10.64.0.0/26", "theirs")
    pooled.create_network("one", *LAB)
    assert subnets(pooled, "one") == ["10.64.0.64/26"]


def test_a_network_asks_for_its_size(pooled: Host) -> None:
    """moby/moby#50107: the size comes from the pool alone before engine 29."""
    pooled.create_network("one", *LAB, "--ipam-opt", "prefixlen=29")
    assert subnets(pooled, "one") == ["10.64.0.0/29"]


def test_ipv6_has_subnet_pools_too(pooled: Host) -> None:
    """podman-container-tools/container-libs#87: default_subnet_pools takes IPv4 only."""
    pooled.mooring("subnet-pool", "create", "six", "--prefix", "fd00:64::/56", "--position", "1")
    pooled.create_network("one", "--ipv6")
    assert subnets(pooled, "one")[1] == "fd00:64::/64"


def test_a_full_pool_does_not_spill_over_into_another(pooled: Host) -> None:
    """moby/moby#37823: networks were suddenly in 192.168.16.0/20. Who names a pool gets a subnet of it, or nothing."""
    for number in range(4):
        pooled.create_network(f"n{number}", *LAB)
    assert "subnet pool lab is full" in refused(pooled, *LAB)
    pooled.create_network("other")
    assert subnets(pooled, "other") == ["10.32.0.0/24"]


def test_two_pools_never_have_one_name(pooled: Host) -> None:
    """cyverse/atmosphere#258: names of Neutron's subnet pools are not unique, so that a name may mean several."""
    answer = pooled.mooring("subnet-pool", "create", "lab", "--prefix", "10.99.0.0/24", "--tenant", "blue", check=False)
    assert (answer.status, "has the same name" in answer.output) == (4, True)


def test_what_is_to_stay_free_needs_no_network_as_a_placeholder(pooled: Host) -> None:
    """moby/moby#21776: placeholder networks that kept subnets free went with `docker network prune`. A prefix is taken
    out instead."""
    pooled.mooring("subnet-pool", "set", "lab", "--remove-prefix", "10.64.0.0/25")
    pooled.docker("network", "prune", "--force")
    pooled.create_network("one", *LAB)
    assert subnets(pooled, "one") == ["10.64.0.128/26"]
