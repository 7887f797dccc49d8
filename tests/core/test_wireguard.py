"""The encrypted underlay: addresses, keys that are replaced, and which of a host's keys is believed to be in use."""

from __future__ import annotations

from dataclasses import replace

from mooring.core.cluster_hosts import ClusterHost, TunnelEnd, Underlay
from mooring.core.tunnel_places import INNER
from mooring.core.wireguard import AGE, OVERLAP, KeyChoice, KeyPair, KeyRing, device_name, inner_address, reachable

ONE, TWO = KeyPair("one", "p1"), KeyPair("two", "p2")


def host(ident: str, address: str = "192.0.2.1", joined: float = 0.0) -> ClusterHost:
    """A host with WireGuard."""
    return ClusterHost(
        id=ident, name=f"name-{ident}", machine="", boot="", underlay=Underlay(address, "eth0", 1500), version="",
        joined=joined, tunnel=TunnelEnd((f"key-{ident}",), 51821),
    )  # fmt: skip


def test_address_and_device_follow_from_the_host() -> None:
    """They are the same for everybody, and no other host's."""
    idents = [f"host{number}" for number in range(1000)]
    addresses = {inner_address(each) for each in idents}
    assert len(addresses) == 1000
    assert all(each in INNER for each in addresses)
    names = {device_name(each) for each in idents}
    assert len(names) == 1000
    assert {len(each) for each in names} == {15}


def test_those_are_reachable_that_have_a_key_an_address_of_their_own_and_one_of_this_family() -> None:
    """What is in the way of the others is said."""
    plain = replace(host("plain"), tunnel=None)
    found, wrong = reachable([host("me"), host("a"), plain, host("six", "fd00::1")], "me", 4)
    assert [each.id for each in found] == ["a"]
    assert wrong == ["host name-six is at fd00::1, which is of the other address family"]
    found, wrong = reachable([host("a", joined=2.0), replace(host("a"), name="other")], "me", 4)
    assert [each.name for each in found] == ["other"]
    assert "name-a has the inner address" in wrong[0]


def test_a_key_is_replaced_in_three_steps() -> None:
    """It is known before it is used, and the old one is accepted after that; never before all could have read it."""
    ring = KeyRing(used=ONE, since=0.0)
    assert not ring.is_old(AGE - 1)
    assert ring.is_old(AGE)
    assert ring.is_old(-1.0)
    assert ring.turned(AGE, 1000.0, None) == ring
    coming = ring.turned(AGE, 1000.0, TWO)
    assert coming.public == ("one", "two")
    assert coming.turned(AGE, OVERLAP - 1, None) == coming
    used = coming.turned(AGE + 60, OVERLAP, None)
    assert (used.public, used.since) == (("two", "one"), AGE + 60)
    assert not used.is_old(3 * AGE)
    assert used.turned(AGE + 61, 1.0, None) == used
    assert used.turned(AGE + 120, OVERLAP, None) == KeyRing(used=TWO, since=AGE + 60)


def test_no_private_key_is_shown() -> None:
    """Neither in a log nor in a failed test."""
    assert "p1" not in repr(KeyRing(used=ONE, since=0.0))


def test_a_host_uses_the_key_that_was_heard_last() -> None:
    """Or the first that it tells of; what it tells anew counts again."""
    choice, both, turned = KeyChoice(), TunnelEnd(("a", "b"), 1), TunnelEnd(("b", "a"), 1)
    assert choice.of("h", TunnelEnd(("a",), 1), {}) == "a"
    assert choice.of("h", both, {"a": 5}) == "a"
    assert choice.of("h", both, {"a": 5, "b": 9}) == "b"  # it has changed over, and has not told yet
    assert choice.of("h", both, {"a": 5, "b": 9}) == "b"
    assert choice.of("h", turned, {"a": 5, "b": 9}) == "b"
    assert choice.of("h", TunnelEnd(("b",), 1), {"b": 9}) == "b"


def test_what_a_host_tells_is_believed_before_it_is_heard_with_it() -> None:
    """Two hosts that change at the same moment find each other; and a daemon that starts anew does not go back."""
    choice = KeyChoice()
    assert choice.of("h", TunnelEnd(("a", "b"), 1), {"a": 5}) == "a"
    assert choice.of("h", TunnelEnd(("b", "a"), 1), {"a": 7}) == "b"
    assert choice.of("h", TunnelEnd(("b", "a"), 1), {"a": 7}) == "b"
    anew = KeyChoice()
    assert anew.of("h", TunnelEnd(("b", "a"), 1), {}) == "b"
    assert anew.of("h", TunnelEnd(("b", "a"), 1), {"a": 7, "b": 9}) == "b"
