"""The deny list, asked for and changed by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import BadRequest, NotFound
from tests.client.daemons import asked


async def test_entries_are_added_found_and_ended(tmp_path: Path) -> None:
    """What cannot be is refused with the daemon's words."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        reply = await daemon.ask(client.deny, "10.8.0.0/16", note="the VPN")
        assert (reply.entry.note, reply.changed) == ("the VPN", True)
        assert not (await daemon.ask(client.deny, "10.8.0.0/16", note="the VPN")).changed
        assert [row.subnet for row in await daemon.ask(client.deny_entries, origin="stored")] == ["10.8.0.0/16"]
        assert (await daemon.ask(client.allow, "10.8.0.0/16", dry_run=True)).dry_run
        await daemon.ask(client.allow, "10.8.0.0/16")
        with pytest.raises(NotFound, match="no deny entry"):
            await daemon.ask(client.allow, "10.8.0.0/16")
        with pytest.raises(BadRequest, match="host bits"):
            await daemon.ask(client.deny, "10.8.0.1/16")
