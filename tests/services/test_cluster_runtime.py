"""What runs while a host is in a cluster, and only then."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest

from mooring.core.cluster_hosts import Membership
from mooring.core.faults import Conflict, Exhausted, Fault, Unavailable
from mooring.ports import Cluster
from mooring.services.cluster.address_claims import AddressClaims
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.membership import REFRESH, WATCHED
from mooring.services.networking.cluster_runtime import ClusterRuntime
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_cluster_setup import MemoryClusterSetup
from tests.services.member_hosts import ACCESS, ENDPOINT, MemberHost, members, neighbours, run
from tests.services.overlay_hosts import following, take_part, tunnels, turns


@dataclass
class Noted:
    """A part that notes what it is told. refusals: what its next turns raise; barred: and what entering does."""

    told: list[str] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    barred: Exception | None = None
    turned: asyncio.Event = field(default_factory=asyncio.Event)

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part."""
        self.told.append(f"entered {membership.name}")
        if self.barred is not None:
            raise self.barred

    async def left(self) -> None:
        """See Part."""
        self.told.append("left")

    async def restored(self) -> None:
        """See Restored."""
        self.told.append("restored")

    async def turn(self) -> list[Fault]:
        """See Part."""
        self.told.append("turn")
        self.turned.set()
        if self.refusals:
            raise self.refusals.pop(0)
        return [Conflict("something waits")]


async def test_there_is_a_plan_while_this_host_is_in_a_cluster() -> None:
    """It comes with the join, serves the addresses, and goes when the host leaves."""
    host, other = await members()
    runtime, plan = host.runtime, host.runtime.plan
    assert plan is not None
    assert plan is host.services.ipam.shared.plan
    assert runtime.membership == host.membership.membership
    assert runtime.member == plan.member
    assert plan.member.boot == "boot1"
    assert plan.member.host != (other.runtime.member and other.runtime.member.host)
    await host.membership.leave(False, False)
    assert {runtime.plan, runtime.cluster, runtime.membership, runtime.member} == {None}
    assert host.services.ipam.shared.plan is None


async def test_the_plan_is_there_at_a_start_while_the_cluster_is_away() -> None:
    """Own blocks serve, and claims of this boot run on: nothing is asked for that."""
    (host,) = await members(1)
    host.servers.cut(host.setup.address)
    await host.restart()
    assert host.runtime.plan is not None
    assert host.runtime.plan is host.services.ipam.shared.plan
    await host.turn()
    assert host.runtime.plan.sessions.confirmed is None
    host.servers.mend(host.setup.address)
    await host.turn()
    assert host.runtime.plan.sessions.confirmed == host.clock.boot()


async def test_a_store_that_fails_as_the_host_enters_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan begins with a later turn, and parts have theirs then."""
    (host,) = await members(1)
    noted = Noted()
    host.renew()
    host.runtime.add(noted)
    await host.services.cache.load()

    async def fail(_: AddressClaims) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(AddressClaims, "begin", fail)
        await host.membership.enter_kept()
        await host.runtime.once()
    assert (host.runtime.plan, noted.told) == (None, [])
    assert [fault.what for fault in host.runtime.faults] == ["the disk is full"]
    await host.runtime.once()
    assert host.runtime.plan is not None
    assert noted.told == ["entered web1", "turn"]


async def test_parts_are_told_and_have_their_turns() -> None:
    """Nothing in no cluster; entering before the first turn; what they could not do is told; leaving."""
    (host,) = await members(1)
    noted = Noted()
    await host.membership.leave(False, False)
    host.runtime.add(noted)
    await host.runtime.once()
    assert noted.told == []
    await host.membership.begin(ACCESS, "", "", False)
    await host.runtime.once()
    await host.runtime.once()
    assert noted.told == ["entered web1", "turn", "turn"]
    assert [fault.what for fault in host.runtime.faults] == ["something waits"]
    await host.membership.leave(False, False)
    assert noted.told[-1] == "left"
    assert host.runtime.faults == ()


async def test_a_part_that_could_not_enter_is_told_that_the_host_leaves() -> None:
    """It may have begun something; each turn lets it enter anew, and it is told once."""
    (host,) = await members(1)
    noted = Noted(barred=Unavailable("no way there"))
    host.runtime.add(noted)
    await host.runtime.once()
    await host.runtime.once()
    assert [fault.what for fault in host.runtime.faults] == ["no way there"]
    await host.membership.leave(False, False)
    assert noted.told == ["entered web1", "entered web1", "left"]


async def test_overlays_end_with_the_cluster_that_they_could_not_enter_yet() -> None:
    """Where the host is reached was not known: what the kernel had of the overlay is closed all the same."""
    (host,) = await members(1)
    async with following(host):
        await take_part(host, "a")
        await turns(host)
    assert tunnels(host) == {4097}
    host.setup.links = {}
    await host.restart()
    await host.services.repair.once()
    await host.turn()
    assert tunnels(host) == {4097}
    await host.membership.leave(True, False)
    await host.services.repair.once()
    assert tunnels(host) == set()


async def test_who_is_reached_in_another_way_enters_anew() -> None:
    """The parts are told of both, and the plan asks the new servers."""
    (host,) = await members(1)
    noted = Noted()
    host.runtime.add(noted)
    await host.runtime.once()
    before, confirmed = host.runtime.plan, host.membership.confirmed
    access = replace(host.membership.entered()[0].access, key="NEW")
    await host.membership.join(access, "", "", False)
    await host.runtime.once()
    assert noted.told == ["entered web1", "turn", "left", "entered web1", "turn"]
    assert host.runtime.plan is not before
    assert host.runtime.membership is not None
    assert host.runtime.membership.access.key == "NEW"
    assert host.membership.confirmed == confirmed


async def test_nothing_that_goes_wrong_ends_the_turns(caplog: pytest.LogCaptureFixture) -> None:
    """A fault, or a mistake of ours, is found and said once; the other parts and later turns go on."""
    (host,) = await members(1)
    broken, sound = Noted(refusals=[ValueError("x"), Conflict("no"), Conflict("no")]), Noted()
    host.runtime.add(broken)
    host.runtime.add(sound)
    await host.runtime.once()
    assert [fault.what for fault in host.runtime.faults] == [
        "Noted failed with an internal error", "something waits",
    ]  # fmt: skip
    await host.runtime.once()
    await host.runtime.once()
    assert caplog.text.count("the cluster: no") == 1
    assert sound.told.count("turn") == 3


async def test_the_daemons_task_goes_on_until_it_is_cancelled() -> None:
    """It waits while the host is in no cluster, and comes at once when somebody nudges."""
    (host,) = await members(1)
    noted = Noted()
    host.runtime.add(noted)

    async def daemon(runtime: ClusterRuntime) -> None:
        await runtime.run()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(daemon(host.runtime))
        await noted.turned.wait()
        noted.turned.clear()
        host.runtime.nudge()
        await noted.turned.wait()
        await host.membership.leave(False, False)
        noted.turned.clear()
        await host.membership.begin(ACCESS, "", "", False)
        await host.membership.attempt()
        await noted.turned.wait()
        task.cancel()
    assert noted.told[0] == "entered web1"
    assert "left" in noted.told


async def test_parts_hear_that_the_clusters_store_was_restored() -> None:
    """Once, before they have another turn."""
    (host,) = await members(1)
    noted = Noted()
    host.renew()
    host.runtime.add(noted)
    await host.start()
    await host.turn()
    plan = host.runtime.plan
    assert plan is not None
    plan.restored.doubt()
    await host.turn()
    await host.turn(5.0)
    assert [each for each in noted.told if each != "turn"][1:] == ["restored"]


async def test_a_host_that_leaves_is_no_reason_to_take_the_store_for_restored() -> None:
    """Its number goes when it looks for it no more, whenever it has its turns meanwhile."""
    _, host = await members()

    async def turn(step: Step) -> None:
        host.servers.pause = let_others_run
        if step.method in ("delete", "get") and step.key.startswith(("session/", "mark/", "host/")):
            await host.runtime.once()
        host.servers.pause = turn

    await host.turn()
    host.servers.pause = turn
    await host.membership.leave(False, False)
    assert [key for key in host.servers.records if key.startswith(("mark/", "restore"))] == [
        f"mark/{ident}" for ident in await HostRecords(host.servers.client("x")).heard()
    ]


async def test_a_host_that_left_by_force_and_joins_again_does_not_take_the_store_for_restored() -> None:
    """It is the same host, as it has something there, and its number is where it was."""
    _, host = await members()
    await host.turn()
    ident = host.membership.entered()[0].host
    await host.servers.client("x").put("block/default/0a000000p24/1", f'{{"host":"{ident}"}}'.encode(), 0)
    access = host.membership.entered()[0].access
    await host.membership.leave(True, False)
    await host.membership.join(access, "", "", False)
    assert host.membership.entered()[0].host == ident
    await host.turn()
    assert "restored" not in host.servers.records


async def copied(host: MemberHost) -> MemberHost:
    """A copy of the machine with its disk, which has booted and had a turn."""
    copy = MemberHost(host.servers, 2)
    copy.boots, copy.store = 9, deepcopy(host.store)
    copy.setup = MemoryClusterSetup({ENDPOINT: host.servers}, "10.0.0.9")
    copy.setup.kept_one = host.setup.kept_one
    copy.renew()
    await copy.start()
    await copy.turn()
    return copy


async def test_a_copy_of_a_machine_takes_and_makes_nothing_in_its_name() -> None:
    """From its first turn on, and as long as the other one is heard: it would give the same addresses."""
    _, host = await neighbours()
    copy = await copied(host)
    with pytest.raises(Unavailable, match="has not been heard"):
        await take_part(copy, "b")
    for _ in range(20):
        with pytest.raises((Unavailable, Exhausted)):
            await run(copy, "c")
        await host.turn(REFRESH)
        await copy.turn()
    assert await run(host, "c")


async def test_a_host_that_is_back_within_its_session_waits_no_longer_than_its_copy_would_be_silent() -> None:
    """Its own session from before the boot ends later, and nothing waits for that."""
    _, host = await neighbours()
    await host.reboot()
    await host.turn()
    with pytest.raises((Unavailable, Exhausted)):
        await run(host, "c")
    await host.turn(WATCHED)
    assert host.membership.confirmed is None
    await host.turn(1.0)
    assert await run(host, "c")
