"""What the host has already, and who talks to it already: networks and ports of ours fit in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import in_network, run
from tests.e2e.lab.traffic import Server, ask_tcp, pings


@pytest.fixture
def crowded(host: Host, lab: Lab) -> Iterator[Host]:
    """A host with a VIP on loopback, and with a VPN's halves of a default route."""
    things = ["address {} 10.32.0.2/32 dev lo"]
    things += [f"route {{}} {half}/1 via {lab.outside.ipv4}" for half in ("0.0.0.0", "128.0.0.0")]
    for thing in things:
        run(["nsenter", f"--net={host.network}", "--", "ip", *thing.format("add").split()])
    yield host
    for thing in things:
        run(["nsenter", f"--net={host.network}", "--", "ip", *thing.format("delete").split()])


def test_what_the_host_has_is_in_no_networks_way(crowded: Host) -> None:
    """A network gets a subnet of its own beside them, and its containers are reached."""
    crowded.create_network("one")
    crowded.run_container("web", "--network", "one")
    address = crowded.addresses("web", "one")[0]
    assert not address.startswith("10.32.0.")
    with Server(crowded.container_network("web"), "web", 80):
        assert ask_tcp(crowded.network, address, 80).server == "web"


@pytest.fixture
def grown(host: Host) -> Iterator[Host]:
    """A host that gets addresses from the test, and has none of them afterwards."""
    before = _own(host)
    yield host
    for link, address in _own(host) - before:
        host.namespace.run("ip", "address", "delete", *address.split(), "dev", link)
    eventually(lambda: host.mooring("doctor", check=False).ok, "doctor tells no more", 40)


def _own(host: Host) -> set[tuple[str, str]]:
    """Links of the host but bridges, and addresses on them."""
    lines = host.namespace.run("ip", "-o", "address").output.splitlines()
    found = ((words[1], " ".join(words[3 : 6 if "peer" in words else 4])) for words in map(str.split, lines))
    return {(link, address) for link, address in found if link in ("lo", "eth0")}


def test_what_the_host_gets_is_given_to_nobody_from_that_moment(grown: Host) -> None:
    """A VIP on loopback, a secondary address, the end of a line: no pass comes in between, for either family."""
    grown.create_network("one", "--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")
    grown.run_container("zero", "--network", "one")
    taken = [grown.addresses("zero", "one")[0]]
    for number, what in enumerate(("{}/32 dev lo", "{}/24 dev eth0", "192.0.2.9 peer {}/32 dev eth0")):
        address = f"10.77.0.{int(taken[-1].rpartition('.')[2]) + 1}"
        grown.namespace.run("ip", "address", "add", *what.format(address).split())
        grown.run_container(f"c{number}", "--network", "one")
        taken += [address, grown.addresses(f"c{number}", "one")[0]]
        refused = grown.docker("run", "--rm", "--network", "one", "--ip", address, IMAGE, "true", check=False)
        assert "of this host" in refused.output
    grown.namespace.run("ip", "-6", "address", "add", "fd77:1::5/128", "dev", "lo")
    grown.run_container("last", "--network", "one")
    assert len({*taken, *grown.addresses("last", "one")}) == len(taken) + 2
    assert "fd77:1::5" not in grown.addresses("last", "one")


def test_a_sender_with_a_fixed_port_outlives_a_restart(host: Host, lab: Lab) -> None:
    """As syslog and metrics do: it never stops to send, and is heard again after `docker restart`."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    host.docker("run", "-d", "--name", "log", "--network", "one", "-p", "5514:514/udp", IMAGE, "stay")
    with in_network(lab.outside.network, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.bind(("", 5140))
        sender.settimeout(0.1)

        def heard() -> bool:
            sender.sendto(b"?", (host.ipv4, 5514))
            try:
                return bool(sender.recv(100))
            except (TimeoutError, ConnectionError):
                return False

        with Server(host.container_network("log"), "log", 514):
            eventually(heard, "the sender is heard")
        host.docker("stop", "-t", "0", "log")
        for _ in range(3):
            assert not heard()
        host.docker("start", "log")
        with Server(host.container_network("log"), "log", 514):
            eventually(heard, "the sender is heard again")


def test_a_subnet_of_somebody_elses_is_refused_on_the_terminal(host: Host) -> None:
    """docker0's, another network's of Docker's, and the host's own LAN; unless the user insists."""
    host.docker("network", "create", "--subnet", "10.61.0.0/16", "native")
    lan = f"{host.ipv4.rpartition('.')[0]}.0/24"
    for subnet, holder in (("172.17.0.0/24", "docker0"), ("10.61.5.0/24", "br-"), (lan, "interface ")):
        create = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "--subnet", subnet)
        refused = host.docker(*create, "mine", check=False)
        assert "overlaps" in refused.output, subnet
        assert holder in refused.output
        assert "mine" not in host.engine.networks()
    host.docker(*create, "-o", "host_overlap=warn", "mine")
    host.docker("network", "rm", "mine", "native")


def test_a_subnet_that_a_vpn_has_a_route_to_is_refused_and_told_of(host: Host) -> None:
    """All of it or a part; one that comes later takes nothing away, and the doctor names it. A network that has just
    gone is in nobody's way."""
    create = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "--subnet", "10.63.1.0/24", "mine")
    for route in ("10.63.1.0/24", "10.63.1.128/25"):
        host.namespace.run("ip", "route", "add", route, "via", host.outside.ipv4)
        assert f"overlaps {route} (held by a route of this host" in host.docker(*create, check=False).output
        host.namespace.run("ip", "route", "del", route)
        host.docker(*create)
        host.namespace.run("ip", "route", "add", route, "via", host.outside.ipv4, "metric", "9")
        eventually(partial(_tells, host, f"this host has a route to {route} elsewhere"), "doctor tells", 40)
        host.namespace.run("ip", "route", "del", route, "metric", "9")
        eventually(lambda: host.mooring("doctor", check=False).ok, "doctor tells no more", 40)
        host.docker("network", "rm", "mine")
    for _ in range(5):
        host.docker(*create)
        host.docker("network", "rm", "mine")


def test_a_subnet_around_the_hosts_router_is_refused(host: Host) -> None:
    """Some hosters' routers are in no network of the host's."""
    create = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "--subnet", "172.31.0.0/16", "mine")
    route = ("10.64.0.0/16", "via", "172.31.1.1", "dev", "eth0", "onlink")
    host.namespace.run("ip", "route", "add", *route)
    refused = host.docker(*create, check=False).output
    host.namespace.run("ip", "route", "del", *route)
    assert "overlaps 172.31.1.1/32 (held by a router of this host on eth0)" in refused


def test_a_network_of_dockers_that_comes_second_is_told_of(host: Host) -> None:
    """Docker asks nobody before it makes one over a plugin's."""
    host.create_network("one", "--subnet", "10.62.5.0/24")
    made = host.docker("network", "create", "--subnet", "10.62.0.0/16", "native", check=False)
    if made.ok:  # some engines look at the host's routes first
        eventually(lambda: "10.62.0.1/16" in host.mooring("doctor", check=False).output, "doctor tells of both", 40)
        host.docker("network", "rm", "native")
        eventually(lambda: host.mooring("doctor", check=False).ok, "doctor tells no more", 40)


def test_a_link_local_subnet_of_a_metadata_service_is_as_good_as_any(host: Host) -> None:
    """https://github.com/awslabs/amazon-ecs-local-container-endpoints: 169.254.170.0/24, and .2 answers."""
    host.create_network("one", "--subnet", "169.254.170.0/24", "--gateway", "169.254.170.1")
    host.run_container("endpoints", "--network", "one", "--ip", "169.254.170.2")
    host.run_container("app", "--network", "one")
    assert pings(host.container_network("app"), "169.254.170.2")
    assert pings(host.network, "169.254.170.2")
    _look(host)
    assert _look(host) == [], "nothing is put right again and again"


def _tells(host: Host, text: str) -> bool:
    """Whether the doctor finds it."""
    return text in " ".join(host.mooring("doctor", "--format", "json", check=False).output.split())


def _look(host: Host) -> list[str]:
    """What the next look at the kernel put right."""
    before = host.daemon.api("/v1/status")["repair"]["at"]
    eventually(lambda: host.daemon.api("/v1/status")["repair"]["at"] > before, "the kernel was looked at", 40)
    return list(host.daemon.api("/v1/status")["repair"]["repaired"])
