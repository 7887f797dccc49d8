"""A death at every step of what is done in a tenant's routing domain: what is left is made whole or goes, and the other
tenant, which has the same subnet, the same addresses and a port of its own, never notices.

Each operation is cut off at its first commit or op of the kernel, then at its second, and so on, before or after that
took effect. A dead process does nothing more, whatever its handlers try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from mooring.core.faults import Fault
from mooring.core.networks import Network
from mooring.core.plumbing import Domain, Fact, Op, Route, Veth, domain_of
from mooring.core.pools import Pool
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.ports import Transaction
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost, separate_network
from tests.sweeps import sweep

BLUE = 1


class Death(BaseException):
    """kill -9."""


class Fate:
    """It strikes at the step of that number, before it takes effect or after; 0: never."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.at, self.after, self.steps, self.dead = at, after, 0, False

    async def step(self, take_effect: Callable[[], Awaitable[int | None]]) -> int | None:
        """One step more."""
        self.steps += 1
        fatal = self.steps == self.at
        if self.dead or (fatal and not self.after):
            self.dead = True
            raise Death
        done = await take_effect()
        if fatal:
            self.dead = True
            raise Death
        return done


class MortalStore(MemoryStore):
    """Each commit is a step."""

    fate = Fate()

    async def commit(self, transaction: Transaction) -> int:
        """As a store does, until it is time to die."""
        revision = await self.fate.step(lambda: MemoryStore.commit(self, transaction))
        assert revision is not None
        return revision


class MortalKernel(MemoryKernel):
    """Each op is a step, and so is each link that is discarded; death leaves what was done."""

    fate = Fate()

    async def apply(self, ops: Sequence[Op]) -> None:
        """As a kernel does, until it is time to die."""
        earlier = dict(self.facts)
        try:
            for op in ops:
                await self.fate.step(lambda op=op: MemoryKernel.apply(self, [op]))  # type: ignore[misc]
        except Fault:
            self.facts = earlier
            raise

    async def discard(self, links: Sequence[str], domain: int = 0) -> None:
        """As a kernel does, until it is time to die."""
        for link in links:
            await self.fate.step(lambda link=link: MemoryKernel.discard(self, [link], domain))  # type: ignore[misc]


class Scene:
    """Blue has a network with a container and a port; red is what everything is done to."""

    def __init__(self) -> None:
        self.host = MemoryHost(separate_tenants=True)
        self.store, self.kernel = MortalStore(), MortalKernel()
        self.host.store, self.host.kernel = self.store, self.kernel

    async def begin(self) -> Scene:
        """Before anything is done."""
        await self.host.restart()
        await self.network("b", "blue")
        await self.endpoint("b", 8081)
        self.blue = self.of_blue()
        assert len(self.blue) > 10
        return self

    async def network(self, name: str, tenant: str, subnet: str = "10.32.0.0/24") -> None:
        """As docker network create."""
        access = {"host_access": "addresses"} if tenant == "red" else {}
        await separate_network(self.host, name, tenant, subnet, **access)
        self.host.engine.networks.add(name * 64)

    async def endpoint(self, network: str, port: int) -> None:
        """As docker run -p."""
        await self.host.endpoint(network * 64, f"e{network}", ports=(PortRequest(Protocol.TCP, 80, None, port, port),))
        self.kernel.lived_in.add(f"mv-e{network}0000000000")

    async def end_endpoint(self, network: str) -> None:
        """As docker rm -f."""
        self.kernel.lived_in.discard(f"mv-e{network}0000000000")
        await self.host.services.endpoints.detach(network * 64, f"e{network}".ljust(64, "0"))
        await self.host.services.endpoints.delete(network * 64, f"e{network}".ljust(64, "0"))

    async def end_network(self, network: str) -> None:
        """As docker network rm."""
        self.host.engine.networks.discard(network * 64)
        await self.host.services.networks.delete(network * 64)

    def of_blue(self) -> set[Fact]:
        """All that the kernel has of it."""
        mine = {Domain(BLUE).key, ("member", "bridges", f'"mt-{BLUE}"')}
        return {
            replace(fact, living=False) if isinstance(fact, Veth) else fact
            for fact in self.host.facts
            if domain_of(fact) == BLUE or fact.key in mine or "8081" in " ".join(fact.key)
        }

    async def dies_in(self, operation: Callable[[], Awaitable[None]], fate: Fate) -> bool:
        """The operation is cut off, and the daemon is back; False when it was over before."""
        self.store.fate = self.kernel.fate = fate
        with suppress(Death):
            await operation()
        assert fate.dead is (fate.steps >= fate.at)
        self.store.fate = self.kernel.fate = Fate()
        await self.host.restart()
        return fate.dead

    async def settles(self) -> None:
        """What the records say is what the kernel has, in two passes, with nothing to tell."""
        for _ in range(2):
            report = await self.host.services.repair.once()
            assert not report.findings
        assert not (await self.host.services.repair.once()).repaired
        assert self.of_blue() == self.blue
        cache = self.host.services.cache
        domains = {network.domain: network.tenant for network in cache.every(Network)}
        assert {fact.number for fact in self.host.facts if isinstance(fact, Domain)} == set(domains)
        assert domains[BLUE] == "blue"
        wanted = {s.subnet for n in cache.every(Network) if n.tenant == "red" for s in n.segments}
        assert {fact.subnet for fact in self.host.facts if isinstance(fact, Route)} == wanted

    async def ends(self) -> None:
        """Docker takes away what it does not have: nothing of red is left, and it may begin anew."""
        cache, ipam = self.host.services.cache, self.host.services.ipam
        for network in [each for each in cache.every(Network) if each.tenant == "red"]:
            await self.host.services.networks.delete(network.id)
        for pool in [each for each in cache.every(Pool) if each.space == "red"]:
            await ipam.release_pool(pool.id)
        await self.settles()
        assert {fact.number for fact in self.host.facts if isinstance(fact, Domain)} == {BLUE}
        await self.network("a", "red")
        await self.endpoint("a", 8080)
        await self.settles()


async def make_first(scene: Scene) -> Callable[[], Awaitable[None]]:
    """The first network of the tenant, with its domain and the host's route."""
    return lambda: scene.network("a", "red")


async def make_second(scene: Scene) -> Callable[[], Awaitable[None]]:
    """Into a domain that is there."""
    await scene.network("a", "red")
    return lambda: scene.network("c", "red", "10.33.0.0/24")


async def make_endpoint(scene: Scene) -> Callable[[], Awaitable[None]]:
    """With a published port."""
    await scene.network("a", "red")
    return lambda: scene.endpoint("a", 8080)


async def end_endpoint(scene: Scene) -> Callable[[], Awaitable[None]]:
    """With what it published."""
    await scene.network("a", "red")
    await scene.endpoint("a", 8080)
    return lambda: scene.end_endpoint("a")


async def end_last(scene: Scene) -> Callable[[], Awaitable[None]]:
    """With the domain."""
    await scene.network("a", "red")
    return lambda: scene.end_network("a")


async def end_one(scene: Scene) -> Callable[[], Awaitable[None]]:
    """The domain stays."""
    await scene.network("a", "red")
    await scene.network("c", "red", "10.33.0.0/24")
    return lambda: scene.end_network("a")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("begin", [make_first, make_second, make_endpoint, end_endpoint, end_last, end_one])
async def test_a_death_at_any_step_leaves_a_tenant_whole_or_gone(
    begin: Callable[[Scene], Awaitable[Callable[[], Awaitable[None]]]], after: bool
) -> None:
    """And its neighbour as it was."""
    for at in sweep(1, after):
        scene = await Scene().begin()
        operation = await begin(scene)
        struck = await scene.dies_in(operation, Fate(at, after=after))
        await scene.settles()
        await scene.ends()
        if not struck:
            break
    assert at > 3


@pytest.mark.parametrize("begin", [make_first, make_second, make_endpoint])
async def test_a_refusal_at_any_step_leaves_nothing(
    begin: Callable[[Scene], Awaitable[Callable[[], Awaitable[None]]]],
) -> None:
    """Of the kernel, while the daemon goes on: the request fails and all is as before it, or it was tried again."""
    for at in sweep(1):
        scene = await Scene().begin()
        operation = await begin(scene)
        before, records = set(scene.host.facts), len(scene.host.store.records)
        left = [at]

        async def refuse(op: Op, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Fault(f"no {op}")

        scene.kernel.before = refuse
        refused = False
        try:
            await operation()
        except Fault:
            refused = True
        scene.kernel.before = None
        await scene.settles()
        if refused:
            assert before <= scene.host.facts
            assert len(scene.host.store.records) <= records + 1  # an address that cools, of an endpoint that failed
        await scene.ends()
        if left[0] > 0:
            break
    assert at >= 3
