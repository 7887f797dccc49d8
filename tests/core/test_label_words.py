"""Labels that do not mean what whoever wrote them thought."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.label_words import asks, concern, meant, remarks


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("mooring.kye", "mooring.key"),
        ("mooring.ports", "mooring.port"),
        ("Mooring-Port", "mooring.port"),
        ("mooring.keys", "mooring.key"),
        ("Mooring.Key", "mooring.key"),
        ("mooring-key", "mooring.key"),
        ("mooring_key", "mooring.key"),
        ("mooring.kez", "mooring.key"),
        ("moring.key", "mooring.key"),
        ("mooring.sticky", "mooring.key"),
        ("mooring.fixed-ip", "fixed-ip"),
        ("mooring.ip", "fixed-ip"),
        ("fixed_ip", "fixed-ip"),
        ("fixedip", "fixed-ip"),
        ("Fixed-IP", "fixed-ip"),
        ("fixed-ips", "fixed-ip"),
        ("fxed-ip", "fixed-ip"),
        ("fiexd-ip", "fixed-ip"),
        ("fixed.ip", "fixed-ip"),
        ("fixed-ip", ""),
        ("mooring.key", ""),
        ("com.docker.compose.project", ""),
        ("maintainer", ""),
        ("fixed", ""),
        ("morning.key", ""),
        ("fixed-id", ""),
        ("fixed_id", ""),
        ("fixedid", ""),
        ("fixed.ip.foo", ""),
        ("fixed-in", ""),
        ("fixture-ip", ""),
        ("fixed.app", ""),
        ("com.fixed.ip", ""),
        ("mooring.io/owner", ""),
        ("mooring.dev", ""),
        ("mooring.role", ""),
        ("moorings.berth", ""),
        ("monitoring.key", ""),
        ("fix-ip", "fixed-ip"),
        ("fixed-pi", "fixed-ip"),
        ("FIXED_IP", "fixed-ip"),
        ("fixdip", "fixed-ip"),
        ("mooring/key", "mooring.key"),
        ("mooring", ""),
        ("traefik.enable", ""),
        ("", ""),
        ("key", ""),
    ],
)
def test_a_slip_is_told_from_somebody_elses_label(key: str, ours: str) -> None:
    """Separators, case, a letter more, less or another."""
    assert meant(key) == ours


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"mooring.kye": "db"}, ["label mooring.kye has no effect: did you mean mooring.key?"]),
        ({"mooring.key": ""}, ["label mooring.key has no effect: it is empty"]),
        ({"mooring.key": "a\nb"}, ["label mooring.key has no effect: it must be at most 200 printable characters"]),
        ({"mooring.key": "db", "fixed-ip": "false"}, ["has no effect: fixed-ip=false turns fixed addresses off"]),
        ({"fixed-ip": "no"}, ["fixed-ip=no still turns fixed addresses on: only 0 and false turn them off"]),
        ({"fixed-ip": "10.77.0.9"}, ["does not request that address", "with --ip (compose", "ipv4_address"]),
        ({"fixed-ip": "10.77.0.9/24"}, ["does not request that address"]),
        ({"fixed-ip": "10.x"}, ["fixed-ip=10.x does not request that address"]),
        ({"fixed-ip": "fd00::9"}, ["--ip6", "ipv6_address"]),
        ({"fixed-ip": "10.77.0.5"}, []),
        ({"fixed-ip": ""}, []),
        ({"fixed-ip": "true", "mooring.key": "db"}, []),
        ({"fixed-ip": "0"}, []),
        ({"a": "b"}, []),
    ],
)
def test_what_is_to_be_said_of_labels(labels: dict[str, str], words: list[str]) -> None:
    """One sentence each; what is as it should be is passed over."""
    text = "; ".join(remark.text for remark in remarks(labels, [ip_address("10.77.0.5")]))
    assert [word for word in words if word not in text] == []
    assert bool(text) is bool(words)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"fixed-ip": ""}, True),
        ({"fixed-ip": "0", "mooring.key": "a"}, False),
        ({"mooring.key": "a"}, True),
        ({}, False),
    ],
)
def test_who_asks_for_an_address(labels: dict[str, str], wanted: bool) -> None:
    """As the key of it is chosen."""
    assert asks(labels) is wanted


@pytest.mark.parametrize(
    ("keys", "concerned"),
    [
        (["fixed-ip"], True),
        (["mooring.key"], True),
        (["a", "fixed_ip"], True),
        (["FIXED-IP", "a"], True),
        (["Mooring.Key"], True),
        (["maintainer", "format", "F", "M"], False),
        (["ab", ""], False),
        ([], False),
    ],
)
def test_which_labels_are_worth_a_look(keys: list[str], concerned: bool) -> None:
    """Ours, and those that look like them; not what only begins alike."""
    assert concern(keys) is concerned


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_every_remark_is_a_line_and_never_about_nothing(labels: dict[str, str]) -> None:
    """Whatever the labels; the quick look is never wrong about nothing to say."""
    found = list(remarks(labels))
    assert all(line.isprintable() for remark in found for line in remark)
    assert concern(labels) or not found
