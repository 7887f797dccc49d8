"""Which addresses a container gets."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted, Unavailable
from mooring.core.intents import Intent, placeholder
from mooring.core.leases import State
from mooring.core.requests import AddressRequest, Role
from tests.services.holder_hosts import ident, started, state
from tests.services.operators import share


async def test_both_families_and_the_mac_are_one_commit() -> None:
    """A dual-stack seat gets an address of each family with one MAC, and the store saw one write."""
    host = await started()
    network = await host.network("web", v6=True)
    before = host.services.cache.revision
    intent, (grant,) = await host.begin("db", host.fixed_spec(network, "key:db"))
    assert grant.ipv4 is not None
    assert grant.ipv6 is not None
    assert host.services.cache.revision == before + 1
    for address in (grant.ipv4, grant.ipv6):
        lease = host.lease(address)
        assert lease is not None
        assert (lease.state, lease.mac, lease.key) == (State.FIXED, grant.mac, "key:db")
        assert lease.holders == frozenset({placeholder(intent.id)})


async def test_an_address_in_use_by_somebody_else_is_refused_at_once_with_its_holder() -> None:
    """And the other seats of the same container get nothing either."""
    host = await started()
    network, other = await host.network("web"), await host.network("other")
    taken = await host.endpoint(network, "old")
    assert taken.ipv4 is None  # it was given before, and the driver chose nothing
    address = next(iter(host.services.endpoint_index.of_network(network))).addresses[0]
    with pytest.raises(Conflict, match=f"{address}.*held by"):
        await host.begin("new", host.fixed_spec(other, "key:n"), host.fixed_spec(network, "key:n", str(address)))
    assert host.services.cache.count(Intent) == 0
    assert not host.services.holders.any


async def test_under_the_policy_holders_a_stranger_is_refused_with_the_holders_name() -> None:
    """Also when the address is idle; who has the key is let in."""
    host = await started()
    network = await host.network("web")
    await host.set_policy(network, "holders")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    with pytest.raises(Conflict, match="container db"):
        await host.begin("thief", host.fixed_spec(network, "key:thief", str(grant.ipv4)))
    (again,) = await host.made("db2", host.fixed_spec(network, "key:db", str(grant.ipv4)))
    assert again.ipv4 == grant.ipv4
    pool = host.known(network).ipv4[0].pool
    with pytest.raises(Conflict, match="claim policy is `holders`"):
        await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:66"))


@pytest.mark.parametrize("address", ["192.0.2.1", "10.32.0.0", "10.32.0.255"])
async def test_an_address_that_cannot_be_in_the_network_is_refused(address: str) -> None:
    """Another subnet's, the network's own, the broadcast address."""
    host = await started()
    network = await host.network("web")
    with pytest.raises(BadRequest, match=address):
        await host.begin("db", host.fixed_spec(network, "key:db", address))


async def test_a_mac_of_another_fixed_address_is_refused_beside_an_address_of_ones_own() -> None:
    """It is the proof of who that one is; a copy that names the MAC alone is a successor."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.made("other", host.fixed_spec(network, "key:other"))
    with pytest.raises(Conflict, match=grant.mac):
        await host.begin("other2", host.fixed_spec(network, "key:other", mac=grant.mac))
    (again,) = await host.made("db2", host.fixed_spec(network, "key:copy", mac=grant.mac))
    assert again.ipv4 == grant.ipv4


async def test_where_the_subnet_was_carved_the_mac_finds_the_address_again() -> None:
    """Docker lets nobody name an address there: the grant says so, and a request by the MAC gets it."""
    host = await started()
    host.typed = False
    network = await host.network("web", v6=True)
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    assert grant.nameable == frozenset()
    for segment, address in zip(host.known(network).segments, (grant.ipv4, grant.ipv6), strict=True):
        got = await host.services.ipam.request_address(AddressRequest(segment.pool, Role.ENDPOINT, mac=grant.mac))
        assert got.ip == address


async def test_where_neither_address_nor_mac_can_be_said_nothing_is_claimed() -> None:
    """A further network with a carved subnet, on an engine from before 1.44: nobody could find the address again."""
    host = await started()
    host.typed = False
    network = await host.network("web")
    revision = host.services.cache.revision
    _, (grant,) = await host.begin("db", host.fixed_spec(network, "key:db", settable=False))
    assert (grant.ipv4, grant.mac) == (None, "")
    assert host.services.cache.revision == revision


async def test_another_mac_for_the_same_key_is_the_one_that_counts() -> None:
    """The container was made anew with a MAC of its own."""
    host = await started()
    network = await host.network("web")
    (first,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.services.holders.release_all(ident("db"))
    (second,) = await host.made("db2", host.fixed_spec(network, "key:db", mac="02:00:00:00:00:77"))
    assert (second.ipv4, second.mac) == (first.ipv4, "02:00:00:00:00:77")
    lease = host.lease(first.ipv4)
    assert lease is not None
    assert lease.mac == "02:00:00:00:00:77"


async def test_a_full_network_refuses_and_keeps_nothing() -> None:
    """An Exhausted that names the pool, and no lease or intent is left of the attempt."""
    host = await started()
    network = await host.network("web", v6=True)
    pool = host.known(network).ipv4[0].pool
    for _ in range(253):
        await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT))
    with pytest.raises(Exhausted, match=pool):
        await host.begin("db", host.fixed_spec(network, "key:db"))
    assert host.services.cache.count(Intent) == 0
    assert not host.services.holders.any


async def test_a_key_that_moves_to_another_address_lets_the_old_one_go() -> None:
    """When nobody holds the old one any more; while somebody does, it stays until he goes, and is not kept then."""
    host = await started()
    network = await host.network("web")
    (first,) = await host.made("a", host.fixed_spec(network, "key:x"))
    assert first.ipv4 is not None
    other = str(first.ipv4 + 9)
    await host.made("b", host.fixed_spec(network, "key:x", other))
    assert state(host, first.ipv4) is State.FIXED
    await host.services.holders.release_all(ident("a"))
    assert state(host, first.ipv4) is State.COOLING
    await host.services.holders.release_all(ident("b"))
    assert state(host, other) is State.FIXED
    await host.made("c", host.fixed_spec(network, "key:x", str(first.ipv4)))
    assert state(host, other) is State.COOLING


async def test_a_second_address_of_a_key_has_a_mac_of_its_own() -> None:
    """Two living containers never have one MAC in a network."""
    host = await started()
    network = await host.network("web")
    (first,) = await host.made("a", host.fixed_spec(network, "key:k"))
    assert first.ipv4 is not None
    (second,) = await host.made("b", host.fixed_spec(network, "key:k", str(first.ipv4 + 9)))
    assert second.ipv4 != first.ipv4
    assert second.mac != first.mac


async def test_two_creates_of_one_key_at_once_get_one_address() -> None:
    """Claims are taken one after another."""
    host = await started()
    network = await host.network("web")
    begun = await asyncio.gather(*(host.begin(f"c{n}", host.fixed_spec(network, "key:k")) for n in range(5)))
    assert len({grants[0].ipv4 for _, grants in begun}) == 1


async def test_all_families_of_a_seat_have_the_mac_that_the_container_gets() -> None:
    """An address that is held by others with another MAC is refused where the MAC is the only proof."""
    host = await started()
    host.typed = False
    network = await host.network("web", v6=True)
    (a,) = await host.made("a", host.fixed_spec(network, "key:a"))
    await host.made("b", host.fixed_spec(network, "key:b"))
    with pytest.raises(Conflict, match="fixed together with MAC"):
        await host.begin("b2", host.fixed_spec(network, "key:b", str(a.ipv4)))


async def test_a_refused_create_leaves_a_waiting_key_as_it_was() -> None:
    """Key, address and the end of its time; and a stranger who was refused has not taken it over."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.services.holders.release_all(ident("db"))
    before = host.lease(grant.ipv4)
    host.clock.advance(100)
    for key, wanted in (("key:db", str(grant.ipv4 + 5)), ("key:other", str(grant.ipv4)), ("key:db", "")):  # type: ignore[operator]
        fixed_spec = host.fixed_spec(network, key, wanted) if wanted else host.fixed_spec(network, key)
        intent, _ = await host.begin("x", fixed_spec)
        await host.services.holders.roll_back(intent)
        after = host.lease(grant.ipv4)
        assert before is not None
        assert after is not None
        assert (after.key, after.until, after.holders) == (before.key, before.until, frozenset())


async def test_a_container_made_anew_after_its_removal_gets_the_address_of_its_mac() -> None:
    """Where no configuration names an address, the MAC is what a copy of it has; while the address cools."""
    host = await started()
    host.typed = False
    network = await host.network("web", v6=True)
    (before,) = await host.made("db", host.fixed_spec(network, f"container:{ident('db')}"))
    await host.disconnect(await host.connect("db", network, before), network, before)
    await host.services.ipam.release_address(host.known(network).ipv6[0].pool, before.ipv6)  # type: ignore[arg-type]
    await host.services.holders.release_all(ident("db"))
    assert host.lease(before.ipv4).state is State.COOLING  # type: ignore[union-attr]
    (after,) = await host.made("new", host.fixed_spec(network, f"container:{ident('new')}", mac=before.mac))
    assert after.ipv4 == before.ipv4
    lease = host.lease(after.ipv4)
    assert lease is not None
    assert (lease.key, lease.holders) == (f"container:{ident('new')}", frozenset({ident("new")}))


async def test_who_can_say_no_mac_takes_nobody_elses_away() -> None:
    """Where the MAC alone is the proof, a connect that the engine then refuses leaves the holder's as it was."""
    host = await started()
    host.typed = False
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    intent, _ = await host.begin("x", host.fixed_spec(network, "key:x", str(grant.ipv4), settable=False))
    await host.services.holders.roll_back(intent)
    lease = host.lease(grant.ipv4)
    assert lease is not None
    assert (lease.mac, lease.holders, lease.key) == (grant.mac, frozenset({ident("db")}), "key:db")


async def test_in_a_subnet_that_is_shared_with_other_hosts_none_is_fixed_without_a_plan() -> None:
    """The records of one host do not bind the others; with one, see test_fixed_claims.py."""
    host = await started()
    network = await host.network("web")
    await share(host)
    with pytest.raises(Unavailable, match="is shared with other hosts"):
        await host.begin("db", host.fixed_spec(network, "key:db"))
    assert not host.services.holders.any
