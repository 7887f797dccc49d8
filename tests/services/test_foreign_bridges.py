"""Which bridges of the host are a way out, over the memory kernel."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.plumbing import Member
from mooring.services.drivers.foreign_bridges import SETTLED, ForeignBridges
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_kernel import MemoryKernel


def made(asks: bool = True, **bridges: bool) -> tuple[ForeignBridges, MemoryKernel, ManualClock]:
    """Over a host with these bridges. asks: there is an engine."""
    kernel, clock = MemoryKernel(), ManualClock()
    kernel.bridges = bridges
    return ForeignBridges(kernel, clock, asks), kernel, clock


async def test_what_leads_somewhere_is_a_way_out_at_once() -> None:
    """Unless the engine lists it, or it is one of the two that are always Docker's."""
    foreign_bridges, kernel, clock = made(br0=True, lan0=True, plain=False)
    kernel.bridges["docker0"] = True
    assert await foreign_bridges.look() == {"br0", "lan0"}
    foreign_bridges.note_dockers({"lan0"}, clock.boot())
    assert foreign_bridges.names == {"br0"}
    assert await foreign_bridges.look() == {"br0"}


async def test_an_engine_that_was_asked_too_soon_proves_nothing() -> None:
    """It lists a network after it has made the bridge; one that does not answer proves nothing at all."""
    foreign_bridges, _, clock = made(virbr0=False)
    assert await foreign_bridges.look() == set()
    clock.advance(SETTLED * 5)
    assert await foreign_bridges.look() == set()
    foreign_bridges.note_dockers((), clock.boot() - SETTLED * 5 + 1)
    assert await foreign_bridges.look() == set()
    foreign_bridges.note_dockers((), clock.boot())
    assert await foreign_bridges.look() == {"virbr0"}


async def test_a_bridge_that_went_and_came_is_another_one() -> None:
    """Docker may have made it under the same name."""
    foreign_bridges, kernel, clock = made(lan0=False)
    await foreign_bridges.look()
    foreign_bridges.note_dockers((), clock.boot() + SETTLED)
    assert await foreign_bridges.look() == {"lan0"}
    kernel.bridges = {}
    assert await foreign_bridges.look() == set()
    clock.advance(SETTLED)
    kernel.bridges = {"lan0": False}
    assert await foreign_bridges.look() == set()


async def test_what_the_table_has_holds_over_a_restart() -> None:
    """While the engine is silent; but not without the bridge, and not against the engine."""
    foreign_bridges, _, clock = made(virbr0=False, lan0=False)
    told = [Member("uplinks", f'"{name}"') for name in ("virbr0", "lan0", "gone0")]
    assert await foreign_bridges.look(told) == {"virbr0", "lan0"}
    foreign_bridges.note_dockers({"lan0"}, clock.boot())
    assert await foreign_bridges.look(told) == {"virbr0"}


async def test_without_an_engine_names_tell() -> None:
    """The library has nobody to ask."""
    foreign_bridges, kernel, _ = made(asks=False, virbr0=False, docker0=False)
    kernel.bridges["br-0123456789ab"] = False
    kernel.bridges["br-lan"] = False
    assert await foreign_bridges.at_once() == {"virbr0", "br-lan"}


async def test_at_once_looks_but_once_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network must be made also while the kernel cannot be read."""
    foreign_bridges, kernel, _ = made(br0=True)

    async def refuse() -> dict[str, bool]:
        raise Unavailable("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(kernel, "host_bridges", refuse)
        assert await foreign_bridges.at_once() == set()
    assert await foreign_bridges.at_once() == {"br0"}
