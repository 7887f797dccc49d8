"""Options that commands share: where the daemon is, and in which form it answers."""

from __future__ import annotations

import json

import pytest

from mooring.cli.root import run
from tests.cli.daemons import ServedHost


async def test_the_daemon_is_found_by_variable_and_by_flag(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MOORING_RUN_DIR and MOORING_SOCKET say where it is; the flag wins over them."""
    import asyncio

    monkeypatch.setenv("MOORING_RUN_DIR", str(daemon.directory))
    assert await asyncio.to_thread(run, ["status"]) == 0
    monkeypatch.setenv("MOORING_SOCKET", "/nonexistent/api.sock")
    assert await asyncio.to_thread(run, ["status"]) == 6
    assert await asyncio.to_thread(run, ["--socket", str(daemon.directory / "api.sock"), "status"]) == 0
    capsys.readouterr()


async def test_the_form_may_be_set_by_variable(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MOORING_FORMAT=json is --format json."""
    monkeypatch.setenv("MOORING_FORMAT", "json")
    assert await daemon.run("network", "ls") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
