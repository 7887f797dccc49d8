"""The engine's double: what tests do with it. What it promises as an Engine: tests/contracts/test_engines.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import pytest

from mooring.core.containers import Container, ContainerEndpoint, EngineEndpoint, EngineEvent, EventKind
from mooring.core.engines import EngineView
from mooring.core.faults import Conflict, Unavailable
from mooring.testing.memory_engine import REMEMBERED, MemoryEngine


def engine_with(ident: str, *networks: str) -> MemoryEngine:
    """An engine with the container, which is in these networks and asks for nothing."""
    engine = MemoryEngine()
    engine.networks = set(networks)
    engine.create(ident, "db", *(ContainerEndpoint(network, network) for network in networks))
    return engine


async def heard(engine: MemoryEngine, count: int, since: int = 0) -> list[EngineEvent]:
    """The next events."""
    events: list[EngineEvent] = []
    stream = engine.events(since)
    while len(events) < count:
        events.append(await anext(stream))
    return events


async def only(engine: MemoryEngine) -> Container:
    """Its one container."""
    _, (container,) = await engine.containers()
    return container


async def test_it_tells_what_the_test_says_and_can_be_down() -> None:
    """A view is of the moment: later changes do not show in it."""
    engine = MemoryEngine("e")
    engine.networks = {"a"}
    engine.subnets = {ip_network("10.0.0.0/24")}
    view = await engine.view()
    engine.networks.add("b")
    assert view == EngineView("e", frozenset({"a"}), frozenset({ip_network("10.0.0.0/24")}), release=(20, 10))
    engine.up = False
    with pytest.raises(Unavailable):
        await engine.view()


async def test_a_stream_ends_when_the_engine_does_although_it_is_back_at_once() -> None:
    """Its next item is the end; who asks anew hears on."""
    engine = engine_with("c1")
    stream = engine.events(0)
    await anext(stream)
    engine.up = False
    engine.up = True
    engine.rename("c1", "new")
    with pytest.raises(Unavailable):
        await anext(stream)
    assert [event.what for event in await heard(engine, 2)] == [EventKind.CREATED, EventKind.RENAMED]


async def test_a_stream_that_waits_ends_when_the_engine_does() -> None:
    """It does not wait for another event, and hears none of the engine's next life."""
    engine = engine_with("c1")
    stream = engine.events(0)
    await anext(stream)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_ended(stream))
        await asyncio.sleep(0)
        engine.up = False
        engine.up = True
        engine.rename("c1", "new")
    assert waiting.result()


async def _ended(stream: AsyncIterator[EngineEvent]) -> bool:
    with pytest.raises(Unavailable):
        await anext(stream)
    return True


async def test_a_name_of_two_networks_is_a_conflict() -> None:
    """As older engines allow it; the ids are fine."""
    engine = MemoryEngine()
    engine.networks = {"n1", "n2"}
    engine.names = {"n1": "web", "n2": "web"}
    with pytest.raises(Conflict, match="several containers or networks are named web"):
        await engine.network("web")
    found = await engine.network("n2")
    assert found is not None
    assert found.id == "n2"


async def test_every_question_is_counted_also_those_that_are_refused() -> None:
    """So a test can say that something asks nothing."""
    engine = MemoryEngine()
    await engine.identity()
    await engine.containers()
    engine.go_down()
    with pytest.raises(Unavailable):
        await engine.network("web")
    assert engine.calls == 3


async def test_a_start_fills_one_network_and_a_stop_empties_all() -> None:
    """Addresses by their family; the network's endpoints are those of who runs, and strays."""
    engine = engine_with("c1", "web", "back")
    engine.strays["web"] = (EngineEndpoint("e9", "", "gone"),)
    engine.start("c1", "web", "e1", "fd00::2", "10.0.0.2")
    v4, v6 = ip_address("10.0.0.2"), ip_address("fd00::2")
    running = await only(engine)
    assert running.running
    assert [(endpoint.name, endpoint.endpoint, endpoint.held) for endpoint in running.endpoints] == [
        ("web", "e1", (v4, v6)),
        ("back", "", ()),
    ]
    network = await engine.network("web")
    assert network is not None
    assert [(each.id, each.container, each.name) for each in network.endpoints] == [
        ("e1", "c1", "db"),
        ("e9", "", "gone"),
    ]
    engine.stop("c1")
    stopped = await only(engine)
    assert (stopped.running, [endpoint.held for endpoint in stopped.endpoints]) == (False, [(), ()])
    assert stopped.endpoints == (ContainerEndpoint("web", "web"), ContainerEndpoint("back", "back"))


async def test_a_start_without_a_network_tells_of_none() -> None:
    """A container may be in no network of ours."""
    engine = engine_with("c1")
    engine.start("c1")
    assert [event.what for event in await heard(engine, 2)] == [EventKind.CREATED, EventKind.STARTED]


async def test_a_network_without_a_name_is_called_by_its_id() -> None:
    """And one with a name by that, and by its id all the same."""
    engine = MemoryEngine()
    engine.networks = {"n1", "n2"}
    engine.names["n2"] = "web"
    found = [await engine.network(reference) for reference in ("n1", "n2", "web")]
    assert [(each.id, each.name) for each in found if each is not None] == [("n1", "n1"), ("n2", "web"), ("n2", "web")]


async def test_what_is_plugged_unplugged_renamed_and_removed() -> None:
    """Only the one that is named changes, and each is told with an own time."""
    engine = engine_with("c1", "web")
    engine.create("c2", "other", ContainerEndpoint("web", "web"))
    engine.start("c1")
    engine.connect("c1", ContainerEndpoint("back", "back"))
    engine.disconnect("c1", "web")
    engine.rename("c1", "new")
    engine.remove("c2")
    container = await only(engine)
    assert (container.id, container.name, [endpoint.name for endpoint in container.endpoints]) == (
        "c1",
        "new",
        ["back"],
    )
    events = await heard(engine, 7)
    assert [(event.what, event.container, event.network) for event in events[3:]] == [
        (EventKind.CONNECTED, "c1", "back"), (EventKind.DISCONNECTED, "c1", "web"),
        (EventKind.RENAMED, "c1", ""), (EventKind.DESTROYED, "c2", ""),
    ]  # fmt: skip
    assert len({event.at for event in events}) == 7


async def test_only_so_many_events_are_remembered() -> None:
    """The oldest are forgotten, as dockerd does it."""
    engine = engine_with("c1")
    for number in range(REMEMBERED):
        engine.rename("c1", f"name-{number}")
    events = await heard(engine, REMEMBERED)
    assert {event.what for event in events} == {EventKind.RENAMED}


async def test_two_who_listen_hear_the_same() -> None:
    """One does not take the other's events."""
    engine = engine_with("c1")
    first, second = engine.events(0), engine.events(0)
    assert await anext(first) == await anext(second)
    engine.rename("c1", "new")
    assert (await anext(first)).what is (await anext(second)).what is EventKind.RENAMED
