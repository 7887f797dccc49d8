"""`mooring status` and `mooring version`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from mooring import __version__
from mooring.cli.root import run
from mooring.core.findings import Report
from tests.cli.daemons import ServedHost
from tests.services.samples import START


async def test_status_says_what_there_is(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, sockets and the last look at the kernel with its findings, one a line."""
    daemon.host.report = Report(START, ("host: 2 items repaired",), ("cannot read\nthe kernel",))
    assert await daemon.run("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Networks:       2" in lines
    assert "Endpoints:      2 (1 attached)" in lines
    assert "Store:          /s/mooring.db" in lines
    assert "  repaired:  host: 2 items repaired" in lines
    assert "  finding:  cannot read\\nthe kernel" in lines


async def test_status_is_json_on_request(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The API's reply as it is."""
    assert await daemon.run("status", "--format", "json") == 0
    reply = json.loads(capsys.readouterr().out)
    assert (reply["networks"], reply["leases"]["cooling"], reply["repair"]) == (2, 1, None)


async def test_version_tells_both(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """The command's and the daemon's."""
    assert await daemon.run("version", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"command": __version__, "daemon": "0.0.1"}


def test_version_needs_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one the command's own version is told, and that is no error."""
    assert run(["--run-dir", str(tmp_path), "version"]) == 0
    assert capsys.readouterr().out == f"Command:  {__version__}\nDaemon:   cannot be reached\n"


async def test_status_waits_until_the_daemon_is_ready(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows what is waited for, or says it when the time is over; what is no time is refused."""
    monkeypatch.setattr("mooring.cli.states.PAUSE", 0.01)
    assert await daemon.run("status", "--wait", "0") == 6
    assert "not ready: the kernel is being compared" in capsys.readouterr().err
    assert await daemon.run("status", "--wait", "soon") == 2
    assert "soon" in capsys.readouterr().err
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(daemon.run("status", "--wait"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        daemon.host.report = Report(START)
    assert waiting.result() == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Ready:          yes" in lines
    assert any(line.startswith("Waits:") and "Docker does not answer" in line for line in lines)
