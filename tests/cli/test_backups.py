"""`mooring backup`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.daemons import ServedHost


async def test_a_backup_is_written_by_the_daemon_at_an_absolute_path(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative FILE means the caller's directory, and an existing copy is a conflict."""
    monkeypatch.chdir(tmp_path)
    assert await daemon.run("backup", "copy.db") == 0
    assert capsys.readouterr().out == f"{tmp_path}/copy.db\n"
    assert list(daemon.host.store.backups) == [f"{tmp_path}/copy.db"]
    assert await daemon.run("backup", "copy.db", "--format", "json") == 4
