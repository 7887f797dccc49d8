"""Networks that get their subnets with their first endpoint (`-o subnets=on-demand`), as a user meets them."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

from tests.e2e.lab import Host
from tests.e2e.lab.traffic import Server, ask_tcp, pings

ON_DEMAND = ("--ipam-driver", "null", "-o", "subnets=on-demand")
RELEASED = ("--ipam-driver", "null", "-o", "subnets=on-demand,idle=release")


def subnets(host: Host, name: str) -> list[str]:
    """What `mooring network inspect` says."""
    network = json.loads(host.mooring("network", "inspect", name, "--format", "json").output)
    return [segment["subnet"] for segment in network["segments"]]


def test_the_first_container_makes_the_subnets_and_the_next_one_shares_them(host: Host) -> None:
    """None before; then traffic inside, to the outside, by a published port, and names, as in any network."""
    host.create_network("late", *ON_DEMAND, "-o", "ipv6=on")
    assert subnets(host, "late") == []
    host.run_container("first", "--network", "late", "-p", "8080:80")
    made = subnets(host, "late")
    assert sorted(ip_network(each).version for each in made) == [4, 6]
    host.run_container("second", "--network", "late")
    assert subnets(host, "late") == made
    four, six = host.addresses("second", "late")
    assert ip_address(four) in ip_network(made[0])
    for address in (four, six):
        assert pings(host.container_network("first"), address)
    outside = host.outside
    with Server(outside.network, "outside", 9):
        assert ask_tcp(host.container_network("second"), outside.ipv4, 9).seen == host.ipv4
    with Server(host.container_network("first"), "inside", 80):
        assert ask_tcp(outside.network, host.ipv4, 8080).server == "inside"
    host.docker("rm", "-f", "first", "second")
    assert subnets(host, "late") == made
    host.docker("network", "rm", "late")
    assert made[0] not in host.mooring("pool", "ls").output


def test_idle_subnets_go_with_the_last_container(host: Host) -> None:
    """And the next container makes one again."""
    host.create_network("brief", *RELEASED)
    host.run_container("one", "--network", "brief")
    assert len(subnets(host, "brief")) == 1
    host.docker("rm", "-f", "one")
    assert subnets(host, "brief") == []
    host.run_container("two", "--network", "brief")
    assert len(subnets(host, "brief")) == 1


def test_a_subnet_can_be_named_at_connect(host: Host) -> None:
    """It is made when the network has it not, and a denied or foreign one is refused in one line."""
    host.create_network("late", *ON_DEMAND)
    host.run_container("one")
    host.docker("network", "connect", "--driver-opt", "mooring.subnet=10.99.7.0/24", "late", "one")
    assert ip_address(host.addresses("one", "late")[0]) in ip_network("10.99.7.0/24")
    host.run_container("two")
    refused = host.docker(
        "network", "connect", "--driver-opt", "mooring.subnet=10.99.0.0/16", "late", "two", check=False
    )
    assert refused.status != 0
    assert "10.99.7.0/24" in refused.output
    assert subnets(host, "late") == ["10.99.7.0/24"]


def test_the_daemon_may_die_and_the_host_may_restart_its_engine(host: Host) -> None:
    """What runs stays, the subnet stays, and what comes shares it."""
    host.create_network("late", *ON_DEMAND)
    host.run_container("one", "--network", "late", "--restart", "always")
    made, before = subnets(host, "late"), host.addresses("one", "late")
    host.daemon.kill9()
    host.daemon.start()
    host.run_container("two", "--network", "late")
    assert subnets(host, "late") == made
    assert pings(host.container_network("two"), before[0])
    host.engine.stop()
    host.engine.start()
    host.wait_state("one", running=True)
    assert ip_address(host.addresses("one", "late")[0]) in ip_network(made[0])
    assert subnets(host, "late") == made


def test_the_option_needs_a_network_that_is_left_to_it(host: Host) -> None:
    """With our IPAM driver the subnet is there before the option is read: refused, with the way out."""
    argv = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "-o", "subnets=on-demand", "odd")
    refused = host.docker(*argv, check=False)
    assert refused.status != 0
    assert "--ipam-driver null" in refused.output
