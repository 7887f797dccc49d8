"""Claiming, settling and giving up fixed addresses."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted, Unavailable
from mooring.core.intents import Intent, placeholder
from mooring.core.leases import State
from mooring.core.requests import AddressRequest, Role
from tests.services.holder_hosts import HolderHost, ident


async def started() -> HolderHost:
    """A host that serves."""
    host = HolderHost()
    await host.start()
    return host


def state(host: HolderHost, address: object) -> State | None:
    """The state of the address."""
    lease = host.lease(address)
    return lease.state if lease is not None else None


async def test_both_families_and_the_mac_are_one_commit() -> None:
    """A dual-stack seat gets an address of each family with one MAC, and the store saw one write."""
    host = await started()
    network = await host.network("web", v6=True)
    before = host.services.mirror.revision
    intent, (grant,) = await host.begin("db", host.seat(network, "key:db"))
    assert grant.ipv4 is not None
    assert grant.ipv6 is not None
    assert host.services.mirror.revision == before + 1
    for address in (grant.ipv4, grant.ipv6):
        lease = host.lease(address)
        assert lease is not None
        assert (lease.state, lease.mac, lease.key) == (State.FIXED, grant.mac, "key:db")
        assert lease.holders == frozenset({placeholder(intent.id)})


async def test_what_is_settled_is_held_by_the_container_and_the_intent_is_gone() -> None:
    """Its full id, in the lease and in a key of its own; its name is kept for people."""
    host = await started()
    network = await host.network("web")
    seat = host.seat(network, "key:db")
    (grant,) = await host.made("db", seat)
    lease = host.lease(grant.ipv4)
    assert lease is not None
    assert lease.holders == frozenset({ident("db")})
    assert host.services.mirror.count(Intent) == 0
    holder = host.services.mirror.holder(ident("db"))
    assert holder is not None
    assert (holder.name, holder.engine) == ("db", "engine-1")


async def test_what_is_given_back_leaves_nothing() -> None:
    """The address was never used: it is free at once, not cooling."""
    host = await started()
    network = await host.network("web", v6=True)
    intent, (grant,) = await host.begin("db", host.seat(network, "key:db"))
    await host.services.holders.give_back(intent)
    assert (host.lease(grant.ipv4), host.lease(grant.ipv6)) == (None, None)
    assert host.services.mirror.count(Intent) == 0


async def test_a_fixed_address_is_never_chosen_for_anybody_else() -> None:
    """Two hundred requests get two hundred others, while its container stands still."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    pool = host.known(network).ipv4[0].pool
    got = [await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT)) for _ in range(200)]
    assert grant.ipv4 not in {each.ip for each in got}


async def test_the_next_container_of_a_key_gets_the_same_address_and_mac() -> None:
    """Removed and made anew: the key kept both."""
    host = await started()
    network = await host.network("web", v6=True)
    (first,) = await host.made("db", host.seat(network, "key:db"))
    await host.services.holders.forget(ident("db"))
    assert state(host, first.ipv4) is State.FIXED
    (second,) = await host.made("db2", host.seat(network, "key:db"))
    assert second == first
    assert host.held("db2") == [str(first.ipv4), str(first.ipv6)]


async def test_a_keys_hold_time_ends_and_the_address_is_free() -> None:
    """A day later the sweep ends it."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    await host.services.holders.forget(ident("db"))
    host.clock.advance(86_399)
    await host.services.ipam.sweep()
    assert state(host, grant.ipv4) is State.FIXED
    host.clock.advance(2)
    await host.services.ipam.sweep()
    assert state(host, grant.ipv4) is None


async def test_a_container_without_a_lasting_key_lets_its_address_cool() -> None:
    """When it is removed."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, f"container:{ident('db')}"))
    await host.unplug(await host.plug("db", network, grant), network, grant)
    assert await host.services.holders.forget(ident("db")) == 1
    assert state(host, grant.ipv4) is State.COOLING
    assert host.services.mirror.holder(ident("db")) is None


async def test_an_address_stays_over_stop_and_start() -> None:
    """Release and request by address, and by MAC without an address, give the same one."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, f"container:{ident('db')}"))
    pool = host.known(network).ipv4[0].pool
    for wanted in (grant.ipv4, None):
        request = AddressRequest(pool, Role.ENDPOINT, wanted, mac=grant.mac)
        assert (await host.services.ipam.request_address(request)).ip == grant.ipv4
        await host.services.ipam.release_address(pool, grant.ipv4)
        assert state(host, grant.ipv4) is State.FIXED


async def test_an_engine_that_tells_names_finds_the_address_by_the_name() -> None:
    """From 29 on RequestAddress bears the container's name."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, f"container:{ident('db')}"))
    pool = host.known(network).ipv4[0].pool
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:99", name="db"))
    assert got.ip == grant.ipv4


async def test_two_holders_that_start_at_once_do_not_get_one_address() -> None:
    """The second is refused until the first has its endpoint or gives up."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("a", host.seat(network, "key:x", settable=False))
    await host.made("b", host.seat(network, "key:x", settable=False))
    pool = host.known(network).ipv4[0].pool
    first = AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:01")
    second = AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:02")
    await host.services.ipam.request_address(first)
    await host.services.ipam.request_address(first)
    with pytest.raises(Conflict, match="on its way to another container"):
        await host.services.ipam.request_address(second)
    await host.services.ipam.release_address(pool, grant.ipv4)  # type: ignore[arg-type]
    await host.services.ipam.request_address(second)


async def test_replace_flow_frees_the_address_once() -> None:
    """A is stopped, B is made with A's address and started, A is removed: B has it; B is removed: it is free."""
    host = await started()
    network = await host.network("web")
    (a,) = await host.made("a", host.seat(network, f"container:{ident('a')}"))
    (b,) = await host.made("b", host.seat(network, f"container:{ident('b')}", str(a.ipv4)))
    assert b == a
    await host.services.holders.forget(ident("a"))
    lease = host.lease(a.ipv4)
    assert lease is not None
    assert (lease.state, lease.holders, lease.key) == (State.FIXED, frozenset({ident("b")}), f"container:{ident('b')}")
    await host.services.holders.forget(ident("a"))
    await host.services.holders.forget(ident("b"))
    assert state(host, a.ipv4) is State.COOLING


async def test_an_address_in_use_by_somebody_else_is_refused_at_once_with_its_holder() -> None:
    """And the other seats of the same container get nothing either."""
    host = await started()
    network, other = await host.network("web"), await host.network("other")
    taken = await host.endpoint(network, "old")
    assert taken.ipv4 is None  # it was given before, and the driver chose nothing
    address = next(iter(host.services.roster.of_network(network))).addresses[0]
    with pytest.raises(Conflict, match=f"{address}.*held by"):
        await host.begin("new", host.seat(other, "key:n"), host.seat(network, "key:n", str(address)))
    assert host.services.mirror.count(Intent) == 0
    assert not host.services.holders.any


async def test_under_the_policy_holders_a_stranger_is_refused_with_the_holders_name() -> None:
    """Also when the address is idle; who has the key is let in."""
    host = await started()
    network = await host.network("web")
    await host.set_policy(network, "holders")
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    with pytest.raises(Conflict, match="container db"):
        await host.begin("thief", host.seat(network, "key:thief", str(grant.ipv4)))
    (again,) = await host.made("db2", host.seat(network, "key:db", str(grant.ipv4)))
    assert again.ipv4 == grant.ipv4
    pool = host.known(network).ipv4[0].pool
    with pytest.raises(Conflict, match="claim policy holders"):
        await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:66"))


@pytest.mark.parametrize("address", ["192.0.2.1", "10.32.0.0", "10.32.0.255"])
async def test_an_address_that_cannot_be_in_the_network_is_refused(address: str) -> None:
    """Another subnet's, the network's own, the broadcast address."""
    host = await started()
    network = await host.network("web")
    with pytest.raises(BadRequest, match=address):
        await host.begin("db", host.seat(network, "key:db", address))


async def test_a_mac_of_another_fixed_address_is_refused_beside_an_address_of_ones_own() -> None:
    """It is the proof of who that one is; a copy that names the MAC alone is a successor."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    await host.made("other", host.seat(network, "key:other"))
    with pytest.raises(Conflict, match=grant.mac):
        await host.begin("other2", host.seat(network, "key:other", mac=grant.mac))
    (again,) = await host.made("db2", host.seat(network, "key:copy", mac=grant.mac))
    assert again.ipv4 == grant.ipv4


async def test_where_the_subnet_was_carved_the_mac_finds_the_address_again() -> None:
    """Docker lets nobody name an address there: the grant says so, and a request by the MAC gets it."""
    host = await started()
    host.typed = False
    network = await host.network("web", v6=True)
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    assert grant.nameable == frozenset()
    for segment, address in zip(host.known(network).segments, (grant.ipv4, grant.ipv6), strict=True):
        got = await host.services.ipam.request_address(AddressRequest(segment.pool, Role.ENDPOINT, mac=grant.mac))
        assert got.ip == address


async def test_where_neither_address_nor_mac_can_be_said_nothing_is_claimed() -> None:
    """A further network with a carved subnet, on an engine from before 1.44: nobody could find the address again."""
    host = await started()
    host.typed = False
    network = await host.network("web")
    revision = host.services.mirror.revision
    _, (grant,) = await host.begin("db", host.seat(network, "key:db", settable=False))
    assert (grant.ipv4, grant.mac) == (None, "")
    assert host.services.mirror.revision == revision


async def test_another_mac_for_the_same_key_is_the_one_that_counts() -> None:
    """The container was made anew with a MAC of its own."""
    host = await started()
    network = await host.network("web")
    (first,) = await host.made("db", host.seat(network, "key:db"))
    await host.services.holders.forget(ident("db"))
    (second,) = await host.made("db2", host.seat(network, "key:db", mac="02:00:00:00:00:77"))
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
        await host.begin("db", host.seat(network, "key:db"))
    assert host.services.mirror.count(Intent) == 0
    assert not host.services.holders.any


async def test_a_key_that_moves_to_another_address_lets_the_old_one_go() -> None:
    """When nobody holds the old one any more; while somebody does, it stays until he goes, and is not kept then."""
    host = await started()
    network = await host.network("web")
    (first,) = await host.made("a", host.seat(network, "key:x"))
    assert first.ipv4 is not None
    other = str(first.ipv4 + 9)
    await host.made("b", host.seat(network, "key:x", other))
    assert state(host, first.ipv4) is State.FIXED
    await host.services.holders.forget(ident("a"))
    assert state(host, first.ipv4) is State.COOLING
    await host.services.holders.forget(ident("b"))
    assert state(host, other) is State.FIXED
    await host.made("c", host.seat(network, "key:x", str(first.ipv4)))
    assert state(host, other) is State.COOLING


async def test_leaving_one_network_keeps_the_others() -> None:
    """A container in two networks is unplugged from one."""
    host = await started()
    one, two = await host.network("one"), await host.network("two")
    key = f"container:{ident('db')}"
    a, b = await host.made("db", host.seat(one, key), host.seat(two, key))
    assert await host.services.holders.leave(ident("db"), one) == 1
    assert host.held("db") == [str(b.ipv4)]
    assert state(host, a.ipv4) is not State.FIXED
    assert host.services.mirror.holder(ident("db")) is not None
    await host.services.holders.leave(ident("db"), two)
    assert host.services.mirror.holder(ident("db")) is None


async def test_a_hundred_claims_at_once_get_a_hundred_addresses() -> None:
    """And all of them are free again when they are given back."""
    host = await started()
    network = await host.network("web", v6=True)
    begun = await asyncio.gather(*(host.begin(f"c{n}", host.seat(network, f"key:{n}")) for n in range(100)))
    fours = {grants[0].ipv4 for _, grants in begun}
    sixes = {grants[0].ipv6 for _, grants in begun}
    assert len(fours) == len(sixes) == 100
    for intent, _ in begun:
        await host.services.holders.give_back(intent)
    assert not host.services.holders.any


async def test_a_restart_keeps_what_was_claimed_and_what_was_begun() -> None:
    """Leases, holders and intents are in the store."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.seat(network, "key:db"))
    intent, (begun,) = await host.begin("web", host.seat(network, "key:web"))
    await host.restart()
    assert host.held("db") == [str(grant.ipv4)]
    assert host.services.mirror.intent(intent.id) == intent
    await host.services.holders.settle(intent, ident("web"))
    assert host.held("web") == [str(begun.ipv4)]


async def test_a_store_that_is_down_claims_nothing() -> None:
    """The address is not lost to others either."""
    host = await started()
    network = await host.network("web")
    host.store.fail_next()
    with pytest.raises(Unavailable):
        await host.begin("db", host.seat(network, "key:db"))
    _, (grant,) = await host.begin("db", host.seat(network, "key:db"))
    assert grant.ipv4 is not None


async def test_a_network_that_goes_takes_its_fixed_addresses_along() -> None:
    """Pool and leases are dropped together, and the holder holds nothing."""
    host = await started()
    network = await host.network("web")
    pool = host.known(network).ipv4[0].pool
    await host.made("db", host.seat(network, "key:db"))
    await host.services.networks.delete(network)
    await host.services.ipam.release_pool(pool)
    assert host.held("db") == []
    assert not host.services.holders.any
