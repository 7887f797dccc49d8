"""What a sandbox is told of names, without any index: every endpoint is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.endpoints import Endpoint, Service
from mooring.core.names import (
    AAAA,
    PTR,
    SRV,
    A,
    Answer,
    Question,
    Target,
    Verdict,
    View,
    address_of,
    leads_out,
    lookup,
    names_of,
    steps,
)
from mooring.core.networks import NULL, Address
from mooring.core.port_bindings import Protocol
from mooring.core.sandboxes import Member
from tests.core.named_records import HTTP, endpoint, network

MX, TXT = 15, 16
EMPTY, FORWARD = Answer(Verdict.EMPTY), Answer(Verdict.FORWARD)
RED, BLUE, DOTTED = network("Red"), network("blue"), network("red.example")


def view(own: Sequence[Endpoint], others: Sequence[Endpoint] = (), *, out: bool = True, ndots: bool = False) -> View:
    """What a sandbox with its own endpoints sees of all."""
    everybody = [*own, *others]
    networks = {known.id: known for known in (RED, BLUE, DOTTED)}

    def named(where: str, name: str) -> list[Endpoint]:
        return [one for one in everybody if one.network == where and name in names_of(one)]

    def at(where: str, address: Address) -> Endpoint | None:
        return next((one for one in everybody if one.network == where and address in one.addresses), None)

    return View([Member(networks[one.network], one) for one in own], named, at, out, ndots)


def addresses(seen: View, name: str, kind: int = A) -> list[str]:
    """The addresses of the name; fails when it is not found."""
    answer = lookup(Question(name, kind), seen)
    assert answer.verdict is Verdict.FOUND, answer
    return [str(address) for address in answer.addresses]


WEB = endpoint("red", "web", "10.0.0.2/24", "fd00::2/64")
DB = endpoint("red", "DB", "10.0.0.3/24", key="/run/netns/c2", aliases=("store", "SQL."))
SEEN = view([WEB], [DB])


@pytest.mark.parametrize(
    ("made", "found4", "found6"),
    [
        (("10.9.0.2/24",), ["10.9.0.2"], []),
        (("fd09::2/64",), [], ["fd09::2"]),
        (("10.9.0.2/24", "fd09::2/64"), ["10.9.0.2"], ["fd09::2"]),
    ],
)
def test_an_attached_endpoint_has_its_records_and_no_others(
    made: tuple[str, ...], found4: list[str], found6: list[str]
) -> None:
    """A, AAAA and PTR while it is attached, none of them before and after (TestUpdateSvcRecord)."""
    for key in ("/run/netns/c2", ""):
        seen = view([WEB], [endpoint("red", "ep", *made, key=key)])
        for kind, found in ((A, found4), (AAAA, found6)):
            expected = tuple(ip_address(address) for address in found)
            answer = lookup(Question("ep", kind), seen)
            assert answer == ((Answer(Verdict.FOUND, expected) if found else EMPTY) if key else FORWARD)
        for address in (*found4, *found6):
            answer = lookup(Question(ip_address(address).reverse_pointer, PTR), seen)
            assert answer == (Answer(Verdict.FOUND, names=("ep.red",)) if key else FORWARD)


def test_case_and_aliases_do_not_matter() -> None:
    """The name, its aliases, and each with the network's name; the dot at the end of an alias is none."""
    for name in ("db", "store", "sql", "db.red", "store.red"):
        assert addresses(SEEN, name) == ["10.0.0.3"]
    assert names_of(DB) == ("db", "store", "sql")


def test_a_name_of_ours_is_never_asked_elsewhere() -> None:
    """Whatever type is asked, a known name has an empty answer at least; an unknown one is forwarded."""
    for kind in (AAAA, MX, TXT, PTR, SRV):
        assert lookup(Question("db", kind), SEEN) == EMPTY
    for kind in (A, AAAA, MX, TXT, PTR, SRV):
        assert lookup(Question("example.com", kind), SEEN) == FORWARD
    assert lookup(Question("", A), SEEN) == FORWARD


def test_endpoints_that_share_an_alias_are_all_found() -> None:
    """Their addresses in numerical order."""
    many = [endpoint("red", f"n{n}", f"10.0.0.{n}/24", aliases=("pool",), key=f"c{n}") for n in (30, 4, 100)]
    assert addresses(view([WEB], many), "pool") == ["10.0.0.4", "10.0.0.30", "10.0.0.100"]


def test_only_networks_that_there_are_get_a_step() -> None:
    """The shorter name first, the one that is everything not at all; the number of labels does not matter."""
    assert steps("db.a.b.c", ["b.c", "x", "c", "a.b.c", "db.a.b.c", "c", "", ".c"]) == [
        ("db.a.b.c", ""),
        ("db.a.b", "c"),
        ("db.a", "b.c"),
        ("db", "a.b.c"),
    ]
    assert len(steps(".".join("a" * 126), ["a", "b"])) == 2


@given(st.text("ab.", max_size=9), st.lists(st.text("ab.", min_size=1, max_size=4)))
def test_every_cut_at_a_dot_is_tried(name: str, networks: list[str]) -> None:
    """As if all cuts of the name were looked at, from the last dot to the first."""
    cuts = [(name[:at], name[at + 1 :]) for at in reversed(range(len(name))) if name[at] == "."]
    assert steps(name, networks) == [(name, ""), *(cut for cut in cuts if cut[1] in networks)]


def test_networks_are_searched_in_gateway_order_and_then_by_name() -> None:
    """The gateway's network answers first; a name with the network's name at its end means that network only."""
    both = [endpoint("blue", "web", "10.1.0.2/24"), WEB]
    others = [
        endpoint("red", "db", "10.0.0.3/24", key="c2"),
        endpoint("blue", "db", "10.1.0.3/24", key="c2"),
        endpoint("red", "only6", "fd00::9/64", key="c3"),
        endpoint("blue", "only6", "10.1.0.9/24", key="c4"),
    ]
    seen = view(both, others)
    assert addresses(seen, "db") == ["10.1.0.3"]
    assert addresses(seen, "db.red") == ["10.0.0.3"]
    assert addresses(seen, "db.blue") == ["10.1.0.3"]
    assert addresses(seen, "only6", AAAA) == ["fd00::9"]
    assert lookup(Question("db.green", A), seen) == FORWARD
    assert lookup(Question("db", A), view([both[1]], others[1:2])) == FORWARD


def test_a_name_with_dots_may_be_the_endpoints_or_the_networks() -> None:
    """The whole name first, then the longest name in the network with the shortest (ResolveName)."""
    own = [WEB, endpoint("red.example", "me", "10.2.0.2/24")]
    others = [
        endpoint("red.example", "a", "10.2.0.3/24", key="c2"),
        endpoint("red", "a.red.example", "10.0.0.7/24", key="c3"),
        endpoint("red", "b.c", "10.0.0.8/24", key="c4"),
    ]
    assert addresses(view(own, others), "a.red.example") == ["10.0.0.7"]
    assert addresses(view(own, others[:1]), "a.red.example") == ["10.2.0.3"]
    assert addresses(view(own, others), "b.c.red") == ["10.0.0.8"]


def test_links_come_first_and_are_the_sandboxs_own() -> None:
    """An alias hides an endpoint of that name, in its network; another sandbox does not know it."""
    linked = endpoint("red", "web", "10.0.0.2/24", links={"Store": "other", "ghost": "nobody", "web": "nobody"})
    other = endpoint("red", "other", "10.0.0.9/24", key="c3")
    seen = view([linked], [DB, other])
    assert addresses(seen, "store") == addresses(seen, "store.red") == ["10.0.0.9"]
    assert lookup(Question("ghost", A), seen) == FORWARD
    assert lookup(Question("web", A), seen) == FORWARD
    assert addresses(view([WEB], [DB, other]), "store") == ["10.0.0.3"]


def test_the_first_name_is_that_of_the_address() -> None:
    """An alias only for an endpoint without a name; an address without any is asked elsewhere."""
    nameless = endpoint("red", "", "10.0.0.5/24", aliases=("Alias", "more"), key="c5", id="e5")
    bare = endpoint("red", "", "10.0.0.6/24", key="c6", id="e6")
    seen = view([WEB], [DB, nameless, bare])
    for last, name in ((3, "db.red"), (5, "alias.red")):
        question = Question(f"{last}.0.0.10.in-addr.arpa", PTR)
        assert lookup(question, seen) == Answer(Verdict.FOUND, names=(name,))
        assert lookup(Question(question.name, A), seen) == EMPTY
    assert lookup(Question("6.0.0.10.in-addr.arpa", PTR), seen) == FORWARD
    assert lookup(Question("9.9.9.9.in-addr.arpa", PTR), seen) == FORWARD


def test_services_are_found_by_every_name_of_their_endpoint() -> None:
    """Port, full name and address of each endpoint that offers it (TestSRVServiceQuery)."""
    services = (HTTP, Service("host_http", Protocol.TCP, 45321), Service("dns", Protocol.UDP, 53))
    web = [
        endpoint("red", f"task{n}", f"192.168.10.{n}/24", aliases=("web.swarm",), services=services, key=f"c{n}")
        for n in (3, 2)
    ]
    seen = view([WEB], web)
    for name, port in (("_http._tcp", 80), ("_host_http._tcp", 45321), ("_dns._udp", 53)):
        found = [Target(port, f"task{n}.red", IPv4Address(f"192.168.10.{n}")) for n in (2, 3)]
        assert lookup(Question(f"{name}.web.swarm", SRV), seen) == Answer(Verdict.FOUND, targets=tuple(found))
        assert lookup(Question(f"{name}.task2.red", SRV), seen).targets == (found[0],)
        assert addresses(seen, found[0].name) == ["192.168.10.2"]
    for name in ("_http._icmp", "_dns._tcp", "_ftp._tcp"):
        assert lookup(Question(f"{name}.web.swarm", SRV), seen) == EMPTY
    for name in ("_http._tcp.nobody", "_http._tcp", "_http", "_http._tcp."):
        assert lookup(Question(name, SRV), seen) == FORWARD


def test_without_a_way_out_what_is_unknown_is_refused() -> None:
    """Own names are answered all the same; internal networks and those of the null driver lead nowhere."""
    seen = view([WEB], [DB], out=False, ndots=True)
    assert addresses(seen, "db") == ["10.0.0.3"]
    for name, kind in (("example.com", A), ("one", A), ("1.1.1.1.in-addr.arpa", PTR)):
        assert lookup(Question(name, kind), seen) == Answer(Verdict.REFUSED)
    nowhere = [Member(network("a", internal=True), WEB), Member(network("b", driver=NULL), WEB)]
    assert not leads_out([])
    assert not leads_out(nowhere)
    assert leads_out([*nowhere, Member(RED, WEB)])


def test_with_ndots_a_single_label_stays_here() -> None:
    """His resolver tries it with the search list next (resolver.go); other types and longer names are forwarded."""
    seen = view([WEB], ndots=True)
    assert lookup(Question("printer", A), seen) == lookup(Question("printer", AAAA), seen) == EMPTY
    assert lookup(Question("printer", MX), seen) == FORWARD
    assert lookup(Question("printer.lan", A), seen) == FORWARD


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**128 - 1))
def test_reverse_names_stand_for_their_addresses(v4: int, v6: int) -> None:
    """Both families, there and back."""
    for address in (IPv4Address(v4), IPv6Address(v6)):
        assert address_of(address.reverse_pointer) == address


@pytest.mark.parametrize(
    "name",
    [
        "", "arpa", ".in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.0.0.1.in-addr.arpa",
        "a.b.c.d.in-addr.arpa", "01.2.3.4.in-addr.arpa", "+1.2.3.4.in-addr.arpa", "1.ip6.arpa",
        "_." * 31 + "1.ip6.arpa", "g." + "0." * 31 + "ip6.arpa", "00." + "0." * 30 + "ip6.arpa",
        "٣." + "0." * 31 + "ip6.arpa",
        "1.0.0.127.in-addr.arpa.example", ".".join("0" * 32),
    ],
)  # fmt: skip
def test_what_is_no_reverse_name_stands_for_nothing(name: str) -> None:
    """And raises nothing."""
    assert address_of(name) is None


@given(st.text("abr.ed_", max_size=30), st.integers(0, 300), st.booleans(), st.booleans())
def test_every_question_has_an_answer(name: str, kind: int, out: bool, ndots: bool) -> None:
    """Odd dots and types raise nothing, and only a found answer has anything in it."""
    seen = view([WEB], [endpoint("red", "a", "10.0.0.9/24", links={"b": "a"}, services=(HTTP,))], out=out, ndots=ndots)
    answer = lookup(Question(name, kind), seen)
    assert (answer.verdict is Verdict.FOUND) == bool(answer.addresses or answer.names or answer.targets)
    assert answer.verdict is not (Verdict.FORWARD if not out else Verdict.REFUSED)
