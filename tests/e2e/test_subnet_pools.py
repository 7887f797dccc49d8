"""Subnet pools in daily use: made, named by networks of both families, full, grown and shrunk, and lasting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import LabError, run
from tests.e2e.lab.traffic import pings

LAB = ("--ipam-opt", "pool=lab")
BOTH = (*LAB, "--ipam-opt", "pool6=lab6", "--ipv6")


def subnets(host: Host, network: str) -> list[str]:
    """What the engine says that the network has; engines differ in which family they name first."""
    found = [
        str(each["Subnet"])
        for each in json.loads(host.docker("network", "inspect", network).output)[0]["IPAM"]["Config"]
    ]
    return sorted(found, key=lambda each: ":" in each)


def row(host: Host, name: str = "lab") -> Any:
    """The subnet pool's line."""
    return next((each for each in host.daemon.document("subnet-pool", "ls") if each["name"] == name), None)


def refused(host: Host, *options: str) -> str:
    """What docker prints when it cannot make the network."""
    with pytest.raises(LabError) as caught:
        host.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", *options, "refused")
    return str(caught.value)


def clear(host: Host) -> None:
    """No network, no stored subnet pool."""
    host.engine.clear()
    for each in host.daemon.document("subnet-pool", "ls"):
        if each["origin"] == "stored":
            host.mooring("subnet-pool", "rm", each["name"])


@pytest.fixture
def pools(host: Host) -> Iterator[Host]:
    """A host with the subnet pools lab, 10.64.0.0/24 in /26, and lab6, fd00:64::/62 in /64."""
    host.mooring("subnet-pool", "create", "lab", "--prefix", "10.64.0.0/24", "--length", "26", "--note", "CI")
    host.mooring("subnet-pool", "create", "lab6", "--prefix", "fd00:64::/62")
    yield host
    if not host.daemon.running:
        host.daemon.start()
    clear(host)


def test_a_network_has_a_subnet_of_each_that_it_names(pools: Host) -> None:
    """Both families, whatever the engine asks first; containers reach each other and the host."""
    pools.create_network("web", *BOTH)
    assert subnets(pools, "web") == ["10.64.0.0/26", "fd00:64::/64"]
    pools.create_network("small", *BOTH, "--ipam-opt", "prefixlen=28", "--ipam-opt", "prefixlen6=80")
    assert subnets(pools, "small") == ["10.64.0.64/28", "fd00:64:0:1::/80"]
    for number in range(2):
        pools.run_container(f"c{number}", "--network", "web")
    v4, v6 = pools.addresses("c1", "web")
    assert pings(pools.container_network("c0"), v4)
    assert pings(pools.container_network("c0"), v6)
    assert pings(pools.network, v4)
    told = row(pools)
    assert (told["networks"], told["percent"], told["largest"]) == (2, 31.2, "10.64.0.128/25")
    (detail,) = pools.daemon.document("subnet-pool", "inspect", "lab")
    assert [(user["subnet"], user["network_name"]) for user in detail["users"]] == [
        ("10.64.0.0/26", "web"), ("10.64.0.64/28", "small"),
    ]  # fmt: skip


@pytest.mark.needs("v6 only")
def test_a_network_of_ipv6_alone_names_one_of_ipv6(pools: Host) -> None:
    """And is refused when it names one of IPv4, which nobody would ask for."""
    pools.create_network("six", "--ipv4=false", "--ipv6", "--ipam-opt", "pool6=lab6")
    assert subnets(pools, "six") == ["fd00:64::/64"]
    assert "IPAM option pool is for IPv4" in refused(pools, "--ipv4=false", *BOTH)


def test_what_cannot_be_meant_is_refused_by_docker_in_our_words(pools: Host) -> None:
    """An unknown name, one of the other family, a length out of bounds, an option for a family that is not there."""
    assert "there is no subnet pool 'nope'; there are default-v4, default-v6, lab, lab6" in refused(
        pools, "--ipam-opt", "pool=nope"
    )
    assert "name it with --ipam-opt pool6=lab6" in refused(pools, "--ipam-opt", "pool=lab6")
    assert "allowed are lab: /1 to /30" in refused(pools, *LAB, "--ipam-opt", "prefixlen=31")
    assert "add --ipv6, or leave it out" in refused(pools, "--ipam-opt", "pool6=lab6")
    assert "is not one of subnet pool lab" in refused(pools, *LAB, "--subnet", "10.65.0.0/26")
    assert pools.daemon.api("/v1/pools") == []


def test_a_full_one_says_so_through_docker_and_grows_without_a_restart(pools: Host) -> None:
    """How full, what would fit, the next command; then it works at once. It shrinks by what is free alone."""
    for number in range(3):
        pools.create_network(f"n{number}", *LAB)
    pools.create_network("part", *LAB, "--ipam-opt", "prefixlen=27")
    said = refused(pools, *LAB)
    assert "subnet pool lab is full: it has no free /26 (87.5% carved; largest free block 10.64.0.224/27" in said
    assert "(--ipam-opt prefixlen=27)" in said
    assert "`mooring subnet-pool set lab --add-prefix SUBNET`" in said
    pools.mooring("subnet-pool", "set", "lab", "--add-prefix", "10.64.1.0/24")
    pools.create_network("more", *LAB)
    assert subnets(pools, "more") == ["10.64.1.0/26"]
    for words in (("set", "lab", "--remove-prefix", "10.64.1.0/24"), ("set", "lab", "--name", "other"), ("rm", "lab")):
        answer = pools.mooring("subnet-pool", *words, check=False)
        assert answer.status == 4
        assert "network more (10.64.1.0/26)" in answer.output
    pools.mooring("subnet-pool", "set", "lab", "--remove-prefix", "10.64.1.128/25")
    assert row(pools)["prefixes"] == ["10.64.0.0/24", "10.64.1.0/25"]
    pools.docker("network", "rm", "more")
    pools.mooring("subnet-pool", "set", "lab", "--remove-prefix", "10.64.1.0/25")
    assert "no free /26" in refused(pools, *LAB)


def test_it_is_there_after_a_kill_of_the_daemon_and_a_restart_of_the_engine(pools: Host) -> None:
    """Networks too, and the next one gets the next subnet."""
    pools.create_network("web", *BOTH)
    pools.run_container("one", "--network", "web", "--restart", "always")
    before = row(pools), row(pools, "lab6")
    pools.daemon.kill9()
    pools.daemon.start()
    assert (row(pools), row(pools, "lab6")) == before
    pools.engine.stop()
    pools.engine.start()
    pools.wait_state("one", running=True)
    assert (row(pools), row(pools, "lab6")) == before
    pools.create_network("next", *BOTH)
    assert subnets(pools, "next") == ["10.64.0.64/26", "fd00:64:0:1::/64"]
    assert pools.mooring("doctor", check=False).status == 0


def test_default_ones_are_used_by_networks_that_name_none(pools: Host) -> None:
    """In their turn; then not any more."""
    pools.mooring("subnet-pool", "set", "lab", "--position", "1")
    pools.create_network("first")
    assert subnets(pools, "first") == ["10.64.0.0/26"]
    pools.mooring("subnet-pool", "set", "lab", "--no-default")
    pools.create_network("second")
    assert subnets(pools, "second") == ["10.32.0.0/24"]
    assert "subnet pool lab" in pools.mooring("explain", "10.64.0.200").output
    assert "in use: network first" in pools.mooring("explain", "10.64.0.0/24").output


@pytest.mark.needs("compose")
def test_a_compose_file_names_one(pools: Host, tmp_path: Path) -> None:
    """`ipam: {driver: mooring, options: {pool: lab}}`, or where compose drops those (docker/compose#9330, #13785), as
    `driver_opts` through the proxy; up and down and up again."""
    ipam = {"driver": "mooring", "options": {"pool": "lab", "prefixlen": "28"}}
    project = {
        "services": {"web": {"image": IMAGE, "command": "stay", "networks": ["shop"]}},
        "networks": {"shop": {"driver": "mooring", "ipam": ipam}},
    }
    if len(pools.release.compose) > 1:
        shop = {"driver": "mooring", "driver_opts": ipam["options"], "ipam": {"driver": "mooring"}}
        project["networks"] = {"shop": shop}
        argv = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "-o", "pool=lab", "refused")
        said = pools.docker(*argv, check=False).output
        assert "option pool=lab has not reached the IPAM driver" in said
    if len(pools.release.compose) == 1:  # version 1 wants to be told of the form
        project |= {"version": "2.4"}
    file = tmp_path / "compose.yml"
    file.write_text(json.dumps(project))
    command = [*pools.release.compose, "--project-name", "demo", "--file", str(file)]
    for _ in range(2):
        run([*command, "up", "--detach"], timeout=120, environment=pools.proxy.environment)
        assert subnets(pools, "demo_shop") == ["10.64.0.0/28"]
        run([*command, "down", "--timeout", "2"], timeout=120, environment=pools.proxy.environment)
    assert row(pools)["networks"] == 0


def test_a_configuration_that_comes_later_and_a_store_that_is_lost(make_host: MakeHost, tmp_path: Path) -> None:
    """The daemon starts, the declared one counts, doctor tells of the other; with the store lost, networks live on and
    the name that they bear is told."""
    host = make_host(settings={"MOORING_REPAIR_PERIOD": "1", "MOORING_RECLAIM_AFTER": "5"})
    host.mooring("subnet-pool", "create", "lab", "--prefix", "10.64.0.0/24", "--length", "26")
    host.create_network("web", *LAB)
    host.run_container("one", "--network", "web")
    file = tmp_path / "mooring.toml"
    file.write_text('[[subnet_pools]]\nname = "wide"\nprefixes = ["10.64.0.0/16"]\n')
    host.daemon.stop()
    host.daemon.environment["MOORING_CONFIG"] = str(file)
    host.daemon.start()
    assert "subnet pool wide of the configuration has 10.64.0.0/16" in row(host)["warning"]
    assert "stored subnet pool lab is not used" in host.mooring("doctor", check=False).output
    assert "lab is not used" in refused(host, *LAB)
    host.create_network("other")
    assert subnets(host, "other") == ["10.64.1.0/24"]
    host.daemon.stop()
    del host.daemon.environment["MOORING_CONFIG"]
    for path in (host.folder / "state").glob("mooring.db*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    host.daemon.start()
    eventually(lambda: row(host) is not None, "the network is on record again", 30)
    assert (row(host)["origin"], row(host)["networks"]) == ("dropped", 1)
    assert "subnet pool lab is gone, its networks remain" in host.mooring("doctor", check=False).output
    assert pings(host.network, host.addresses("one", "web")[0])
    host.mooring("subnet-pool", "create", "lab", "--prefix", "10.64.0.0/24", "--length", "26")
    assert (row(host)["origin"], row(host)["networks"]) == ("stored", 1)
    assert host.mooring("subnet-pool", "rm", "lab", check=False).status == 4
