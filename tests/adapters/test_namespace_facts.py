"""What the kernel shows of facts inside a namespace, and what of others' is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.adapters.linux import namespace_facts
from mooring.adapters.linux.namespace_facts import NamespaceWriter, Place, Signs, observe
from mooring.adapters.linux.namespace_links import Found, NamespaceLinks
from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.sandboxes import (
    NamespaceAdd,
    NamespaceAddress,
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRemove,
    NamespaceRoute,
    plan_namespace,
)
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

SIGNS = Signs("mooring.lib")
LINK = NamespaceLink("one/e", "eth0", source="mp-e", mac="02:00:00:00:00:0a", ipv6=True, returns=False)
ADDRESS4 = NamespaceAddress("eth0", ip_interface("10.1.0.2/24"))
ADDRESS6 = NamespaceAddress("eth0", ip_interface("fd00:1::2/64"))
ROUTE4 = NamespaceRoute(ip_network("0.0.0.0/0"), ip_address("10.1.0.1"), "eth0")
ROUTE6 = NamespaceRoute(ip_network("::/0"), ip_address("fd00:1::1"), "eth0")
ALL: tuple[NamespaceFact, ...] = (LINK, ADDRESS4, ADDRESS6, ROUTE4, ROUTE6)


class Bench:
    """A namespace, and the host that the test is in with a veth pair: mv-e, mp-e."""

    def __init__(self, host: Namespace, space: Namespace) -> None:
        self.host, self.space = host, space
        sh("ip link add mv-e type veth peer name mp-e", "ip link set mv-e up")

    def sockets(self) -> AbstractContextManager[NamespaceLinks]:
        """In the namespace where the test is now."""
        return closing(NamespaceLinks())

    def run(self, ops: Sequence[NamespaceOp]) -> None:
        """They are carried out."""
        with self.space.inside():
            inside = NamespaceLinks()
        with closing(inside):
            place = Place("box", self.space.fd, self.host.fd, inside, self.sockets, self.space.inside)
            NamespaceWriter(place, SIGNS, ops).run()

    def add(self, *facts: NamespaceFact) -> None:
        """They are added."""
        self.run([NamespaceAdd(fact) for fact in facts])

    def facts(self) -> frozenset[NamespaceFact]:
        """What is ours."""
        with self.space.inside():
            inside = NamespaceLinks()
        with closing(inside):
            return observe(inside, SIGNS).facts

    def sh(self, *lines: str) -> str:
        """In the namespace."""
        return self.space.sh(*lines)


@pytest.fixture
def bench(namespace: Namespace) -> Iterator[Bench]:
    """A namespace with nothing in it but a loopback."""
    space = Namespace.new()
    yield Bench(namespace, space)
    space.close()


def test_a_link_bears_its_endpoint_and_nothing_else() -> None:
    """What the alias says can be read off it, whole, under our mark only; the way back is not for it to say."""
    for link in (LINK, replace(LINK, returns=True), replace(LINK, endpoint="n" * 64 + "/" + "e" * 64, returns=True)):
        alias = SIGNS.alias(link)
        assert len(alias) < 256  # IFALIASZ
        read = SIGNS.read(Found(1, "eth0", alias, "", up=True))
        assert read is not None
        assert (read.endpoint, read.returns, read.source) == (link.endpoint, False, "")
        assert Signs("mooring").read(Found(1, "eth0", alias, "", up=True)) is None


def test_the_link_is_made_as_told(bench: Bench) -> None:
    """Its name, MAC and alias; up; a link-local address of the kernel's that is no fact."""
    bench.add(*ALL)
    shown = bench.sh("ip link show eth0", "ip -6 address show dev eth0 scope link")
    assert "alias mooring.lib:endpoint:one/e" in shown
    assert LINK.mac in shown
    assert "UP" in shown
    assert "fe80" in shown
    assert bench.facts() == set(ALL)


def test_without_ipv6_there_is_no_link_local_address(bench: Bench) -> None:
    """Whether the link was made inside or is fetched."""
    bench.add(replace(LINK, ipv6=False), ADDRESS4)
    assert "inet6" not in bench.sh("ip address show dev eth0")
    assert bench.sh("sysctl -n net.ipv6.conf.eth0.disable_ipv6").strip() == "1"


def test_without_a_mac_the_link_keeps_its_own(bench: Bench) -> None:
    """The driver may have chosen it."""
    before = sh("ip -br link show mp-e").split()[2]
    bench.add(replace(LINK, mac=""))
    assert before in bench.sh("ip link show eth0")


def test_a_link_that_was_set_down_is_put_right(bench: Bench) -> None:
    """It shows without its name, so that the plan differs, and can still be taken away."""
    bench.add(*ALL)
    bench.sh("ip link set eth0 down")
    assert LINK not in bench.facts()
    bench.run(plan_namespace(ALL, bench.facts()))
    assert bench.facts() == set(ALL)


def test_a_fetch_that_stopped_half_way_is_finished(bench: Bench) -> None:
    """The link is inside and bears its sign, and is down."""
    sh(f"ip link set mp-e netns /proc/{os.getpid()}/fd/{bench.space.fd}")
    bench.sh(f"ip link set mp-e alias {SIGNS.alias(LINK)}")
    assert LINK not in bench.facts()
    bench.run(plan_namespace(ALL, bench.facts()))
    assert bench.facts() == set(ALL)


def test_what_others_gave_our_link_stays(bench: Bench) -> None:
    """Addresses and routes of the container's own are no facts, and no plan removes them."""
    bench.add(*ALL)
    bench.sh("ip address add 10.1.0.99/24 dev eth0", "ip route add 192.0.2.0/24 via 10.1.0.3 dev eth0")
    assert bench.facts() == set(ALL)
    bench.run(plan_namespace(ALL, bench.facts()))
    bench.run([NamespaceRemove(ROUTE4), NamespaceRemove(ADDRESS6)])
    shown = bench.sh("ip address show dev eth0", "ip route show")
    assert "10.1.0.99/24" in shown
    assert "192.0.2.0/24 via 10.1.0.3" in shown


@pytest.mark.parametrize(("family", "via", "route"), [(4, "10.7.0.1", ROUTE4), (6, "fd00:7::1", ROUTE6)])
def test_somebody_elses_default_route_is_a_conflict_and_stays(
    bench: Bench, family: int, via: str, route: NamespaceRoute
) -> None:
    """An external namespace may have a way out of its own; with another metric both can be."""
    bench.sh(
        "ip link add own type veth; ip link set own up; ip link set veth0 up",
        "ip address add 10.7.0.2/24 dev own; ip -6 address add fd00:7::2/64 dev own nodad",
        f"ip -{family} route add default via {via} dev own",
    )
    bench.add(LINK, ADDRESS4, ADDRESS6)
    with pytest.raises(Conflict, match="own"):
        bench.add(route)
    assert via in bench.sh(f"ip -{family} route show default")
    bench.sh(f"ip -{family} route del default", f"ip -{family} route add default via {via} dev own metric 5000")
    bench.add(route)
    assert bench.sh(f"ip -{family} route show default").count("via") == 2


def test_a_default_route_by_a_leaving_link_is_no_conflict(bench: Bench) -> None:
    """Nor its address, nor its name: what leaves does not stand in the way."""
    bench.add(*ALL)
    bench.sh("ip route replace default via 10.1.0.77 dev eth0")
    sh("ip link add mv-f type veth peer name mp-f", "ip link set mv-f up")
    next_link = replace(LINK, endpoint="one/f", name="eth1", source="mp-f", mac="")
    moved: list[NamespaceFact] = [replace(ADDRESS4, link="eth1"), replace(ROUTE4, link="eth1")]
    bench.run([NamespaceAdd(next_link), *(NamespaceAdd(fact) for fact in moved), NamespaceRemove(LINK)])
    assert {next_link, *moved} <= bench.facts()


def test_an_advertised_default_route_is_no_conflict(bench: Bench) -> None:
    """Routers on a network may say that they are there; ours counts."""
    bench.add(LINK, ADDRESS4, ADDRESS6)
    bench.sh("ip -6 route add default via fe80::1 dev eth0 proto ra")
    bench.add(ROUTE6)
    assert ROUTE6 in bench.facts()


def test_a_link_goes_back_without_our_signs(bench: Bench) -> None:
    """Down, under its old name, without alias and addresses."""
    link = replace(LINK, returns=True)
    bench.add(link, *ALL[1:])
    bench.run([NamespaceRemove(link)])
    shown = sh("ip address show dev mp-e")
    assert "alias" not in shown
    assert "inet" not in shown
    assert "DOWN" in shown
    assert "eth0" not in bench.sh("ip link show")


@pytest.mark.parametrize("name", ["lo", "mv-e", "eth7"])
def test_a_forged_way_back_leads_nowhere(bench: Bench, name: str) -> None:
    """Neither to a free name of the host's nor to one that is taken; and nothing else is kept from being done."""
    bench.sh("ip link add evil type veth", f"ip link set evil up alias '{SIGNS.mark}:endpoint:x/y returns as {name}'")
    before = sh("ip -br link")
    bench.run(plan_namespace((), bench.facts()))
    assert sh("ip -br link") == before
    bench.add(*ALL)
    assert bench.facts() >= set(ALL)
    assert "evil" in bench.sh("ip -br link")


def test_routes_of_another_owner_stay(bench: Bench) -> None:
    """They are no facts of ours, and one to where ours would go is a conflict, as anybody else's."""
    bench.sh("ip link add theirs type veth; ip link set theirs up alias mooring.b:endpoint:x/y; ip link set veth0 up")
    bench.sh("ip address add 10.7.0.2/24 dev theirs", "ip route add default via 10.7.0.1 dev theirs proto 109")
    bench.add(LINK, ADDRESS4)
    assert bench.facts() == {LINK, ADDRESS4}
    with pytest.raises(Conflict, match="theirs"):
        bench.add(ROUTE4)
    bench.run(plan_namespace((LINK, ADDRESS4), bench.facts()))
    assert "10.7.0.1" in bench.sh("ip route show default")


def test_ipv6_that_is_switched_off_is_switched_on(bench: Bench) -> None:
    """For the interface that has it, before or after it came; no other is touched."""
    bench.sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1")
    bench.add(*ALL)
    assert bench.facts() == set(ALL)
    bench.sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
    assert ADDRESS6 not in bench.facts()
    bench.run(plan_namespace(ALL, bench.facts()))
    assert bench.facts() == set(ALL)
    assert bench.sh("sysctl -n net.ipv6.conf.lo.disable_ipv6 net.ipv6.conf.default.disable_ipv6").split() == ["1", "1"]
    assert sh("sysctl -n net.ipv6.conf.mv-e.disable_ipv6").strip() == "0"


def test_ipv6_that_cannot_be_switched_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the switch an interface that needs none comes up bare, and one that needs it is Unavailable."""
    monkeypatch.setattr(namespace_facts, "_IPV6_SWITCH", "/proc/sys/nowhere/{}")
    bench.add(replace(LINK, ipv6=False), ADDRESS4)
    assert "inet6" not in bench.sh("ip address show dev eth0")
    bench.sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
    with pytest.raises(Unavailable, match="IPv6 is off at interface eth0"):
        bench.add(ADDRESS6)


def test_a_name_that_no_link_can_have_is_refused(bench: Bench) -> None:
    """The link stays where it was."""
    with pytest.raises(BadRequest):
        bench.add(replace(LINK, name="a-name-that-is-far-too-long"))
    assert "mp-e" in sh("ip link show mp-e")
