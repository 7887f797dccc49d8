"""A network that one host had alone becomes the cluster's while its containers run, and one is on every host."""

from __future__ import annotations

import json

from tests.e2e.lab import eventually
from tests.e2e.lab.clusters import LabCluster

PLACE = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}"


def test_a_network_is_published_under_a_running_container_and_another_is_everywhere(cluster: LabCluster) -> None:
    """The container keeps address and interface, also over a restart of the daemon; a second host joins it, and gives
    other addresses. What every host is to have is refused where a container is in it."""
    one, two, three = cluster.hosts
    one.create_network("app", "--subnet", "10.92.0.0/24")
    one.run_container("web", "--network", "app")
    before = one.docker("inspect", "-f", PLACE, "web").output
    ident = one.docker("network", "inspect", "-f", "{{.Id}}", "app").output.strip()
    one.mooring("cluster", "publish", "app", "--dry-run")
    assert json.loads(one.mooring("cluster", "publish", "app", "--format", "json").output)["addresses"] == 1
    one.daemon.stop()
    one.daemon.start()
    assert one.docker("inspect", "-f", PLACE, "web").output == before
    assert one.docker("network", "inspect", "-f", "{{.Id}}", "app").output.strip() == ident
    two.create_network("app", "-o", "scope=cluster", "--subnet", "10.92.0.0/24")
    two.run_container("web", "--network", "app")
    other = two.docker("inspect", "-f", PLACE, "web").output
    assert other.split()[0] != before.split()[0]
    one.mooring("network", "create", "--everywhere", "every", "--subnet", "10.93.0.0/24", "-o", "mode=vxlan")
    for host in cluster.hosts:
        host.docker("network", "inspect", "every")
    three.run_container("db", "--network", "every")
    refused = two.mooring("network", "rm", "--everywhere", "every", check=False)
    assert not refused.ok
    assert "held by db" in refused.output
    three.docker("rm", "-f", "db")
    two.mooring("network", "rm", "--everywhere", "every")
    for host in cluster.hosts:
        host.engine.clear()
    eventually(lambda: not cluster.left(), "nothing is left")
