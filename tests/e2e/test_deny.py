"""What may not be over what: the deny list and the host's routes, as an operator of a VPN's host meets them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.lab import Host, eventually

CREATE = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring")


@pytest.fixture
def denying(host: Host) -> Iterator[Host]:
    """A host whose deny list is as before when the test has ended."""
    yield host
    for row in json.loads(host.mooring("deny", "ls", "--format", "json").output):
        if row["origin"] == "stored":
            host.mooring("deny", "rm", row["subnet"])


def test_a_denied_subnet_is_carved_around_and_refused_with_its_note(denying: Host) -> None:
    """From that moment on, over a restart, until the entry ends; who is in it stays."""
    host = denying
    host.create_network("old")
    said = host.mooring("deny", "add", "10.32.0.0/13", "--note", "VPN Berlin").output
    assert said.startswith("10.32.0.0/13 is denied\nin it, and staying: old (10.32.")
    assert host.mooring("deny", "add", "10.32.0.0/13", "--note", "VPN Berlin").output.endswith("denied already")
    host.create_network("new")
    assert _subnet(host, "new").startswith("10.40.")
    host.daemon.stop()
    host.daemon.start()
    refused = host.docker(*CREATE, "--subnet", "10.33.0.0/24", "typed", check=False)
    assert "10.32.0.0/13 is denied by `mooring deny`: VPN Berlin" in refused.output
    assert "`mooring deny rm 10.32.0.0/13`" in refused.output
    explained = host.mooring("explain", "10.33.0.7").output
    assert "VPN Berlin" in explained
    assert host.mooring("deny", "rm", "10.33.0.0/24", check=False).status == 3
    assert host.mooring("deny", "add", "10.33.0.1/24", check=False).status == 2
    host.mooring("deny", "rm", "10.32.0.0/13")
    host.docker(*CREATE, "--subnet", "10.33.0.0/24", "typed")


def test_a_vpn_that_comes_over_a_network_is_told_of_within_seconds(host: Host) -> None:
    """moby's networks keep silent then, and half of the traffic is gone: here doctor and one line of the log name the
    network, the route and the remedy; and it is over when the VPN ends."""
    host.create_network("web")
    subnet = _subnet(host, "web")
    ip = ("ip", "route")
    host.namespace.run("ip", "link", "add", "tun7", "type", "veth", "peer", "name", "tun8")
    try:
        for link in ("tun7", "tun8"):
            host.namespace.run("ip", "link", "set", link, "up")
        begun = time.monotonic()
        host.namespace.run(*ip, "add", subnet, "dev", "tun7", "metric", "50")
        eventually(lambda: "has a route to" in host.mooring("doctor", check=False).output, "doctor tells", 8)
        assert time.monotonic() - begun < 8
        assert "remove the route or make the network again" in host.mooring("doctor", check=False).output
        refused = host.docker(*CREATE, "--subnet", subnet.replace("/24", "/25"), "typed", check=False)
        assert not refused.ok
        host.namespace.run(*ip, "delete", subnet, "dev", "tun7", "metric", "50")
        eventually(lambda: "has a route to" not in host.mooring("doctor", check=False).output, "it is over", 8)
    finally:
        host.namespace.run("ip", "link", "delete", "tun7")
    told = [json.loads(line) for line in host.daemon.log.read_text().splitlines() if "has a route to" in line]
    lines = [line["event"].partition(":")[0] for line in told if subnet in line["event"]]
    assert lines == ["finding", "resolved"]


def test_a_typed_subnet_over_a_vpns_route_is_refused_or_told(host: Host) -> None:
    """As configured for the host or the network."""
    host.namespace.run("ip", "link", "add", "tun7", "type", "veth", "peer", "name", "tun8")
    try:
        host.namespace.run("ip", "link", "set", "tun7", "up")
        host.namespace.run("ip", "route", "add", "10.81.0.0/16", "dev", "tun7")
        refused = host.docker(*CREATE, "--subnet", "10.80.0.0/15", "typed", check=False)
        assert "10.81.0.0/16" in refused.output
        host.docker(*CREATE, "--subnet", "10.80.0.0/15", "-o", "host_overlap=warn", "typed")
    finally:
        host.namespace.run("ip", "link", "delete", "tun7")


def _subnet(host: Host, network: str) -> str:
    """Its first one."""
    return str(json.loads(host.docker("network", "inspect", network).output)[0]["IPAM"]["Config"][0]["Subnet"])
