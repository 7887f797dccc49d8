"""The lab's cluster itself: what fails elsewhere is then not the lab's fault."""

from __future__ import annotations

from tests.e2e.lab import eventually
from tests.e2e.lab.clusters import ALWAYS, LabCluster
from tests.e2e.lab.traffic import pings


def test_a_cut_takes_the_packets_of_two_and_no_others(cluster: LabCluster) -> None:
    """Hosts that are parted reach a third; a host that is cut from etcd says so, reaches hosts, and is heard again."""
    one, two, three = cluster.hosts
    assert all(key.startswith(ALWAYS) for key in cluster.stored())
    cluster.part(one, two)
    cluster.cut_from_store(three)
    assert not pings(one.network, two.ipv4, wait=1)
    assert pings(one.network, three.ipv4)
    assert "cannot be reached" in eventually(lambda: cluster.status(three)["unreached"], "the cut is told", 60)
    assert not cluster.status(one)["unreached"]
    cluster.mend()
    assert pings(one.network, two.ipv4)
    cluster.wait_heard()


def test_another_member_leads_when_the_leader_is_killed(cluster: LabCluster) -> None:
    """Two of three go on, and what `reset` finds dead is started."""
    first = cluster.leader()
    first.kill()
    assert cluster.leader() is not first
    assert cluster.stored("cluster")
    assert "cluster" in [key for _, key, _ in cluster.changes()]
    cluster.hosts[0].daemon.kill9()
