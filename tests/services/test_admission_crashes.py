"""A death at every step of create, connect, disconnect, remove and prune: nothing leaks, and nobody loses anything.

Each operation is cut off at its first commit or question to the engine, then at its second, and so on, before or after
that took effect; the daemon starts again, looks around, and holds exactly what the engine's containers name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.intents import Intent
from mooring.core.leases import Lease, State
from mooring.ports import Transaction
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_store import MemoryStore, When
from tests.services import holder_invariants as invariants
from tests.services.holder_hosts import HolderHost, ident
from tests.services.holder_houses import HolderHouse
from tests.sweeps import sweep


class Death(BaseException):
    """kill -9."""


@dataclass
class Fate:
    """When it strikes: at the step of that number, before it takes effect or after."""

    at: int = 0
    after: bool = False
    steps: int = field(default=0, init=False)

    def step(self) -> bool:
        """One step more; whether this is the fatal one."""
        self.steps += 1
        return self.at == self.steps


class MortalStore(MemoryStore):
    """Dies around a commit."""

    fate = Fate()

    async def commit(self, transaction: Transaction) -> int:
        """As a store does, unless it is time to die."""
        fatal = self.fate.step()
        if fatal and not self.fate.after:
            raise Death
        revision = await super().commit(transaction)
        if fatal:
            raise Death
        return revision


class MortalEngine(MemoryEngine):
    """Dies around a question for a container."""

    fate = Fate()

    async def container(self, reference: str) -> Container | None:
        """As an engine does, unless it is time to die."""
        if self.fate.step():
            raise Death
        return await super().container(reference)


class MortalHost(HolderHost):
    """A host on which everything shares one fate."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.store, self.engine, self.fate = MortalStore(), MortalEngine(), Fate()
        self.services = self._assemble()
        self._wanted = fate

    def arm(self) -> None:
        """From now on steps count."""
        assert isinstance(self.store, MortalStore)
        assert isinstance(self.engine, MortalEngine)
        self.store.fate = self.engine.fate = self.fate = self._wanted

    def disarm(self) -> None:
        """Nobody dies any more."""
        assert isinstance(self.store, MortalStore)
        assert isinstance(self.engine, MortalEngine)
        self.store.fate = self.engine.fate = Fate()


async def create(host: HolderHost) -> None:
    """A container in two networks."""
    await host.docker_create("new", "web", "back")


async def create_successor(host: HolderHost) -> None:
    """A container with the address of one that is there."""
    address = next(address for address, holders in host.fixed().items() if holders == {"old"})
    spec = host.spec("web", ipv4=address)
    admission = await host.keeping.controller.create("new", spec, (1, 44))
    host.engine_creates("new", spec, admission)
    assert admission is not None
    await host.keeping.controller.complete(admission.intent, ident("new"))


async def create_refused(host: HolderHost) -> None:
    """A create that the engine refuses."""
    admission = await host.keeping.controller.create("new", host.spec("web", "back"), (1, 44))
    assert admission is not None
    await host.keeping.controller.roll_back(admission.intent)


async def connect(host: HolderHost) -> None:
    """One network more."""
    admission = await host.keeping.controller.connect("back", "old", EndpointConfig(""), (1, 44))
    assert admission is not None
    (grant,) = admission.grants.values()
    host.engine.connect(
        ident("old"), ContainerEndpoint(host.full("back"), "back", wanted4=grant.ipv4, wanted_mac=grant.mac)
    )
    await host.keeping.controller.complete(admission.intent, admission.intent.container)


async def disconnect(host: HolderHost) -> None:
    """One network less."""
    intent = await host.keeping.controller.disconnection("web", "both")
    host.engine.disconnect(ident("both"), host.full("web"))
    if intent is not None:
        await host.keeping.controller.departed(intent)


async def remove(host: HolderHost) -> None:
    """A removal."""
    await host.docker_remove("both")


async def remove_refused(host: HolderHost) -> None:
    """A removal that the engine refuses."""
    intent = await host.keeping.controller.removal("both")
    if intent is not None:
        await host.keeping.controller.departed(intent)


async def prune(host: HolderHost) -> None:
    """Both stopped ones."""
    for name in ("old", "both"):
        host.engine.remove(ident(name))
    await host.keeping.controller.pruned([ident("old"), ident("both")])


OPERATIONS: list[Callable[[HolderHost], Awaitable[None]]] = [
    create, create_successor, create_refused, connect, disconnect, remove, remove_refused, prune,
]  # fmt: skip


async def run_once(operation: Callable[[HolderHost], Awaitable[None]], fate: Fate) -> MortalHost:
    """The operation on a host with two containers, cut off as fate has it, and the start after that."""
    host = MortalHost(fate)
    await host.serve("web", "back")
    await host.docker_create("old", "web")
    await host.docker_create("both", "web", "back")
    host.arm()
    try:
        await operation(host)
    except Death:
        host.disarm()
        await host.restart()
    host.disarm()
    for _ in range(4):
        host.clock.advance(100)
        await host.keeping.container_reconciler.once()
    return host


def named(host: HolderHost) -> set[tuple[str, str]]:
    """(address, container) of everything that the engine's containers name."""
    return {
        (str(address), container.name)
        for container in host.engine._containers.values()
        for endpoint in container.endpoints
        for address in endpoint.wanted
    }


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_a_death_at_any_step_leaves_what_the_engine_has(
    operation: Callable[[HolderHost], Awaitable[None]], after: bool
) -> None:
    """Holders are exactly the containers whose configuration names the address; no intent and no stray record is
    left; what nobody names is not fixed."""
    for number in sweep(1, after):
        fate = Fate(number, after)
        host = await run_once(operation, fate)
        died = fate.steps >= number
        held = {(address, name) for address, holders in host.fixed().items() for name in holders}
        assert held == named(host), f"step {number}"
        assert host.services.cache.count(Intent) == 0, f"step {number}"
        holding = {holder for lease in host.services.cache.every(Lease) for holder in lease.holders}
        assert {holder.id for holder in host.services.cache.every(Holder)} == holding
        assert all(lease.state is not State.DYNAMIC for lease in host.services.cache.every(Lease))
        if not died:
            break
    assert number > 1


@pytest.mark.parametrize("at", range(5))
async def test_a_stop_that_the_store_refused_in_part_keeps_nobody_from_starting(at: int) -> None:
    """Whichever commit of it failed: what no endpoint has is given back in time, and the container has it again."""
    house = HolderHouse(True, False)
    await house.start()
    await house.add_network("web", "explicit")
    spec = ContainerSpec({"fixed-ip": ""}, "web", (EndpointConfig("web"),))
    admission = await house.keeping.controller.create("db", spec, (1, 44))
    made = house.make("db", spec, admission)
    assert admission is not None
    await house.keeping.controller.complete(admission.intent, made.id)
    assert await house.start_container(made)
    house.store.fail_at(at, When.BEFORE)
    await house.stop_container(house.containers[0])
    await house.settle()
    assert await house.start_container(house.containers[0])
    invariants.check_users(house)
    invariants.check_holders(house)
