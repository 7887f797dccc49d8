"""Comparing holders with the engine's containers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from mooring.core.containers import ContainerEndpoint, EngineEvent, EventKind, Holder
from mooring.core.intents import Intent
from mooring.core.leases import State
from tests.services.holder_hosts import HolderHost, ident

T = TypeVar("T")


async def host_with(*networks: str) -> HolderHost:
    """A host that serves these networks."""
    host = HolderHost()
    await host.serve(*networks)
    return host


async def test_who_is_gone_is_given_up_after_two_sightings_and_a_minimum_age() -> None:
    """Not at the first, not too early; the finding tells it meanwhile, with proof and age."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    del host.engine._containers[ident("db")]  # no event was heard
    (finding,) = await host.keeping.container_reconciler.once()
    assert (finding.since, finding.fixable) == (host.clock.now(), True)
    assert "db" in finding.text
    host.clock.advance(60)
    await host.keeping.container_reconciler.once()
    assert len(host.fixed()) == 1
    host.clock.advance(60)
    assert await host.keeping.container_reconciler.once() == ()
    assert host.fixed() == {}


async def test_a_person_who_asks_need_not_wait_for_the_age() -> None:
    """But two sightings it takes."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    del host.engine._containers[ident("db")]
    await host.keeping.container_reconciler.once(eager=True)
    assert len(host.fixed()) == 1
    await host.keeping.container_reconciler.once(eager=True)
    assert host.fixed() == {}


async def test_a_list_that_was_short_once_takes_nothing() -> None:
    """The container is back in the next one: its absence has not lasted."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    for _ in range(5):
        kept = host.engine._containers.pop(ident("db"))
        await host.keeping.container_reconciler.once()
        host.engine._containers[ident("db")] = kept
        host.clock.advance(200)
        assert await host.keeping.container_reconciler.once() == ()
    assert len(host.fixed()) == 1


async def test_another_engine_at_the_socket_says_nothing_about_the_containers_of_the_first() -> None:
    """It does not have them, and they stay; it is told."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    host.engine.id = "engine-2"
    host.engine._containers.clear()
    for _ in range(5):
        findings = await host.keeping.container_reconciler.once()
        host.clock.advance(1000)
    assert len(host.fixed()) == 1
    assert ["engine-1" in finding.text for finding in findings] == [True]


async def test_an_engine_that_is_down_takes_nothing_from_anybody() -> None:
    """However long."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    host.engine.go_down()
    for _ in range(5):
        await host.keeping.container_reconciler.once()
        host.clock.advance(1000)
    assert len(host.fixed()) == 1


async def test_a_network_that_a_container_has_left_unheard_is_given_up() -> None:
    """The other one stays."""
    host = await host_with("web", "back")
    await host.docker_create("db", "web", "back")
    host.engine.disconnect(ident("db"), host.full("back"))
    for _ in range(3):
        await host.keeping.container_reconciler.once()
        host.clock.advance(100)
    assert len(host.fixed()) == 1


async def test_an_intent_whose_container_was_made_is_settled_and_one_without_is_given_back() -> None:
    """After a crash between the engine's reply and the settlement, and between the intent and the request."""
    host = await host_with("web")
    made, never = host.spec("web"), host.spec("web")
    one = await host.keeping.controller.create("db", made, (1, 44))
    two = await host.keeping.controller.create("other", never, (1, 44))
    assert one is not None
    assert two is not None
    host.engine_creates("db", made, one)
    await host.restart()
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert set(host.fixed().values()) == {frozenset({"db"})}
    assert host.services.cache.count(Intent) == 0


async def test_where_addresses_cannot_be_named_the_mac_tells_whose_intent_it_was() -> None:
    """The list does not show it: the container is asked for."""
    host = HolderHost()
    host.typed = False
    await host.serve("web")
    host.engine.create(ident("other"), "other", ContainerEndpoint(host.full("web"), "web"))
    spec = host.spec("web")
    admission = await host.keeping.controller.create("db", spec, (1, 44))
    host.engine_creates("db", spec, admission)
    await host.restart()
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert set(host.fixed().values()) == {frozenset({"db"})}


async def test_an_intent_that_somebody_waits_for_is_left_alone() -> None:
    """A create that takes the engine long is not given back meanwhile."""
    host = await host_with("web")
    admission = await host.keeping.controller.create("db", host.spec("web"), (1, 44))
    assert admission is not None
    host.clock.advance(1000)
    await host.keeping.container_reconciler.once()
    assert len(host.fixed()) == 1
    host.keeping.controller.leave_open(admission.intent)
    await host.keeping.container_reconciler.once()
    assert len(host.fixed()) == 1  # the engine may still be at it
    host.clock.advance(11)
    await host.keeping.container_reconciler.once()
    assert host.fixed() == {}


async def test_the_intent_of_a_successor_is_not_settled_to_its_predecessor() -> None:
    """Both configurations name the address; the successor was never made."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    (address,) = host.fixed()
    admission = await host.keeping.controller.create("new", host.spec("web", ipv4=address), (1, 44))
    assert admission is not None
    await host.restart()
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert host.fixed() == {address: frozenset({"db"})}


async def test_a_removal_that_nobody_finished_is_finished() -> None:
    """A crash after the engine removed the container, and one before."""
    host = await host_with("web")
    for name in ("gone", "there"):
        await host.docker_create(name, "web")
        assert await host.keeping.controller.removal(name) is not None
    host.engine.remove(ident("gone"))
    await host.restart()
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert set(host.fixed().values()) == {frozenset({"there"})}
    assert host.services.cache.count(Intent) == 0


async def test_a_holder_whose_networks_went_is_forgotten() -> None:
    """It holds nothing, and is no finding."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    pool = host.known(host.full("web")).ipv4[0].pool
    await host.services.networks.delete(host.full("web"))
    await host.services.ipam.release_pool(pool)
    await host.keeping.container_reconciler.once()
    host.engine.remove(ident("db"))
    await host.keeping.container_reconciler.once()
    assert host.services.cache.holder(ident("db")) is None
    assert [lease for lease in (host.lease("10.32.0.2"),) if lease and lease.state is State.FIXED] == []


async def upgraded(host: HolderHost) -> None:
    """The engine has got another id, with the same disks."""
    host.engine.id = "engine-2"
    await host.restart()


async def test_an_upgraded_engine_is_the_one_that_it_was() -> None:
    """It has another id and the same containers: no alarm, and who is removed is given up as ever."""
    host = await host_with("web")
    for name in ("db", "gone"):
        await host.docker_create(name, "web")
    await upgraded(host)
    assert await host.keeping.container_reconciler.once() == ()
    del host.engine._containers[ident("gone")]
    for _ in range(2):
        await host.keeping.container_reconciler.once()
        host.clock.advance(200)
    assert await host.keeping.container_reconciler.once() == ()
    assert set(host.fixed().values()) == {frozenset({"db"})}


async def test_what_was_removed_during_the_upgrade_is_given_up() -> None:
    """The only container went while Mooring was away: the network tells that it is the same engine."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    await host.services.repair.once()  # the engine's networks are noted
    host.engine._containers.clear()
    await upgraded(host)
    assert len(await host.keeping.container_reconciler.once()) == 1  # it is missing
    host.clock.advance(200)
    assert await host.keeping.container_reconciler.once() == ()
    assert host.fixed() == {}


async def test_an_engine_with_wiped_disks_gives_up_nothing() -> None:
    """Another id, no container and no network that is known: whatever it lists not is no proof."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    await host.services.repair.once()
    host.engine._containers.clear()
    host.engine.networks = {"bridge"}
    await upgraded(host)
    for _ in range(5):
        (finding,) = await host.keeping.container_reconciler.once()
        host.clock.advance(1000)
        await host.services.repair.once()
    assert "engine-1" in finding.text
    assert "none of that engine's containers and networks" in finding.proof
    assert len(host.fixed()) == 1


async def test_an_intent_from_before_the_upgrade_is_settled() -> None:
    """The container was made, and the reply was lost with the old engine."""
    host = await host_with("web")
    spec = host.spec("web")
    admission = await host.keeping.controller.create("db", spec, (1, 44))
    host.engine_creates("db", spec, admission)
    await host.services.repair.once()
    await upgraded(host)
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert set(host.fixed().values()) == {frozenset({"db"})}
    assert host.services.cache.count(Intent) == 0


async def test_a_container_of_another_engine_that_holds_nothing_any_more_is_forgotten() -> None:
    """Its network went, and with it what it held: it is no alarm."""
    host = await host_with("web")
    await host.services.cache.commit(put=[Holder(id=ident("far"), engine="engine-9", name="far", since=0.0)])
    assert await host.keeping.container_reconciler.once() == ()
    assert host.services.cache.holder(ident("far")) is None


@pytest.mark.parametrize(("version", "told"), [((1, 41), True), ((1, 51), True), ((1, 52), False)])
async def test_an_address_without_a_proof_is_told_while_its_container_has_it(
    version: tuple[int, int], told: bool
) -> None:
    """Unless the engine says who asks; one that the configuration names, or whose MAC it has, is not spoken of."""
    host = await host_with("web", "back")
    host.engine.version = version
    await host.docker_create("db", "web")
    await host.endpoint(host.full("back"), "ep")
    (endpoint,) = host.services.endpoint_index.of_network(host.full("back"))
    container_endpoint = ContainerEndpoint(host.full("back"), "back", endpoint=endpoint.id, mac=endpoint.mac)
    host.engine.connect(ident("db"), replace(container_endpoint, ipv4=endpoint.addresses[0]))  # type: ignore[arg-type]
    findings = await host.keeping.container_reconciler.once()
    assert len(host.fixed()) == 2
    assert [finding.subject.split()[0] for finding in findings] == ["proof"] * told
    for finding in findings:
        assert str(endpoint.addresses[0]) in finding.text
        assert "back" in finding.text
        assert finding.remedy


@pytest.mark.parametrize("what", ["removed", "unplugged"])
@pytest.mark.parametrize("by", ["list", "event"])
async def test_who_goes_while_it_is_looked_at_is_not_taken_for_a_holder_again(what: str, by: str) -> None:
    """The engine was asked before, and its answer is older than the departure that the proxy saw."""
    host = await host_with("web", "back")
    await host.docker_create("db", "web", "back")

    async def depart() -> None:
        if what == "removed":
            await host.docker_remove("db")
            return
        intent = await host.keeping.controller.disconnection("back", "db")
        assert intent is not None
        host.engine.disconnect(ident("db"), host.full("back"))
        assert await host.keeping.controller.departed(intent)

    if by == "list":
        host.engine.containers = later(host.engine.containers, depart)  # type: ignore[method-assign]
        await host.keeping.container_reconciler.once()
    else:
        host.engine.container = later(host.engine.container, depart)  # type: ignore[method-assign]
        await host.keeping.watching.heed(EngineEvent(EventKind.CREATED, ident("db"), 1))
    assert len(host.fixed()) == (0 if what == "removed" else 1)


def later(
    asked: Callable[..., Coroutine[Any, Any, T]], happens: Callable[[], Awaitable[None]]
) -> Callable[..., Coroutine[Any, Any, T]]:
    """The question, after whose first answer something happens before anybody has read it."""
    pending = [happens]

    async def answer(*args: str) -> T:
        said = await asked(*args)
        if pending:
            await pending.pop()()
        return said

    return answer
