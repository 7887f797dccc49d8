"""What an operator asks of networks on every host; what hosts do: test_networks_everywhere.py."""

from __future__ import annotations

import msgspec
import pytest

from mooring.core.faults import Conflict, NotFound
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


async def test_another_network_of_the_name_waits_until_every_host_has_removed_the_first() -> None:
    """Who asks is not told to end what ends already."""
    (host,) = await members(1)
    other = msgspec.structs.replace(APP, options={})
    await asking(host).create(APP, dry=False)
    with pytest.raises(Conflict, match=r"with other options .*`mooring network rm --everywhere app` ends it"):
        await asking(host).create(other, dry=False)
    await asking(host).remove("app", dry=False)
    with pytest.raises(Conflict, match=r"not removed on every host yet; `mooring network ls --everywhere` shows"):
        await asking(host).create(other, dry=False)
