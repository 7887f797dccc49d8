"""Published ports: every way in, and every way to be refused."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.features import has_sctp
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import in_network
from tests.e2e.lab.traffic import Server, Stream, ask_tcp, ask_udp, reaches

DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")


def web(host: Host, *publish: str, network: str = "one", name: str = "web") -> str:
    """A container that publishes; the path of its network namespace."""
    if network not in host.engine.networks():
        host.create_network(network, *DUAL)
    host.run_container(name, "--network", network, *(word for port in publish for word in ("-p", port)))
    return host.container_network(name)


def test_a_published_port_is_reached_from_outside_over_both_families(host: Host, lab: Lab) -> None:
    """The outside machine reaches the container at the host's addresses, and the container sees who asks."""
    with Server(web(host, "8080:80", "8080:80/udp"), "web", 80):
        for address, source in ((host.ipv4, lab.outside.ipv4), (host.ipv6, lab.outside.ipv6)):
            for ask in (ask_tcp, ask_udp):
                reply = ask(lab.outside.network, address, 8080)
                assert (reply.server, reply.seen) == ("web", source)


def test_a_published_port_is_reached_from_the_host_itself(host: Host) -> None:
    """The host reaches the container at its own address and at loopback, TCP and UDP, both families."""
    with Server(web(host, "8080:80", "8080:80/udp"), "web", 80):
        for address in (host.ipv4, host.ipv6, "127.0.0.1"):
            assert ask_tcp(host.network, address, 8080).server == "web"
            assert ask_udp(host.network, address, 8080).server == "web"


def test_a_container_reaches_its_own_published_port(host: Host) -> None:
    """Hairpin: the host's address and the published port lead a container back to itself, and its neighbour there."""
    inside = web(host, "8080:80")
    host.run_container("peer", "--network", "one")
    with Server(inside, "web", 80):
        for address in (host.ipv4, host.ipv6):
            assert ask_tcp(inside, address, 8080).server == "web"
            assert ask_tcp(host.container_network("peer"), address, 8080).server == "web"


def test_a_container_of_another_network_reaches_a_published_port(host: Host) -> None:
    """What is published is published for everybody: another network reaches it at the host's address only."""
    inside = web(host, "8080:80")
    host.create_network("other", "--subnet", "10.78.0.0/24")
    host.run_container("peer", "--network", "other")
    with Server(inside, "web", 80):
        assert ask_tcp(host.container_network("peer"), host.ipv4, 8080).server == "web"
        assert not reaches(host.container_network("peer"), host.addresses("web", "one")[0], 80)


def test_a_port_published_on_an_address_is_open_on_that_address_only(host: Host, lab: Lab) -> None:
    """`-p 127.0.0.1:8080:80` serves the host and nobody else; one on the host's address does not serve loopback."""
    with Server(web(host, "127.0.0.1:8080:80", f"{host.ipv4}:8081:80"), "web", 80):
        assert ask_tcp(host.network, "127.0.0.1", 8080).server == "web"
        assert not reaches(lab.outside.network, host.ipv4, 8080)
        assert ask_tcp(lab.outside.network, host.ipv4, 8081).server == "web"
        assert not reaches(host.network, "127.0.0.1", 8081)


def test_loopback_publication_is_not_reached_by_packets_from_the_wire(host: Host, lab: Lab) -> None:
    """A packet to 127.0.0.1 which comes from outside does not get in, whatever a neighbour routes to us."""
    with Server(web(host, "127.0.0.1:8080:80"), "web", 80):
        outside = lab.outside.namespace
        outside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        outside.run("sh", "-c", f"ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via {host.ipv4}")
        try:
            assert not reaches(outside.network, "127.0.0.1", 8080)
        finally:
            outside.run("sh", "-c", "ip route del 127.0.0.1; ip addr add 127.0.0.1/8 dev lo")
            outside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=0")


def test_a_range_of_ports_is_published_one_to_one(host: Host, lab: Lab) -> None:
    """`-p 9000-9003:80-83` leads each host port to its own container port."""
    inside = web(host, "9000-9003:80-83")
    for step in (0, 3):
        with Server(inside, f"port{80 + step}", 80 + step):
            assert ask_tcp(lab.outside.network, host.ipv4, 9000 + step).server == f"port{80 + step}"


def test_a_port_is_chosen_from_a_range_of_host_ports(host: Host, lab: Lab) -> None:
    """Two containers with `-p 9000-9001:80` get one port each, and the third is refused in one line."""
    first, second = (web(host, "9000-9001:80", name=name) for name in ("w1", "w2"))
    with Server(first, "w1", 80), Server(second, "w2", 80):
        seen = {ask_tcp(lab.outside.network, host.ipv4, port).server for port in (9000, 9001)}
    assert seen == {"w1", "w2"}
    refused = host.docker("run", "--network", "one", "-p", "9000-9001:80", IMAGE, "true", check=False)
    assert not refused.ok
    assert "9000-9001" in refused.output


def test_an_ephemeral_port_is_told_by_mooring(host: Host, lab: Lab) -> None:
    """`-p 80` publishes at a port of the ephemeral range, which `mooring network inspect` tells."""
    with Server(web(host, "80"), "web", 80):
        network = host.daemon.api("/v1/networks")[0]["id"]
        told = host.daemon.api(f"/v1/networks/{network}")["endpoints"][0]["published"]
        port = int(told[0].split("->")[0].rsplit(":", 1)[1])
        assert ask_tcp(lab.outside.network, host.ipv4, port).server == "web"
        assert str(port) in host.mooring("network", "inspect", network[:12]).output


def test_a_port_of_another_container_is_refused_with_its_holder(host: Host, lab: Lab) -> None:
    """The second container to publish a port fails at start, in one line that names the first; the first goes on."""
    inside = web(host, "8080:80")
    refused = host.docker("run", "--network", "one", "-p", "8080:80", IMAGE, "true", check=False)
    assert not refused.ok
    assert "8080/tcp" in refused.output
    assert host.addresses("web", "one")[0] in refused.output
    with Server(inside, "web", 80):
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "web"
    assert len(host.daemon.held()) == 2


def test_a_port_of_a_process_of_the_host_is_refused_with_its_name(host: Host) -> None:
    """A process that listens on the host keeps its port, and the refusal names the process."""
    host.create_network("one", *DUAL)
    with (host.folder / "httpd.log").open("ab") as log:
        listener = host.namespace.start(["busybox", "httpd", "-f", "-p", "8080"], log)
    try:
        eventually(lambda: reaches_port(host, 8080), "the process listens")
        refused = host.docker("run", "--network", "one", "-p", "8080:80", IMAGE, "true", check=False)
        assert not refused.ok
        assert "8080" in refused.output
        assert "busybox" in refused.output
        assert host.daemon.held() == []
    finally:
        listener.kill()


def reaches_port(host: Host, port: int) -> bool:
    """Something on the host accepts connections at the port."""
    try:
        stream = Stream(host.network, "127.0.0.1", port, 0.5)
    except OSError:
        return False
    stream.close()
    return True


def test_a_published_port_is_not_given_to_a_process_of_the_host(host: Host) -> None:
    """While a container publishes a port, a process of the host cannot bind it; afterwards it can."""
    web(host, "8080:80")

    def bind() -> None:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", 8080))
            sock.listen()

    with pytest.raises(OSError, match="in use"):
        in_network(host.network, bind)
    host.docker("rm", "-f", "web")
    in_network(host.network, bind)


def test_a_port_is_free_again_when_its_container_has_stopped(host: Host, lab: Lab) -> None:
    """After stop nothing answers at the port, and another container may have it."""
    web(host, "8080:80")
    host.docker("stop", "web")
    assert not reaches(lab.outside.network, host.ipv4, 8080)
    with Server(web(host, "8080:80", name="next"), "next", 80):
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "next"


def test_a_container_on_two_networks_publishes_once(host: Host, lab: Lab) -> None:
    """A container that joins a second network while it publishes is still reached, and can be restarted."""
    web(host, "8080:80")
    host.create_network("two", "--subnet", "10.78.0.0/24")
    host.docker("network", "connect", "two", "web")
    host.docker("restart", "web")
    with Server(host.container_network("web"), "web", 80):
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "web"


def test_an_sctp_port_is_published_where_the_kernel_has_sctp(host: Host) -> None:
    """`-p 8080:80/sctp` works, or is refused in one line that names the protocol."""
    if not has_sctp(host.network):
        host.create_network("one", *DUAL)
        refused = host.docker("run", "--network", "one", "-p", "8080:80/sctp", IMAGE, "true", check=False)
        assert refused.ok or "sctp" in refused.output.lower()
        pytest.skip("the kernel has no SCTP sockets (CONFIG_IP_SCTP)")
    web(host, "8080:80/sctp")
    told = [endpoint["published"] for endpoint in host.daemon.api(_first_network(host))["endpoints"]]
    assert "sctp" in str(told)


def _first_network(host: Host) -> str:
    return f"/v1/networks/{host.daemon.api('/v1/networks')[0]['id']}"
