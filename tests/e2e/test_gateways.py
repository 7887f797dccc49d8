"""Which network is a container's gateway, for each family: published ports follow it."""

from __future__ import annotations

import pytest

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.traffic import Server, ask_tcp, ask_udp, reaches

ONLY4 = ("--subnet", "10.78.0.0/24")
SIX = ("--ipv6", "--subnet", "10.79.0.0/24", "--subnet", "fd79:1::/64")
DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")
PORTS = ("-p", "8114:80", "-p", "8115:80/udp")


def answers(host: Host, lab: Lab, address: str) -> bool:
    """The container is reached at the host's address by TCP and by UDP, and says who asks: UDP is answered only by way
    of the family's own gateway."""
    source = lab.outside.ipv6 if ":" in address else lab.outside.ipv4
    try:
        return all(
            ask(lab.outside.network, address, port).seen == source for ask, port in ((ask_tcp, 8114), (ask_udp, 8115))
        )
    except OSError:
        return False


def published(host: Host, network: str) -> str:
    """What `mooring network inspect` says is published there."""
    endpoints = host.daemon.document("network", "inspect", network)["endpoints"]
    return " ".join(text for endpoint in endpoints for text in endpoint["published"])


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_ports_follow_the_gateway_from_network_to_network_and_back(
    host: Host, lab: Lab, names: tuple[str, str]
) -> None:
    """A second network, before or behind the first one by name, comes and goes, then the first one does."""
    first, second = names
    host.create_network(first, *DUAL)
    host.create_network(second, *SIX)
    host.run_container("web", "--network", first, *PORTS)
    with Server(host.container_network("web"), "web", 80):
        for verb, network in (
            ("connect", second), ("disconnect", second), ("connect", second),
            ("disconnect", first), ("connect", first), ("disconnect", second),
        ):  # fmt: skip
            host.docker("network", verb, network, "web")
            for address in (host.ipv4, host.ipv6):
                eventually(lambda a=address: answers(host, lab, a), f"{address} answers after {verb} {network}", 20)  # type: ignore[misc]


@pytest.mark.needs("gw-priority")
@pytest.mark.parametrize("options", [SIX, ("--ipv4=false", "--ipv6")], ids=["both", "only6"])
def test_each_family_has_its_own_gateway(host: Host, lab: Lab, options: tuple[str, ...]) -> None:
    """IPv4 by a network without IPv6, IPv6 by another one, which has both or only that; each goes and comes back."""
    only4 = host.create_network("only4", *ONLY4)
    six = host.create_network("six", *options)
    networks = ("--network", "name=only4,gw-priority=5", "--network", "name=six,gw-priority=1")
    host.run_container("web", *networks, *PORTS)
    with Server(host.container_network("web"), "web", 80):
        for step in (
            (), ("disconnect", "only4", "web"), ("connect", "--gw-priority", "5", "only4", "web"),
            ("disconnect", "six", "web"), ("connect", "--gw-priority", "1", "six", "web"),
        ):  # fmt: skip
            if step:
                host.docker("network", *step)
            reached = [host.ipv4, host.ipv6]
            if step[:2] == ("disconnect", "six"):
                reached = [host.ipv4]
            elif step[:2] == ("disconnect", "only4") and options != SIX:
                reached = [host.ipv6]
            for address in reached:
                eventually(lambda a=address: answers(host, lab, a), f"{address} answers after {step}", 20)  # type: ignore[misc]
    assert "[::]:8114" in published(host, six)
    # Engine 28 prefers a network with both families to one gateway for each, whatever the priorities say.
    if options != SIX or host.engine.release.version >= (29,):
        assert "0.0.0.0:8114" in published(host, only4)
        assert "0.0.0.0" not in published(host, six)


@pytest.mark.needs("gw-priority")
def test_the_higher_priority_is_the_gateway_whatever_the_names(host: Host, lab: Lab) -> None:
    """Two networks with both families: all ports are at the one with the higher priority."""
    lower = host.create_network("a", *DUAL)
    host.create_network("b", *SIX)
    host.run_container("web", "--network", "name=a,gw-priority=1", "--network", "name=b,gw-priority=5", *PORTS)
    with Server(host.container_network("web"), "web", 80):
        for address in (host.ipv4, host.ipv6):
            assert answers(host, lab, address)
        assert published(host, lower) == ""
        assert "10.79.0." in host.in_container("web", "ip", "route", "show", "default").output


@pytest.mark.needs("v6 only")
def test_a_network_without_ipv4_works_and_publishes(host: Host, lab: Lab) -> None:
    """`--ipv4=false --ipv6`: containers have IPv6 and nothing else, reach each other and are reached from outside."""
    host.create_network("six", "--ipv4=false", "--ipv6")
    host.run_container("web", "--network", "six", *PORTS)
    host.run_container("peer", "--network", "six")
    ipv4, ipv6 = host.addresses("web", "six")
    assert (ipv4, bool(ipv6)) == ("", True)
    with Server(host.container_network("web"), "web", 80):
        assert ask_tcp(host.container_network("peer"), ipv6, 80).server == "web"
        assert answers(host, lab, host.ipv6)
        assert not reaches(lab.outside.network, host.ipv4, 8114)
    inside = host.in_container("web", "ip", "-o", "-4", "addr", "show", "dev", "eth0").output
    assert inside.strip() == ""
    host.docker("restart", "web")
    assert host.addresses("web", "six")[1]


@pytest.mark.needs("v6 only")
def test_a_network_without_any_addresses_is_refused(host: Host) -> None:
    """`--ipv4=false` alone, as the engine's own driver has it; nothing is left."""
    refused = host.docker(
        "network", "create", "-d", "mooring", "--ipam-driver", "mooring", "--ipv4=false", "nothing", check=False
    )
    assert not refused.ok
    assert "a network needs IPv4 or IPv6" in refused.output
    assert host.engine.networks() == []


@pytest.mark.needs("v6 only")
def test_ports_go_over_when_a_gateway_without_ipv4_leaves(host: Host, lab: Lab) -> None:
    """A network with both families stays: it has the ports of both, also when the other one comes back and leaves."""
    host.create_network("six", "--ipv4=false", "--ipv6")
    host.create_network("both", *DUAL)
    host.run_container("web", "--network", "name=six,gw-priority=5", *PORTS)
    with Server(host.container_network("web"), "web", 80):
        for step in (
            ("connect", "--gw-priority", "3", "both", "web"), ("disconnect", "six", "web"),
            ("connect", "--gw-priority", "5", "six", "web"), ("disconnect", "six", "web"),
        ):  # fmt: skip
            host.docker("network", *step)
            for address in (host.ipv4, host.ipv6):
                eventually(lambda a=address: answers(host, lab, a), f"{address} answers after {step}", 20)  # type: ignore[misc]
