"""This host's record in the cluster; when it is told, and what goes wrong then, is in test_membership.py."""

from __future__ import annotations

import pytest

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.faults import Unavailable
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.own_record import HostFacts, OwnRecord
from mooring.testing.clocks import ManualClock
from tests.services.member_hosts import MemberHost, members


async def test_a_daemon_that_can_be_in_no_cluster_says_so() -> None:
    """Its host has no place to be reached at."""
    record = OwnRecord(None, ManualClock(), HostFacts("web1", "m1", "b1", "1.0"))
    with pytest.raises(Unavailable, match="can be in no cluster"):
        await record.made("h1", "web1", "", ClusterAccess(cluster="c1", endpoints=()), 0.0)


async def test_a_store_that_lost_everything_is_the_same_cluster_again() -> None:
    """The hosts that are there are in it, and others can join it, also where a daemon was started anew meanwhile."""
    one, two = hosts = await members()
    servers, access = one.servers, one.membership.membership
    assert access is not None
    for host in hosts:
        await host.turn(1.0)
    servers.lose_majority()
    for host in hosts:
        await host.turn(3.0)
    servers.restore((servers.revision, {}))
    servers.regain_majority()
    await two.restart()
    for _ in range(20):
        for host in hosts:
            await host.turn(2.0)
    third = await MemberHost(servers, 3).start()
    await third.membership.join(access.access, "", "", False)
    known = await HostRecords(servers.client("operator")).hosts()
    assert sorted(host.name for host in known) == ["web1", "web2", "web3"]
    assert one.runtime.faults == two.runtime.faults == ()
