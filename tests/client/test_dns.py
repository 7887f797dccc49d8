"""Names, asked for and changed by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import NotFound
from tests.client.daemons import asked


async def test_names_are_found_added_and_removed(tmp_path: Path) -> None:
    """What cannot be is refused with the daemon's words."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        assert (await daemon.ask(client.add_dns_record, "nas", ["192.0.2.9"], note="x", dry_run=True)).dry_run
        assert (await daemon.ask(client.add_dns_record, "nas", ["192.0.2.9"], note="x")).changed
        assert [row.name for row in await daemon.ask(client.dns_names, origin="stored")] == ["nas.mooring"]
        assert (await daemon.ask(client.look_up_name, "nas", type="A")).records == ["192.0.2.9"]
        assert (await daemon.ask(client.dns_server)).serving == []
        await daemon.ask(client.remove_dns_record, "nas")
        with pytest.raises(NotFound, match="no DNS record nas"):
            await daemon.ask(client.remove_dns_record, "nas")
