"""Networks whose traffic between hosts is in WireGuard."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.clusters import LabCluster
from tests.e2e.lab.traffic import pings

pytestmark = pytest.mark.skipif(shutil.which("wg") is None, reason="needs wireguard-tools")


def test_containers_of_two_hosts_talk_through_wireguard(cluster: LabCluster) -> None:
    """Also while the daemon is killed and started, and again after the device was. It is there for as long as the
    network is."""
    one, two, _ = cluster.hosts
    options = ("--subnet", "10.77.0.0/24", "-o", "mode=vxlan", "-o", "encrypted=on")
    for host in (one, two):
        host.create_network("web", *options)
        host.run_container("web-1", "--network", "web")
    here = one.container_network("web-1")
    (there, _) = two.addresses("web-1", "web")
    eventually(lambda: pings(here, there), "the other container answers", 20)
    (device,) = _devices(one)
    heard_of = one.namespace.run("wg", "show", device, "transfer").output.splitlines()
    assert any(int(line.split()[1]) > 0 for line in heard_of)  # the third host has nothing to say
    one.daemon.kill9()
    one.daemon.start()
    heard = cluster.status(one)["confirmed"]
    eventually(lambda: cluster.status(one)["confirmed"] != heard, "it has told what it is", 20)
    assert pings(here, there)
    one.namespace.run("ip", "link", "del", device)
    eventually(lambda: pings(here, there), "the other container answers again", 20)
    for host in (one, two):
        host.docker("rm", "-f", "web-1")
        host.docker("network", "rm", "web")
    for host in (one, two):
        eventually(lambda host=host: not _devices(host), "the device is gone", 10)  # type: ignore[misc]


def _devices(host: Host) -> list[str]:
    return host.namespace.run("wg", "show", "interfaces").output.split()
