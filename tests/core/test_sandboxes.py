"""Sandboxes: who is the gateway, what a namespace should have, and what has to be done for it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.endpoints import Attachment, Endpoint, State
from mooring.core.networks import Network, NetworkOptions, StaticRoute
from mooring.core.sandboxes import (
    Kind,
    Member,
    NamespaceAdd,
    NamespaceAddress,
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRemove,
    NamespaceRoute,
    NamespaceState,
    Sandbox,
    choose_name,
    default_route,
    gateway,
    in_gateway_order,
    namespace_facts,
    only_of,
    plan_namespace,
)

ALL4, ALL6 = ip_network("0.0.0.0/0"), ip_network("::/0")
MAC = "02:00:00:00:00:01"


def member(
    name: str,
    *,
    priority: int = 0,
    gw: Sequence[int] = (4,),
    families: Sequence[int] = (4,),
    internal: bool = False,
    routes: Sequence[tuple[str, str | None]] = (),
    number: int = 0,
    link: str = "x",
) -> Member:
    """An endpoint of its own network `name`, called eth<number> inside, with addresses .2 and next hops .1."""
    network = Network(f"n-{name}", NetworkOptions(), internal, (), (), 0.0, name=name)
    attachment = Attachment(
        link and f"{link}{number}",
        "eth",
        ip_address(f"10.{number}.0.1") if 4 in gw else None,
        ip_address(f"fd00:{number}::1") if 6 in gw else None,
        tuple(StaticRoute(ip_network(to), ip_address(via) if via else None) for to, via in routes),
    )
    v4 = IPv4Interface(f"10.{number}.0.2/24") if 4 in families else None
    v6 = IPv6Interface(f"fd00:{number}::2/64") if 6 in families else None
    endpoint = Endpoint(
        f"e-{name}", network.id, v4, v6, MAC, 0.0, State.ATTACHED, "/ns", priority=priority,
        interface=f"eth{number}", attachment=attachment,
    )  # fmt: skip
    return Member(network, endpoint)


def link(number: int, name: str = "") -> NamespaceLink:
    """An interface as the kernel shows it: it does not know where it came from."""
    return NamespaceLink(f"n/{number}", name or f"eth{number}", "", "", ipv6=True, returns=False)


def address(name: str, text: str) -> NamespaceAddress:
    """An address on the link."""
    return NamespaceAddress(name, ip_interface(text))


def route(to: str, via: str | None, name: str) -> NamespaceRoute:
    """A route over the link."""
    return NamespaceRoute(ip_network(to), ip_address(via) if via else None, name)


def names(members: Sequence[Member]) -> list[str]:
    """The networks' names in gateway order."""
    return [each.network.name for each in in_gateway_order(members)]


def test_a_sandbox_without_a_namespace_has_a_key_all_the_same() -> None:
    """Endpoints can join before the namespace is told; with one the key is its path."""
    assert Sandbox("s1", "box", Kind.EXTERNAL, "", 0.0).key == "sandbox:s1"
    assert Sandbox("s1", "box", Kind.EXTERNAL, "/proc/7/ns/net", 0.0).key == "/proc/7/ns/net"


def test_an_empty_sandbox_has_no_gateway_and_needs_nothing() -> None:
    """libnetwork/sandbox_unix_test.go, TestSandboxAddEmpty."""
    assert in_gateway_order([]) == []
    assert gateway([], 4) is None
    assert namespace_facts([]) == frozenset()


def test_the_highest_priority_is_the_gateway_and_the_next_takes_over() -> None:
    """libnetwork/sandbox_unix_test.go, TestSandboxAddMultiPrio: 3 before 2 before 1, also after leaving and joining."""
    one, two, three = (member(f"n{level}", priority=level, number=level) for level in (1, 2, 3))
    assert in_gateway_order([one, two, three]) == [three, two, one]
    assert gateway([one, two], 4) == two
    assert gateway([one], 4) == one
    assert gateway([one, three], 4) == three


def test_of_the_same_priority_both_families_go_first_and_internal_networks_last() -> None:
    """libnetwork/sandbox_unix_test.go, TestSandboxAddSamePrio: then the network's name decides."""
    nw0, nw1 = member("nw0"), member("nw1")
    dual = member("z-dual", gw=(4, 6), families=(4, 6))
    inner = member("a-internal", gw=(), internal=True)
    assert names([nw1, inner, dual, nw0]) == ["z-dual", "nw0", "nw1", "a-internal"]
    assert names([inner, nw1, nw0]) == ["nw0", "nw1", "a-internal"]


def test_priority_counts_for_each_family_apart() -> None:
    """libnetwork/sandbox_unix_test.go, TestGatewayEndpointRespectsPriorityPerAddressFamily."""
    four = member("four", priority=100)
    six = member("six", priority=50, gw=(6,), families=(6,))
    dual = member("dual", priority=10, gw=(4, 6), families=(4, 6))
    assert (gateway([dual, six, four], 4), gateway([dual, six, four], 6)) == (four, six)
    assert (gateway([dual, six], 4), gateway([dual, six], 6)) == (dual, six)
    assert (gateway([dual, four], 4), gateway([dual, four], 6)) == (four, dual)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (member("gateway"), "10.0.0.1"),
        (member("none", gw=()), ""),
        (member("static", gw=(), routes=[("0.0.0.0/0", "10.0.0.9")]), "10.0.0.9"),
        (member("both", routes=[("0.0.0.0/0", "10.0.0.9")]), "10.0.0.1"),
        (member("elsewhere", gw=(), routes=[("10.8.0.0/16", "10.0.0.9")]), ""),
        (member("no address", families=(6,)), ""),
        (member("no interface", link=""), ""),
    ],
)
def test_a_way_out_needs_a_next_hop_an_address_and_an_interface(given: Member, expected: str) -> None:
    """A gateway, or a static route to everything in its place."""
    way = default_route(given, 4)
    assert (str(way.via) if way is not None else "") == expected


def test_a_static_route_to_everything_may_be_on_link() -> None:
    """Then the member is the gateway, without a next hop."""
    point = member("point", gw=(), routes=[("0.0.0.0/0", None)])
    assert gateway([point], 4) == point
    assert NamespaceRoute(ALL4, None, "eth0") in namespace_facts([point])


@pytest.mark.parametrize(
    ("taken", "expected"),
    [([], "eth0"), (["eth0", "eth1"], "eth2"), (["eth1", "lo"], "eth0"), (["eth0", "eth2"], "eth1"), (["eth"], "eth0")],
)
def test_an_interface_gets_the_lowest_free_number(taken: list[str], expected: str) -> None:
    """Gaps are filled."""
    assert choose_name("eth", taken) == expected


def test_a_member_has_its_link_addresses_and_default_routes() -> None:
    """All that the namespace should have for one dual-stack endpoint."""
    only = member("a", gw=(4, 6), families=(4, 6))
    facts = namespace_facts([only])
    assert facts == {
        NamespaceLink("n-a/e-a", "eth0", "", "", ipv6=True, returns=False),
        address("eth0", "10.0.0.2/24"),
        address("eth0", "fd00:0::2/64"),
        route("0.0.0.0/0", "10.0.0.1", "eth0"),
        route("::/0", "fd00:0::1", "eth0"),
    }
    made = next(fact for fact in facts if isinstance(fact, NamespaceLink))
    assert (made.source, made.mac, made.ipv6, made.returns) == ("x0", MAC, True, False)


def test_a_member_of_ipv4_alone_has_no_ipv6() -> None:
    """Its interface gets no link-local address either, and no default route of the family."""
    facts = namespace_facts([member("a", gw=(4, 6))])
    assert [fact.ipv6 for fact in facts if isinstance(fact, NamespaceLink)] == [False]
    assert ALL6 not in {fact.destination for fact in facts if isinstance(fact, NamespaceRoute)}


def test_there_is_one_default_route_in_each_family() -> None:
    """That of the gateway; a static one to everything of another member is left out."""
    first = member("a", priority=1, number=1)
    second = member("b", number=2, gw=(), families=(4, 6), routes=[("0.0.0.0/0", "10.2.0.9"), ("::/0", "fd00:2::9")])
    routes = {fact for fact in namespace_facts([second, first]) if isinstance(fact, NamespaceRoute)}
    assert routes == {route("0.0.0.0/0", "10.1.0.1", "eth1"), route("::/0", "fd00:2::9", "eth2")}


def test_static_routes_are_made_once_and_never_over_a_connected_one() -> None:
    """The first in gateway order wins; a subnet that an interface is in has the kernel's own route."""
    wanted = [("10.8.0.0/16", "10.1.0.9"), ("10.2.0.0/24", "10.1.0.9"), ("10.9.0.0/16", None)]
    first = member("a", priority=1, number=1, gw=(), routes=wanted)
    second = member("b", number=2, gw=(), routes=[("10.8.0.0/16", "10.2.0.9"), ("10.2.0.0/24", None)])
    routes = {fact for fact in namespace_facts([second, first]) if isinstance(fact, NamespaceRoute)}
    assert routes == {route("10.8.0.0/16", "10.1.0.9", "eth1"), route("10.9.0.0/16", None, "eth1")}


def test_a_member_without_an_interface_adds_nothing() -> None:
    """Networks of the drivers host and null."""
    assert namespace_facts([member("none", link="", routes=[("10.8.0.0/16", None)])]) == frozenset()


def test_a_plan_adds_in_order_and_removes_the_other_way_round() -> None:
    """Links, addresses, on-link routes, routes with a next hop; what goes with a link that goes is left to it."""
    desired: list[NamespaceFact] = [route("0.0.0.0/0", "169.254.1.1", "eth0"), route("169.254.1.1/32", None, "eth0"),
               address("eth0", "10.0.0.2/32"), link(0)]  # fmt: skip
    observed: list[NamespaceFact] = [link(7), address("eth7", "10.7.0.2/24"), route("10.8.0.0/16", "10.7.0.1", "eth7")]
    assert plan_namespace(desired, observed) == [
        NamespaceAdd(link(0)),
        NamespaceAdd(address("eth0", "10.0.0.2/32")),
        NamespaceAdd(route("169.254.1.1/32", None, "eth0")),
        NamespaceAdd(route("0.0.0.0/0", "169.254.1.1", "eth0")),
        NamespaceRemove(link(7)),
    ]


def test_what_is_too_much_on_a_link_that_stays_is_removed() -> None:
    """Routes before addresses."""
    old, gone = address("eth0", "10.0.0.3/24"), route("10.8.0.0/16", "10.0.0.1", "eth0")
    assert plan_namespace([link(0)], [old, link(0), gone]) == [NamespaceRemove(gone), NamespaceRemove(old)]


def test_a_default_route_changes_hands_in_one_step() -> None:
    """The route of the same destination is only added: it takes the other's place, so that there always is one."""
    before: list[NamespaceFact] = [link(0), link(1), route("0.0.0.0/0", "10.1.0.1", "eth1")]
    after: list[NamespaceFact] = [link(0), route("0.0.0.0/0", "10.0.0.1", "eth0")]
    assert plan_namespace(after, before) == [NamespaceAdd(after[1]), NamespaceRemove(link(1))]


def test_a_new_link_gets_its_addresses_whatever_was_seen_under_its_name() -> None:
    """An endpoint that has just left may still show under the name and the address that the next one gets."""
    same = address("eth0", "10.0.0.2/24")
    ops = plan_namespace([link(2, "eth0"), same], [link(1, "eth0"), same])
    assert ops == [NamespaceAdd(link(2, "eth0")), NamespaceAdd(same), NamespaceRemove(link(1, "eth0"))]


def test_a_link_that_somebody_renamed_gets_its_name_and_all_else_again() -> None:
    """Renaming takes the interface down, and what was seen under the wrong name is not removed by it."""
    seen: list[NamespaceFact] = [link(1, "foo"), address("foo", "10.0.0.2/24")]
    want: list[NamespaceFact] = [link(1, "eth0"), address("eth0", "10.0.0.2/24")]
    assert plan_namespace(want, seen) == [NamespaceAdd(want[0]), NamespaceAdd(want[1])]


def apply(ops: Sequence[NamespaceOp], observed: frozenset[NamespaceFact]) -> frozenset[NamespaceFact]:
    """The namespace after the ops, as the adapter's contract says."""
    facts = {fact.key: fact for fact in observed}
    for op in ops:
        if isinstance(op, NamespaceAdd):
            facts[op.fact.key] = op.fact
            continue
        facts.pop(op.fact.key, None)
        if isinstance(op.fact, NamespaceLink):
            name = op.fact.name
            facts = {key: fact for key, fact in facts.items() if isinstance(fact, NamespaceLink) or fact.link != name}
    return frozenset(facts.values())


MEMBERS = st.lists(
    st.builds(
        lambda number, priority, gw, routed: member(
            f"m{number}", number=number, priority=priority, gw=gw, families=(4, 6),
            routes=[("10.99.0.0/16", f"10.{number}.0.7")] if routed else (),
        ),
        st.integers(0, 4),
        st.integers(0, 2),
        st.sampled_from([(), (4,), (6,), (4, 6)]),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda each: each.network.id,
)  # fmt: skip


def test_only_what_is_known_counts() -> None:
    """What others claim is foreign, with what is on it; of several claims to one endpoint, that with the right name."""
    ours: set[NamespaceFact] = {link(0), address("eth0", "10.0.0.2/24"), route("0.0.0.0/0", "10.0.0.1", "eth0")}
    forged: set[NamespaceFact] = {
        link(9, "evil"),
        address("evil", "10.9.0.2/24"),
        link(0, "twin"),
        route("10.8.0.0/16", None, "twin"),
    }
    names = frozenset({"lo", "eth0", "evil", "twin"})
    seen = only_of(NamespaceState(frozenset(ours | forged), names), {"n/0": "eth0", "n/1": "eth1"})
    assert seen == NamespaceState(frozenset(ours), names, strangers=frozenset({"n/9", "n/0"}))
    renamed = NamespaceState(frozenset({link(0, "")}), frozenset({"lo", "eth0"}))
    assert only_of(renamed, {"n/0": "eth0"}) == renamed
    assert only_of(renamed, {}).facts == set()


def test_a_link_that_is_right_is_not_touched_for_another_that_claims_the_same() -> None:
    """Whichever comes first."""
    for twin in ("a", "z"):
        assert (
            plan_namespace([link(0)], [link(0, twin), link(0)])
            == plan_namespace([link(0)], [link(0), link(0, twin)])
            == []
        )


@given(MEMBERS, MEMBERS)
def test_a_plan_leads_from_any_members_to_any_others(before: list[Member], after: list[Member]) -> None:
    """What is observed afterwards is what was desired, and a second plan is empty."""
    desired = namespace_facts(after)
    reached = apply(plan_namespace(desired, namespace_facts(before)), namespace_facts(before))
    assert reached == desired
    assert plan_namespace(desired, reached) == []


@given(MEMBERS)
def test_the_gateway_does_not_depend_on_the_order_of_joining(members: list[Member]) -> None:
    """The order is a function of the set."""
    assert in_gateway_order(reversed(members)) == in_gateway_order(members)
    for version in (4, 6):
        assert gateway(reversed(members), version) == gateway(members, version)
