"""What is looked at before a host joins a cluster."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.cluster_hosts import (
    ClusterAccess,
    ClusterHost,
    Underlay,
    Verdict,
    checks,
    overlapping,
    reach,
    session_key,
    tag_of,
)
from mooring.core.subnet_index import Holdings

MINE = ClusterHost(
    id="new",
    name="web2",
    machine="m2",
    boot="b2",
    underlay=Underlay("10.0.0.2", "eth0", 1500),
    version="1.0",
    joined=9.0,
    vxlan_port=4790,
)
OTHER = replace(MINE, id="old", name="web1", machine="m1", boot="b1", underlay=Underlay("10.0.0.1", "eth0", 1500))
OK, NOTE, REFUSED = Verdict.OK, Verdict.NOTE, Verdict.REFUSED


def verdicts(other: ClusterHost, mine: ClusterHost = MINE, offset: float | None = 0.0) -> dict[str, Verdict]:
    """Of each check that is not ok."""
    found = checks(mine, [other], {"old"}, offset)
    return {check.what: check.verdict for check in found if check.verdict is not OK}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (OTHER, {}),
        (replace(OTHER, machine="m2"), {"identity": REFUSED}),
        (replace(OTHER, name="web2"), {"identity": REFUSED}),
        (replace(OTHER, underlay=Underlay("10.0.0.2", "wg0", 1500)), {"underlay": REFUSED}),
        (replace(OTHER, underlay=Underlay("fd00::1", "eth0", 1500)), {"underlay": NOTE}),
        (replace(OTHER, underlay=Underlay("10.0.0.1", "eth0", 9000)), {"mtu": NOTE}),
        (replace(OTHER, version="1.1"), {"version": NOTE}),
        (replace(OTHER, vxlan_port=4791), {"vxlan_port": NOTE}),
        (replace(OTHER, vxlan_port=0), {}),
    ],
)
def test_two_hosts_may_not_share_what_tells_them_apart(other: ClusterHost, expected: dict[str, Verdict]) -> None:
    """Machine, name and address are refused; what only matters later is noted."""
    assert verdicts(other) == expected


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0.0, {}), (1.9, {}), (2.1, {"clock": NOTE}), (-40.0, {"clock": NOTE}), (None, {"clock": NOTE})],
)
def test_a_clock_that_is_off_is_noted(offset: float | None, expected: dict[str, Verdict]) -> None:
    """Nothing but what people read depends on it, so it is in nobody's way."""
    assert verdicts(OTHER, offset=offset) == expected


def test_what_nobody_reaches_is_noted() -> None:
    """A loopback address, a small MTU, an etcd that is told by a loopback address."""
    assert verdicts(OTHER, replace(MINE, underlay=Underlay("127.0.0.1", "lo", 65536))) == {
        "underlay": NOTE,
        "mtu": NOTE,
    }
    small = replace(MINE, underlay=Underlay("10.0.0.2", "wg0", 1280))
    assert verdicts(replace(OTHER, underlay=Underlay("10.0.0.1", "wg0", 1280)), small) == {"mtu": NOTE}
    assert [check.verdict for check in reach(["https://127.0.0.1:2379", "https://10.0.0.1:2379"])] == [NOTE]
    assert list(reach(["https://10.0.0.1:2379"])) == []


def test_a_subnet_of_the_cluster_that_is_here_as_well_is_noted() -> None:
    """With what is in it; others are nothing to say."""
    held = Holdings()
    held.add(ip_network("10.32.4.0/24"), "network abc")
    held.add(ip_network("192.168.1.0/24"), "eth0")
    shared = [ip_network("10.32.0.0/16"), ip_network("10.40.0.0/16"), ip_network("fd00::/64")]
    [check] = overlapping(shared, held)
    assert (check.what, check.verdict) == ("subnets", NOTE)
    assert "10.32.0.0/16 is a subnet of the cluster, and here are network abc (10.32.4.0/24)" in check.text


def test_secrets_are_not_in_what_is_printed() -> None:
    """Of how the servers are reached."""
    access = ClusterAccess(cluster="c", endpoints=("https://e",), key="SECRET", password="SECRET")
    assert "SECRET" not in repr(access)


def test_keys_and_tags_are_the_same_for_ever() -> None:
    """Other hosts look for them."""
    assert session_key("a/b") == "session/a%2Fb"
    assert tag_of("5f0") != tag_of("5f1")
    assert len(tag_of("x")) == 32
