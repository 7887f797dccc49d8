"""The simulation itself: planted faults are found, and a minute of it finds none.

`make simulate STEPS=1000000` goes on.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from ipaddress import ip_address

import pytest

from mooring.core.leases import Lease
from mooring.services.cluster.host_blocks import HostBlocks
from mooring.testing.memory_cluster import MemoryCluster
from tests.services.cluster_hosts import SPACE
from tests.services.cluster_verdicts import wrong_at_rest
from tests.services.cluster_worlds import PROFILES, World, play
from tests.services.plan_hosts import cluster, run

SECONDS = 60.0


async def test_a_lost_and_a_leaked_address_are_found() -> None:
    """A lease that went while its container has the address, and one that stayed."""
    async with cluster() as world:
        host = world.hosts[0]
        lost, leaked = ip_address(await run(host)), ip_address(await run(host))
        assert await wrong_at_rest(world.hosts, world.subnet) == []
        lease = host.cache.lease(SPACE, lost)
        assert isinstance(lease, Lease)
        await host.cache.commit(delete=[lease])
        del host.dynamic[leaked]
        wrong = await wrong_at_rest(world.hosts, world.subnet)
        assert [line.partition(":")[0].split(" for ")[0] for line in wrong] == [
            f"{lost} of {lease.mac} on {host.name} is lost", f"{leaked} on {host.name} has leaked"
        ]  # fmt: skip


def test_a_second_holder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host takes each block that has an owner for its own."""
    monkeypatch.setattr(HostBlocks, "_is_mine", lambda _self, block: block is not None and block.host != "")
    with pytest.raises(AssertionError, match=r"is used on \d hosts"):
        play(1, 400, "mixed")


def test_whatever_ends_a_world_says_which_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a crash, of which nothing else would."""

    def crash(self: World) -> None:
        raise RuntimeError(self.seed)

    monkeypatch.setattr(World, "step", crash)
    with pytest.raises(RuntimeError) as raised:
        play(17, 5, "small")
    assert raised.value.__notes__ == ["play(17, 5, 'small')"]


def test_servers_are_restored_once_they_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody wants to: hosts see each outage, or are off themselves."""
    served: list[bool] = []

    def restore(self: MemoryCluster, backup: object) -> None:
        served.append(self._majority)
        restored(self, backup)  # type: ignore[arg-type]

    restored = MemoryCluster.restore
    monkeypatch.setattr(MemoryCluster, "restore", restore)
    for seed in range(6):
        play(seed, 1000, "restored")
    assert served
    assert not any(served)


@pytest.mark.slow
def test_no_address_has_two_users_is_lost_or_leaks_in_a_minute_of_schedules() -> None:
    """Of each kind of world as many, from a seed that is another each time; a failure says which world it was. That
    things have happened is part of it."""
    end, first, notes = time.monotonic() + SECONDS, random.randrange(10**6), Counter[str]()
    seed = first
    while time.monotonic() < end:
        for profile in PROFILES:
            notes += play(seed, 1000, profile).notes
        seed += 1
    assert notes["used"] + notes["dynamic"] > 10, f"seeds from {first}: {dict(notes)}"
