"""The cluster, asked about and changed by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import Conflict, NotFound
from tests.client.daemons import asked
from tests.services.samples import ETCD, WEB


async def test_a_cluster_is_made_seen_and_left(tmp_path: Path) -> None:
    """What cannot be is refused with the daemon's words."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        made = await daemon.ask(client.init_cluster, [ETCD], name="web1")
        assert (await daemon.ask(client.cluster_token)).token == made.token
        assert not (await daemon.ask(client.join_cluster, made.token, dry_run=True)).changed
        assert (await daemon.ask(client.cluster)).id == made.cluster
        assert [row.name for row in await daemon.ask(client.cluster_hosts)] == ["web1"]
        assert await daemon.ask(client.cluster_hosts, heard=True) == []
        assert (await daemon.ask(client.cluster_host, "web1")).here
        assert (await daemon.ask(client.drain_cluster_host, "web1")).host.drained
        assert not (await daemon.ask(client.drain_cluster_host, "web1", off=True)).host.drained
        with pytest.raises(Conflict, match=r"10.32.0.6 of network .* is reserved"):
            await daemon.ask(client.publish_network, WEB, dry_run=True)
        with pytest.raises(Conflict, match="is this host"):
            await daemon.ask(client.forget_cluster_host, "web1")
        assert (await daemon.ask(client.leave_cluster)).host == made.host
        with pytest.raises(NotFound, match="in no cluster"):
            await daemon.ask(client.cluster_token)
