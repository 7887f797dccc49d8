"""Records that other nameservers get: whose, which, their serial, and the marks that say what is ours."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.host_names import Entry
from mooring.core.networks import Dns, Network, NetworkOptions
from mooring.core.zones import (
    ZoneSettings,
    is_exported,
    is_hostname,
    is_in_zone,
    is_reverse,
    mark,
    marked,
    next_serial,
    owner_mark,
    records_of,
    zone_of,
)

OWNER = owner_mark("0123456789abcdef host")


def test_an_entry_has_its_names_but_not_its_id_and_the_way_back() -> None:
    """In both families; a name that is too long for DNS is left out."""
    addresses = (ip_address("10.32.0.2"), ip_address("fd00::2"))
    entry = Entry(("db", "0123456789ab", "main", "x" * 63 + ".y" * 90), addresses, "web")
    assert list(records_of(entry, "mooring")) == [
        ("db.web.mooring", ("A", "10.32.0.2")),
        ("main.web.mooring", ("A", "10.32.0.2")),
        ("2.0.32.10.in-addr.arpa", ("PTR", "db.web.mooring.")),
        ("db.web.mooring", ("AAAA", "fd00::2")),
        ("main.web.mooring", ("AAAA", "fd00::2")),
        (ip_address("fd00::2").reverse_pointer, ("PTR", "db.web.mooring.")),
    ]
    assert list(records_of(Entry(("0123456789ab",), addresses), "mooring")) == []


def test_a_tenant_s_network_is_told_when_it_is_chosen_and_in_a_routing_domain_never() -> None:
    """Somebody's names are not everybody's by accident."""
    common = Network("n1", NetworkOptions(dns=Dns.ON), False, (), (), 0.0)
    theirs = Network("n2", NetworkOptions(dns=Dns.ON, tenant="blue"), False, (), (), 0.0)
    apart = replace(theirs, domain=3)
    assert [is_exported(each, "web", ()) for each in (common, theirs, apart)] == [True, False, False]
    assert [is_exported(each, "web", ("web",)) for each in (common, theirs, apart)] == [True, True, False]
    assert not is_exported(common, "web", ("shop",))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2**34))
def test_a_serial_always_rises(serial: int, now: float) -> None:
    """In the arithmetic of RFC 1982, whatever the clock says."""
    assert 0 < (next_serial(serial, now) - serial) % 2**32 < 2**31


def test_a_serial_is_the_time_where_that_is_enough() -> None:
    """A clock that went back costs one step each, and the end of 32 bits none."""
    assert next_serial(1000, 2000.9) == 2000
    assert next_serial(2000, 2000.9) == 2001
    assert next_serial(2000, 1000) == 2001
    assert next_serial(2**32 - 1, 2**32 + 5) == 5


@settings(max_examples=40)
@given(st.sets(st.tuples(st.sampled_from(["A", "AAAA", "PTR"]), st.sampled_from(["a.b.", "10.0.0.1", "::1"]))))
def test_a_mark_says_which_records_are_ours(records: set[tuple[str, str]]) -> None:
    """To us, and to nobody else."""
    strings = mark(OWNER, records)
    assert marked(OWNER, strings) == frozenset(records)
    assert marked(owner_mark("another"), strings) is None


@pytest.mark.parametrize("strings", [(), ("",), ("v=spf1 -all",), ("heritage=external-dns",), (OWNER + "0",)])
def test_what_others_write_is_no_mark_of_ours(strings: tuple[str, ...]) -> None:
    """Nor is nothing."""
    assert marked(OWNER, strings) is None


def test_a_mark_does_not_tell_the_host_s_id() -> None:
    """machine-id(5): it must not be shown."""
    assert "0123456789abcdef" not in OWNER


def test_a_name_belongs_to_the_longest_zone_that_it_is_in() -> None:
    """By labels, not by letters."""
    zones = ("example.org", "docker.example.org", "32.10.in-addr.arpa")
    assert zone_of("db.web.docker.example.org", zones) == "docker.example.org"
    assert zone_of("www.example.org", zones) == "example.org"
    assert zone_of("badexample.org", zones) == ""
    assert is_in_zone("example.org", "example.org")
    assert [zone for zone in zones if is_reverse(zone)] == ["32.10.in-addr.arpa"]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("db.web.example.org", True), ("3-Db.web", True), ("db.web.mooring.", True), ("2.0.32.10.in-addr.arpa", True),
        ("a_b.web", False), ("db-.web", False), ("db.-web.mooring", False), ("db..web", False), ("", False),
    ],
)  # fmt: skip
def test_a_server_takes_names_of_hosts(name: str, taken: bool) -> None:
    """RFC 1123, 2.1: no label begins or ends with a hyphen, which a container's name may."""
    assert is_hostname(name) is taken


def test_nothing_is_wanted_unless_it_is_configured() -> None:
    """Keys alone do nothing."""
    assert not ZoneSettings().wanted
