"""Containers and networks from birth to removal, on a real engine, as a user gives the commands."""

from __future__ import annotations

import concurrent.futures
from ipaddress import ip_address, ip_network

import pytest

from tests.e2e.lab import Host, LabError, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import Server, ask_tcp, pings

V4, V6 = "10.77.0.0/24", "fd77:1::/64"
DUAL = ("--ipv6", "--subnet", V4, "--subnet", V6)


def test_a_container_gets_an_address_and_keeps_it_recorded_while_it_runs(host: Host) -> None:
    """A container's address is of its network's subnet, is what its interface has, and is leased until it stops."""
    network = host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one")
    address, _ = host.addresses("first", "one")
    assert ip_address(address) in ip_network(V4)
    assert f"inet {address}/24" in host.in_container("first", "ip", "addr", "show", "eth0").output
    assert host.daemon.held(network) == [address]
    assert pings(host.network, address)
    host.docker("stop", "first")
    assert host.daemon.held(network) == []


def test_containers_of_a_network_reach_each_other_over_both_families(host: Host) -> None:
    """Two containers of a dual-stack network answer each other and the host, over IPv4 and IPv6."""
    host.create_network("dual", *DUAL)
    host.run_container("first", "--network", "dual")
    host.run_container("second", "--network", "dual")
    four, six = host.addresses("second", "dual")
    assert ip_address(six) in ip_network(V6)
    for address in (four, six):
        assert pings(host.container_network("first"), address)
        assert pings(host.network, address)


def test_a_container_reaches_the_outside_with_the_hosts_address(host: Host) -> None:
    """The outside machine sees the host's address as the source, over both families."""
    host.create_network("dual", *DUAL)
    host.run_container("first", "--network", "dual")
    outside = host.outside
    with Server(outside.network, "outside", 9):
        for address, source in ((outside.ipv4, host.ipv4), (outside.ipv6, host.ipv6)):
            assert ask_tcp(host.container_network("first"), address, 9).seen == source


def test_a_subnet_is_chosen_when_none_is_given(host: Host) -> None:
    """Networks without a subnet get different ones, which overlap no route of the host; IPv6 ones too."""
    host.create_network("one")
    host.create_network("two", "--ipv6")
    configs = [host.engine.api("GET", f"/networks/{name}")["IPAM"]["Config"] for name in ("one", "two")]
    subnets = [ip_network(config["Subnet"]) for entries in configs for config in entries]
    assert sorted(subnet.version for subnet in subnets) == [4, 4, 6]
    four = [subnet for subnet in subnets if subnet.version == 4]
    assert not four[0].overlaps(four[1])
    assert not any(subnet.overlaps(ip_network("198.18.0.0/24")) for subnet in four)
    host.run_container("first", "--network", "two")
    assert all(pings(host.network, address) for address in host.addresses("first", "two"))


def test_stop_and_start_give_the_container_an_address_again(host: Host) -> None:
    """After stop, start and restart the container has exactly one address, and it answers."""
    network = host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one")
    for command in (("stop", "first"), ("start", "first"), ("restart", "first")):
        host.docker(*command)
    address, _ = host.addresses("first", "one")
    assert host.daemon.held(network) == [address]
    assert pings(host.network, address)


@pytest.mark.parametrize("removal", [("rm", "-f", "first"), ("kill", "first"), ("stop", "first")])
def test_an_address_is_given_back_however_a_container_ends(host: Host, removal: tuple[str, ...]) -> None:
    """rm -f, kill and stop all give back the address of a container that was started with --rm."""
    network = host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one", "--rm")
    host.docker(*removal)
    eventually(lambda: host.daemon.held(network) == [], "the address is given back")
    eventually(lambda: host.engine.containers() == [], "the container is gone")


def test_a_command_that_ends_by_itself_gives_its_address_back(host: Host) -> None:
    """`docker run --rm true` leaves nothing."""
    network = host.create_network("one", *DUAL)
    host.docker("run", "--rm", "--network", "one", IMAGE, "true")
    assert host.daemon.held(network) == []


def test_a_container_that_cannot_start_gives_its_address_back(host: Host) -> None:
    """A start that fails after the address was allocated (there is no such program) leaves no lease."""
    network = host.create_network("one", *DUAL)
    assert not host.docker("run", "--network", "one", IMAGE, "/no/such/program", check=False).ok
    eventually(lambda: host.daemon.held(network) == [], "the address is given back")


def test_connect_and_disconnect_give_and_take_an_address_of_a_running_container(host: Host) -> None:
    """A running container joins a second network, is reached over it, and leaves it again."""
    host.create_network("one", "--subnet", V4)
    second = host.create_network("two", "--subnet", "10.78.0.0/24")
    host.run_container("first", "--network", "one")
    host.run_container("peer", "--network", "two")
    host.docker("network", "connect", "two", "first")
    address, _ = host.addresses("first", "two")
    assert pings(host.container_network("peer"), address)
    assert "eth1" in host.in_container("first", "ip", "-o", "link").output
    host.docker("network", "disconnect", "two", "first")
    assert address not in host.daemon.held(second)
    assert "eth1" not in host.in_container("first", "ip", "-o", "link").output
    assert pings(host.network, host.addresses("first", "one")[0])


def test_an_address_asked_for_by_hand_is_the_one_given(host: Host) -> None:
    """--ip and --ip6 are kept to, and kept over a restart."""
    host.create_network("one", *DUAL)
    options = ("--network", "one", "--ip", "10.77.0.77", "--ip6", "fd77:1::77")
    host.run_container("first", *options)
    assert host.addresses("first", "one") == ("10.77.0.77", "fd77:1::77")
    host.docker("restart", "first")
    assert host.addresses("first", "one") == ("10.77.0.77", "fd77:1::77")
    assert pings(host.network, "fd77:1::77")


def test_an_address_that_is_held_is_refused_with_its_holder(host: Host) -> None:
    """A second container that asks for a held address fails at start, in one line that names the address."""
    network = host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one", "--ip", "10.77.0.77")
    refused = host.docker("run", "--network", "one", "--ip", "10.77.0.77", IMAGE, "true", check=False)
    assert not refused.ok
    assert "10.77.0.77" in refused.output
    assert "held by" in refused.output
    assert host.daemon.held(network) == ["10.77.0.77"]
    assert pings(host.network, "10.77.0.77")


def test_a_mac_address_asked_for_by_hand_is_the_one_given(host: Host) -> None:
    """--mac-address is what the interface has, and what the lease tells."""
    host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one", "--mac-address", "02:42:0a:00:00:99")
    assert "02:42:0a:00:00:99" in host.in_container("first", "ip", "link", "show", "eth0").output
    assert pings(host.network, host.addresses("first", "one")[0])


def test_auxiliary_addresses_and_the_gateway_are_never_given(host: Host) -> None:
    """In a network of eight addresses only those that are neither gateway nor auxiliary go to containers."""
    host.create_network(
        "small", "--subnet", "10.79.0.0/29", "--gateway", "10.79.0.6", "--aux-address", "router=10.79.0.2"
    )
    for name in ("c1", "c2", "c3", "c4"):
        host.run_container(name, "--network", "small")
    given = {host.addresses(name, "small")[0] for name in ("c1", "c2", "c3", "c4")}
    assert given == {"10.79.0.1", "10.79.0.3", "10.79.0.4", "10.79.0.5"}
    route = host.in_container("c1", "ip", "route", "show", "default").output
    assert "via 10.79.0.6" in route


def test_a_full_network_says_that_it_is_full(host: Host) -> None:
    """The container for which there is no address fails in one line; one that leaves makes room."""
    host.create_network("small", "--subnet", "10.79.0.0/30")
    host.run_container("c1", "--network", "small")
    refused = host.docker("run", "--network", "small", IMAGE, "true", check=False)
    assert not refused.ok
    assert "10.79.0.0/30" in refused.output
    host.docker("rm", "-f", "c1")
    eventually(lambda: host.docker("run", "--rm", "--network", "small", IMAGE, "true", check=False).ok, "there is room")


def test_a_range_limits_what_is_chosen_and_not_what_may_be_asked_for(host: Host) -> None:
    """--ip-range holds for automatic choice; the prefix length stays the subnet's; --ip may leave the range."""
    host.create_network("one", "--subnet", V4, "--ip-range", "10.77.0.128/29")
    for name in ("c1", "c2", "c3"):
        host.run_container(name, "--network", "one")
        address, _ = host.addresses(name, "one")
        assert ip_address(address) in ip_network("10.77.0.128/29")
        assert f"inet {address}/24" in host.in_container(name, "ip", "addr", "show", "eth0").output
    host.run_container("c4", "--network", "one", "--ip", "10.77.0.9")
    assert pings(host.container_network("c1"), "10.77.0.9")


def test_a_second_subnet_is_used_when_the_first_is_full(host: Host) -> None:
    """A network of two subnets gives addresses of the second one when the first has none left, and they work."""
    host.create_network("two", "--subnet", "10.79.0.0/30", "--subnet", "10.79.1.0/24")
    host.run_container("c1", "--network", "two")
    host.run_container("c2", "--network", "two")
    address, _ = host.addresses("c2", "two")
    assert ip_address(address) in ip_network("10.79.1.0/24")
    assert pings(host.network, address)
    assert pings(host.container_network("c1"), address)


def test_an_internal_network_has_no_way_out(host: Host) -> None:
    """Containers of an internal network reach each other and nobody outside."""
    host.create_network("inner", "--internal", *DUAL)
    host.run_container("first", "--network", "inner")
    host.run_container("second", "--network", "inner")
    four, six = host.addresses("second", "inner")
    inside = host.container_network("first")
    assert pings(inside, four)
    assert pings(inside, six)
    assert not pings(inside, host.outside.ipv4, wait=1)
    assert not pings(inside, host.outside.ipv6, wait=1)


def test_no_extra_interface_is_made_for_a_container(host: Host) -> None:
    """A container has lo and eth0 only: the engine adds no docker_gwbridge, for internal networks neither."""
    host.create_network("one", "--subnet", V4)
    host.create_network("inner", "--internal", "--subnet", "10.78.0.0/24")
    for name, network in (("first", "one"), ("second", "inner")):
        host.run_container(name, "--network", network)
        assert len(host.in_container(name, "ip", "-o", "link").output.splitlines()) == 2


def test_a_subnet_that_overlaps_another_of_its_address_space_is_refused(host: Host) -> None:
    """The refusal names the subnet that is in the way, and nothing is made."""
    host.create_network("one", "--subnet", V4)
    with pytest.raises(LabError, match=r"10\.77\.0\.0/24"):
        host.create_network("two", "--subnet", "10.77.0.128/25")
    assert host.engine.networks() == ["one"]


def test_two_tenants_may_have_the_same_subnet_where_the_host_does_not_route_it(host: Host) -> None:
    """The same subnet in two address spaces is two networks whose leases are told apart, if they have no bridge; with
    bridges the second is refused, since a host has one route to an address."""
    for name in ("red", "blue"):
        tenant = ("--ipam-opt", f"tenant={name}", "-o", f"tenant={name}", "-o", "mode=null")
        host.create_network(name, "--subnet", V4, *tenant)
        host.run_container(f"in-{name}", "--network", name, "--ip", "10.77.0.5")
    assert [row["space"] for row in host.daemon.leases("dynamic")] == ["blue", "red"]
    host.create_network("green", "--subnet", "10.78.0.0/24", "--ipam-opt", "tenant=green", "-o", "tenant=green")
    with pytest.raises(LabError, match=r"10\.78\.0\.0/24"):
        host.create_network("grey", "--subnet", "10.78.0.0/24", "--ipam-opt", "tenant=grey", "-o", "tenant=grey")
    assert "grey" not in host.engine.networks()


def test_a_network_in_use_cannot_be_removed_and_stays_whole(host: Host) -> None:
    """Removing a network with a running container fails, and the container keeps its connection."""
    host.create_network("one", "--subnet", V4)
    host.run_container("first", "--network", "one")
    assert not host.docker("network", "rm", "one", check=False).ok
    assert pings(host.network, host.addresses("first", "one")[0])


def test_a_removed_network_makes_room_for_the_same_subnet(host: Host) -> None:
    """Remove and create with the same subnet, many times, works each time and leaves no bridge."""
    for _ in range(5):
        host.create_network("again", *DUAL)
        host.docker("network", "rm", "again")
    eventually(lambda: "mr-" not in host.namespace.run("ip", "-o", "link").output, "no bridge is left")


def test_fifty_containers_at_once_get_fifty_addresses(host: Host) -> None:
    """Fifty containers started at the same time have fifty different addresses, and all of them are given back."""
    network = host.create_network("many", *DUAL)
    api = host.engine.api

    def start(number: int) -> str:
        body = {"Image": IMAGE, "Cmd": ["stay"], "HostConfig": {"NetworkMode": "many"}}
        container = str(api("POST", f"/containers/create?name=many{number}", body)["Id"])
        api("POST", f"/containers/{container}/start", timeout=120)
        return container

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        containers = list(pool.map(start, range(50)))
        fours, sixes = zip(*(host.addresses(container, "many") for container in containers), strict=True)
        assert len(set(fours)) == len(set(sixes)) == 50
        assert sorted(host.daemon.held(network)) == sorted([*fours, *sixes])
        for _ in pool.map(lambda one: api("DELETE", f"/containers/{one}?force=1", timeout=120), containers):
            pass
    assert host.daemon.held(network) == []


def test_ipv6_alone_is_refused_by_engines_of_before_28(host: Host) -> None:
    """Engine 20.10 always asks for IPv4 too: `--ipv6` with one IPv6 subnet gives a dual-stack network."""
    host.create_network("six", "--ipv6", "--subnet", V6)
    host.run_container("first", "--network", "six")
    four, six = host.addresses("first", "six")
    assert ip_address(six) in ip_network(V6)
    assert pings(host.network, six)
    assert pings(host.network, four)
