"""`mooring lease ls|inspect`."""

from __future__ import annotations

import json

import pytest

from mooring.cli.leases import STATES
from mooring.core.leases import State
from tests.cli.daemons import ServedHost
from tests.services.samples import ALIEN, WEB


async def test_leases_are_listed_in_columns(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Address, state, holder and the rest, one lease a line."""
    assert await daemon.run("lease", "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ADDRESS", "STATE", "HOLDER", "NETWORK", "SINCE", "SPACE"]
    assert len(lines) == 11
    assert "10.32.0.2    dynamic" in lines[2]
    assert "container db" in lines[2]


async def test_leases_are_filtered(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Filters of the command reach the daemon."""
    assert await daemon.run("lease", "ls", "--state", "cooling", "--pool", "p4", "10.32", "--format", "json") == 0
    assert [row["address"] for row in json.loads(capsys.readouterr().out)] == ["10.32.0.4"]


async def test_a_lease_is_shown_in_every_space(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Two spaces, two paragraphs."""
    assert await daemon.run("lease", "inspect", "10.32.0.2") == 0
    first, second = capsys.readouterr().out.split("\n\n")
    assert "Holder:    container db" in first
    assert "Space:    tenant" in second


@pytest.mark.parametrize(("address", "code"), [("10.32.0.77", 3), ("10.32.0.0/24", 2), ("db", 2)])
async def test_what_has_no_lease_has_its_exit_code(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], address: str, code: int
) -> None:
    """Nobody holds it: 3; it is no address: 2."""
    assert await daemon.run("lease", "inspect", address) == code
    assert capsys.readouterr().err.startswith("mooring: ")


def test_the_states_of_the_option_are_those_of_the_model() -> None:
    """The option's list is written down so that the model need not be imported for --help."""
    assert tuple(state.value for state in State) == STATES


@pytest.mark.parametrize("option", ["--network", "--pool", "--space"])
async def test_what_is_not_known_is_an_error_and_no_empty_table(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """A typo does not look like an empty network."""
    assert await daemon.run("lease", "ls", option, "nosuch") == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


async def test_a_network_may_be_called_by_its_name(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """As Docker calls it; and two that begin so are told apart."""
    daemon.host.engine.networks |= {WEB, ALIEN}
    daemon.host.engine.names |= {WEB: "web", ALIEN: "alien"}
    assert await daemon.run("lease", "ls", "--network", "web", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["network_name"] for row in rows} == {"web"}
    assert await daemon.run("network", "inspect", "alien", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "alien"
    assert await daemon.run("lease", "ls", "--pool", "p") == 4
    assert "2 pools have ids that begin with 'p'" in capsys.readouterr().err
