"""Kuryr-libnetwork's full-stack scenarios and its blueprint's flow, re-told with the docker command and compose."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run
from tests.e2e.lab.traffic import Server, ask_tcp, pings

ON_DEMAND = ("--ipam-driver", "null", "-o", "subnets=on-demand")
RELEASED = ("--ipam-driver", "null", "-o", "subnets=on-demand,idle=release")


def subnets(host: Host, network: str) -> list[str]:
    """Those that the network has."""
    return [part["subnet"] for part in host.daemon.document("network", "inspect", network)["segments"]]


def test_a_network_of_another_driver_stays_unknown_and_its_subnet_is_carved_by_nobody(host: Host) -> None:
    """Kuryr only looked for the first."""
    host.docker("network", "create", "--subnet", "10.32.0.0/24", "docker")
    host.create_network("ours")
    names = [row["name"] for row in host.daemon.document("network", "ls")]
    assert names == ["ours"]
    assert "10.32.0.0/24" not in subnets(host, "ours")
    host.docker("network", "rm", "docker", "ours")


def test_the_first_container_takes_from_every_prefix_of_each_pool_in_turn_until_none_is_left(host: Host) -> None:
    """The blueprint's flow: pools by name and family; the refusal says so in a line, and has made nothing."""
    pools = {"k4": ("10.90.0.0/30", "10.91.0.0/30"), "k6": ("fd90::/126", "fd91::/126")}
    for name, prefixes in pools.items():
        length = prefixes[0].rpartition("/")[2]
        words = [word for prefix in prefixes for word in ("--prefix", prefix)]
        host.mooring("subnet-pool", "create", name, *words, "--length", length)
    host.create_network("late", *ON_DEMAND, "-o", "ipv6=on", "-o", "pool=k4", "-o", "pool6=k6")
    for number in range(2):  # a /30 has room for the gateway and one container
        host.run_container(f"c{number}", "--network", "late")
    found = [ip_network(subnet) for subnet in subnets(host, "late")]
    assert [str(subnet) for subnet in found] == ["10.90.0.0/30", "10.91.0.0/30", "fd90::/126"]  # which has room for two
    refused = host.docker("run", "-d", "--name", "c2", "--network", "late", IMAGE, "stay", check=False)
    assert "subnet pool k4 is full" in refused.output
    assert [ip_network(subnet) for subnet in subnets(host, "late")] == found
    assert all(pings(host.container_network("c0"), address) for address in host.addresses("c0", "late"))
    host.docker("rm", "-f", "c0", "c1", "c2")
    host.docker("network", "rm", "late")
    for name in pools:
        host.mooring("subnet-pool", "rm", name)


def test_what_was_made_for_a_container_that_fails_is_unmade(host: Host) -> None:
    """Before its endpoint is there (an option that the engine does not know), with a host port that somebody has, and
    with a command that does not exist; the next container has it all."""
    host.create_network("late", *RELEASED, "-o", "ipv6=on")
    unknown = "com.docker.network.bridge.name=x"
    wrong = [
        ("--network", "name=late,driver-opt=mooring.subnet=10.99.0.0/33", IMAGE, "stay"),
        ("--network", f"name=late,driver-opt=com.docker.network.endpoint.ifname={unknown}", IMAGE, "stay"),
        ("--network", "late", "-p", "8080:80", IMAGE, "stay"),
        ("--network", "late", IMAGE, "no-such-command"),
    ]
    with Server(host.network, "host", 8080):
        for number, arguments in enumerate(wrong):
            refused = host.docker("run", "-d", "--name", f"w{number}", *arguments, check=False)
            assert not refused.ok, arguments
            assert "Traceback" not in refused.output
            assert subnets(host, "late") == [], refused.output
            assert host.daemon.api("/v1/pools") == []
            host.docker("rm", "-f", f"w{number}", check=False)
    host.run_container("web", "--network", "late", "-p", "8080:80")
    with Server(host.container_network("web"), "web", 80):
        assert ask_tcp(host.network, host.ipv4, 8080).server == "web"
    assert len(subnets(host, "late")) == 2


def test_networks_and_containers_come_and_go_at_once_and_none_fails(host: Host) -> None:
    """Rally's jobs (create, list, start, stop, delete), which Kuryr ran one after another; nothing is left of them."""

    def cycle(worker: int) -> list[str]:
        name, seen = f"n{worker}", []
        for round_number in range(2):
            host.create_network(name, *(ON_DEMAND if round_number else RELEASED))
            host.run_container(f"c{worker}", "--network", name)
            seen += subnets(host, name)
            host.docker("restart", "-t", "0", f"c{worker}")
            assert ip_address(host.addresses(f"c{worker}", name)[0]) in ip_network(subnets(host, name)[0])
            host.docker("rm", "-f", f"c{worker}")
            host.docker("network", "rm", name)
        return seen

    with ThreadPoolExecutor(3) as pool:
        assert all(len(seen) == 2 for seen in pool.map(cycle, range(3)))
    assert host.daemon.api("/v1/pools") == []


@pytest.mark.needs("compose plugin")
def test_compose_uses_an_existing_network_and_keeps_it_and_makes_and_ends_one_on_demand(
    host: Host, tmp_path: Path
) -> None:
    """The existing one has its subnet and its other container before, meanwhile and afterwards."""
    host.create_network("there", "--subnet", "10.77.0.0/24")
    host.run_container("older", "--network", "there", "--ip", "10.77.0.9")
    late = {"driver": "mooring", "driver_opts": {"subnets": "on-demand", "ipv6": "on"}, "ipam": {"driver": "null"}}
    service = {"image": IMAGE, "command": "stay", "networks": ["there", "late"]}
    document = {
        "services": {"web": service | {"ports": ["8080:80"]}, "db": service},
        "networks": {"there": {"external": True}, "late": late},
    }
    file = tmp_path / "compose.yml"
    file.write_text(json.dumps(document))
    compose = [*host.release.compose, "--project-name", "demo", "--file", str(file)]
    run([*compose, "up", "--detach"], timeout=120, environment=host.proxy.environment)
    assert len(subnets(host, "demo_late")) == 2
    web = host.container_network("demo-web-1")
    assert pings(web, "10.77.0.9")
    assert all(pings(web, address) for address in host.addresses("demo-db-1", "demo_late"))
    with Server(web, "web", 80):
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "web"
    run([*compose, "down", "--timeout", "0"], timeout=120, environment=host.proxy.environment)
    assert subnets(host, "there") == ["10.77.0.0/24"]
    assert host.addresses("older", "there")[0] == "10.77.0.9"
    assert [row["subnet"] for row in host.daemon.api("/v1/pools")] == ["10.77.0.0/24"]
