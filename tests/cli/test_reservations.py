"""`mooring lease reserve|release|hold`."""

from __future__ import annotations

import json
import time
from ipaddress import ip_address

import pytest

from mooring.core.leases import Lease, State
from tests.cli.daemons import ServedHost


def lease_of(daemon: ServedHost, address: str) -> Lease | None:
    """The lease of the address in the default space."""
    return daemon.host.cache.lease("default", ip_address(address))


async def test_an_address_is_reserved(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after are shown; whom, note and end are in the record."""
    words = ["--for", "db", "--note", "why", "--until", "7d", "--space", "default"]
    assert await daemon.run("lease", "reserve", "10.32.0.20", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ADDRESS", "BEFORE", "AFTER"]
    assert lines[1].startswith("10.32.0.20   free     reserved for db (why) until 20")
    lease = lease_of(daemon, "10.32.0.20")
    assert lease is not None
    assert (lease.state, lease.whom, lease.note) == (State.RESERVED, "db", "why")
    assert lease.until == pytest.approx(time.time() + 7 * 86400, abs=60)


@pytest.mark.parametrize(
    ("text", "count"), [("10.32.0.20-10.32.0.23", 4), ("10.32.0.240/28", 15), ("fd00:32::100/126", 4)]
)
async def test_a_range_and_a_subnet_are_reserved(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], text: str, count: int
) -> None:
    """Both ends belong to it, but for what nobody can have."""
    assert await daemon.run("lease", "reserve", text, "--space", "default", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)["changes"]) == count


async def test_a_dry_run_changes_nothing(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has it, and says so."""
    before = daemon.host.cache.revision
    for words in (["reserve", "10.32.0.20"], ["release", "10.32.0.6"], ["hold", "10.32.0.5", "--key", "web"]):
        assert await daemon.run("lease", *words, "--dry-run", "--space", "default") == 0
        assert capsys.readouterr().out.endswith("nothing was changed (--dry-run)\n")
    assert daemon.host.cache.revision == before


async def test_what_no_other_host_has_does_not_move(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a cluster there is nothing to move; the error names what was asked for."""
    assert await daemon.run("lease", "move", "db", "--force", "--space", "default") == 3
    assert "no host has db in a network that hosts share" in capsys.readouterr().err


async def test_an_address_is_released_once(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time is no error, and no change."""
    for words in ("reserved for printer (ask Ann) until", "nothing to change"):
        assert await daemon.run("lease", "release", "10.32.0.6", "--space", "default") == 0
        assert words in capsys.readouterr().out
    assert lease_of(daemon, "10.32.0.6") is None


async def test_a_forced_release_says_what_it_means(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The note is below the table."""
    assert await daemon.run("lease", "release", "10.32.0.5", "--force", "--space", "default") == 0
    assert "10.32.0.5: if container cccccccccccc still exists" in capsys.readouterr().out


async def test_a_fixed_address_gets_a_key_and_a_time(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The space is shown when it is not the default one only."""
    assert await daemon.run("lease", "hold", "10.32.0.5", "--key", "web", "--hold", "1h30m", "--space", "default") == 0
    assert "fixed for the key web (label mooring.key)" in capsys.readouterr().out
    lease = lease_of(daemon, "10.32.0.5")
    assert lease is not None
    assert (lease.key, lease.hold) == ("key:web", 5400.0)
    assert await daemon.run("lease", "reserve", "10.32.0.20", "--space", "tenant") == 0
    assert "SPACE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["reserve", "10.32.0.20"], 4, "is in several address spaces: default, tenant; choose one with --space"),
        (["reserve", "10.32.0.2", "--space", "default"], 4, "held by container db"),
        (["reserve", "10.99.0.1"], 3, "no pool has 10.99.0.1"),
        (["reserve", "db"], 2, "'db' is not an IP address"),
        (["reserve", "10.32.0.1/24"], 2, "is not a subnet"),
        (["reserve", "10.32.0.20", "--until", "soon"], 2, "'soon' is not a time"),
        (["release", "10.32.0.1", "--space", "default"], 4, "is the gateway of its subnet"),
        (["release", "10.32.0.0/24"], 2, "leave out the prefix length"),
        (["hold", "10.32.0.77", "--space", "default"], 4, "it is free"),
        (["hold", "10.32.0.5", "--hold", "7", "--space", "default"], 2, "'7' is not a length of time"),
        (["hold", "10.32.0.5", "--hold", "0s", "--space", "default"], 2, "more than 0 seconds"),
    ],
)
async def test_a_refusal_is_one_line_with_its_exit_code(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    """Nothing on stdout."""
    assert await daemon.run("lease", *words) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert text in err


async def test_fixed_leases_have_columns_of_their_own(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Key and holders, whether it is in use, and until when it is kept."""
    assert await daemon.run("lease", "ls", "--fixed") == 0
    header, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["ADDRESS", "KEY", "HOLDERS", "IN", "USE", "EXPIRES", "IN", "NETWORK"]
    assert row[:6] == ["10.32.0.5", "db-0", "cccccccccccc", "no", "-", "1f6b2c000000"]
