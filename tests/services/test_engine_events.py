"""Following the engine's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.names import A, Question
from mooring.services.containers.host_names import HOST
from tests.services.holder_hosts import HolderHost, ident

LABEL = {"fixed-ip": ""}


async def until(condition: Callable[[], bool]) -> None:
    """The condition holds soon, or the test fails."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any turn of the loop may make it true
            await asyncio.sleep(0)


async def watched(*networks: str) -> tuple[HolderHost, asyncio.Task[None]]:
    """A host whose watcher runs; the test cancels it."""
    host = HolderHost()
    await host.serve(*networks)
    loop = asyncio.get_running_loop()
    return host, loop.create_task(host.keeping.watching.run())


async def stopped(task: asyncio.Task[None]) -> None:
    """The watcher has ended, because it was told to."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_removal_by_any_road_frees_the_address() -> None:
    """The engine says that the container was destroyed."""
    host, task = await watched("web")
    await host.docker_create("db", "web")
    host.engine.remove(ident("db"))
    await until(lambda: host.fixed() == {})
    await stopped(task)


async def test_a_stop_frees_nothing_and_an_unplugging_does() -> None:
    """Both tell of a disconnection; only one has changed the configuration."""
    host, task = await watched("web", "back")
    await host.docker_create("db", "web", "back")
    host.engine.stop(ident("db"))
    host.engine.create(ident("mark"), "mark", ContainerEndpoint(host.full("web"), "web", wanted4=None))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(host.fixed()) == 2
    host.engine.disconnect(ident("db"), host.full("back"))
    await until(lambda: len(host.fixed()) == 1)
    await stopped(task)


async def test_a_labelled_container_is_adopted_when_it_starts() -> None:
    """Made at another socket, without an address."""
    host, task = await watched("web")
    await host.endpoint(host.full("web"), "db")
    address = str(host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0])
    host.engine.create(ident("db"), "db", ContainerEndpoint(host.full("web"), "web"), labels=LABEL)
    host.engine.start(ident("db"), host.full("web"), "db".ljust(64, "0"), address)
    await until(lambda: host.fixed() == {address: frozenset({"db"})})
    await stopped(task)


async def test_an_engine_that_answers_again_has_made_its_firewall_anew() -> None:
    """The kernel is looked at soon, not at the next pass: ours may be missing in Docker's chains."""
    host, task = await watched("web")
    looks = host.services.repair._nudged
    await until(looks.is_set)
    looks.clear()
    host.engine.go_down()
    await until(lambda: host.keeping.controller.session._identity == "")
    host.engine.come_up()
    for _ in range(20):
        host.clock.advance(5)
        await asyncio.sleep(0)
    await until(looks.is_set)
    await stopped(task)


async def test_what_happened_while_nobody_listened_is_heard_from_the_engines_memory() -> None:
    """A container that was destroyed before the watcher started."""
    host = HolderHost()
    await host.serve("web")
    await host.docker_create("db", "web")
    host.engine.remove(ident("db"))
    assert len(host.fixed()) == 1
    task = asyncio.get_running_loop().create_task(host.keeping.watching.run())
    await until(lambda: host.fixed() == {})
    await stopped(task)


async def test_it_listens_again_after_the_engine_was_down() -> None:
    """And hears of what happens then."""
    host, task = await watched("web")
    await host.docker_create("db", "web")
    for _ in range(20):
        await asyncio.sleep(0)
    host.engine.go_down()
    for _ in range(20):
        await asyncio.sleep(0)
    host.engine.come_up()
    for _ in range(20):
        host.clock.advance(5)
        await asyncio.sleep(0)
    host.engine.remove(ident("db"))
    await until(lambda: host.fixed() == {})
    await stopped(task)


async def test_an_event_that_the_store_could_not_take_does_not_end_the_watcher() -> None:
    """The next one is heeded, and the reconciler was told."""
    host, task = await watched("web")
    await host.docker_create("one", "web")
    await host.docker_create("two", "web")
    for _ in range(20):
        await asyncio.sleep(0)
    host.store.fail_next()
    host.engine.remove(ident("one"))
    await until(host.keeping.nudged.is_set)
    host.engine.remove(ident("two"))
    await until(lambda: set(host.fixed().values()) == {frozenset({"one"})})
    await stopped(task)


async def test_an_engine_that_ended_is_asked_anew_who_it_is() -> None:
    """The next one may be another version, with another id, and what is begun with it bears that."""
    host, task = await watched("web")
    await until(lambda: host.keeping.controller.session._identity == "engine-1")
    host.engine.go_down()
    await until(lambda: host.keeping.controller.session._identity == "")
    host.engine.id = "engine-2"
    host.engine.come_up()
    assert await host.keeping.controller.session.identity() == "engine-2"
    await stopped(task)


@pytest.mark.parametrize("dns", ["healthy", "on"])
async def test_health_is_asked_for_where_names_depend_on_it(dns: str) -> None:
    """As soon as the engine tells of it; and elsewhere an event of health costs the engine nothing."""
    host = HolderHost()
    await host.serve("web", dns=dns)
    network, endpoint = host.full("web"), "e1".ljust(64, "0")
    await host.endpoint(network, "e1")
    task = asyncio.get_running_loop().create_task(host.keeping.watching.run())
    host.engine.create(ident("db"), "db", ContainerEndpoint(network, "web", aliases=()))
    host.engine.start(ident("db"), network, endpoint, "10.32.0.2")

    def told() -> int:
        question = Question("db.web.mooring", A)
        return len(host.keeping.host_names.lookup(question, HOST).addresses)

    await until(lambda: told() == 1)
    asked = host.engine.calls
    host.engine.check(ident("db"), healthy=False)
    if dns == "healthy":
        await until(lambda: told() == 0)
        host.engine.check(ident("db"), healthy=True)
        await until(lambda: told() == 1)
    else:
        host.engine.check(ident("db"), healthy=True)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (host.engine.calls, told()) == (asked, 1)
    await stopped(task)
