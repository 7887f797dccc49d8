"""The daemon and its host, asked about by a program."""

from __future__ import annotations

from pathlib import Path

from tests.client.daemons import asked


async def test_the_daemon_is_asked(tmp_path: Path) -> None:
    """Everything that it tells of itself and of its host."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        assert (await daemon.ask(client.version)).api == ["v1"]
        assert (await daemon.ask(client.status)).networks == 2
        assert (await daemon.ask(client.explain, "10.32.0.0/24")).reasons
        assert (await daemon.ask(client.diagnosis)).at
        assert (await daemon.ask(client.fix_findings, dry_run=True)).dry_run
        assert (await daemon.ask(client.backup, "/tmp/x y.db")).path == "/tmp/x y.db"
        assert (await daemon.ask(client.problem, "not-found")).status == 404
        assert (await daemon.ask(client.openapi))["openapi"] == "3.1.0"
