"""records/address_index and the compare-and-swap around it: many at once, failures, cancellation, restarts, time."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from mooring.core.addresses import parse_interface
from mooring.core.faults import Conflict, Exhausted, StaleRevision, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.requests import AddressRequest, Role
from mooring.ports import Transaction
from mooring.services.ipam.allocator import IpamPolicy
from mooring.testing.memory_store import When
from tests.services.ipam_hosts import Host


@pytest.fixture
def host() -> Host:
    """Nothing there yet."""
    return Host()


async def test_a_released_gateway_or_auxiliary_address_is_free_at_once(host: Host) -> None:
    """No record is left, and the pool knows that it has no gateway."""
    grant = await host.pool("10.0.0.0/29")
    await host.ipam.request_address(AddressRequest(grant.pool, Role.AUXILIARY, ip_address("10.0.0.2")))
    for text in ("10.0.0.1", "10.0.0.2"):
        await host.ipam.release_address(grant.pool, ip_address(text))
        assert host.lease(text) is None
    assert host.known(grant.pool).gateway is None


async def test_a_released_address_rests_while_others_are_free(host: Host) -> None:
    """It cools, and everything that is free comes first; who names it gets it at once."""
    grant = await host.pool("10.0.0.0/29")
    first = await host.ask(grant.pool)
    await host.ipam.release_address(grant.pool, parse_interface(first).ip)
    lease = host.lease("10.0.0.2")
    assert lease is not None
    assert (lease.state, lease.until) == (State.COOLING, host.clock.now() + 60)
    assert [await host.ask(grant.pool) for _ in range(4)] == [f"10.0.0.{n}/29" for n in (3, 4, 5, 6)]
    assert await host.ask(grant.pool, "10.0.0.2") == "10.0.0.2/29"


async def test_a_restart_in_a_full_network_works(host: Host) -> None:
    """With everything leased, what was released longest ago is chosen before its time (ADR 3)."""
    grant = await host.pool("10.0.0.0/29")
    for _ in range(5):
        await host.ask(grant.pool)
    for number in (4, 3, 6):
        host.clock.advance(1)
        await host.ipam.release_address(grant.pool, ip_address(f"10.0.0.{number}"))
    await host.restart()
    assert [await host.ask(grant.pool) for _ in range(3)] == [f"10.0.0.{n}/29" for n in (4, 3, 6)]
    with pytest.raises(Exhausted):
        await host.ask(grant.pool)


async def test_without_a_cooldown_a_released_address_is_free() -> None:
    """No record is left."""
    host = Host(IpamPolicy(cooldown=0.0))
    grant = await host.pool()
    await host.ask(grant.pool)
    await host.ipam.release_address(grant.pool, ip_address("10.0.0.2"))
    assert host.lease("10.0.0.2") is None


async def test_sweeping_ends_what_is_over_and_nothing_else(host: Host) -> None:
    """Cooldowns and reservations with an end; batches are no matter; what is not over stays."""
    pool = await host.bare("10.0.0.0/20")
    addresses = await asyncio.gather(*(host.ask(pool) for _ in range(1200)))
    await asyncio.gather(*(host.ipam.release_address(pool, parse_interface(each).ip) for each in addresses[:1100]))
    await host.put(pool, "10.0.15.1", State.RESERVED, until=host.clock.now() + 5)
    await host.put(pool, "10.0.15.2", State.RESERVED)
    assert await host.ipam.sweep() == 0
    host.clock.advance(60)
    assert await host.ipam.sweep() == 1101
    assert await host.ipam.sweep() == 0
    assert host.cache.count(Lease) == 101


async def test_a_sweep_that_fails_is_made_good_by_the_next(host: Host) -> None:
    """Also after a restart."""
    grant = await host.pool()
    await host.ask(grant.pool)
    await host.ipam.release_address(grant.pool, ip_address("10.0.0.2"))
    host.clock.advance(61)
    host.store.fail_next(When.BEFORE)
    with pytest.raises(Unavailable):
        await host.ipam.sweep()
    assert await host.ipam.sweep() == 1
    assert host.lease("10.0.0.2") is None


async def test_leases_whose_pool_is_gone_are_in_nobodys_way(host: Host) -> None:
    """A new pool over the same subnet gives their addresses, and a sweep removes the rest."""
    grant = await host.pool("10.0.0.0/30")
    for text in ("10.0.0.1", "10.0.0.2", "10.0.7.7"):
        await host.put("gone", text, State.DYNAMIC)
    await host.ipam.release_pool(grant.pool)
    await host.restart()
    again = await host.pool("10.0.0.0/30")
    assert str(again.gateway) == "10.0.0.1/30"
    assert await host.ask(again.pool) == "10.0.0.2/30"
    assert await host.ipam.sweep() == 1
    assert host.lease("10.0.7.7") is None


async def test_hundreds_at_once_get_different_addresses_without_a_single_retry(host: Host) -> None:
    """Each request commits once, because a candidate is held while its commit is under way."""
    grant = await host.pool("10.0.0.0/22")
    answers = await asyncio.gather(
        *(host.ask(grant.pool, mac=f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}") for n in range(500))
    )
    assert len(set(answers)) == 500
    assert host.store.commits == 501


async def test_more_requests_than_addresses_at_once(host: Host) -> None:
    """As many are served as there are addresses; the others hear that it is full."""
    grant = await host.pool("10.0.0.0/27")
    answers = await asyncio.gather(*(host.ask(grant.pool) for _ in range(100)), return_exceptions=True)
    given = [answer for answer in answers if isinstance(answer, str)]
    assert len(set(given)) == len(given) == 29
    assert all(isinstance(answer, Exhausted) for answer in answers if not isinstance(answer, str))


async def test_wishes_for_one_address_at_once_are_granted_once(host: Host) -> None:
    """Compare-and-swap decides; the losers hear who has it."""
    grant = await host.pool()
    answers = await asyncio.gather(
        *(host.ask(grant.pool, "10.0.0.9", name=f"c{n}") for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19


async def test_a_failed_commit_gives_the_candidate_back(host: Host) -> None:
    """Nothing was written, so the address is chosen again when the round comes to it."""
    pool = await host.bare("10.0.0.0/31")
    host.store.fail_next(When.BEFORE)
    with pytest.raises(Unavailable):
        await host.ask(pool)
    assert {await host.ask(pool), await host.ask(pool)} == {"10.0.0.0/31", "10.0.0.1/31"}


async def test_a_cancelled_request_gives_the_candidate_back(host: Host) -> None:
    """A client that hung up does not make the pool smaller, and never makes two owners of one address."""
    pool = await host.bare("10.0.0.0/31")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(host.ask(pool))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert {await host.ask(pool), await host.ask(pool)} == {"10.0.0.0/31", "10.0.0.1/31"}


async def test_a_commit_whose_answer_was_lost_is_noticed_by_the_next(host: Host) -> None:
    """The lease that was written unseen is not given to another."""
    pool = await host.bare("10.0.0.0/31")
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.ask(pool, mac="02:00:00:00:00:07")
    assert await host.ask(pool, "10.0.0.1") == "10.0.0.1/31"
    with pytest.raises(Exhausted):
        await host.ask(pool)
    assert await host.ask(pool, mac="02:00:00:00:00:07") == "10.0.0.0/31"


async def test_another_writer_who_is_always_first_ends_in_unavailable(host: Host) -> None:
    """After a bounded number of tries, with a text that says so."""
    grant = await host.pool()

    def always_stale(transaction: Transaction) -> None:
        raise StaleRevision(next(iter(transaction.expect)))

    host.store.on_commit = always_stale
    for attempt in (host.ask(grant.pool), host.ask(grant.pool, "10.0.0.9"), host.ipam.release_pool(grant.pool)):
        with pytest.raises(Unavailable, match="changed by other requests"):
            await attempt


async def test_everything_is_as_before_after_a_restart(host: Host) -> None:
    """What was answered was durable: nothing given before is given again, for both families."""
    pools = [await host.pool("10.0.0.0/24"), await host.pool("fd00::/64")]
    before = {await host.ask(grant.pool) for grant in pools for _ in range(40)}
    await host.restart()
    after = {await host.ask(grant.pool) for grant in pools for _ in range(40)}
    assert not before & after
    assert len(before | after) == 160
