"""A death at every step of entering, of a turn, and of what is given up in it: the next daemon finishes it.

Each run is cut off before its first commit, kernel op or call of the cluster, then before its second, and so on. A dead
process does nothing more, whatever its handlers try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from mooring.core.address_claims import HostClaim, Spec
from mooring.core.blocks import SharedSubnet
from mooring.core.faults import Conflict
from mooring.core.plumbing import Op
from mooring.ports import Transaction
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.member_hosts import ACCESS, NETWORK, SUBNET, MemberHost, answers, neighbours, run, take_blocks
from tests.sweeps import sweep


class Death(BaseException):
    """kill -9."""


class Fate:
    """It strikes one host before the step of that number takes effect, which is after the one before did."""

    def __init__(self, host: MemberHost, at: int) -> None:
        self.host, self.at = host, at
        self.steps, self.dead = 0, False
        self._commit = host.store.commit
        host.store.commit = self.commit  # type: ignore[method-assign]
        host.kernel.before = self.before
        host.servers.pause = self.pause

    async def commit(self, transaction: Transaction) -> int:
        """A step of the store's."""
        self._step()
        return await self._commit(transaction)

    async def before(self, _op: Op) -> None:
        """One of the kernel's."""
        self._step()

    async def pause(self, step: Step) -> None:
        """One of the cluster's."""
        if step.client == self.host.setup.address and (step.when is When.BEFORE or self.dead):
            self._step()

    def _step(self) -> None:
        self.steps += 1
        self.dead = self.dead or self.steps == self.at
        if self.dead:
            raise Death

    def over(self) -> None:
        """The next daemon lives."""
        del self.host.store.commit
        self.host.kernel.before = None

        async def on(_: Step) -> None: ...

        self.host.servers.pause = on


async def killed(host: MemberHost, work: Callable[[], Awaitable[object]], at: int) -> bool:
    """Whether the work was cut off at that step; the host has a new daemon then."""
    fate = Fate(host, at)
    try:
        with suppress(Death):
            await work()
    finally:
        fate.over()
    if fate.dead:
        await host.restart()
    return fate.dead


async def at_each_step(
    prepare: Callable[[], Awaitable[tuple[MemberHost, Callable[[], Awaitable[object]]]]],
    check: Callable[[MemberHost], Awaitable[None]],
) -> None:
    """The check holds for every death of the work."""
    for at in sweep(1):
        host, work = await prepare()
        struck = await killed(host, work, at)
        for _ in range(5):
            await host.turn(31.0)
        await check(host)
        if not struck:
            break
    assert at > 10


async def test_who_has_lost_an_address_is_put_off_whenever_the_daemon_dies() -> None:
    """And nobody who has not."""

    async def prepare() -> tuple[MemberHost, Callable[[], Awaitable[object]]]:
        host, other = await neighbours()
        await run(host, "web")
        await take_blocks(host, other)
        host.clock.advance(30.0)
        return host, host.turn

    async def check(host: MemberHost) -> None:
        assert not answers(host, "web")
        for _ in range(2):  # a record without an interface is a matter of the garbage collector's
            host.clock.advance(MINIMUM_AGE)
            await host.services.repair.once()
        assert host.services.cache.endpoint(NETWORK, "web".ljust(64, "0")) is None

    await at_each_step(prepare, check)


async def test_what_goes_back_has_gone_back_whenever_the_daemon_dies() -> None:
    """Of a network that was removed: its blocks, its claims, and then that the subnet is shared."""

    async def prepare() -> tuple[MemberHost, Callable[[], Awaitable[object]]]:
        host, _ = await neighbours()
        plan = host.runtime.plan
        assert plan is not None
        await plan.claim(Spec("default", SUBNET, "s1", "key:db", holder="c"))
        await host.services.networks.delete(NETWORK)
        for pool in host.services.ipam.index.pools_of("default", SUBNET):
            await host.services.ipam.release_pool(pool.id)

        async def work() -> None:
            for _ in range(4):
                await host.turn(31.0)

        return host, work

    async def check(host: MemberHost) -> None:
        assert not list(host.services.cache.every(SharedSubnet))
        assert not list(host.services.cache.every(HostClaim))
        assert host.runtime.plan is not None
        assert await host.runtime.plan.values.hosts.held(host.membership.entered()[0].host) == []

    await at_each_step(prepare, check)


async def test_who_entered_is_in_whenever_the_daemon_dies() -> None:
    """While containers run in networks of its own; a join that was cut off is done again."""

    async def prepare() -> tuple[MemberHost, Callable[[], Awaitable[object]]]:
        host, _ = await neighbours()
        access = host.membership.entered()[0].access
        await host.services.networks.delete(NETWORK)
        for pool in host.services.ipam.index.pools_of("default", SUBNET):
            await host.services.ipam.release_pool(pool.id)
        for _ in range(4):
            await host.turn(31.0)
        await host.membership.leave(False, False)
        await host.network("b")
        await host.endpoint("b".ljust(64, "0"), "web")

        async def work() -> None:
            await host.membership.join(access, "", "", False)
            await host.turn()

        return host, work

    async def check(host: MemberHost) -> None:
        records = HostRecords(host.servers.client("operator"))
        record = await records.cluster()
        assert record is not None
        await host.membership.join(replace(ACCESS, cluster=record.id), "", "", False)
        await host.turn()
        assert sorted(each.name for each in await records.hosts()) == ["web1", "web2"]
        assert host.runtime.plan is not None
        assert answers(host, "web")

    await at_each_step(prepare, check)


async def test_who_left_by_force_and_joins_anew_is_who_it_was() -> None:
    """Its containers run on with their addresses, and it gives addresses again."""
    host, _ = await neighbours()
    await run(host, "web")
    was = host.membership.entered()[0]
    await host.membership.leave(True, False)
    assert host.runtime.plan is None
    await host.membership.join(was.access, "", "", False)
    await host.turn()
    assert host.membership.entered()[0].host == was.host
    for _ in range(3):
        await host.turn(31.0)
    assert answers(host, "web")
    await run(host, "db")


async def test_who_left_by_force_and_was_forgotten_has_nothing() -> None:
    """Its containers are put off as soon as it joins: their addresses are anybody's."""
    host, other = await neighbours()
    await run(host, "web")
    was = host.membership.entered()[0]
    await host.membership.leave(True, False)
    plan = other.runtime.plan
    assert plan is not None
    for _ in range(5):
        await other.turn(6.0)
    await plan.forget(was.host)
    _, revision = await plan.values.hosts.host(was.host)
    await plan.values.hosts.delete_host(was.host, revision)
    await host.membership.join(was.access, "", "", False)
    assert host.membership.entered()[0].host != was.host
    await host.turn(31.0)
    assert not answers(host, "web")
    await run(host, "db")


async def test_a_forgotten_host_that_boots_writes_nothing_of_itself_back() -> None:
    """No block, no part in a network, nothing that it advertises: nobody would ever take that away under its old id."""
    host, other = await neighbours()
    await run(host, "web")
    mine = host.membership.entered()[0].host
    plan = other.runtime.plan
    assert plan is not None
    for _ in range(5):
        await other.turn(6.0)
    await plan.forget(mine)
    _, revision = await plan.values.hosts.host(mine)
    await plan.values.hosts.delete_host(mine, revision)
    await host.reboot()
    for _ in range(4):
        await host.turn(31.0)
    left = [key for key, value in host.servers.records.items() if mine in key or mine.encode() in value]
    assert [key for key in left if not key.startswith("mark/")] == []
    assert host.runtime.plan is not None
    with pytest.raises(Conflict, match="the cluster has forgotten this host"):
        host.runtime.plan.check()


async def test_a_daemon_that_starts_while_the_cluster_is_away_gives_from_its_own_blocks() -> None:
    """What runs is not touched, and nothing that the store says is waited for."""
    host, _ = await neighbours()
    await run(host, "web")
    host.servers.cut(host.setup.address)
    await host.restart()
    for _ in range(3):
        await host.turn(31.0)
    assert answers(host, "web")
    await run(host, "db")
    host.servers.mend(host.setup.address)
    await host.turn(31.0)
    assert (answers(host, "web"), answers(host, "db")) == (True, True)
