"""Network ports: what they are called, what they have, and that nothing of a container's ends them."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest

from mooring.core.claims import Claim, claimed, left, started, unclaimed
from mooring.core.faults import BadRequest, Conflict
from mooring.core.kept_networks import kept_address_of
from mooring.core.leases import Active, Claimant, ClaimPolicy, Lease, Place, State, may_take, released
from mooring.core.network_ports import (
    NetworkPort,
    check_families,
    left_of,
    port_mac,
    port_name,
    ported,
    references,
    unported,
)

V4, V6 = ip_address("10.0.0.5"), ip_address("fd00::5")
PORT = NetworkPort(
    id="0123456789abcdef", name="db", network="n1", network_name="web", space="default", mac="02:00:00:00:00:05",
    addresses=(V4, V6), created=5.0,
)  # fmt: skip
PLACE = Place("default", V4, "p4")


def lease() -> Lease:
    """The port's, of its first address."""
    return ported(PORT, None, PLACE, 10.0)


def test_a_port_says_how_it_is_asked_for() -> None:
    """For people, and for `docker run`."""
    assert PORT.in_words() == "db (10.0.0.5, fd00::5)"
    assert PORT.how() == "--ip 10.0.0.5 --ip6 fd00::5 --mac-address 02:00:00:00:00:05"
    assert PORT.how(by_address=False) == "--mac-address 02:00:00:00:00:05"
    assert (PORT.address(4), PORT.address(6)) == (V4, V6)
    assert msgspec.structs.replace(PORT, addresses=(V6,)).address(4) is None
    assert PORT.noted("x") == msgspec.structs.replace(PORT, note="x")


def test_names() -> None:
    """As Docker has them; without one, the beginning of the id."""
    assert port_name(" db-1.x_y ", PORT.id) == "db-1.x_y"
    assert port_name("", PORT.id) == "0123456789ab"
    for bad in ("-db", "d b", "d,b", "d:b", "dé", "x" * 64, ".db", "d/b"):
        with pytest.raises(BadRequest, match="cannot be the name of a port"):
            port_name(bad, PORT.id)
    assert references(" a, b,,c ") == ["a", "b", "c"]
    assert references("") == []


def test_a_port_has_one_address_of_a_family() -> None:
    """More is what no container can have."""
    check_families([4, 6], "addresses")
    with pytest.raises(BadRequest, match="two subnets of IPv6 for one port"):
        check_families([4, 6, 6], "subnets")


def test_macs_are_of_one_interface_and_differ() -> None:
    """Locally administered, by the id."""
    assert int(port_mac("a")[:2], 16) & 3 == 2
    assert port_mac("a") != port_mac("b")


def test_nothing_that_a_container_does_ends_a_ports_lease() -> None:
    """Neither the last holder's end, nor an operator's word about it, nor a release; and its key stays."""
    mine = lease()
    assert (mine.state, mine.key, mine.mac, mine.until) == (State.FIXED, "port:db", PORT.mac, None)
    for key in ("container:c1", "key:other", "compose:a/b/1", "port:other"):
        held = claimed(mine, mine, Claim(key=key, holder="c1", mac="02:00:00:00:00:99"), 11.0)
        assert (held.key, held.mac, held.holders) == ("port:db", PORT.mac, frozenset({"c1"}))
        after = left(held, "c1", 12.0, 60.0, 60.0)
        assert after == mine
    used = started(mine, Active("e1", "h", "b"))
    free = released(used, 20.0, 60.0)
    assert free is not None
    assert (free.state, free.active, free.key, free.until) == (State.FIXED, None, "port:db", None)
    assert unclaimed(held, 12.0, 60.0) == mine


def test_who_names_a_free_port_gets_it_as_the_claim_policy_says() -> None:
    """With `holders` only who brings its MAC, or is its holder, however long nobody had it."""
    late = 4e9
    assert may_take(lease(), Claimant(mac="02:00:00:00:00:01"), ClaimPolicy.EXPLICIT, late).allowed
    assert not may_take(lease(), Claimant(mac="02:00:00:00:00:01"), ClaimPolicy.HOLDERS, late).allowed
    assert may_take(lease(), Claimant(mac=PORT.mac), ClaimPolicy.HOLDERS, late).allowed
    used = started(lease(), Active("e1", "h", "b"))
    assert not may_take(used, Claimant(mac=PORT.mac), ClaimPolicy.EXPLICIT, late).allowed


def test_a_port_is_made_of_what_is_free_or_cools_and_leaves_what_cools() -> None:
    """What is anybody's is not taken."""
    cooling = unported(lease(), 20.0, 60.0)
    assert cooling is not None
    assert (cooling.state, cooling.until) == (State.COOLING, 80.0)
    assert ported(PORT, cooling, PLACE, 30.0).key == "port:db"
    assert unported(lease(), 20.0, 0.0) is None
    with pytest.raises(Conflict):
        ported(PORT, Lease(space="default", address=V4, pool="p4", state=State.GATEWAY, since=1.0), PLACE, 30.0)


def test_what_a_port_has_waits_for_its_network_for_ever() -> None:
    """Whatever the hold time is."""
    for hold in (0.0, 60.0):
        found = kept_address_of(lease(), 10.0, hold)
        assert found is not None
        assert found.until > 1e11
    assert kept_address_of(msgspec.structs.replace(lease(), key="key:db", hold=5.0), 10.0, 0.0) is None
    kept_network = left_of(PORT)
    assert [each.address for each in kept_network.kept_addresses] == [V4, V6]
    assert (kept_network.id, kept_network.name, kept_network.subnets) == ("n1", "web", ())
