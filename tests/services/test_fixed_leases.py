"""Claiming, settling and giving up fixed addresses."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.core.intents import Intent, Purpose
from mooring.core.leases import Claimant, State
from mooring.core.requests import AddressRequest, Role
from tests.services.holder_hosts import ENGINE, ident, started, state


async def test_what_is_settled_is_held_by_the_container_and_the_intent_is_gone() -> None:
    """Its full id, in the lease and in a key of its own; its name is kept for people."""
    host = await started()
    network = await host.network("web")
    fixed_spec = host.fixed_spec(network, "key:db")
    (grant,) = await host.made("db", fixed_spec)
    lease = host.lease(grant.ipv4)
    assert lease is not None
    assert lease.holders == frozenset({ident("db")})
    assert host.services.cache.count(Intent) == 0
    holder = host.services.cache.holder(ident("db"))
    assert holder is not None
    assert (holder.name, holder.engine) == ("db", "engine-1")


async def test_what_is_given_back_leaves_nothing() -> None:
    """The address was never used: it is free at once, not cooling."""
    host = await started()
    network = await host.network("web", v6=True)
    intent, (grant,) = await host.begin("db", host.fixed_spec(network, "key:db"))
    await host.services.holders.roll_back(intent)
    assert (host.lease(grant.ipv4), host.lease(grant.ipv6)) == (None, None)
    assert host.services.cache.count(Intent) == 0


async def test_a_fixed_address_is_never_chosen_for_anybody_else() -> None:
    """Two hundred requests get two hundred others, while its container stands still."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    pool = host.known(network).ipv4[0].pool
    got = [await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT)) for _ in range(200)]
    assert grant.ipv4 not in {each.ip for each in got}


async def test_the_next_container_of_a_key_gets_the_same_address_and_mac() -> None:
    """Removed and made anew: the key kept both."""
    host = await started()
    network = await host.network("web", v6=True)
    (first,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.services.holders.release_all(ident("db"))
    assert state(host, first.ipv4) is State.FIXED
    (second,) = await host.made("db2", host.fixed_spec(network, "key:db"))
    assert second == first
    assert host.held("db2") == [str(first.ipv4), str(first.ipv6)]


async def test_a_keys_hold_time_ends_and_the_address_is_free() -> None:
    """A day later the sweep ends it."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    await host.services.holders.release_all(ident("db"))
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
    (grant,) = await host.made("db", host.fixed_spec(network, f"container:{ident('db')}"))
    await host.disconnect(await host.connect("db", network, grant), network, grant)
    assert await host.services.holders.release_all(ident("db")) == 1
    assert state(host, grant.ipv4) is State.COOLING
    assert host.services.cache.holder(ident("db")) is None


async def test_an_address_stays_over_stop_and_start() -> None:
    """Release and request by address, and by MAC without an address, give the same one."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, f"container:{ident('db')}"))
    pool = host.known(network).ipv4[0].pool
    for wanted in (grant.ipv4, None):
        request = AddressRequest(pool, Role.ENDPOINT, wanted, mac=grant.mac)
        assert (await host.services.ipam.request_address(request)).ip == grant.ipv4
        await host.services.ipam.release_address(pool, grant.ipv4)
        assert state(host, grant.ipv4) is State.FIXED


async def test_an_engine_that_tells_names_finds_the_address_by_the_name() -> None:
    """From 29 on RequestAddress bears the name, which counts where there is no MAC: a name changes hands."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, f"container:{ident('db')}", settable=False))
    (other,) = await host.made("other", host.fixed_spec(network, f"container:{ident('other')}"))
    pool = host.known(network).ipv4[0].pool
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:99", name="db"))
    assert got.ip == grant.ipv4
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02:98", name="other"))
    assert got.ip != other.ipv4


async def test_two_holders_that_start_at_once_do_not_get_one_address() -> None:
    """The second is refused until the first has its endpoint or gives up."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("a", host.fixed_spec(network, "key:x", settable=False))
    await host.made("b", host.fixed_spec(network, "key:x", settable=False))
    pool = host.known(network).ipv4[0].pool
    first = AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:01")
    second = AddressRequest(pool, Role.ENDPOINT, grant.ipv4, mac="02:02")
    await host.services.ipam.request_address(first)
    await host.services.ipam.request_address(first)
    with pytest.raises(Conflict, match="being assigned to another container"):
        await host.services.ipam.request_address(second)
    await host.services.ipam.release_address(pool, grant.ipv4)  # type: ignore[arg-type]
    await host.services.ipam.request_address(second)


async def test_replace_flow_frees_the_address_once() -> None:
    """A is stopped, B is made with A's address and started, A is removed: B has it; B is removed: it is free."""
    host = await started()
    network = await host.network("web")
    (a,) = await host.made("a", host.fixed_spec(network, f"container:{ident('a')}"))
    (b,) = await host.made("b", host.fixed_spec(network, f"container:{ident('b')}", str(a.ipv4)))
    assert b == a
    await host.services.holders.release_all(ident("a"))
    lease = host.lease(a.ipv4)
    assert lease is not None
    assert (lease.state, lease.holders, lease.key) == (State.FIXED, frozenset({ident("b")}), f"container:{ident('b')}")
    await host.services.holders.release_all(ident("a"))
    await host.services.holders.release_all(ident("b"))
    assert state(host, a.ipv4) is State.COOLING


async def test_leaving_one_network_keeps_the_others() -> None:
    """A container in two networks is disconnected from one."""
    host = await started()
    one, two = await host.network("one"), await host.network("two")
    key = f"container:{ident('db')}"
    a, b = await host.made("db", host.fixed_spec(one, key), host.fixed_spec(two, key))
    assert await host.services.holders.leave(ident("db"), one) == 1
    assert host.held("db") == [str(b.ipv4)]
    assert state(host, a.ipv4) is not State.FIXED
    assert host.services.cache.holder(ident("db")) is not None
    await host.services.holders.leave(ident("db"), two)
    assert host.services.cache.holder(ident("db")) is None


async def test_a_hundred_claims_at_once_get_a_hundred_addresses() -> None:
    """And all of them are free again when they are given back."""
    host = await started()
    network = await host.network("web", v6=True)
    begun = await asyncio.gather(*(host.begin(f"c{n}", host.fixed_spec(network, f"key:{n}")) for n in range(100)))
    fours = {grants[0].ipv4 for _, grants in begun}
    sixes = {grants[0].ipv6 for _, grants in begun}
    assert len(fours) == len(sixes) == 100
    for intent, _ in begun:
        await host.services.holders.roll_back(intent)
    assert not host.services.holders.any


async def test_a_restart_keeps_what_was_claimed_and_what_was_begun() -> None:
    """Leases, holders and intents are in the store."""
    host = await started()
    network = await host.network("web")
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    intent, (begun,) = await host.begin("web", host.fixed_spec(network, "key:web"))
    await host.restart()
    assert host.held("db") == [str(grant.ipv4)]
    kept = host.services.cache.intent(intent.id)
    assert kept is not None
    assert (kept.name, kept.keys) == ("web", {network: "key:web"})
    await host.services.holders.complete(intent, ident("web"))
    assert host.held("web") == [str(begun.ipv4)]


async def test_a_store_that_is_down_claims_nothing() -> None:
    """The address is not lost to others either."""
    host = await started()
    network = await host.network("web")
    host.store.fail_next()
    with pytest.raises(Unavailable):
        await host.begin("db", host.fixed_spec(network, "key:db"))
    _, (grant,) = await host.begin("db", host.fixed_spec(network, "key:db"))
    assert grant.ipv4 is not None


async def test_a_network_that_goes_takes_its_fixed_addresses_along() -> None:
    """Pool and leases are dropped together, and the holder holds nothing."""
    host = await started()
    network = await host.network("web")
    pool = host.known(network).ipv4[0].pool
    await host.made("db", host.fixed_spec(network, "key:db"))
    await host.services.networks.delete(network)
    await host.services.ipam.release_pool(pool)
    assert host.held("db") == []
    assert not host.services.holders.any


@pytest.mark.parametrize("running", [True, False])
async def test_who_was_given_another_address_meanwhile_holds_one(running: bool) -> None:
    """What it uses is its own; what it does not use gives way to what was claimed for it."""
    host = await started()
    network = await host.network("web")
    (old,) = await host.made("db", host.fixed_spec(network, f"container:{ident('db')}"))
    if running:
        await host.connect("db", network, old)
    intent = host.services.holders.begin(Purpose.CONNECT, ENGINE, ident("db"), "db", network)
    fixed_spec = host.fixed_spec(network, f"container:{ident('db')}", "10.32.0.99")
    (new,) = await host.services.holders.claim(intent, [fixed_spec], Claimant(name="db"))
    await host.services.holders.complete(intent, ident("db"))
    assert host.held("db") == [str(old.ipv4 if running else new.ipv4)]
    assert host.services.cache.count(Intent) == 0
    assert host.fixed() == {host.held("db")[0]: frozenset({"db"})}
