"""Traffic between containers of several hosts in one network, as `docker run` gives it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.namespaces import run
from tests.e2e.lab.traffic import Server, ask_tcp, ask_udp, pings, reaches

DUAL = ("-o", "mode=vxlan", "--ipv6", "--subnet", "10.90.0.0/24", "--subnet", "fd90::/64")


def share(cluster: LabCluster, name: str, *options: str) -> None:
    """The network is on every host, with a container each that is called as the host."""
    together(*(partial(host.create_network, name, *options) for host in cluster.hosts))
    together(*(partial(host.run_container, f"on{host.number}", "--network", name) for host in cluster.hosts))


def largest(path: str, address: str, mtu: int) -> bool:
    """A packet that fills the MTU, and may not be cut, is answered."""
    argv = ["ping", "-M", "do", "-c", "1", "-W", "2", "-s", str(mtu - (48 if ":" in address else 28)), address]
    return run(["nsenter", f"--net={path}", "--", *argv], check=False).ok


def inside(host: Host) -> str:
    """The namespace of its container."""
    return host.container_network(f"on{host.number}")


def addresses(host: Host, network: str) -> tuple[str, str]:
    """Of its container, by both families."""
    return host.addresses(f"on{host.number}", network)


def test_containers_of_all_hosts_reach_each_other_and_each_host_all_of_them(cluster: LabCluster, lab: Lab) -> None:
    """By both families, TCP and UDP, up to the MTU; hosts, too; a published port on the host of its container."""
    share(cluster, "shared", *DUAL)
    one, two, three = cluster.hosts
    for sender, receiver in ((one, two), (two, three), (three, one)):
        for address in addresses(receiver, "shared"):
            eventually(lambda s=sender, a=address: pings(inside(s), a), f"{address} is reached", 10)  # type: ignore[misc]
            assert largest(inside(sender), address, 1450)
            assert not largest(inside(sender), address, 1451)
            assert pings(sender.network, address)
    four, six = addresses(two, "shared")
    with Server(inside(two), "two", 80):
        for address, own in zip((four, six), addresses(one, "shared"), strict=True):
            assert (ask_tcp(inside(one), address, 80).server, ask_udp(inside(one), address, 80).seen) == ("two", own)
    three.run_container("web", "--network", "shared", "-p", "8080:80")
    with Server(three.container_network("web"), "web", 80):
        assert ask_tcp(lab.outside.network, three.ipv4, 8080).server == "web"
        assert ask_tcp(inside(one), three.ipv4, 8080).server == "web"


def test_internal_and_icc_are_as_on_one_host(cluster: LabCluster, lab: Lab) -> None:
    """An internal network reaches its other hosts' containers and nobody else; with icc=off no container another."""
    share(cluster, "inner", "-o", "mode=vxlan", "--subnet", "10.90.0.0/24", "--internal")
    one, two, _ = cluster.hosts
    address, _ = addresses(two, "inner")
    eventually(lambda: pings(inside(one), address), "the other host's container is reached", 10)
    assert not pings(inside(one), lab.outside.ipv4, wait=1)
    together(*(host.engine.clear for host in cluster.hosts))
    share(cluster, "apart", "-o", "mode=vxlan", "--subnet", "10.90.1.0/24", "-o", "icc=off")
    address, _ = addresses(two, "apart")
    with Server(inside(two), "two", 80):
        assert not reaches(inside(one), address, 80)
    assert pings(inside(one), lab.outside.ipv4)


def test_a_port_leads_to_its_container_from_any_host_of_the_network(cluster: LabCluster, lab: Lab) -> None:
    """With ingress=any, by both families; an own container comes first, and one that is gone is led to no more."""
    one, two, three = cluster.hosts
    together(*(partial(host.create_network, "any", *DUAL, "-o", "ingress=any") for host in cluster.hosts))

    def answers(host: Host) -> set[str]:
        with suppress(OSError):
            return {ask_udp(lab.outside.network, at, 8080, 0.6).server for at in (host.ipv4, host.ipv6)}
        return set()

    def led(host: Host) -> str:
        return host.namespace.run("nft", "list", "map", "inet", "mooring", "ingress4").output

    one.run_container("web", "--network", "any", "-p", "8080:80/udp", "-p", "8080:80")
    with Server(one.container_network("web"), "web", 80):
        for host in (two, three):
            eventually(lambda h=host: answers(h) == {"web"}, f"host {host.number} leads to it", 10)  # type: ignore[misc]
            assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "web"
        two.run_container("mine", "--network", "any", "-p", "8080:80/udp")
        with Server(two.container_network("mine"), "mine", 80):
            assert answers(two) == {"mine"}
            assert answers(one) == {"web"}
    one.docker("rm", "-f", "web")
    with Server(two.container_network("mine"), "mine", 80):
        for host in (one, three):
            eventually(lambda h=host: answers(h) == {"mine"}, f"host {host.number} leads to the other", 10)  # type: ignore[misc]
    two.docker("rm", "-f", "mine")
    eventually(lambda: not any("8080" in led(host) for host in cluster.hosts), "nothing is led to", 10)
