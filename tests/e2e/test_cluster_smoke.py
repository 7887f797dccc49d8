"""Weave's smoke tests of several hosts, told again: what a user of Weave Net looks for first.

By their numbers there; what is said in a file already is not said here again:

    100 101 800       test_cluster_overlay, test_attachments; here by attached and named addresses
    105               netns/test_overlays; here on a way that silently loses what is long
    110 111           netns/test_encryption, test_encrypted_networks
    115               none: a network is encrypted or not, whichever hosts are in it (netns/test_encryption)
    120 175           test_cluster, test_cluster_outages; no way through a third host: hosts reach each other, or do not
    130               test_isolation, test_attachments (expose, hide), test_cluster_overlay; here across hosts
    135 191           test_crashes, netns/test_mending, netns/test_overlays
    140 190           none: there is no second way to run it, and no second kind of tunnel
    150 330 335       here: a host leaves and joins, one is lost and forgotten
    195               netns/test_overlays, by `-o multicast=`
    200-250 270-295   test_dns, test_dns_healthy, test_dns_install, test_cluster_names; an added record is its host's
    210 215 255 260   here
    265 300           here, at another host each time
    310 370           test_attachments, test_crashes; here with an address that is a key's
    320 820           here; without the cluster: test_cluster_outages
    340 350 360 380   none: etcd's members vote, and hosts do not; contracts/test_etcd_cluster, test_cluster_outages
    362               test_cluster_networks: a subnet is its network's, and what differs is refused
    810               test_attachments, test_cluster_names; here seen from another host
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.fixed import run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.names import ask
from tests.e2e.lab.namespaces import run as run_command
from tests.e2e.lab.traffic import Server, ask_tcp, pings

SUBNET = ("--subnet", "10.40.0.0/16")
NAMES = ("-o", "dns=on")


def make(hosts: list[Host], *options: str, name: str = "app") -> None:
    """The network is on each of the hosts."""
    together(*(partial(host.create_network, name, "-o", "mode=vxlan", *options) for host in hosts))


def address(host: Host, container: str) -> str:
    """Of its container in the network."""
    return host.addresses(container, "app")[0]


def reach(sender: Host, container: str, there: str) -> None:
    """The sender's container reaches the address, soon."""
    eventually(lambda: pings(sender.container_network(container), there, wait=1), f"{there} is reached", 15)


def named(host: Host, container: str, there: str, *options: str) -> str:
    """ "" when the container runs with the address that it asked for, else what Docker says of it."""
    argv = ("run", "-d", "--name", container, "--network", "app", "--ip", there, *options, IMAGE, "stay")
    if (result := host.docker(*argv, check=False)).ok:
        return ""
    host.docker("rm", "-f", container, check=False)
    return result.output


def told(client: str, name: str, answer: Callable[[], str], kind: str = "A") -> None:
    """Whoever asks there for the name is told this, soon."""
    eventually(lambda: ask(client, name, kind) == answer(), f"{name} is {answer()}", 20, 0.1)


def test_addresses_that_are_named_are_had_from_whichever_host_has_them(cluster: LabCluster) -> None:
    """100, 320, 820: with `--ip` and `mooring attach`, also out of another host's part of the subnet; over a restart;
    not twice, and whoever is refused is told where it is."""
    one, two, three = cluster.hosts
    make(cluster.hosts, *SUBNET)
    together(*(partial(host.run_container, "chosen", "--network", "app") for host in cluster.hosts))
    # Of the same block, and not the next one, which may be the host's own in the overlay.
    neighbour = str(ip_address(address(three, "chosen")) + 5)
    assert named(one, "c1", neighbour) == ""
    assert "on host one" in named(two, "c1", neighbour)
    assert "on host one" in named(three, "c1", neighbour)
    two.run_container("late")
    assert two.mooring("attach", "late", "app", "10.40.7.7").output == "10.40.7.7"
    two.docker("restart", "-t", "0", "late")
    for there in (neighbour, "10.40.7.7", *(address(host, "chosen") for host in (one, two))):
        reach(three, "chosen", there)
    assert address(two, "late") == "10.40.7.7"
    assert two.mooring("detach", "late", "app").output == "10.40.7.7"
    eventually(lambda: named(three, "next", "10.40.7.7") == "", "it is free for another host", 15)
    reach(one, "c1", "10.40.7.7")


def test_an_address_that_is_used_again_is_reached_and_called_as_what_has_it_now(cluster: LabCluster) -> None:
    """265, 300: by one who has talked to all that had it before, on another host each time."""
    three = cluster.hosts[2]
    make(cluster.hosts, *SUBNET, *NAMES)
    run(three, "client", network="app")
    client = three.container_network("client")
    for host, name in zip(cluster.hosts, ("acontainer", "bcontainer", "ccontainer"), strict=True):
        eventually(lambda: named(host, name, "10.40.0.43") == "", "the address is free", 15)  # noqa: B023
        with Server(host.container_network(name), name, 80):
            reach(three, "client", "10.40.0.43")
            assert ask_tcp(client, "10.40.0.43", 80).server == name
        told(client, "43.0.40.10.in-addr.arpa", lambda: f"{name}.app.mooring.", "PTR")  # noqa: B023
        host.docker("rm", "-f", name)
    told(client, "43.0.40.10.in-addr.arpa", lambda: "NXDOMAIN", "PTR")


def test_names_are_those_of_what_runs_however_often_it_stops(cluster: LabCluster) -> None:
    """210, 215, 255, 260, 810: the same name on three hosts; a daemon that was killed, on the host of one who has it; a
    host that hears nothing while one of them goes."""
    one, two, three = cluster.hosts
    make(cluster.hosts, *SUBNET, *NAMES)
    for host in cluster.hosts:
        run(host, "foo", network="app")
    run(three, "client", network="app")
    client = three.container_network("client")

    def all_of_them() -> str:
        return " ".join(sorted(address(host, "foo") for host in cluster.hosts))

    told(client, "foo.app.mooring", all_of_them)
    for _ in range(2):
        together(*(partial(host.docker, "kill", "foo") for host in cluster.hosts))
        told(client, "foo.app.mooring", lambda: "NXDOMAIN")
        together(*(partial(host.docker, "start", "foo") for host in cluster.hosts))
        told(client, "foo.app.mooring", all_of_them)
    before = all_of_them()
    one.daemon.kill9()
    one.daemon.start()
    told(client, "foo.app.mooring", lambda: before)
    assert all_of_them() == before
    cluster.cut_from_store(three)
    one.docker("rm", "-f", "foo")
    cluster.mend()
    told(client, "foo.app.mooring", lambda: " ".join(sorted(address(host, "foo") for host in (two, three))))


def test_a_new_engine_and_a_narrow_way_keep_what_networks_promise(cluster: LabCluster) -> None:
    """105, 130, 310: a fixed address, after the engine was started anew; long packets, where what is longer than the
    way vanishes and the network's `mtu` says so; networks that are apart, and a host that is exposed already."""
    one, two, _ = cluster.hosts
    hosts = [one, two]
    make(hosts, *SUBNET, "-o", "mtu=600")
    make(hosts, "--subnet", "10.41.0.0/24", name="apart")
    run(one, "db", "--label", "mooring.key=db", "--restart", "always", network="app")
    two.run_container("client", "--network", "app")
    two.run_container("stranger", "--network", "apart")
    there = address(one, "db")
    reach(two, "client", there)
    assert not pings(two.container_network("stranger"), there, wait=1)
    cluster.narrow(one, two, 700)
    long = ["ping", "-c", "1", "-W", "3", "-s", "10000", there]
    inside = ["nsenter", f"--net={two.container_network('client')}", "--"]
    eventually(lambda: run_command([*inside, *long], check=False).ok, "long packets come through", 15)
    assert two.mooring("expose", "app").output.splitlines()[0] == "mooring: exposed already"
    one.engine.stop()
    one.engine.start()
    one.wait_state("db", running=True)
    reach(two, "client", there)
    assert address(one, "db") == there


def test_hosts_leave_and_join_and_one_that_is_lost_is_forgotten(cluster: LabCluster) -> None:
    """150, 330, 335: who has left is in no list, and joins as another host by the same token; what a dead host had is
    given to others when it is forgotten; it comes back as a new one, and has none of that."""
    one, two, three = cluster.hosts
    make(cluster.hosts, *SUBNET)
    one.run_container("c1", "--network", "app")
    assert named(three, "c3", "10.40.0.9") == ""
    token = one.mooring("cluster", "token").output.split()[-1]
    three.power_off()
    two.docker("network", "rm", "app")
    eventually(lambda: two.mooring("cluster", "leave", check=False).ok, "a host leaves", 20)
    rows = json.loads(one.mooring("cluster", "hosts", "ls", "--format", "json").output)
    assert [row["name"] for row in rows] == ["one", "three"]
    two.mooring("cluster", "join", token, "--name", "two")
    eventually(lambda: not cluster.status(two)["unreached"], "it is back", 20)
    make([two], *SUBNET)
    two.run_container("c2", "--network", "app")
    reach(one, "c1", address(two, "c2"))
    assert "on host three" in named(two, "next", "10.40.0.9")
    eventually(lambda: one.mooring("cluster", "hosts", "forget", "three", check=False).ok, "it is forgotten", 60, 1)
    eventually(lambda: named(two, "next", "10.40.0.9") == "", "its addresses are free", 20)
    reach(one, "c1", "10.40.0.9")
    three.boot()
    three.mooring("cluster", "leave", "--force")
    three.mooring("cluster", "join", token, "--name", "three")
    cluster.wait_heard()
    assert not three.docker("start", "c3", check=False).ok
    three.run_container("fresh", "--network", "app")
    reach(one, "c1", address(three, "fresh"))
