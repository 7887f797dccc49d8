"""`mooring pool ls|inspect`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost


async def test_pools_are_listed_in_columns(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """One pool a line, with how full it is; the size of a large one is a power."""
    assert await daemon.run("pool", "ls") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["POOL", "ID", "SUBNET", "NETWORK", "USED", "SIZE", "USE%", "SPACE"]
    assert lines[1] == ["p4", "10.32.0.0/24", "1f6b2c000000", "6", "254", "2", "%", "default"]
    assert lines[2] == ["p6", "fd00:32::/64", "1f6b2c000000", "2", "2^64", "<1", "%", "default"]
    assert (lines[3][2], lines[3][-1]) == ("-", "tenant")


async def test_a_pool_is_shown_whole(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Every space that has the subnet has a paragraph."""
    assert await daemon.run("pool", "inspect", "10.32.0.0/24") == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert "Leases:   1 gateway, 1 auxiliary, 2 dynamic, 1 fixed, 1 reserved, 1 cooling" in first
    assert "explicit: an idle fixed address goes to any container that requests it" in first
    assert "Space:    tenant" in second


async def test_pools_are_answered_in_json(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """As the API has them."""
    assert await daemon.run("pool", "inspect", "p6", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["pool"]["subnet"] == "fd00:32::/64"
    assert await daemon.run("pool", "ls", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(("which", "code"), [("nothing", 3), ("p", 4), ("10.32.0.1/24", 2)])
async def test_what_is_no_pool_has_its_exit_code(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], which: str, code: int
) -> None:
    """Not found, several, and not a subnet."""
    assert await daemon.run("pool", "inspect", which) == code
    assert capsys.readouterr().err.startswith("mooring: ")
