"""Copies of the store over the API."""

from __future__ import annotations

from tests.servers.api.asking import api


async def test_a_backup_is_written_once() -> None:
    """The store's copy is made at the path; a second one to the same file is a conflict."""
    asked = await api()
    assert (await asked.post("/v1/backup", {"path": "/tmp/copy.db"})).json == {"path": "/tmp/copy.db"}
    assert list(asked.host.store.backups) == ["/tmp/copy.db"]
    assert (await asked.post("/v1/backup", {"path": "/tmp/copy.db"})).status == 409
