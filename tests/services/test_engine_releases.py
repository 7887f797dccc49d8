"""What an engine can do is known in a plugin call without asking it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from mooring.core.endpoint_options import ENDPOINT_IFNAME
from mooring.core.engines import KnownEngine
from mooring.core.faults import BadRequest
from mooring.core.requests import EndpointRequest, JoinRequest
from tests.services.holder_hosts import HolderHost
from tests.services.test_engine_events import stopped, watched

ENDPOINT = "e" * 64


async def make(host: HolderHost) -> None:
    """An endpoint whose interface is to be `lan0`."""
    options = {ENDPOINT_IFNAME: "lan0"}
    await host.services.endpoints.create(EndpointRequest(host.full("web"), ENDPOINT, None, None, "", (), options))


async def name_of(host: HolderHost) -> str:
    """The interface's name that Join answers."""
    request = JoinRequest("/run/docker/netns/x")
    return (await host.services.endpoints.attach(host.full("web"), ENDPOINT, request)).name


@pytest.mark.parametrize("edition", [(20, 10), (28, 5), (29, 7)])
async def test_an_engine_that_would_not_use_the_name_is_refused(edition: tuple[int, int]) -> None:
    """Nothing is made."""
    host, task = await watched("web")
    host.engine.edition = edition
    for _ in range(50):
        await asyncio.sleep(0)
    with pytest.raises(BadRequest, match=r"before 29\.8"):
        await make(host)
    assert host.services.cache.endpoint(host.full("web"), ENDPOINT) is None
    await stopped(task)


async def test_an_engine_that_is_met_is_known_before_it_has_a_container() -> None:
    """The watcher meets it: no pass has been yet."""
    host, task = await watched("web")
    host.engine.edition = (29, 8)
    async with asyncio.timeout(5):
        while host.services.cache.endpoint(host.full("web"), ENDPOINT) is None:
            with suppress(BadRequest):
                await make(host)
            await asyncio.sleep(0)
    assert await name_of(host) == "lan0"
    await stopped(task)


async def test_at_a_boot_the_engine_is_known_from_before() -> None:
    """It starts its containers before it answers anybody."""
    host = HolderHost()
    await host.serve("web")
    host.engine.edition = (29, 8)
    await host.services.repair.once()
    assert [known.release for known in host.services.cache.every(KnownEngine)] == [(29, 8)]
    host.engine.go_down()
    await host.restart()
    await make(host)
    assert await name_of(host) == "lan0"
