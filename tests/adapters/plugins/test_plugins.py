"""Plugins by name: found, activated once, asked for what they can, and tried anew when that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mooring.adapters.plugins import Places, Plugins, Unreachable
from mooring.core.faults import BadRequest, Fault, NotFound, Unavailable
from mooring.core.requests import NetworkSpec
from tests.adapters.plugins.fakes import Asked, FakePlugin, HastyClock, Script, plugin, replies, reply
from tests.adapters.plugins.samples import network

BOTH = {"Implements": ["NetworkDriver", "IpamDriver"]}
LOCAL = {"Scope": "local"}


@asynccontextmanager
async def plugins(folder: Path, script: Script) -> AsyncIterator[tuple[Plugins, FakePlugin]]:
    """A finder of a plugin named p."""
    async with plugin(folder / "p.sock", script) as fake:
        finder = Plugins(Places(folder, (folder / "specs",)), HastyClock())
        try:
            yield finder, fake
        finally:
            await finder.close()


async def test_a_plugin_is_activated_once_for_both_drivers(tmp_path: Path) -> None:
    """When it is first wanted; then each driver's capabilities."""
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=LOCAL)) as (finder, fake):
        assert fake.asked == []
        driver = await finder.network_driver("p")
        ipam = await finder.ipam_driver("p")
        assert [asked.method for asked in fake.asked] == [
            "Plugin.Activate",
            "NetworkDriver.GetCapabilities",
            "IpamDriver.GetCapabilities",
        ]
        assert await finder.network_driver("p") is driver
        assert await finder.ipam_driver("p") is ipam
        assert (driver.name, ipam.name, ipam.requires_mac) == ("p", "p", False)
        assert len(fake.asked) == 3


async def test_who_asks_at_the_same_time_waits_for_the_same_attempt(tmp_path: Path) -> None:
    """One activation, one driver."""
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=LOCAL)) as (finder, fake):
        async with asyncio.TaskGroup() as tasks:
            wanted = [tasks.create_task(finder.network_driver("p")) for _ in range(10)]
        assert len({id(task.result()) for task in wanted}) == 1
        assert fake.methods == ["Activate", "GetCapabilities"]


async def test_who_waits_goes_on_when_the_first_gives_up(tmp_path: Path) -> None:
    """A cancelled attempt is nobody's failure."""
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=LOCAL)) as (finder, fake):
        reached, let_go = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            reached.set()
            await let_go.wait()

        fake.before = hang
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(finder.network_driver("p"))
            await reached.wait()
            second = tasks.create_task(finder.network_driver("p"))
            await asyncio.sleep(0)
            first.cancel()
            let_go.set()
        assert (await second).name == "p"


async def test_a_failure_is_told_to_all_who_waited_and_tried_anew(tmp_path: Path) -> None:
    """One attempt for them, another for who comes later."""
    answers = [reply({"Err": "not yet"}, 500)]

    def script(asked: Asked) -> bytes | None:
        return answers.pop() if answers else replies(Activate=BOTH, GetCapabilities=LOCAL)(asked)

    async with plugins(tmp_path, script) as (finder, fake):
        told = await asyncio.gather(*(finder.network_driver("p") for _ in range(5)), return_exceptions=True)
        assert {str(fault) for fault in told} == {"plugin p: not yet"}
        assert fake.methods == ["Activate"]
        assert (await finder.network_driver("p")).name == "p"
        assert fake.methods == ["Activate", "Activate", "GetCapabilities"]


async def test_capabilities_are_what_the_plugin_says(tmp_path: Path) -> None:
    """GwAllocChecker and RequiresMACAddress; what is unknown does not matter (TestGetExtraCapabilities)."""
    told = {**LOCAL, "ConnectivityScope": "global", "GwAllocChecker": True, "RequiresMACAddress": True, "foo": "bar"}
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=told)) as (finder, fake):
        assert (await finder.ipam_driver("p")).requires_mac
        await (await finder.network_driver("p")).wants_gateways(NetworkSpec("web", "p"))
        assert fake.methods[-1] == "GwAllocCheck"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, "Scope '' is neither local nor global"),
        ({"Scope": "fake"}, "Scope 'fake' is neither"),
        ({"Scope": "local", "ConnectivityScope": "fake"}, "ConnectivityScope 'fake' is neither"),
        ({"Scope": 1}, "Expected `str`"),
        ({"Err": "unsure"}, "unsure"),
    ],
)
async def test_a_network_driver_must_say_its_scope(tmp_path: Path, told: object, reason: str) -> None:
    """TestGetEmptyCapabilities, TestGetInvalidCapabilities; its IPAM driver can be used all the same."""
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=told)) as (finder, _):
        with pytest.raises(Unavailable) as caught:
            await finder.network_driver("p")
        assert str(caught.value).startswith("plugin p")
        assert reason in str(caught.value)
        assert not (await finder.ipam_driver("p")).requires_mac


async def test_an_old_ipam_plugin_has_no_capabilities(tmp_path: Path) -> None:
    """404 is no failure (TestGetCapabilitiesFromLegacyDriver); silence is."""
    old = reply(b"404 page not found", 404)
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=old)) as (finder, fake):
        assert not (await finder.ipam_driver("p")).requires_mac
        assert len(fake.asked) == 2

    def silent(asked: Asked) -> bytes | None:
        return reply(BOTH) if asked.method == "Plugin.Activate" else None

    async with plugins(tmp_path, silent) as (finder, _):
        with pytest.raises(Unreachable):
            await finder.ipam_driver("p")


async def test_a_plugin_of_another_kind_is_none_of_ours(tmp_path: Path) -> None:
    """The fault says what it is."""
    async with plugins(tmp_path, replies(Activate={"Implements": ["VolumeDriver", "IpamDriver"]})) as (finder, _):
        with pytest.raises(NotFound, match="plugin p is not a NetworkDriver; it implements VolumeDriver, IpamDriver"):
            await finder.network_driver("p")
        await finder.ipam_driver("p")
    async with plugins(tmp_path, replies()) as (finder, _):
        with pytest.raises(NotFound, match="plugin p is not a IpamDriver; it implements nothing"):
            await finder.ipam_driver("p")


async def test_what_is_not_there_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    """As discovery has it."""
    async with plugins(tmp_path, replies()) as (finder, _):
        with pytest.raises(NotFound, match="there is no plugin nobody"):
            await finder.network_driver("nobody")
        with pytest.raises(BadRequest):
            await finder.ipam_driver("../p")


async def test_nothing_is_done_after_the_end(tmp_path: Path) -> None:
    """Neither by the finder nor by the drivers that it gave out; closing twice is fine."""
    async with plugins(tmp_path, replies(Activate=BOTH, GetCapabilities=LOCAL)) as (finder, fake):
        driver = await finder.network_driver("p")
        await finder.close()
        for call in (driver.create_network(network()), finder.ipam_driver("p")):
            with pytest.raises(Fault, match="closed"):
                await call
        assert len(fake.asked) == 2
        assert fake.connections == 1
