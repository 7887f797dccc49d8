"""Networks of the cluster as an operator makes, sees and removes them on three hosts."""

from __future__ import annotations

import time
from functools import partial

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.clusters import LabCluster, together

SHARED = ("-o", "scope=cluster", "--subnet", "10.90.0.0/24")


def refusal(host: Host, *options: str) -> str:
    """What docker says of a network that is not made."""
    argv = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", *options, "other")
    result = host.docker(*argv, check=False)
    assert not result.ok
    return result.output


def test_the_same_network_is_one_on_all_hosts_until_the_last_removes_it(cluster: LabCluster) -> None:
    """What differs is refused with both values and the host that has it, as is a subnet that overlaps; each host
    removes its own part, and with the last one nothing is left."""
    one, two, three = cluster.hosts
    together(*(partial(host.create_network, "shared", *SHARED, "-o", "mtu=1400") for host in (one, two)))
    said = refusal(three, *SHARED, "-o", "mtu=1300")
    assert "1300" in said
    assert "1400" in said
    assert "host one" in said
    said = refusal(three, *SHARED, "--gateway", "10.90.0.9", "-o", "mtu=1400")
    assert "10.90.0.9" in said
    assert "10.90.0.1" in said
    said = refusal(three, "-o", "scope=cluster", "--subnet", "10.90.0.128/25")
    assert "overlaps 10.90.0.0/24" in said
    three.create_network("named-otherwise", *SHARED, "-o", "mtu=1400")
    for host in (one, three):
        host.engine.clear()
    assert any(key.startswith("net/") for key in cluster.stored())
    two.run_container("web", "--network", "shared")
    two.engine.clear()
    eventually(lambda: not cluster.left(), "the last host has removed the network")


def test_a_network_that_is_removed_while_etcd_is_away_is_left_when_it_is_back(cluster: LabCluster) -> None:
    """`docker network rm` succeeds at once and `create` is refused within five seconds; later nothing is left."""
    one = cluster.hosts[0]
    one.create_network("shared", *SHARED)
    one.run_container("web", "--network", "shared")
    cluster.cut_from_store(one)
    eventually(lambda: cluster.status(one)["unreached"], "the cut is told", 60)
    began = time.monotonic()
    said = refusal(one, "-o", "scope=cluster", "--subnet", "10.91.0.0/24")
    assert time.monotonic() - began < 15  # five seconds are promised; the rest is for a busy machine
    assert "cannot be reached" in said
    one.docker("rm", "-f", "web")
    one.docker("network", "rm", "shared")
    assert cluster.left() != []
    cluster.mend()
    eventually(lambda: not cluster.left(), "the network has been left", 30)
