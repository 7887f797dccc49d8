"""Who may not reach whom."""

from __future__ import annotations

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, Lab
from tests.e2e.lab.traffic import Server, ask_tcp, pings, reaches

DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")
OTHER = ("--ipv6", "--subnet", "10.78.0.0/24", "--subnet", "fd77:2::/64")


def test_networks_do_not_reach_one_another(host: Host) -> None:
    """A container does not reach one of another network, by ping or TCP, over either family."""
    host.create_network("one", *DUAL)
    host.create_network("two", *OTHER)
    host.run_container("first", "--network", "one")
    host.run_container("second", "--network", "two")
    with Server(host.container_network("second"), "second", 80):
        for address in host.addresses("second", "two"):
            assert not pings(host.container_network("first"), address, wait=1)
            assert not reaches(host.container_network("first"), address, 80)
            assert ask_tcp(host.network, address, 80).server == "second"


def test_networks_with_the_same_word_reach_one_another(host: Host) -> None:
    """`-o peers=WORD` lets networks of the same word reach each other, and no third one."""
    host.create_network("one", *DUAL, "-o", "peers=shop")
    host.create_network("two", *OTHER, "-o", "peers=shop")
    host.create_network("three", "--subnet", "10.79.0.0/24", "-o", "peers=bank")
    for name in ("one", "two", "three"):
        host.run_container(f"in-{name}", "--network", name)
    with Server(host.container_network("in-two"), "in-two", 80):
        for address in host.addresses("in-two", "two"):
            assert ask_tcp(host.container_network("in-one"), address, 80).server == "in-two"
        assert not reaches(host.container_network("in-three"), host.addresses("in-two", "two")[0], 80)


def test_containers_of_a_network_without_icc_do_not_reach_each_other(host: Host, lab: Lab) -> None:
    """With icc=off two containers of one network do not reach each other, but the outside and published ports work."""
    host.create_network("apart", *DUAL, "-o", "icc=off")
    host.run_container("first", "--network", "apart")
    host.run_container("second", "--network", "apart", "-p", "8080:80")
    inside = host.container_network("first")
    with Server(host.container_network("second"), "second", 80):
        for address in host.addresses("second", "apart"):
            assert not pings(inside, address, wait=1)
            assert not reaches(inside, address, 80)
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "second"
    assert pings(inside, lab.outside.ipv4)
    assert pings(inside, lab.outside.ipv6)


def test_outside_does_not_reach_what_is_not_published(host: Host, lab: Lab) -> None:
    """A neighbour that routes a container's subnet to the host does not reach ports that are not published."""
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    routes = (("10.77.0.0/24", host.ipv4), ("fd77:1::/64", host.ipv6))
    for subnet, gateway in routes:
        lab.outside.namespace.run("ip", "route", "add", subnet, "via", gateway)
    try:
        with Server(host.container_network("first"), "first", 81), Server(host.container_network("first"), "first", 80):
            for address in host.addresses("first", "one"):
                assert not reaches(lab.outside.network, address, 81)
                assert not reaches(lab.outside.network, address, 80)
            assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "first"
    finally:
        for subnet, gateway in routes:
            lab.outside.namespace.run("ip", "route", "del", subnet, "via", gateway)


def test_an_internal_network_is_closed_both_ways(host: Host, lab: Lab) -> None:
    """Neither another network nor the outside reaches an internal one, and the host does."""
    host.create_network("inner", "--internal", *DUAL)
    host.create_network("two", *OTHER)
    host.run_container("first", "--network", "inner")
    host.run_container("second", "--network", "two")
    with Server(host.container_network("first"), "first", 80):
        for address in host.addresses("first", "inner"):
            assert not reaches(host.container_network("second"), address, 80)
            assert ask_tcp(host.network, address, 80).server == "first"
    for address in host.addresses("second", "two"):
        assert not pings(host.container_network("first"), address, wait=1)


def test_a_container_of_two_networks_does_not_join_them(host: Host) -> None:
    """A container on both networks reaches both; its neighbours do not reach each other through the host."""
    host.create_network("one", *DUAL)
    host.create_network("two", *OTHER)
    host.run_container("first", "--network", "one")
    host.run_container("second", "--network", "two")
    host.run_container("both", "--network", "one")
    host.docker("network", "connect", "two", "both")
    both = host.container_network("both")
    assert all(pings(both, address) for address in host.addresses("first", "one"))
    assert all(pings(both, address) for address in host.addresses("second", "two"))
    assert not pings(host.container_network("first"), host.addresses("second", "two")[0], wait=1)


def test_the_engines_own_bridge_and_ours_do_not_reach_each_other(host: Host) -> None:
    """A container on docker0 does not reach a network of ours, nor the other way round."""
    host.create_network("one", *DUAL)
    host.run_container("ours", "--network", "one")
    host.run_container("theirs")
    assert not pings(host.container_network("theirs"), host.addresses("ours", "one")[0], wait=1)
    assert not pings(host.container_network("ours"), host.addresses("theirs", "bridge")[0], wait=1)


def test_a_plain_network_is_closed_from_its_first_packet(host: Host) -> None:
    """Whatever its bridge is called, both ways, and though nobody has told the daemon of it: it does not even run."""
    host.create_network("one", *DUAL)
    host.run_container("ours", "--network", "one")
    host.daemon.stop()
    for name, option in (("plain", ()), ("named", ("-o", "com.docker.network.bridge.name=lan0"))):
        host.docker("network", "create", *option, name)
        host.run_container(f"in-{name}", "--network", name)
        theirs = host.addresses(f"in-{name}", name)[0]
        with Server(host.container_network(f"in-{name}"), name, 80), Server(host.container_network("ours"), "ours", 80):
            assert not reaches(host.container_network("ours"), theirs, 80)
            assert not reaches(host.container_network(f"in-{name}"), host.addresses("ours", "one")[0], 80)
            assert ask_tcp(host.network, theirs, 80).server == name
    host.daemon.start()


def test_a_published_port_of_a_plain_network_is_reached_by_the_hosts_address_only(host: Host) -> None:
    """As between two networks of Docker's own, both ways; and who opens more in DOCKER-USER has it open. Engines before
    28 let in at a container's own address whoever comes from no network of Docker's."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    host.run_container("ours", "--network", "one", "-p", "8077:80")
    host.docker("network", "create", "plain")
    host.run_container("theirs", "--network", "plain", "-p", "8078:80")
    ours, theirs = host.container_network("ours"), host.container_network("theirs")
    address = host.addresses("theirs", "plain")[0]
    with Server(ours, "ours", 80), Server(theirs, "theirs", 80):
        assert ask_tcp(ours, host.ipv4, 8078).server == "theirs"
        assert ask_tcp(theirs, host.ipv4, 8077).server == "ours"
        assert not reaches(ours, address, 80)
        assert not reaches(theirs, host.addresses("ours", "one")[0], 80)
        if host.release.version < (28,):  # later ones drop it before any chain is asked
            rule = ("DOCKER-USER", "-s", "10.77.0.0/24", "-d", address, "-j", "ACCEPT")
            host.namespace.run("iptables", "-I", *rule)
            assert ask_tcp(ours, address, 80).server == "theirs"
            host.namespace.run("iptables", "-D", *rule)
    host.docker("rm", "-f", "theirs")
    host.docker("network", "rm", "plain")


def test_a_host_whose_uplink_is_a_bridge_loses_nothing(make_host: MakeHost, lab: Lab) -> None:
    """The LAN is at br0: containers reach it and are reached from it, as soon as there is a network."""
    host = make_host()
    host.namespace.run(
        "sh", "-ec",
        "ip link add br0 type bridge; ip link set br0 up; ip link set eth0 master br0; ip address flush dev eth0\n"
        f"ip address add {host.ipv4}/24 dev br0; ip -6 address add {host.ipv6}/64 dev br0 nodad\n"
        f"ip route replace default via {lab.outside.ipv4}; ip -6 route replace default via {lab.outside.ipv6}",
    )  # fmt: skip
    host.daemon.stop()
    host.daemon.start()
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    inside = host.container_network("first")
    with Server(inside, "first", 80):
        assert pings(inside, lab.outside.ipv4)
        assert pings(inside, lab.outside.ipv6)
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).seen == lab.outside.ipv4
