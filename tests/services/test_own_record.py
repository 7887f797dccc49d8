"""This host's record in the cluster; when it is told, and what goes wrong then, is in test_membership.py."""

from __future__ import annotations

import pytest

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.faults import Unavailable
from mooring.services.cluster.own_record import HostFacts, OwnRecord
from mooring.testing.clocks import ManualClock


async def test_a_daemon_that_can_be_in_no_cluster_says_so() -> None:
    """Its host has no place to be reached at."""
    record = OwnRecord(None, ManualClock(), HostFacts("web1", "m1", "b1", "1.0"))
    with pytest.raises(Unavailable, match="can be in no cluster"):
        await record.made("h1", "web1", "", ClusterAccess(cluster="c1", endpoints=()), 0.0)
