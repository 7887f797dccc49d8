"""Network ports on a real engine: made before any container, used in every way, and there when the container is gone.

Kuryr's stories of ports are among them (kuryr-libnetwork, tests/fullstack/test_ipam.py): an existing port is used and
kept, its state follows, and one that somebody has is refused, which Kuryr promises and does not check.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import mac
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run
from tests.e2e.lab.traffic import pings

TYPED = ("--ipv6", "--subnet", "10.83.0.0/24", "--subnet", "fd83::/64")
PROJECT = f"""
version: "3.7"
services:
  db:
    image: {IMAGE}
    command: stay
    labels: {{mooring.port: db}}
    networks: [back]
networks:
  back: {{driver: mooring, ipam: {{driver: mooring}}}}
"""


@pytest.fixture
def ports(host: Host) -> Iterator[Host]:
    """The host, whose ports go with the test."""
    yield host
    host.engine.clear()
    for port in json.loads(host.mooring("port", "ls", "--format", "json").output):
        host.mooring("port", "rm", "--force", port["id"])


def make(host: Host, network: str, name: str = "db", *options: str) -> dict[str, Any]:
    """`mooring port create`."""
    told = host.mooring("port", "create", "--network", network, "--name", name, *options, "--format", "json")
    return dict(json.loads(told.output)["port"])


def show(host: Host, name: str = "db") -> dict[str, Any]:
    """`mooring port inspect`."""
    detail = json.loads(host.mooring("port", "inspect", name, "--format", "json").output)
    return {**detail["port"], "options": detail["options"], "holders": detail["holders"]}


def test_a_port_is_used_past_the_proxy_and_outlives_its_containers(ports: Host) -> None:
    """By address and MAC, by either alone; ACTIVE and DOWN follow; in use it is refused, and the user named."""
    host = ports
    host.create_network("web", *TYPED)
    port = make(host, "web")
    four, six = port["addresses"]
    assert port["state"] == "DOWN"
    host.docker("run", "-d", "--name", "one", "--network", "web", *show(host)["options"].split(), IMAGE, "stay")
    assert host.addresses("one", "web") == (four, six)
    assert mac(host, "one", "web") == port["mac"]
    assert (show(host)["state"], show(host)["container"]) == ("ACTIVE", "one")
    host.run_container("other", "--network", "web")
    assert pings(host.container_network("other"), four)
    for ways in (("--ip", four), ("--mac-address", port["mac"])):
        refused = host.docker("run", "-d", "--name", "two", "--network", "web", *ways, IMAGE, "stay", check=False)
        assert refused.status != 0
        assert "in use" in refused.output
        assert "container one" in refused.output or show(host)["endpoint"][:12] in refused.output
        host.docker("rm", "-f", "two")
    assert host.mooring("port", "rm", "db", check=False).status == 4
    host.docker("stop", "-t", "0", "one")
    assert show(host)["state"] == "DOWN"
    host.docker("start", "one")
    assert host.addresses("one", "web") == (four, six)
    host.docker("rm", "-f", "one")
    assert show(host)["addresses"] == [four, six]
    host.docker("run", "-d", "--name", "three", "--network", "web", "--mac-address", port["mac"], IMAGE, "stay")
    assert host.addresses("three", "web") == (four, six)
    host.docker("rm", "-f", "three")
    host.docker("run", "-d", "--name", "four", "--network", "web", "--ip", four, IMAGE, "stay")
    assert host.addresses("four", "web") == (four, six)
    assert f"--mac-address {port['mac']}" in show(host)["warning"]
    host.docker("rm", "-f", "four")
    assert "belongs to port db" in host.mooring("explain", four).output


def test_a_port_by_the_driver_option(ports: Host) -> None:
    """Alone where the network's IPAM driver is null or the proxy is asked; elsewhere Docker has chosen before, and the
    refusal says what to add."""
    host = ports
    host.create_network("web", *TYPED)
    host.create_network("late", "--ipam-driver", "null", "-o", "subnets=on-demand")
    typed, late = make(host, "web"), make(host, "late", "late")
    host.run_container("one")
    wrong = host.docker("network", "connect", "--driver-opt", "mooring.port=db", "web", "one", check=False)
    assert f"--ip {typed['addresses'][0]} --ip6 {typed['addresses'][1]} --mac-address {typed['mac']}" in wrong.output
    host.docker("network", "connect", "--driver-opt", "mooring.port=late", "late", "one")
    assert host.addresses("one", "late")[0] == late["addresses"][0]
    assert mac(host, "one", "late") == late["mac"]
    told = host.mooring("doctor", check=False)
    assert told.status == 0, told.output
    host.docker("stop", "-t", "0", "one")
    # Engine 28 has kept the network that it was refused in the container's configuration.
    host.docker("network", "disconnect", "web", "one", check=False)
    host.docker("start", "one")
    assert host.addresses("one", "late")[0] == late["addresses"][0]
    refused = host.docker("network", "connect", "--driver-opt", "mooring.port=nope", "late", "one", check=False)
    assert refused.status != 0
    host.run_container("two")
    refused = host.docker("network", "connect", "--driver-opt", "mooring.port=late", "late", "two", check=False)
    assert "in use" in refused.output
    host.proxy.docker("network", "connect", "--driver-opt", "mooring.port=db", "web", "two")
    assert host.addresses("two", "web") == tuple(typed["addresses"])
    host.docker("rm", "-f", "one", "two")
    option = f"name=web,driver-opt=mooring.port={typed['id'][:12]}"
    host.proxy.docker("run", "-d", "--name", "three", "--network", option, IMAGE, "stay")
    assert host.addresses("three", "web") == tuple(typed["addresses"])
    assert mac(host, "three", "web") == typed["mac"]
    assert show(host)["holders"] == ["container three"]
    host.docker("restart", "-t", "0", "three")
    assert host.addresses("three", "web") == tuple(typed["addresses"])


@pytest.mark.needs("compose")
def test_a_compose_file_with_a_port_keeps_it_over_everything(ports: Host, tmp_path: Path) -> None:
    """By label, in a subnet that Mooring chose: recreated, down with its network, up again."""
    host = ports
    (tmp_path / "docker-compose.yml").write_text(PROJECT)

    def compose(*argv: str) -> str:
        command = [*host.release.compose, "-p", "demo", "-f", str(tmp_path / "docker-compose.yml"), *argv]
        return run(command, timeout=120, environment=host.proxy.environment).output

    def address() -> str:
        (container,) = host.engine.containers()
        return host.addresses(container, "demo_back")[0]

    host.proxy.docker(
        "network", "create", "-d", "mooring", "--ipam-driver", "mooring",
        "--label", "com.docker.compose.project=demo", "--label", "com.docker.compose.network=back", "demo_back",
    )  # fmt: skip
    port = make(host, "demo_back", "db", "--note", "the licence")
    compose("up", "-d")
    assert address() == port["addresses"][0]
    compose("up", "-d", "--force-recreate")
    assert address() == port["addresses"][0]
    compose("down")
    assert "waits for one of that name" in show(host)["warning"]
    host.daemon.kill9()
    host.daemon.start()
    compose("up", "-d")
    assert address() == port["addresses"][0]
    assert (show(host)["state"], show(host)["warning"]) == ("ACTIVE", "")
    host.docker("network", "disconnect", "demo_back", host.engine.containers()[0])
    eventually(lambda: show(host)["state"] == "DOWN", "the port to be free")
    compose("down")


def test_one_of_many_has_the_port_and_a_killed_daemon_loses_nothing(ports: Host) -> None:
    """Five at once, past the proxy; then the daemon dies while it is used, and while it is not."""
    host = ports
    host.create_network("web", "--subnet", "10.83.0.0/24")
    port = make(host, "web")
    names = [f"c{number}" for number in range(5)]
    for name in names:
        host.docker("create", "--name", name, "--network", "web", "--mac-address", port["mac"], IMAGE, "stay")

    def start(name: str) -> bool:
        return host.docker("start", name, check=False).status == 0

    with ThreadPoolExecutor(len(names)) as pool:
        won = [name for name, done in zip(names, pool.map(start, names), strict=True) if done]
    assert len(won) == 1
    assert host.addresses(won[0], "web")[0] == port["addresses"][0]
    host.daemon.kill9()
    host.daemon.start()
    assert show(host)["state"] == "ACTIVE"
    assert host.docker("start", next(name for name in names if name != won[0]), check=False).status != 0
    assert show(host)["state"] == "ACTIVE"
    host.daemon.kill9()
    with ThreadPoolExecutor(1) as pool:
        gone = pool.submit(host.docker, "rm", "-f", won[0])  # the engine waits for the plugin, and tries again
        host.daemon.start()
        gone.result()
    assert show(host)["state"] == "DOWN"
    rest = next(name for name in names if name != won[0])
    assert start(rest)
    assert host.addresses(rest, "web")[0] == port["addresses"][0]


def test_public_reports_of_addresses_that_were_taken_or_lost(ports: Host) -> None:
    """docker/compose#11899, moby/moby#49781: after a restart of everything another container had the address.
    docker/compose#5261, moby/libnetwork#1986: of two networks the MAC counted in any. docker/for-linux#798: two had one
    MAC after a reboot. docker/compose#3497: a second container with the address is told who has it."""
    host = ports
    for name, subnet in (("front", "10.84.0.0/24"), ("back", "10.85.0.0/24")):
        host.create_network(name, "--subnet", subnet)
    front, back = make(host, "front", "first", "--address", "10.84.0.2"), make(host, "back")
    host.docker("run", "-d", "--name", "any", "--restart", "always", "--network", "front", IMAGE, "stay")
    assert host.addresses("any", "front")[0] != "10.84.0.2"
    labels = ("--label", "mooring.port=first,db", "--restart", "always", "--network", "front")
    host.proxy.docker("create", "--name", "both", *labels, IMAGE, "stay")
    host.proxy.docker("network", "connect", "back", "both")
    host.docker("start", "both")

    def check() -> None:
        assert host.addresses("both", "front")[0] == front["addresses"][0]
        assert host.addresses("both", "back")[0] == back["addresses"][0]
        assert mac(host, "both", "front") == front["mac"]

    check()
    host.engine.kill9()
    host.engine.start()
    for name in ("any", "both"):
        host.wait_state(name, running=True)
    check()

    def refused() -> str:
        said = host.proxy.docker("run", "-d", "--name", "more", *labels, IMAGE, "stay", check=False).output
        host.docker("rm", "-f", "more")
        assert "in use" in said
        return said

    # Whose endpoint it is, the engine that has just come back is asked again for.
    eventually(lambda: "both" in refused(), "the holder is named", 60)
    host.docker("rm", "-f", "any", "both")
    assert {show(host, name)["state"] for name in ("first", "db")} == {"DOWN"}
