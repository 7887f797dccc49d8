"""Our nftables tables as text."""

from __future__ import annotations

import subprocess

import pytest

from mooring.core.firewall import FIREWALL
from mooring.core.port_security import PORT_SECURITY
from mooring.core.rulesets import VERSION_PREFIX, Container, TableText

EVERY = pytest.mark.parametrize("text", [FIREWALL, PORT_SECURITY], ids=lambda text: text.family)


@EVERY
def test_the_digest_is_of_the_text(text: TableText) -> None:
    """The table names its own version, so a changed text is a changed table."""
    assert f"chain {VERSION_PREFIX}{text.digest} " in text.text("mooring")
    assert text.ruleset.digest == text.digest
    other = text.text("mooring").replace(f"table {text.family} mooring ", f"table {text.family} other ")
    assert text.text("other") == other


def test_no_set_is_in_two_tables() -> None:
    """An element says by its set which table it is in."""
    assert not FIREWALL.containers.keys() & PORT_SECURITY.containers.keys()


def test_declarations_are_read_from_the_text() -> None:
    """Sets and maps, with prefixes in them or not, and what is taken from a packet by its place."""
    assert FIREWALL.containers["bridges"] == Container(("ifname",), (), ranges=False)
    assert FIREWALL.containers["hairpin4"] == Container(("ipv4_addr", "ifname"), (), ranges=True)
    assert FIREWALL.containers["wildcard6"] == Container(
        ("inet_proto", "inet_service"), ("ipv6_addr", "inet_service"), ranges=False
    )
    expected = Container(("ifname", "ether_addr", "@th,64,128"), (), ranges=False)
    assert PORT_SECURITY.containers["targets6"] == expected
    assert all(text.sets.count(" { type") == len(text.containers) for text in (FIREWALL, PORT_SECURITY))


@pytest.mark.netns
@EVERY
def test_nft_accepts_the_table(text: TableText) -> None:
    """The text is valid in a namespace of its own, and has as many rules as we think."""
    script = f"nft -f - && nft -a list table {text.family} mooring"
    command = ["unshare", "-n", "sh", "-c", script]
    done = subprocess.run(command, input=text.text("mooring"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rules = [
        line
        for line in done.stdout.splitlines()
        if "# handle" in line and "{ # handle" not in line and not line.strip().startswith(("set ", "map ", "chain "))
    ]
    assert len(rules) == text.rule_count
