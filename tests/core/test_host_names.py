"""Who asks what, from where, and what he is told: the conformance table of the DNS server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.endpoints import Service
from mooring.core.faults import BadRequest
from mooring.core.host_names import Asker, Entry, dns_label, lookup, parse_name, parse_zone
from mooring.core.names import AAAA, ANY, PTR, SRV, A, Answer, Question, Verdict
from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol

TXT = 16
ZONE = "mooring"


@dataclass
class Book:
    """A Directory of entries by the full id of their network."""

    entries: list[tuple[str, Entry]] = field(default_factory=list)

    def add(
        self, network_id: str, network: str, names: str, *addresses: str, services: tuple[Service, ...] = ()
    ) -> None:
        """One more."""
        found = tuple(ip_address(each) for each in addresses)
        self.entries.append((network_id, Entry(tuple(names.split()), found, network, services)))

    def named(self, network_id: str, name: str) -> Collection[Entry]:
        """See Directory."""
        return [entry for where, entry in self.entries if where == network_id and name in entry.names]

    def networks_named(self, name: str) -> Collection[str]:
        """See Directory."""
        return {where for where, entry in self.entries if where and entry.network == name}

    def at(self, address: Address) -> Collection[tuple[str, Entry]]:
        """See Directory."""
        return [each for each in self.entries if address in each[1].addresses]

    def is_ours(self, address: Address, asker: Asker) -> bool:
        """See Directory. 10.5.0.0/24 is in the routing domain of two tenants, and nowhere else."""
        return address in ip_network("10.0.0.0/16") or (
            address in ip_network("10.5.0.0/24") and asker in (RED, BLUE, HOST)
        )


HTTP = Service("http", Protocol.TCP, 80)
BOOK = Book()
BOOK.add("w1", "web", "shop-app-1 0123456789ab app", "10.0.0.2", "fd00::2", services=(HTTP,))
BOOK.add("w1", "web", "shop-app-2 1123456789ab app", "10.0.0.3")
BOOK.add("w1", "web", "gw.eu", "10.0.0.9")
BOOK.add("b1", "back", "db", "10.0.1.2")
BOOK.add("b1", "back", "app", "10.0.1.3")
BOOK.add("x1", "web.x", "db", "10.0.2.2")
# Another tenant's, with the same subnet and names.
BOOK.add("t1", "tenant-web", "db", "10.0.0.2")
# Two tenants' in routing domains, all of them equal.
for tenant, network, more in (("r1", "shop", "red"), ("l1", "shop", "blue")):
    BOOK.add(tenant, network, "db main", "10.5.0.2", "fd05::2", services=(Service("http", Protocol.TCP, 80),))
    BOOK.add(tenant, network, f"only-{more} app", "10.5.0.3")
BOOK.add("", "", "nas", "192.0.2.9")
BOOK.add("w1", "web", "printer", "192.0.2.10")
BOOK.add("", "", "_x._tcp.nas", "192.0.2.11")

WEB = Asker(("w1",), frozenset())
BOTH = Asker(("b1", "w1"), frozenset())
PEER = Asker(("b1",), frozenset({"w1"}))
TENANT = Asker(("t1",), frozenset())
RED, BLUE = Asker(("r1",), frozenset()), Asker(("l1",), frozenset())
INNER = Asker(("w1",), frozenset(), out=False)
HOST = Asker()
APP_AT = "shop-app-1.web.mooring:80=10.0.0.2 shop-app-1.web.mooring:80=fd00::2"


def told(name: str, asker: Asker, kind: int = A) -> str:
    """The answer in words."""
    answer = lookup(Question(name, kind), asker, BOOK, ZONE)
    found = [*map(str, answer.addresses), *answer.names]
    found += [f"{each.name}:{each.port}={each.address}" for each in answer.targets]
    return " ".join(found) or answer.verdict.value


@pytest.mark.parametrize(
    ("asker", "name", "kind", "answer"),
    [
        # Short names are those of the asker's own networks, and nobody else's.
        (WEB, "shop-app-1", A, "10.0.0.2"),
        (WEB, "app", A, "10.0.0.2 10.0.0.3"),
        (WEB, "0123456789ab", A, "10.0.0.2"),
        (WEB, "db", A, "forward"),
        (HOST, "shop-app-1", A, "forward"),
        # In two networks: the first that has the name.
        (BOTH, "app", A, "10.0.1.3"),
        (BOTH, "app", AAAA, "fd00::2"),
        (BOTH, "db", A, "10.0.1.2"),
        # With the network: one's own.
        (WEB, "app.web", A, "10.0.0.2 10.0.0.3"),
        (WEB, "db.back", A, "forward"),
        (BOTH, "db.back", A, "10.0.1.2"),
        # Complete.
        (WEB, "app.web.mooring", A, "10.0.0.2 10.0.0.3"),
        (WEB, "app.mooring", A, "10.0.0.2 10.0.0.3"),
        (WEB, "gw.eu.web.mooring", A, "10.0.0.9"),
        (WEB, "db.back.mooring", A, "absent"),
        (PEER, "app.web.mooring", A, "10.0.0.2 10.0.0.3"),
        (PEER, "shop-app-1", A, "forward"),
        (HOST, "db.back.mooring", A, "10.0.1.2"),
        (HOST, "db.web.x.mooring", A, "10.0.2.2"),
        (HOST, "db.tenant-web.mooring", A, "10.0.0.2"),
        # Tenants apart, with equal subnets, and in both directions.
        (TENANT, "db", A, "10.0.0.2"),
        (TENANT, "app", A, "forward"),
        (TENANT, "app.web.mooring", A, "absent"),
        (WEB, "db.tenant-web.mooring", A, "absent"),
        # Two tenants with equal subnets, addresses and names of containers and networks: each his own.
        *((asker, name, kind, answer) for asker, word, other in ((RED, "red", "blue"), (BLUE, "blue", "red"))
          for name, kind, answer in (
              ("db", A, "10.5.0.2"), ("main", AAAA, "fd05::2"), ("app", A, "10.5.0.3"), ("db.shop", A, "10.5.0.2"),
              ("main.shop.mooring", A, "10.5.0.2"), (f"only-{word}", A, "10.5.0.3"), (f"only-{other}", A, "forward"),
              (f"only-{word}.shop.mooring", A, "10.5.0.3"), (f"only-{other}.shop.mooring", A, "absent"),
              (f"only-{other}.mooring", A, "absent"), ("shop.mooring", A, "empty"), ("web.mooring", A, "absent"),
              ("2.0.5.10.in-addr.arpa", PTR, "db.shop.mooring"),
              ("3.0.5.10.in-addr.arpa", PTR, f"only-{word}.shop.mooring"),
              ("9.0.5.10.in-addr.arpa", PTR, "absent"),
              ("_80._tcp.main", SRV, "db.shop.mooring:80=10.5.0.2 db.shop.mooring:80=fd05::2"),
              ("db.web", A, "forward"), ("app.web.mooring", A, "absent"), ("nas", A, "192.0.2.9"),
          )),
        (HOST, "only-red.shop.mooring", A, "10.5.0.3"),
        (HOST, "3.0.5.10.in-addr.arpa", PTR, "only-blue.shop.mooring only-red.shop.mooring"),
        # What is in others' routing domains is nothing here: somebody else may know it.
        (WEB, "only-red.shop.mooring", A, "absent"),
        (WEB, "2.0.5.10.in-addr.arpa", PTR, "forward"),
        (WEB, "9.0.5.10.in-addr.arpa", PTR, "forward"),
        # From internal networks nobody else is asked: it would be a way out.
        (INNER, "app", A, "10.0.0.2 10.0.0.3"),
        (INNER, "nas", A, "192.0.2.9"),
        (INNER, "nobody.mooring", A, "absent"),
        (INNER, "example.org", A, "refused"),
        (INNER, "8.8.8.8.in-addr.arpa", PTR, "refused"),
        # NODATA, never NXDOMAIN, for a name that is there (musl gives up at the latter).
        (WEB, "shop-app-2", AAAA, "empty"),
        (WEB, "shop-app-2.web.mooring", AAAA, "empty"),
        (WEB, "shop-app-2", TXT, "empty"),
        # What is above names is there, too (RFC 8020); what is not is missing, and never asked of others.
        (WEB, "mooring", A, "empty"),
        (WEB, "web.mooring", A, "empty"),
        (WEB, "back.mooring", A, "absent"),
        (WEB, "nobody.web.mooring", A, "absent"),
        (WEB, "nobody.mooring", AAAA, "absent"),
        (WEB, "example.org", A, "forward"),
        (WEB, "notmooring", A, "forward"),
        (WEB, "app.web.mooring.example.org", A, "forward"),
        # Operators' records: for everybody, or in a network.
        (WEB, "nas", A, "192.0.2.9"),
        (TENANT, "nas.mooring", A, "192.0.2.9"),
        (HOST, "nas.mooring", A, "192.0.2.9"),
        (WEB, "printer", A, "192.0.2.10"),
        (TENANT, "printer.web.mooring", A, "absent"),
        # PTR: complete names, as far as the asker may see; addresses that we do not know are others' matter.
        (WEB, "2.0.0.10.in-addr.arpa", PTR, "shop-app-1.web.mooring"),
        (TENANT, "2.0.0.10.in-addr.arpa", PTR, "db.tenant-web.mooring"),
        (WEB, "2.1.0.10.in-addr.arpa", PTR, "absent"),
        (WEB, "250.0.0.10.in-addr.arpa", PTR, "absent"),
        (HOST, "2.0.0.10.in-addr.arpa", PTR, "db.tenant-web.mooring shop-app-1.web.mooring"),
        (WEB, "9.2.0.192.in-addr.arpa", PTR, "nas.mooring"),
        (WEB, "2.0.0.10.in-addr.arpa", A, "empty"),
        (WEB, "8.8.8.8.in-addr.arpa", PTR, "forward"),
        # SRV, by the service's name and by its port.
        (WEB, "_http._tcp.app", SRV, APP_AT),
        (WEB, "_80._tcp.shop-app-1.web.mooring", SRV, APP_AT),
        (WEB, "_http._udp.app", SRV, "empty"),
        (WEB, "_http._tcp.example.org", SRV, "forward"),
        (TENANT, "_http._tcp.app.web.mooring", SRV, "absent"),
        # The name of a service is there for whatever type: NXDOMAIN would be true of SRV, too (RFC 8020).
        (WEB, "_http._tcp.app.web.mooring", A, "empty"),
        (WEB, "_http._tcp.app", TXT, "empty"),
        (WEB, "_http._tcp.nobody.web.mooring", A, "absent"),
        (WEB, "_x._tcp.nas.mooring", A, "192.0.2.11"),
        # ANY is all addresses (RFC 8482, 4.1).
        (WEB, "shop-app-1", ANY, "10.0.0.2 fd00::2"),
        (WEB, "2.0.0.10.in-addr.arpa", ANY, "shop-app-1.web.mooring"),
    ],
)  # fmt: skip
def test_who_asks_what_from_where_gets_what(asker: Asker, name: str, kind: int, answer: str) -> None:
    """One row each."""
    assert told(name, asker, kind) == answer


@given(st.text(alphabet="abw.-_\\0 mooring", max_size=60), st.sampled_from([A, AAAA, PTR, SRV, TXT, ANY]))
def test_whatever_is_asked_has_an_answer_and_a_tenant_is_told_of_his_own(name: str, kind: int) -> None:
    """No name makes an exception, and none shows another tenant's addresses."""
    answer = lookup(Question(name, kind), TENANT, BOOK, ZONE)
    assert isinstance(answer, Answer)
    assert {str(each) for each in answer.addresses} <= {"10.0.0.2", "192.0.2.9", "192.0.2.11"}
    for own, other in ((RED, "blue"), (BLUE, "red")):
        assert other not in repr(lookup(Question(name, kind), own, BOOK, ZONE))


def test_another_zone_is_the_zone_and_the_usual_one_is_none() -> None:
    """Weave's smoke test 220, with Weave's own."""
    asked = [lookup(Question(f"shop-app-1.web.{zone}", A), WEB, BOOK, "weave.local") for zone in ("weave.local", ZONE)]
    assert [str(*each.addresses) for each in asked] == ["10.0.0.2", ""]
    assert asked[1].verdict is Verdict.FORWARD
    assert lookup(Question("2.0.0.10.in-addr.arpa", PTR), WEB, BOOK, "weave.local").names == (
        "shop-app-1.web.weave.local",
    )


def test_a_name_of_many_labels_costs_no_more_looks_than_it_has_labels() -> None:
    """127 labels are the most that a name has (RFC 1035)."""
    assert lookup(Question("a." * 126 + "mooring", A), WEB, BOOK, ZONE).verdict is Verdict.ABSENT


@pytest.mark.parametrize("text", ["", ".", "a..b", "a b", "ä", "x" * 64, "a." * 127 + "b", "a/b", "*"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """As a zone, too; and a container that is called so has no name in DNS."""
    for parse in (parse_name, parse_zone):
        with pytest.raises(BadRequest, match=r"^x .*is not a DNS name"):
            parse("x", text)
    assert dns_label(text) == ""


def test_names_are_lower_case_and_without_the_dot_at_their_end() -> None:
    """However they were written."""
    assert parse_name("name", "NAS.Example.") == "nas.example"
    assert parse_zone("zone", "DC1.example.org") == "dc1.example.org"
    assert dns_label("/Shop_App-1") == "shop_app-1"


def test_local_first_puts_addresses_of_this_host_before_those_of_others() -> None:
    """An address that both have is this host's; where only others have the name nothing is near."""
    book = Book()
    for host, name, address in (("h1", "app", "10.0.0.2"), ("", "app", "10.0.0.9"), ("h2", "db", "10.0.0.3")):
        entry = Entry((name,), (ip_address(address),), "web", host=host)
        book.entries.append(("w1", entry))
    book.entries.append(("w1", Entry(("app",), (ip_address("10.0.0.9"),), "web", host="h2")))
    near, far = ip_address("10.0.0.9"), ip_address("10.0.0.2")
    found = lookup(Question("app", A), WEB, book, ZONE, local_first=True)
    assert (found.addresses, found.near) == ((near, far), 1)
    found = lookup(Question("app", A), WEB, book, ZONE)
    assert (found.addresses, found.near) == ((far, near), 0)
    assert lookup(Question("db", A), WEB, book, ZONE, local_first=True).near == 0
