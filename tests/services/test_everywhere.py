"""What an operator asks of networks on every host; what hosts do: test_networks_everywhere.py."""

from __future__ import annotations

import pytest

from mooring.core.faults import NotFound
from tests.services.member_hosts import MemberHost, members
from tests.services.test_networks_everywhere import APP, asking


async def test_a_host_in_no_cluster_is_asked_in_vain() -> None:
    """And so is one about a network that nobody asked for."""
    (host,) = await members(1)
    assert await asking(host).rows() == []
    with pytest.raises(NotFound, match="network nothing is not asked for on every host"):
        await asking(host).remove("nothing", dry=False)
    alone = await MemberHost(host.servers, 9).start()
    with pytest.raises(NotFound, match="in no cluster"):
        await asking(alone).create(APP, dry=False)
