"""A container that is put into its network anew is in it in the end, whoever dies in the middle."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.containers import Container, EngineEvent, EventKind
from mooring.core.faults import Conflict, Unavailable
from mooring.core.leases import Active, State
from mooring.core.moves import Move
from mooring.services.assembly import Keeping
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, fix, lease_of, operate, run_container
from tests.services.test_holds import E1, A, typed, wanted

ADDRESS = "10.77.0.2"


def keeping(host: MemoryHost) -> Keeping:
    """The use cases of fixed addresses."""
    assert host.services.keeping is not None
    return host.services.keeping


async def left_in_the_middle() -> MemoryHost:
    """The engine died when `mooring fix` had taken db out of network a, and is back, as Mooring is after a kill -9."""
    host = await typed()
    run_container(host, DB, "db", "e1", ADDRESS)
    await fix(host, ADDRESS, DB, active=Active(E1, "host", "boot"))
    host.engine.dies = True
    with pytest.raises(Unavailable):
        await operate(host).holds.fix("db", False)
    host.engine.dies = False
    host.engine.come_up()
    assert places(host) == []
    await host.restart()
    return host


def container(host: MemoryHost) -> Container:
    """As the engine has it."""
    return host.engine._containers[DB]


def places(host: MemoryHost) -> list[str]:
    """The networks that the container is in."""
    return [endpoint.network for endpoint in container(host).endpoints]


def moves(host: MemoryHost) -> int:
    """Those on record."""
    return len(list(host.services.cache.every(Move)))


async def test_the_next_pass_puts_the_container_back_and_it_names_its_address() -> None:
    """The address stays its own meanwhile, though the engine tells that it left."""
    host = await left_in_the_middle()
    await keeping(host).watching.heed(EngineEvent(EventKind.DISCONNECTED, DB, 1, A))
    lease = lease_of(host, ADDRESS)
    assert lease is not None
    assert (lease.state, lease.holders) == (State.FIXED, frozenset({DB}))
    await keeping(host).container_reconciler.once()
    assert (places(host), wanted(host, DB), moves(host)) == ([A], [ADDRESS], 0)
    assert [event.what for event in host.engine._events][-1] is EventKind.CONNECTED


async def test_who_was_put_back_by_somebody_else_or_is_gone_is_not_touched() -> None:
    """By hand, or removed, or its network was."""
    host = await left_in_the_middle()
    place = host.engine._containers[DB]
    host.engine.remove(DB)
    await keeping(host).container_reconciler.once()
    assert moves(host) == 0
    for undo in ("network", "hand"):
        host = await left_in_the_middle()
        if undo == "network":
            host.engine.networks.clear()
        else:
            await host.engine.put_back(DB, A, "web", [])
        await keeping(host).container_reconciler.once()
        assert (moves(host), wanted(host, DB)) == (0, [])
    assert place.id == DB


async def test_what_the_engine_refuses_is_a_finding_until_it_does_not() -> None:
    """With its words, and what to do."""
    host = await left_in_the_middle()
    host.engine.refuses = "address already in use"
    findings = await keeping(host).container_reconciler.once()
    (finding,) = [each for each in findings if each.subject.startswith("move ")]
    assert "cannot be reconnected to network a00000000000" in finding.text
    assert finding.remedy.startswith("fix the cause, then `docker network connect a00000000000 dddddddddddd`")
    host.engine.refuses = ""
    assert [each for each in await keeping(host).container_reconciler.once() if each.subject.startswith("move ")] == []
    assert places(host) == [A]


async def test_an_end_and_a_refusal_leave_no_move() -> None:
    """And two at once are one."""
    host = await typed()
    run_container(host, DB, "db", "e1", ADDRESS)
    reattachment = keeping(host).reattachment
    host.engine.refuses = "no"
    with pytest.raises(Conflict, match="Docker refuses: no"):
        await reattachment.reconnect(DB, A, [ip_address(ADDRESS)])
    host.engine.refuses = ""
    assert (moves(host), places(host)) == (0, [A])
    await reattachment.reconnect(DB, A, [ip_address(ADDRESS)])
    assert (moves(host), wanted(host, DB)) == (0, [ADDRESS])
    host = await left_in_the_middle()
    with pytest.raises(Conflict, match="already being connected to network a00000000000"):
        await keeping(host).reattachment.reconnect(DB, A, [])
