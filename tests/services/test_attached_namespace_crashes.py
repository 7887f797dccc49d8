"""A death of the daemon at every step of attaching and detaching a namespace: what is left is made whole by the next
call, or goes by itself; what lives stays."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_interface

import pytest

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.leases import State
from mooring.core.namespace_views import NamespaceView
from mooring.core.plumbing import Inside, Veth
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.services.operations.attached_namespaces import Namespace
from tests.services.holder_hosts import HolderHost
from tests.services.operators import operate
from tests.services.test_tenant_crashes import Death, Fate, MortalKernel, MortalStore
from tests.sweeps import sweep

LAB = Namespace("boot:1", "lab-1")


class Scene:
    """A host with a network, whose daemon may die."""

    def __init__(self) -> None:
        self.host = HolderHost()
        self.host.store, self.host.kernel = MortalStore(), MortalKernel()
        self.host.services = self.host._assemble()

    async def attach(self) -> NamespaceView:
        """As the command does, which lives."""
        namespaces = operate(self.host).attached_namespaces
        view = await namespaces.attach(LAB, "web", [])
        if ("veth", host_end(view.endpoint)) in self.host.kernel.facts:
            (interface,) = view.interfaces
            inside = Inside(interface.mac, tuple(map(ip_interface, interface.addresses)))
            self.host.kernel.inside[host_end(view.endpoint)] = inside
        await namespaces.confirm(LAB.identity, "web")
        return view

    async def detach(self) -> NamespaceView:
        """The same."""
        return await operate(self.host).attached_namespaces.detach(LAB, "web")

    async def dies_at(self, step: int, after: bool, what: str) -> bool:
        """Whether the daemon died in the middle of what it did, and is back."""
        await self.host.serve("web")
        self.host.engine.names["web".ljust(64, "0")] = "web"
        if what == "detach":
            await self.attach()
        fate = Fate(step, after=after)
        self.host.store.fate = self.host.kernel.fate = fate  # type: ignore[attr-defined]
        with suppress(Death):
            await (self.attach() if what == "attach" else self.detach())
        self.host.store.fate = self.host.kernel.fate = Fate()  # type: ignore[attr-defined]
        await self.host.restart()
        restored = self.host.services.restored_store
        assert restored is not None
        await restored.at_start()
        return fate.dead

    def left(self) -> tuple[int, int, int]:
        """Interfaces, endpoints, and leases in use."""
        cache = self.host.services.cache
        veths = sum(isinstance(fact, Veth) for fact in self.host.kernel.facts.values())
        network = self.host.known("web".ljust(64, "0"))
        leases = self.host.services.ipam.index.leases(network.ipv4[0].pool)
        return veths, cache.count(Endpoint), sum(lease.state is State.DYNAMIC for lease in leases)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("what", ["attach", "detach"])
async def test_nothing_half_is_left_of_a_death_at_any_step(what: str, after: bool) -> None:
    """All of it or nothing, by itself; and whichever is wanted by asking again."""
    for step in sweep(1, after):
        for again in ("", "attach", "detach"):
            scene = Scene()
            deaths = await scene.dies_at(step, after, what)
            if again:
                await (scene.attach() if again == "attach" else scene.detach())
            for _ in range(3):
                await scene.host.services.repair.once()
                scene.host.clock.advance(MINIMUM_AGE + 1)
            left = scene.left()
            assert left in {"": ((0, 0, 0), (1, 1, 1)), "attach": ((1, 1, 1),), "detach": ((0, 0, 0),)}[again], step
        if not deaths:
            break
    assert step > 3
