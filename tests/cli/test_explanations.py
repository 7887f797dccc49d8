"""`mooring explain`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost


async def test_an_address_is_explained_in_sentences(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A paragraph for each address space."""
    assert await daemon.run("explain", "10.32.0.2") == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert (
        first.splitlines()[0] == "10.32.0.2 is in subnet 10.32.0.0/24 of network 1f6b2c000000 (bridge mr-1f6b2c000000)."
    )
    assert "address space tenant" in second


async def test_an_address_that_nobody_has_is_no_error(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Not being ours is an answer."""
    assert await daemon.run("explain", "8.8.8.8", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["reasons"][0]["verdict"] == "elsewhere"


async def test_what_is_no_address_is_a_usage_error(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with a line that says what to write."""
    assert await daemon.run("explain", "10.32.0.999") == 2
    assert "is not an IP address" in capsys.readouterr().err


async def test_a_subnet_and_a_network_are_explained(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """How full it is, and who lists what it has."""
    for what in ("10.32.0.0/24", "1f6b"):
        assert await daemon.run("explain", what) == 0
        assert "6 held, 1 cooling, of 254. Its gateway is 10.32.0.1." in capsys.readouterr().out
