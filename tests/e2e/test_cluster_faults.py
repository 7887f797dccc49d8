"""What hosts do whose addresses others took, whose clock is wrong, or whose way to etcd or to each other is bad."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.fixed import mac, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.sightings import Sightings
from tests.e2e.lab.slow_ways import STILL, SlowWays
from tests.e2e.lab.traffic import Server, ask_tcp, pings
from tests.e2e.lab.wrong_clocks import HOUR, WrongClock

SUBNET = IPv4Network("10.90.0.0/24")
OPTIONS = ("-o", "mode=vxlan", "--subnet", str(SUBNET))
KEY = ("--label", "mooring.key=db")
SOON = 60.0
"""Seconds for what has to come: a busy machine needs more than is promised, and no more is waited than it takes."""


def share(cluster: LabCluster, *options: str) -> None:
    """The network is on every host, and each has given an address of it."""
    together(*(partial(host.create_network, "shared", *OPTIONS, *options) for host in cluster.hosts))
    together(*(partial(run, host, "web", network="shared") for host in cluster.hosts))


def address(host: Host, container: str) -> str:
    """Of its container."""
    return host.addresses(container, "shared")[0]


def has_interface(host: Host, container: str) -> bool:
    """Whether its container is in any network."""
    return "eth" in host.in_container(container, "ip", "-o", "link").output


def reach(sender: Host, receiver: Host, container: str = "web") -> None:
    """The sender's container reaches the receiver's, soon."""
    path, there = sender.container_network("web"), address(receiver, container)
    eventually(lambda: pings(path, there, wait=1), f"{container} of {receiver.number} from {sender.number}", SOON)


def done(host: Host, *argv: str) -> bool:
    """Whether the mooring command succeeded."""
    return host.mooring(*argv, check=False).ok


def refusal(host: Host, *argv: str) -> str:
    """What docker says of a container that is not made."""
    result = host.proxy.docker(
        "run", "-d", "--name", "refused", "--network", "shared", *argv, IMAGE, "stay", check=False
    )
    host.proxy.docker("rm", "-f", "refused", check=False)
    assert not result.ok
    return result.output


def wait_refused(host: Host, words: str, *argv: str) -> None:
    """A container is refused for that: at first, perhaps, because the cluster was asked in vain."""
    eventually(lambda: words in refusal(host, *argv), f"{words}, says host {host.number}", SOON, 0.5)


def test_who_lost_an_address_while_he_was_cut_off_is_put_off_and_told(cluster: LabCluster) -> None:
    """Two hosts are cut from etcd; a third takes an address of one of them by force, and forgets the other. When they
    are back, theirs go off the network and are told of, and the third's answer. Who was forgotten gives nothing and
    takes nothing until it joins anew, and then its container gets another address."""
    one, two, three = cluster.hosts
    share(cluster)
    run(one, "db", *KEY, network="shared")
    taken = (address(one, "db"), mac(one, "db", "shared")), address(two, "web")
    token = re.findall(r"\S+", one.mooring("cluster", "token").output)[-1]
    for host in (one, two):
        cluster.cut_from_store(host)
    eventually(partial(done, three, "lease", "move", "db", "--force"), "the address comes by force", SOON, 0.5)
    eventually(partial(done, three, "cluster", "hosts", "forget", "two"), "a host is forgotten", SOON, 0.5)
    run(three, "db", *KEY, network="shared")
    run(three, "other", "--ip", taken[1], network="shared")
    assert (address(three, "db"), mac(three, "db", "shared")) == taken[0]
    assert has_interface(one, "db")
    assert has_interface(two, "web")
    cluster.mend()
    for host, name, lost in ((one, "db", taken[0][0]), (two, "web", taken[1])):
        eventually(lambda h=host, n=name: not has_interface(h, n), f"{name} of {host.number} is put off", SOON)  # type: ignore[misc]
        told = f"container {name} runs without an interface"
        eventually(lambda h=host, t=told: t in doctor(h), f"{name} is told of", SOON, 0.2)  # type: ignore[misc]
        assert lost in doctor(host)
        assert told in host.daemon.log.read_text()
    with Server(three.container_network("db"), "db", 80), Server(three.container_network("other"), "other", 80):
        for server, there in (("db", taken[0][0]), ("other", taken[1])):
            eventually(lambda s=server, a=there: answers(one, a) == s, f"{server} answers", SOON)  # type: ignore[misc]
    reach(one, three)
    wait_refused(one, "in use on host three", *KEY)

    eventually(lambda: "has forgotten this host" in cluster.status(two)["unreached"], "it knows", SOON, 0.2)
    wait_refused(two, "has forgotten this host")
    two.mooring("cluster", "leave", "--force")
    two.mooring("cluster", "join", token, "--name", "two")
    cluster.wait_heard()
    eventually(lambda: two.proxy.docker("restart", "-t", "0", "web", check=False).ok, "it has an address again", SOON)
    assert address(two, "web") not in {taken[0][0], taken[1], address(one, "web"), address(three, "web")}
    reach(two, three)
    reach(one, two)


def doctor(host: Host) -> str:
    """What `mooring doctor` says."""
    return host.mooring("doctor", check=False).output


def answers(host: Host, there: str) -> str:
    """Who answers the host's container at the address."""
    try:
        return ask_tcp(host.container_network("web"), there, 80, timeout=1).server
    except OSError:
        return ""


def wait_refreshed(cluster: LabCluster, host: Host) -> None:
    """The host has refreshed its session since this call."""
    began = time.monotonic()

    def refreshed() -> bool:
        age = cluster.status(host)["confirmed"]
        return age is not None and age < time.monotonic() - began

    eventually(refreshed, "its session is refreshed", SOON, 0.2)


def test_a_host_whose_clock_jumps_neither_takes_nor_loses_an_address(cluster: LabCluster, tmp_path: Path) -> None:
    """An hour on, and an hour back: it is heard, and its address that may move by itself stays; once an hour of its
    sleep has passed, which the others may have seen as its end, it stops using that, and starts it again by asking."""
    one, two, _ = cluster.hosts
    clock = WrongClock(tmp_path)
    try:
        one.daemon.environment = clock.environment(one.daemon.environment)
        one.daemon.stop()
        one.daemon.start()
        cluster.wait_heard()
        share(cluster, "--ipam-opt", "move=auto")
        run(one, "db", *KEY, network="shared")
        with Sightings(cluster.hosts, SUBNET) as sightings:
            for off in (HOUR, -HOUR):
                clock.put(off)
                wait_refreshed(cluster, one)
                cluster.wait_heard()
                wait_refused(two, "in use on host one", *KEY)
                for host in (one, two):
                    run(host, f"then{off:.0f}", network="shared")
                assert has_interface(one, "db")
            clock.put(0.0, HOUR)
            eventually(lambda: not has_interface(one, "db"), "it is put off", SOON)
            eventually(lambda: one.proxy.docker("restart", "-t", "0", "db", check=False).ok, "it is back", SOON)
            assert has_interface(one, "db")
        reach(two, one, "db")
        assert sightings.history().faults() == []
    finally:
        one.power_off()  # a clock that counts from the boot goes back with a boot alone


def test_a_slow_etcd_keeps_no_container_waiting_that_does_not_need_it(cluster: LabCluster, lab: Lab) -> None:
    """A fifth of a second, three, and no answer at all: what is a host's own is given, and what has to be asked for is
    refused, while etcd has not answered; what was written late does not make a second user, and later all is well."""
    one, two, three = cluster.hosts
    share(cluster)
    with slow(cluster, lab) as ways, Sightings(cluster.hosts, SUBNET, settled=True) as sightings:
        ways.delay = 0.1  # of a new key a dozen requests follow each other, for which there are five seconds
        run(one, "fixed", "--label", "mooring.key=half", network="shared")
        for number, delay in enumerate((0.1, 1.5, STILL)):
            ways.delay = delay
            together(*(partial(run, host, f"dynamic{number}", network="shared") for host in cluster.hosts))
            if delay > 0.1:
                for said in together(
                    partial(refusal, two, "--label", f"mooring.key=at{number}"),
                    partial(refusal, three, "--ip", address(one, "dynamic0")),
                ):
                    assert "cluster" in said or "etcd" in said
        ways.delay = 0.0
        cluster.wait_heard()
        for sender, receiver in ((one, two), (two, three), (three, one)):
            reach(sender, receiver, "dynamic2")
    assert sightings.history().faults() == []


@contextmanager
def slow(cluster: LabCluster, lab: Lab) -> Iterator[SlowWays]:
    """All hosts reach etcd by ways that may be slow."""
    with SlowWays(lab.outside.namespace, cluster.servers.endpoints) as ways:
        go_by(cluster, ways.endpoints)
        try:
            yield ways
        finally:
            ways.delay = 0.0
            go_by(cluster, cluster.servers.endpoints)


def go_by(cluster: LabCluster, endpoints: list[str]) -> None:
    """The hosts reach etcd by these endpoints."""
    words = [word for endpoint in endpoints for word in ("--endpoint", endpoint)]
    token = re.findall(r"\S+", cluster.hosts[0].mooring("cluster", "token", *words).output)[-1]
    for host in cluster.hosts:
        eventually(partial(done, host, "cluster", "join", token), f"host {host.number} goes that way", SOON, 0.5)
    cluster.wait_heard()


def test_hosts_that_do_not_reach_each_other_agree_all_the_same(cluster: LabCluster) -> None:
    """Each of them gives, nobody gives twice, and a third reaches both; once they are mended they reach each other's
    new containers."""
    one, two, three = cluster.hosts
    share(cluster)
    with Sightings(cluster.hosts, SUBNET) as sightings:
        cluster.part(one, two)
        assert not pings(one.container_network("web"), address(two, "web"), wait=1)
        together(*(partial(run, host, "more", network="shared") for host in (one, two)))
        run(two, "db", *KEY, network="shared")
        wait_refused(one, "in use on host two", *KEY)
        for host in (one, two):
            reach(three, host, "more")
            assert not cluster.status(host)["unreached"]
        cluster.mend()
        reach(one, two, "more")
        reach(two, one, "more")
    assert sightings.history().faults() == []
