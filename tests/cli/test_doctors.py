"""`mooring doctor`."""

from __future__ import annotations

import json

import pytest

from mooring.core.containers import ContainerEndpoint, Holder
from mooring.core.leases import State
from tests.cli.daemons import ServedHost
from tests.services.samples import START, leased


async def well(daemon: ServedHost) -> None:
    """What the sample host has that is not as it should be, is put right."""
    await daemon.host.services.repair.once()
    daemon.host.engine.networks |= {"1f6b2c" + "0" * 58, "aaaaaa" + "0" * 58}
    await daemon.host.cache.commit(delete=[pool for pool in [daemon.host.cache.pool("t4")] if pool is not None])
    await daemon.host.services.repair.once()


async def test_findings_are_a_table_and_exit_code_10(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """What, proof, age, and what to do; looking does not put it right."""
    await well(daemon)
    await daemon.host.cache.commit(put=[leased("10.32.0.30", State.RESERVED, until=START + 10)])
    for _ in range(2):
        assert await daemon.run("doctor") == 10
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["FINDING", "EVIDENCE", "SINCE", "ACTION"]
        (line,) = [line for line in lines if "10.32.0.30 is still reserved" in line]
        assert "expired at 2025-06-15" in line
        assert line.endswith("act only if it stays; `mooring doctor --fix`")


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--fix", "--dry-run"]])
async def test_a_dry_run_says_what_would_be_done(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """With or without --fix, and nothing is done."""
    await well(daemon)
    await daemon.host.cache.commit(put=[leased("10.32.0.30", State.RESERVED, until=START + 10)])
    before = daemon.host.cache.revision
    assert await daemon.run("doctor", *arguments) == 10
    assert "10.32.0.30 is still reserved for no container, although that has expired: would be fixed" in (
        capsys.readouterr().out
    )
    assert daemon.host.cache.revision == before


async def test_what_can_be_put_right_is(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and the exit code tells whether anything is left."""
    await well(daemon)
    await daemon.host.cache.commit(put=[leased("10.32.0.30", State.RESERVED, until=START + 10)])
    await daemon.run("doctor", "--fix")
    assert "10.32.0.30 is still reserved for no container, although that has expired: fixed" in capsys.readouterr().out
    await daemon.run("doctor", "--format", "json")
    reply = json.loads(capsys.readouterr().out)
    assert not any("10.32.0.30" in finding["text"] for finding in reply["findings"])


async def test_where_nothing_is_wrong_that_is_said(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0."""
    for kind in ("lease", "endpoint", "network", "pool"):
        entries, _ = await daemon.host.store.scan(f"{kind}/")
        records = [daemon.host.cache.get(entry.key) for entry in entries]
        await daemon.host.cache.commit(delete=[record for record in records if record is not None])
    await daemon.host.services.repair.once()
    assert await daemon.run("doctor") == 0
    assert capsys.readouterr().out == "no problems found\n"


async def test_what_an_upgrade_would_take_is_no_finding(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a table of its own, and does not change the exit code."""
    await well(daemon)
    await daemon.run("doctor", "--fix")
    code = await daemon.run("doctor")
    before = capsys.readouterr().out
    container, network = "d" * 64, "1f6b2c" + "0" * 58
    lease = leased("10.32.0.31", State.FIXED, mac="02:00:00:00:00:31", holders=frozenset({container}))
    await daemon.host.cache.commit(put=[lease, Holder(id=container, engine=daemon.host.engine.id, name="old", since=1)])
    daemon.host.engine.create(container, "old", ContainerEndpoint(network, "front", wanted_mac="02:00:00:00:00:31"))
    assert await daemon.run("doctor") == code
    out = capsys.readouterr().out
    assert "NOTE" in out
    assert "NOTE" not in before
    assert "with Docker 25 to 28, the fixed addresses of container old of network front would be lost" in out
    await daemon.run("doctor", "--format", "json")
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 1
