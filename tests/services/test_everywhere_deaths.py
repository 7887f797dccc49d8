"""A death at every step of a network that every host is to have, of who asks for it, and of who makes or removes it.

Each run is cut off before the first call of the cluster or the engine, then before the second, and so on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from mooring.core.faults import NotFound
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_deaths import Death, Fate
from tests.services.test_networks_everywhere import APP, asking, names, states, take_up
from tests.sweeps import sweep


class EngineFate(Fate):
    """The engine's calls are steps, too: the host may die before it is asked, or before it hears the answer."""

    def __init__(self, host: MemberHost, at: int) -> None:
        super().__init__(host, at)
        for name in ("network", "create_network", "remove_network"):
            setattr(host.engine, name, self.mortal(getattr(host.engine, name)))

    def mortal(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The call, with a step on both sides."""

        async def call(*args: Any) -> Any:
            self._step()
            answer = await work(*args)
            self._step()
            return answer

        return call

    def over(self) -> None:
        """See Fate."""
        super().over()
        for name in ("network", "create_network", "remove_network"):
            delattr(self.host.engine, name)


async def killed(host: MemberHost, work: Callable[[], Awaitable[object]], at: int) -> bool:
    """Whether the work was cut off at that step; the host has a new daemon then."""
    fate = EngineFate(host, at)
    try:
        with suppress(Death):
            await work()
    finally:
        fate.over()
    if fate.dead:
        await host.restart()
        await host.turn()
    return fate.dead


def left(host: MemberHost) -> list[str]:
    """Keys that the cluster has of it."""
    return [key for key in host.servers.records if key.startswith("everywhere/")]


@pytest.mark.parametrize("who", [0, 1])
async def test_it_is_made_on_every_host_or_on_none_whoever_dies(who: int) -> None:
    """Who asked asks again, where he does not know whether he was heard: that is one network, made once."""
    for at in sweep(1):
        hosts = await members(2)
        one, two = hosts

        async def work(one: MemberHost = one, two: MemberHost = two) -> None:
            await asking(one).create(APP, dry=False)
            await take_up(one, two, one, two)

        struck = await killed(hosts[who], work, at)
        await take_up(one, two, one, two)
        assert names(one) == names(two)
        assert names(one) in ([], ["app"])
        assert bool(left(one)) is bool(names(one))
        await asking(one).create(APP, dry=False)
        await take_up(one, two)
        assert states(await asking(two).view("app")) == {"web1": "made", "web2": "made"}
        assert names(one) == names(two) == ["app"]
        if not struck:
            break
    assert at > 5


@pytest.mark.parametrize("who", [0, 1])
async def test_its_end_leaves_nothing_whoever_dies(who: int) -> None:
    """Neither at an engine nor in the cluster, once it was heard; else it is there as before."""
    for at in sweep(1):
        hosts = await members(2)
        one, two = hosts
        await asking(one).create(APP, dry=False)
        await take_up(one, two)

        async def work(one: MemberHost = one, two: MemberHost = two) -> None:
            await asking(one).remove("app", dry=False)
            await take_up(one, two, one, two)

        struck = await killed(hosts[who], work, at)
        await take_up(one, two, one, two)
        if left(one):
            assert names(one) == names(two) == ["app"]
            with suppress(NotFound):
                await asking(one).remove("app", dry=False)
            await take_up(one, two, one, two)
        assert (names(one), names(two), left(one)) == ([], [], [])
        if not struck:
            break
    assert at > 5
