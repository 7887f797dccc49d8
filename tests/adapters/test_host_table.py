"""Links, addresses and routes in whatever order: what follows is what would follow from all that is left."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.adapters.linux.host_table import HostTable, Route
from mooring.ports import HostNet

SUBNETS = ("0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/2", "10.0.0.0/8", "10.32.0.0/24", "10.32.0.7/32", "fc00::/7", "::/1")
ROUTES = st.builds(
    Route,
    st.sampled_from([None, *map(ip_network, SUBNETS)]),
    st.sampled_from([(), (1,), (2,), (3,), (1, 2), (2, 3)]),
    st.sampled_from([(), (ip_address("10.9.9.1"),), (ip_address("10.9.9.2"),)]),
)
STEPS = st.one_of(
    st.tuples(st.just("add"), ROUTES, st.booleans()),
    st.tuples(st.just("drop"), ROUTES, st.just(False)),
    st.tuples(st.just("link"), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("look"), st.none(), st.none()),
)


def shown(host: HostNet) -> tuple[object, ...]:
    """What can be compared."""
    routes = sorted(set(map(str, host.routes)))
    return dict(host.addresses), routes, sorted(set(map(str, host.occupied))), host.lost


def key_of(route: Route) -> tuple[bytes, bytes]:
    """As the kernel's tables tell them apart."""
    return str(route.subnet).encode(), repr((route.links, route.routers)).encode()


@settings(max_examples=3 * settings().max_examples)
@given(st.lists(STEPS, max_size=25))
def test_it_is_as_if_everything_were_read_anew(steps: list[tuple[str, object, object]]) -> None:
    """Routes that come, replace others and go, and links that become ours or the host's, in any order."""
    table, routes, links = HostTable(), dict[tuple[bytes, bytes], Route](), dict[int, bool]()
    for number in (1, 2, 3):
        table.note_link(number, f"l{number}", False)
        links[number] = False
    for what, subject, flag in steps:
        if what == "add":
            assert isinstance(subject, Route)
            place, hops = key_of(subject)
            if flag:
                routes = {key: route for key, route in routes.items() if key[0] != place}
            routes[place, hops] = subject
            table.note_route(place, hops, subject, bool(flag))
        elif what == "drop":
            assert isinstance(subject, Route)
            routes.pop(key_of(subject), None)
            table.drop_route(*key_of(subject))
        elif what == "link":
            assert isinstance(subject, int)
            links[subject] = bool(flag)
            table.note_link(subject, f"l{subject}", bool(flag))
        else:
            table.host_net(())
    fresh = HostTable()
    for number, ours in links.items():
        fresh.note_link(number, f"l{number}", ours)
    for (place, hops), route in routes.items():
        fresh.note_route(place, hops, route, False)
    assert shown(table.host_net(())) == shown(fresh.host_net(()))


def test_a_router_is_named_the_same_whatever_came_first() -> None:
    """By a single link that leads to it, where there is one."""
    ways = [Route(None, links, (ip_address("10.9.9.1"),)) for links in ((), (1, 2), (2,), (1,))]
    for order in (ways, ways[::-1]):
        table = HostTable()
        for number in (1, 2):
            table.note_link(number, f"l{number}", False)
        for route in order:
            table.note_route(*key_of(route), route, False)
        assert table.host_net(()).addresses == {ip_interface("10.9.9.1/32"): "a router of this host on l1"}


def test_what_did_not_change_is_the_same_object() -> None:
    """Also when a route came twice, and for as long as the nameservers are the same ones."""
    table, route = HostTable(), Route(ip_network("10.1.0.0/24"), (1,), ())
    table.note_link(1, "eth0", False)
    table.note_route(*key_of(route), route, False)
    host = table.host_net(())
    table.note_route(*key_of(route), route, False)
    table.note_link(1, "eth0", False)
    assert table.host_net(()) is host
    assert table.host_net((ip_address("9.9.9.9"),)) is not host
    table.note_route(b"p", b"h", Route(ip_network("10.2.0.0/24"), (1,), ()), False)
    assert list(host.routes) == [ip_network("10.1.0.0/24")]


@pytest.mark.parametrize("others", [0, 1])
def test_a_link_takes_its_routes_along_and_tells_of_those_that_have_others(others: int) -> None:
    """So does its last IPv4 address; IPv6 routes are told of by the kernel."""
    table, ident = HostTable(), count()

    def add(subnet: str, *links: int) -> None:
        table.note_route(b"%d" % next(ident), b"", Route(ip_network(subnet), links, ()), False)

    for number in (1, 2):
        table.note_link(number, f"l{number}", False)
    table.note_address(1, ip_interface("198.18.0.1/24"))
    add("10.1.0.0/24", 1)
    add("fd00:1::/64", 1)
    add("10.2.0.0/24", 2)
    if others:
        add("10.3.0.0/24", 1, 2)
    assert table.drop_address(1, ip_interface("198.18.0.1/24")) == (not others)
    left = {"fd00:1::/64", "10.2.0.0/24", *(["10.3.0.0/24"] if others else [])}
    assert set(map(str, table.host_net(()).routes)) == left
    assert table.drop_routes(1) == (not others)
    assert set(map(str, table.host_net(()).routes)) == left - {"fd00:1::/64"}


def test_an_address_that_routes_come_from_takes_some_along() -> None:
    """Which ones the kernel does not say, so everything is to be read."""
    table = HostTable()
    table.note_link(1, "lo", False)
    for text in ("10.0.0.1/32", "10.0.0.2/32"):
        table.note_address(1, ip_interface(text))
    route = Route(ip_network("10.1.0.0/24"), (2,), (), ip_address("10.0.0.1"))
    table.note_route(*key_of(route), route, False)
    assert table.drop_address(1, ip_interface("10.0.0.2/32"))
    assert not table.drop_address(1, ip_interface("10.0.0.1/32"))


def test_of_several_that_have_one_place_it_is_not_told_which_was_replaced() -> None:
    """One alone is clear."""
    table = HostTable()
    first, second, third = (Route(ip_network("10.1.0.0/24"), (link,), ()) for link in (1, 2, 3))
    assert table.note_route(b"p", b"1", first, False)
    assert table.note_route(b"p", b"2", second, True)
    assert table.note_route(b"p", b"1", first, False)
    assert not table.note_route(b"p", b"3", third, True)
    assert not table.drop_route(b"p", b"9")
    assert table.drop_route(b"q", b"1")


def test_nexthop_objects_are_known_while_routes_have_them() -> None:
    """What becomes of others is no news."""
    table = HostTable()
    route = Route(ip_network("10.1.0.0/24"), (1,), (), None, 7)
    table.note_route(*key_of(route), route, False)
    assert (table.uses_nexthop(7), table.uses_nexthop(8)) == (True, False)
    table.drop_route(*key_of(route))
    assert not table.uses_nexthop(7)
