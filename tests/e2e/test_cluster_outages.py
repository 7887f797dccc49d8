"""What goes on while etcd, a way, a daemon or a host is away, and that all is well afterwards."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import Any

from tests.e2e.lab import Host, LabError, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import pings

OPTIONS = ("-o", "mode=vxlan", "--subnet", "10.90.0.0/24")
PROMISED = 5.0
"""Seconds in which everything is answered; a busy machine gets three times as many."""


def share(cluster: LabCluster) -> None:
    """The network is on every host, and each has given an address of it."""
    together(*(partial(host.create_network, "shared", *OPTIONS) for host in cluster.hosts))
    together(*(partial(host.run_container, "first", "--network", "shared") for host in cluster.hosts))


def address(host: Host, container: str) -> str:
    """Of its container."""
    return host.addresses(container, "shared")[0]


def reach(sender: Host, receiver: Host, container: str) -> None:
    """The sender's first container reaches the receiver's container, soon."""
    path, there = sender.container_network("first"), address(receiver, container)
    eventually(lambda: pings(path, there, wait=1), f"{container} of {receiver.number} from {sender.number}", 15)


def test_containers_start_on_while_etcd_is_away(cluster: LabCluster) -> None:
    """Two of three members say nothing: hosts give on from what is theirs, also after a restart of the daemon; another
    host's address is refused in a few seconds and words; status says since when. Later everybody reaches everybody."""
    one, two, three = cluster.hosts
    share(cluster)
    reach(one, two, "first")
    for member in cluster.servers.members[:2]:
        member.send(signal.SIGSTOP)
    told = eventually(lambda: unreached(cluster), "the outage is told", 60)
    since = told[0]["confirmed"]
    assert since is not None
    three.daemon.kill9()
    three.daemon.start()
    for host in cluster.hosts:
        began = time.monotonic()
        host.run_container("second", "--network", "shared")
        assert time.monotonic() - began < 3 * PROMISED
    began = time.monotonic()
    argv = ("run", "-d", "--network", "shared", "--ip", address(two, "second"), IMAGE, "stay")
    refused = one.proxy.docker(*argv, check=False)
    assert not refused.ok
    assert "etcd" in refused.output or "cluster" in refused.output
    assert time.monotonic() - began < 3 * PROMISED
    assert cluster.status(one)["confirmed"] > since
    given = {address(host, name) for host in cluster.hosts for name in ("first", "second")}
    assert len(given) == 6
    cluster.restore_members()
    cluster.wait_heard()
    for sender, receiver in ((one, two), (two, three), (three, one)):
        reach(sender, receiver, "second")


def unreached(cluster: LabCluster) -> list[dict[str, Any]]:
    """What all hosts say of their cluster, once each has missed it. It is asked for some seconds before."""
    said = together(*(partial(cluster.status, host) for host in cluster.hosts))
    return said if all(each["unreached"] for each in said) else []


def test_one_host_without_etcd_is_nobody_elses_trouble(cluster: LabCluster) -> None:
    """The leader dies and a host is cut from etcd: the two others give, make networks and are told; the third runs on,
    gives from what is its own, and catches up."""
    one, two, three = cluster.hosts
    share(cluster)
    cluster.leader().kill()
    cluster.cut_from_store(three)
    eventually(lambda: cluster.status(three)["unreached"], "the cut is told", 60)
    for host in (one, two):
        eventually(partial(made, host), f"host {host.number} goes on", 30)
    three.run_container("second", "--network", "shared")
    one.run_container("second", "--network", "shared")
    reach(three, two, "first")
    cluster.mend()
    reach(one, three, "second")
    reach(three, one, "second")


def made(host: Host) -> bool:
    """Another network of the cluster is there."""
    try:
        host.create_network("other", "-o", "scope=cluster", "--subnet", "10.91.0.0/24")
    except LabError:
        return False
    return True


def test_a_host_that_was_off_gives_no_address_that_another_has(cluster: LabCluster) -> None:
    """Its blocks are on its disk; it comes back with them, and nobody has an address twice. Where it boots before etcd,
    what Docker could not start runs once that answers."""
    one, _, three = cluster.hosts
    share(cluster)
    options = ("--restart", "always", "--network", "shared")
    for name in ("dynamic", "fixed"):
        three.run_container(name, *options, "--label", f"mooring.key={name}" if name == "fixed" else "a=b")
    three.power_off()
    one.run_container("second", "--network", "shared")
    for member in cluster.servers.members[:2]:
        member.send(signal.SIGSTOP)
    three.boot()
    eventually(lambda: "container fixed could not be started" in said(three), "who was refused is told of", 60, 0.5)
    assert not runs(three, "fixed")
    cluster.restore_members()
    cluster.wait_heard()
    for name in ("dynamic", "fixed"):
        eventually(lambda n=name: runs(three, n), f"{name} runs", 30, 0.5)  # type: ignore[misc]
    assert "could not be started" not in said(three)
    reach(one, three, "fixed")
    three.engine.api("DELETE", "/containers/first?force=1")
    three.run_container("second", "--network", "shared")
    reach(one, three, "second")
    assert address(one, "second") != address(three, "second")


def runs(host: Host, container: str) -> bool:
    """Whether its container does."""
    return bool(host.engine.inspect(container)["State"]["Running"])


def said(host: Host) -> str:
    """What `mooring doctor` says."""
    return host.mooring("doctor", check=False).output
