"""Our nftables tables as text."""

from __future__ import annotations

import subprocess

import pytest

from mooring.core.firewall import FIREWALL
from mooring.core.port_security import PORT_SECURITY
from mooring.core.rulesets import VERSION_PREFIX, TableText

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
    assert not FIREWALL.containers & PORT_SECURITY.containers
    assert FIREWALL.maps <= FIREWALL.containers


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
