"""What every Engine promises: a dockerd of the lab, and the one in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from ipaddress import ip_address

import pytest

from mooring.core.containers import Container, EngineEvent, EventKind
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.ports import Engine
from tests.contracts.engine_hosts import DockerRig, MemoryRig, Place, Rig
from tests.e2e.lab import Lab

WEB, BACK = ("10.77.1.0/24", "fd00:77:1::/64"), ("10.77.2.0/24",)
MAC = "02:42:0a:4d:01:aa"


def furnished(rig: Rig) -> Rig:
    """With the networks web (both families) and back."""
    rig.network("web", *WEB)
    rig.network("back", *BACK)
    return rig


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Rig]:
    """One engine for all real cases."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces and an engine")
    lab = Lab()
    try:
        yield furnished(DockerRig(lab.host(mooring=False)))
    finally:
        lab.close()


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.e2e)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """An engine with the networks web and back, and no containers."""
    made: Rig = request.getfixturevalue("dockerd") if request.param == "docker" else furnished(MemoryRig())
    yield made
    made.clear()


async def ask(engine: Engine, reference: str) -> Container:
    """The container, which is there."""
    found = await engine.container(reference)
    assert found is not None
    return found


async def listed(engine: Engine, ident: str) -> Container:
    """The container as the list has it."""
    _, containers = await engine.containers()
    (found,) = (container for container in containers if container.id == ident)
    return found


async def network_id(engine: Engine, name: str) -> str:
    """The network's full id."""
    found = await engine.network(name)
    assert found is not None
    return found.id


async def heard(engine: Engine, since: int, what: EventKind, container: str) -> list[EngineEvent]:
    """All events after `since`, to the one that is waited for."""
    events: list[EngineEvent] = []
    stream = engine.events(since)
    assert isinstance(stream, AsyncGenerator)
    async with asyncio.timeout(10), aclosing(stream):
        async for event in stream:
            events.append(event)
            if (event.what, event.container) == (what, container):
                return events
    raise AssertionError("the stream has ended")


async def to_the_end(stream: AsyncIterator[EngineEvent]) -> None:
    """Hear everything."""
    async with asyncio.timeout(10):
        async for _ in stream:
            pass


def told(events: list[EngineEvent], container: str) -> list[EventKind]:
    """What was told of the container, in order."""
    return [event.what for event in events if event.container == container]


async def test_it_says_who_it_is(rig: Rig) -> None:
    """The same id wherever it is told, and a version of two numbers."""
    ident = await rig.engine.identity()
    assert ident
    assert (await rig.engine.view()).id == ident
    assert (await rig.engine.containers())[0] == ident
    assert await rig.engine.api_version() >= (1, 24)
    assert await rig.engine.release() >= (1, 12)


async def test_a_container_that_never_ran_is_listed_with_what_it_asks_for(rig: Rig) -> None:
    """Name, labels, addresses of both families in every network; the networks by their full ids."""
    labels = {"fixed-ip": "", "a": "b"}
    ident = rig.create("db", Place("web", "10.77.1.9", "fd00:77:1::9"), Place("back", "10.77.2.9"), labels=labels)
    one, asked = await listed(rig.engine, ident), await ask(rig.engine, ident)
    for found in (one, asked):
        assert (found.id, found.name, found.running, found.labels) == (ident, "db", False, labels)
        assert {
            (endpoint.name, endpoint.network, tuple(map(str, endpoint.wanted))) for endpoint in found.endpoints
        } == {
            ("web", await network_id(rig.engine, "web"), ("10.77.1.9", "fd00:77:1::9")),
            ("back", await network_id(rig.engine, "back"), ("10.77.2.9",)),
        }
        assert all(endpoint.held == () and endpoint.endpoint == "" for endpoint in found.endpoints)
    assert abs(one.created - asked.created) < 1  # the list has whole seconds


async def test_a_container_without_labels_or_addresses_asks_for_nothing(rig: Rig) -> None:
    """Empty, not missing."""
    found = await listed(rig.engine, rig.create("db", Place("web")))
    assert (found.labels, [endpoint.wanted for endpoint in found.endpoints]) == ({}, [()])


async def test_a_running_container_has_an_endpoint_and_a_stopped_one_does_not(rig: Rig) -> None:
    """What it asks for stays, and so does its place in the network."""
    ident = rig.create("db", Place("web", "10.77.1.9"))
    rig.start("db")
    for found in (await listed(rig.engine, ident), await ask(rig.engine, "db")):
        (endpoint,) = found.endpoints
        assert (found.running, str(endpoint.ipv4), str(endpoint.wanted4)) == (True, "10.77.1.9", "10.77.1.9")
        assert endpoint.endpoint
    network = await rig.engine.network("web")
    assert network is not None
    assert [(each.id, each.container, each.name) for each in network.endpoints] == [(endpoint.endpoint, ident, "db")]
    rig.stop("db")
    await heard(rig.engine, 0, EventKind.DISCONNECTED, ident)
    for found in (await listed(rig.engine, ident), await ask(rig.engine, "db")):
        (endpoint,) = found.endpoints
        assert (found.running, endpoint.held, endpoint.endpoint, str(endpoint.wanted4)) == (False, (), "", "10.77.1.9")
        assert endpoint.network == network.id


@pytest.mark.parametrize("length", [12, 63, 64])
async def test_a_network_may_be_named_by_its_id_or_the_beginning_of_it(rig: Rig, length: int) -> None:
    """The container is in it once, under its name and full id, before its first start, while it runs, and after."""
    web = await network_id(rig.engine, "web")
    ident = rig.create("db", Place(web[:length], "10.77.1.9"), mac=MAC)
    expected = [(web, "web", "10.77.1.9")]
    steps: list[Callable[[str], None]] = [lambda _: None, rig.start, rig.stop]
    # Once it has run, engines from 25 on tell no MAC where the mode is a full id (moby daemon/inspect.go).
    untold = await rig.engine.release() >= (25, 0) and length == len(web)
    for number, step in enumerate(steps):
        step("db")
        for found in (await listed(rig.engine, ident), await ask(rig.engine, ident)):
            assert [
                (endpoint.network, endpoint.name, str(endpoint.wanted4)) for endpoint in found.endpoints
            ] == expected
        assert [endpoint.wanted_mac for endpoint in found.endpoints] == ["" if untold and number else MAC]


async def test_only_the_container_itself_tells_the_mac_that_was_asked_for(rig: Rig) -> None:
    """A list does not have it."""
    ident = rig.create("db", Place("web"), Place("back"), mac=MAC.upper() if isinstance(rig, DockerRig) else MAC)
    assert {endpoint.name: endpoint.wanted_mac for endpoint in (await ask(rig.engine, ident)).endpoints} == {
        "web": MAC,
        "back": "",
    }
    assert {endpoint.wanted_mac for endpoint in (await listed(rig.engine, ident)).endpoints} == {""}


async def test_a_container_is_found_by_id_name_or_the_beginning_of_an_id(rig: Rig) -> None:
    """A full id before a name, a name before a beginning."""
    ident = rig.create("db", Place("web"))
    rig.create(ident[:12], Place("web"))  # its name is the beginning of the other's id
    for reference in (ident, "db", "/db", ident[:20]):
        assert (await ask(rig.engine, reference)).name == "db", reference
    assert (await ask(rig.engine, ident[:12])).id != ident


ODD = (
    *("", "nobody", ".", "..", "../db", "db/", "db/json", "db?all=1", "d b", "d%62", "%", "#", "ä", "DB", "-", "//"),
    *("//db", "/", "json", "f" * 64, "f" * 65, "x" * 300),
)


async def test_who_is_not_there_is_none(rig: Rig) -> None:
    """Whatever the reference looks like in a path, for containers and for networks."""
    rig.create("db", Place("web"))
    for reference in ODD:
        assert await rig.engine.container(reference) is None, reference
        assert await rig.engine.network(reference) is None, reference


async def test_a_beginning_of_several_ids_is_a_conflict(rig: Rig) -> None:
    """Nobody is guessed; one digit more may be enough."""
    ids: list[str] = []
    while len({ident[0] for ident in ids}) == len(ids):
        ids.append(rig.create(f"c{len(ids)}-name", Place("web")))
    with pytest.raises(Conflict, match=f"several IDs begin with {ids[-1][0]}"):
        await rig.engine.container(ids[-1][0])
    assert (await ask(rig.engine, ids[-1][:32])).id == ids[-1]


async def test_a_network_is_found_by_id_name_or_the_beginning_of_an_id(rig: Rig) -> None:
    """As a container is; its name may look like anything."""
    ident = await network_id(rig.engine, "web")
    other = rig.network(ident[:10], "10.77.3.0/24")
    for reference, expected in ((ident, ident), (ident[:30], ident), (ident[:10], other), ("web", ident)):
        assert await network_id(rig.engine, reference) == expected
    assert {ident, other} <= (await rig.engine.view()).networks


@pytest.mark.parametrize("runs", [True, False])
async def test_a_reconnect_names_the_addresses_and_changes_nothing_else(rig: Rig, runs: bool) -> None:
    """The configuration names them from then on, also of a container that was stopped; its other places stay."""
    web = await network_id(rig.engine, "web")
    ident = rig.create("db", Place("web"), Place("back", "10.77.2.9"))
    rig.start("db")
    if not runs:
        rig.stop("db")
        await heard(rig.engine, 0, EventKind.DISCONNECTED, ident)
    place = await rig.engine.place(ident, web)
    await rig.engine.reconnect(ident, web, place, [ip_address("10.77.1.99")])
    asked = await ask(rig.engine, ident)
    assert {endpoint.name: tuple(map(str, endpoint.wanted)) for endpoint in asked.endpoints} == {
        "web": ("10.77.1.99",), "back": ("10.77.2.9",),
    }  # fmt: skip
    assert asked.running is runs
    if runs and isinstance(rig, DockerRig):
        assert [str(endpoint.ipv4) for endpoint in asked.endpoints if endpoint.network == web] == ["10.77.1.99"]
        place = await rig.engine.place(ident, web)
        with pytest.raises(Conflict, match="Docker refuses"):
            await rig.engine.reconnect(ident, web, place, [ip_address("10.99.1.99")])
        again = await ask(rig.engine, ident)
        assert [str(endpoint.ipv4) for endpoint in again.endpoints if endpoint.network == web] == ["10.77.1.99"]
    with pytest.raises(NotFound):
        await rig.engine.place(ident, "f" * 64)


async def test_a_container_is_attached_with_addresses_and_detached(rig: Rig) -> None:
    """One that runs; its configuration names them. What the engine refuses changes nothing."""
    web, back = await network_id(rig.engine, "web"), await network_id(rig.engine, "back")
    ident = rig.create("db", Place("web"))
    rig.start("db")
    if isinstance(rig, DockerRig):
        with pytest.raises(Conflict, match="Docker refuses"):
            await rig.engine.attach(ident, back, [ip_address("10.99.1.99")])
    await rig.engine.attach(ident, back, [ip_address("10.77.2.99")])
    places = {each.network: tuple(map(str, each.wanted)) for each in (await ask(rig.engine, ident)).endpoints}
    assert places == {web: (), back: ("10.77.2.99",)}
    await rig.engine.detach(ident, back)
    assert [each.network for each in (await ask(rig.engine, ident)).endpoints] == [web]


async def test_a_container_is_started_unless_it_runs_or_is_gone(rig: Rig) -> None:
    """Which is no error."""
    ident = rig.create("db", Place("web"))
    for _ in range(2):
        await rig.engine.start_container(ident)
        assert (await ask(rig.engine, ident)).running
    rig.remove("db")
    await rig.engine.start_container(ident)


async def test_all_networks_are_listed_with_their_names(rig: Rig) -> None:
    """Whoever's driver; without their endpoints."""
    listed = {network.name: network for network in await rig.engine.all_networks()}
    for name in ("web", "back"):
        assert listed[name].id == await network_id(rig.engine, name)
        assert listed[name].driver
        assert listed[name].endpoints == ()


async def test_a_beginning_of_several_networks_ids_is_a_conflict(rig: Rig) -> None:
    """Nobody is guessed."""
    ids = [await network_id(rig.engine, name) for name in ("web", "back")]
    while len({ident[0] for ident in ids}) == len(ids):
        ids.append(rig.network(f"n{len(ids)}-name", f"10.78.{len(ids)}.0/24"))
    with pytest.raises(Conflict, match="several IDs begin with"):
        await rig.engine.network(ids[-1][0])


async def test_what_is_remembered_comes_first(rig: Rig) -> None:
    """With 0 all of it, in order, from before anybody listened."""
    ident = rig.create("db", Place("web"))
    rig.remove("db")
    events = await heard(rig.engine, 0, EventKind.DESTROYED, ident)
    assert told(events, ident) == [EventKind.CREATED, EventKind.DESTROYED]
    assert [event.at for event in events] == sorted(event.at for event in events)


async def test_a_container_with_rm_is_destroyed_when_it_ends(rig: Rig) -> None:
    """Nobody asked for it, and by then it is gone."""
    ident = rig.create("once", Place("web"), rm=True)
    rig.start("once")
    rig.stop("once")
    events = await heard(rig.engine, 0, EventKind.DESTROYED, ident)
    assert await rig.engine.container(ident) is None
    *before, died, left, gone = told(events, ident)
    assert before == [EventKind.CREATED, EventKind.CONNECTED, EventKind.STARTED]
    assert {died, left} == {EventKind.DIED, EventKind.DISCONNECTED}  # from 26 on the other way round
    assert gone is EventKind.DESTROYED


async def test_who_resumes_hears_everything_once(rig: Rig) -> None:
    """From wherever it stopped listening: no event twice, none lost."""
    names = [f"c{number}-name" for number in range(3)]
    ids = [rig.create(name, Place("web")) for name in names]
    before = await heard(rig.engine, 0, EventKind.CREATED, ids[1])
    rig.rename(names[0], "other-name")
    for name in ("other-name", *names[1:]):
        rig.remove(name)
    after = await heard(rig.engine, before[-1].at, EventKind.DESTROYED, ids[-1])
    every = [event for event in (*before, *after) if event.container in ids]
    assert [(event.what, ids.index(event.container)) for event in every] == [
        (EventKind.CREATED, 0), (EventKind.CREATED, 1), (EventKind.CREATED, 2), (EventKind.RENAMED, 0),
        (EventKind.DESTROYED, 0), (EventKind.DESTROYED, 1), (EventKind.DESTROYED, 2),
    ]  # fmt: skip
    assert after[0].container == ids[2]


async def test_a_rename_is_told_and_only_the_new_name_is_found(rig: Rig) -> None:
    """The id stays."""
    ident = rig.create("db", Place("web"))
    rig.rename("db", "new")
    await heard(rig.engine, 0, EventKind.RENAMED, ident)
    assert await rig.engine.container("db") is None
    assert (await ask(rig.engine, "new")).id == ident


async def test_a_running_container_that_is_plugged_or_unplugged_is_told_with_the_network(rig: Rig) -> None:
    """Both by their full ids, and the configuration has changed by then."""
    ident = rig.create("db", Place("web"))
    rig.start("db")
    last = (await heard(rig.engine, 0, EventKind.STARTED, ident))[-1].at
    rig.connect("db", Place("back", "10.77.2.9"))
    back = await network_id(rig.engine, "back")
    (event,) = await heard(rig.engine, last, EventKind.CONNECTED, ident)
    assert event.network == back
    assert [
        str(endpoint.wanted4) for endpoint in (await ask(rig.engine, ident)).endpoints if endpoint.network == back
    ] == ["10.77.2.9"]
    rig.disconnect("db", "back")
    (event,) = await heard(rig.engine, event.at, EventKind.DISCONNECTED, ident)
    assert event.network == back
    assert [endpoint.name for endpoint in (await ask(rig.engine, ident)).endpoints] == ["web"]


async def test_plugging_a_container_that_does_not_run_is_not_told_and_unplugging_it_is(rig: Rig) -> None:
    """Only a list shows the former, and from 28 on the latter too (moby daemon/container_operations.go)."""
    ident = rig.create("db", Place("web"))
    rig.connect("db", Place("back", "10.77.2.9"))
    found = await listed(rig.engine, ident)
    assert [str(endpoint.wanted4) for endpoint in found.endpoints if endpoint.name == "back"] == ["10.77.2.9"]
    rig.disconnect("db", "back")
    assert [endpoint.name for endpoint in (await ask(rig.engine, ident)).endpoints] == ["web"]
    if await rig.engine.release() >= (28, 0):
        rig.remove("db")
        assert told(await heard(rig.engine, 0, EventKind.DESTROYED, ident), ident) == [
            EventKind.CREATED, EventKind.DESTROYED,
        ]  # fmt: skip
        return
    events = await heard(rig.engine, 0, EventKind.DISCONNECTED, ident)
    assert told(events, ident) == [EventKind.CREATED, EventKind.DISCONNECTED]
    assert events[-1].network == await network_id(rig.engine, "back")


async def test_an_engine_that_ends_is_unavailable_and_remembers_no_events(rig: Rig) -> None:
    """The stream ends with it, every question is refused, and afterwards all is as it was."""
    ident = rig.create("db", Place("web", "10.77.1.9"), labels={"fixed-ip": "1"})
    engine, identity = rig.engine, await rig.engine.identity()
    before = await listed(engine, ident)
    stream = engine.events(0)
    await anext(stream)
    rig.down()
    with pytest.raises(Unavailable):
        await to_the_end(stream)
    for asking in (
        engine.view(), engine.containers(), engine.container("db"), engine.network("web"), engine.identity(),
        engine.api_version(), anext(engine.events(0)),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await asking
    rig.up()
    assert await engine.identity() == identity
    assert await listed(engine, ident) == before
    rig.rename("db", "new")
    assert told(await heard(engine, 0, EventKind.RENAMED, ident), ident) == [EventKind.RENAMED]
