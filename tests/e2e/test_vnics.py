"""A launcher makes the interface before the container: ciao's reference sequence, with docker's commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.launcher import Launcher
from tests.e2e.lab import Host, LabError, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import pings

V4 = "172.16.5.0/24"


def create(host: Host, tenant: str, address: str, *more: str) -> dict[str, Any]:
    """`mooring vnic create`, what it says."""
    options = ("--tenant", tenant, "--subnet", V4, "--address", address, "--format", "json", *more)
    made: dict[str, Any] = json.loads(host.mooring("vnic", "create", *options).output)
    return made


def remove(host: Host, vnic: str, *more: str) -> dict[str, Any]:
    """`mooring vnic rm`, what it says."""
    gone: dict[str, Any] = json.loads(host.mooring("vnic", "rm", vnic, "--format", "json", *more).output)
    return gone


def docker(host: Host, command: str) -> None:
    """The command that an answer says."""
    first, *rest = command.split()
    assert first == "docker"
    host.docker(*rest)


def stay(host: Host, name: str, made: dict[str, Any]) -> str:
    """A container in the VNIC, as the answer says; what `ip addr` shows of it."""
    host.docker("run", "-d", "--name", name, *made["run"].split(), IMAGE, "stay")
    return look(host, name)


def look(host: Host, name: str) -> str:
    """What `ip addr` shows of the container's interface."""
    return host.in_container(name, "ip", "addr", "show", "eth0").output


def test_the_reference_sequence_of_ciao(host: Host) -> None:
    """First VNIC, network, container, the same VNIC again, a second one, then all of it backwards; twice is once."""
    one = create(host, "red", "172.16.5.5", "--mtu", "1400", "--mac", "02:00:ac:10:05:05", "--instance", "i-1")
    assert (one["changed"], one["network"]["state"]) == (True, "create")
    # As ciao's launcher has it: no tenant, no mode.
    bridge = one["vnic"]["bridge"]
    host.create_network(bridge, "--subnet", V4, "--gateway", "172.16.5.1", "--opt", f"bridge={bridge}")
    shown = stay(host, "c1", one)
    for word in ("inet 172.16.5.5/24", "02:00:ac:10:05:05", "mtu 1400"):
        assert word in shown
    again = create(host, "red", "172.16.5.5", "--mtu", "1400", "--mac", "02:00:ac:10:05:05", "--instance", "i-1")
    assert (again["changed"], again["network"]["state"]) == (False, "there")
    assert again["vnic"]["link"] == one["vnic"]["link"]
    two = create(host, "red", "172.16.5.6", "--mtu", "1400")
    assert two["network"] == {"state": "there", "name": bridge, "command": ""}
    stay(host, "c2", two)
    assert pings(host.container_network("c1"), "172.16.5.6")
    assert "172.16.5" not in host.namespace.run("ip", "route", "show", "table", "all").output
    assert host.mooring("doctor", check=False).status == 0
    with pytest.raises(LabError, match=r"VNIC 172.16.5.5 of tenant red is in use \(held by container c1"):
        host.mooring("vnic", "rm", "172.16.5.5")
    for command in (("stop", "-t", "0", "c1"), ("start", "c1"), ("restart", "-t", "0", "c1")):
        host.docker(*command)
    shown = look(host, "c1")
    for word in ("inet 172.16.5.5/24", "02:00:ac:10:05:05", "mtu 1400"):
        assert word in shown
    assert pings(host.container_network("c2"), "172.16.5.5")
    host.docker("rm", "-f", "c1")
    gone = remove(host, "172.16.5.5")
    assert (gone["changed"], gone["network"]["state"]) == (True, "there")
    assert remove(host, "172.16.5.5")["changed"] is False
    host.docker("rm", "-f", "c2")
    last = remove(host, two["vnic"]["id"])
    assert last["network"] == {"state": "remove", "name": bridge, "command": f"docker network rm {bridge}"}
    docker(host, last["network"]["command"])
    eventually(lambda: bridge not in host.namespace.run("ip", "-o", "link").output, "the bridge is gone")
    assert remove(host, two["vnic"]["id"])["changed"] is False
    assert "mi-" not in host.namespace.run("ip", "-o", "link").output


def test_equal_subnets_of_two_tenants_never_meet_whatever_dies(host: Host) -> None:
    """Same addresses side by side; over an engine's end, a daemon's, a namespace's; adopted interfaces come back."""
    made: dict[str, dict[str, Any]] = {}
    for tenant in ("red", "blue"):
        for address in ("172.16.5.5", "172.16.5.6"):
            made[tenant + address[-1]] = create(host, tenant, address)
        docker(host, made[f"{tenant}5"]["network"]["command"])
        for end in "56":
            stay(host, tenant + end, made[tenant + end])
    host.docker("rm", "-f", "blue6")
    assert pings(host.container_network("red5"), "172.16.5.6")
    assert not pings(host.container_network("blue5"), "172.16.5.6")
    assert not pings(host.container_network("red5"), host.ipv4)
    for refused, words in (
        (("--ip", "172.16.5.9"), "no VNIC of subnet 172.16.5.0/24 of tenant red has address 172.16.5.9"),
        (("--ip", "172.16.5.5"), "has MAC .*; add --mac-address"),
        (tuple(made["red5"]["run"].split()[2:]), "is in use"),
        ((), "no addresses but those of VNICs"),
    ):
        with pytest.raises(LabError, match=words):
            host.docker("run", "--rm", "--network", made["red5"]["network"]["name"], *refused, IMAGE, "true")
    host.daemon.kill9()
    host.daemon.start()
    host.docker("restart", "-t", "0", "red5")
    assert pings(host.container_network("red5"), "172.16.5.6")
    host.engine.kill9()
    host.engine.start()
    for name in ("red5", "blue5"):
        host.docker("start", name)
    assert f"ether {made['red5']['vnic']['mac']}" in look(host, "red5")
    assert not pings(host.container_network("blue5"), "172.16.5.6")
    # The namespace ends before anybody has taken the interface out of it.
    host.docker("stop", "-t", "0", "red5")
    link, end = made["red5"]["vnic"]["link"], made["red5"]["vnic"]["host_end"]
    host.namespace.run("ip", "link", "del", link)
    host.docker("start", "red5")
    assert f"ether {made['red5']['vnic']['mac']}" in look(host, "red5")
    host.docker("stop", "-t", "0", "red5")
    host.namespace.run("ip", "link", "del", link)
    host.daemon.stop()
    host.daemon.start()
    eventually(lambda: end in host.namespace.run("ip", "-o", "link").output, "the pair is there again", 20.0)
    host.engine.clear()
    for name in made:
        remove(host, f"172.16.5.{name[-1]}", "--tenant", name[:-1])


def test_an_adopted_interface_is_given_and_left(host: Host) -> None:
    """A veth of the launcher's own: inside a container, back on the host, and still there in the end; networks come and
    go with `mooring.launcher`, which runs docker's command."""
    launcher = Launcher(
        str(host.daemon.api_socket), (host.release.program("docker"), "-H", f"unix://{host.engine.socket}")
    )
    host.namespace.run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "in0")
    try:
        made = launcher.adopt("in0", V4, "172.16.5.7", tenant="green", gateway="none")
        host.docker("run", "-d", "--name", "green7", *made.run, IMAGE, "stay")
        shown = look(host, "green7")
        assert "inet 172.16.5.7/24" in shown
        assert made.vnic.mac in shown
        assert "default" not in host.in_container("green7", "ip", "route").output
        with pytest.raises(LabError, match="in use"):
            host.mooring("vnic", "rm", "172.16.5.7")
        host.docker("restart", "-t", "0", "green7")
        assert made.vnic.mac in look(host, "green7")
        host.docker("rm", "-f", "green7")
        assert [launcher.destroy("172.16.5.7", tenant="green") for _ in range(2)] == [True, False]
        assert host.engine.networks() == []
        assert "in0" in host.namespace.run("ip", "-o", "link").output
    finally:
        host.namespace.run("ip", "link", "del", "out0")
