"""Which bridges of the host are a way out, over the memory kernel."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.plumbing import Member
from mooring.services.drivers.uplinks import SETTLED, Uplinks
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_kernel import MemoryKernel


def made(asks: bool = True, **bridges: bool) -> tuple[Uplinks, MemoryKernel, ManualClock]:
    """Over a host with these bridges. asks: there is an engine."""
    kernel, clock = MemoryKernel(), ManualClock()
    kernel.bridges = bridges
    return Uplinks(kernel, clock, asks), kernel, clock


async def test_what_leads_somewhere_is_a_way_out_at_once() -> None:
    """Unless the engine lists it, or it is one of the two that are always Docker's."""
    uplinks, kernel, clock = made(br0=True, lan0=True, plain=False)
    kernel.bridges["docker0"] = True
    assert await uplinks.look() == {"br0", "lan0"}
    uplinks.note_dockers({"lan0"}, clock.boot())
    assert uplinks.names == {"br0"}
    assert await uplinks.look() == {"br0"}


async def test_an_engine_that_was_asked_too_soon_proves_nothing() -> None:
    """It lists a network after it has made the bridge; one that does not answer proves nothing at all."""
    uplinks, _, clock = made(virbr0=False)
    assert await uplinks.look() == set()
    clock.advance(SETTLED * 5)
    assert await uplinks.look() == set()
    uplinks.note_dockers((), clock.boot() - SETTLED * 5 + 1)
    assert await uplinks.look() == set()
    uplinks.note_dockers((), clock.boot())
    assert await uplinks.look() == {"virbr0"}


async def test_a_bridge_that_went_and_came_is_another_one() -> None:
    """Docker may have made it under the same name."""
    uplinks, kernel, clock = made(lan0=False)
    await uplinks.look()
    uplinks.note_dockers((), clock.boot() + SETTLED)
    assert await uplinks.look() == {"lan0"}
    kernel.bridges = {}
    assert await uplinks.look() == set()
    clock.advance(SETTLED)
    kernel.bridges = {"lan0": False}
    assert await uplinks.look() == set()


async def test_what_the_table_has_holds_over_a_restart() -> None:
    """While the engine is silent; but not without the bridge, and not against the engine."""
    uplinks, _, clock = made(virbr0=False, lan0=False)
    told = [Member("uplinks", f'"{name}"') for name in ("virbr0", "lan0", "gone0")]
    assert await uplinks.look(told) == {"virbr0", "lan0"}
    uplinks.note_dockers({"lan0"}, clock.boot())
    assert await uplinks.look(told) == {"virbr0"}


async def test_without_an_engine_names_tell() -> None:
    """The library has nobody to ask."""
    uplinks, kernel, _ = made(asks=False, virbr0=False, docker0=False)
    kernel.bridges["br-0123456789ab"] = False
    kernel.bridges["br-lan"] = False
    assert await uplinks.at_once() == {"virbr0", "br-lan"}


async def test_at_once_looks_but_once_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network must be made also while the kernel cannot be read."""
    uplinks, kernel, _ = made(br0=True)

    async def refuse() -> dict[str, bool]:
        raise Unavailable("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(kernel, "host_bridges", refuse)
        assert await uplinks.at_once() == set()
    assert await uplinks.at_once() == {"br0"}
