"""Fixed addresses over any life of containers: made, refused, run, moved, removed, unheard, with a store that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.intents import Intent
from mooring.core.leases import Lease, State
from mooring.services.containers import engine_upgrades
from mooring.services.containers.container_specs import CONNECT_MACS
from mooring.testing.memory_store import When
from tests.services import holder_invariants as invariants
from tests.services.holder_houses import HolderHouse, granted

T = TypeVar("T")

NETWORKS = {"web": {}, "back": {}, "own": {"sticky": "container"}, "names": {"sticky": "name"}}
NAMES = st.sampled_from(["a", "b", "c", "d"])
LABELS = st.sampled_from(
    [
        {},
        {"fixed-ip": ""},
        {"fixed-ip": ""},
        {"mooring.key": "k"},
        {"mooring.key": "k", "fixed-ip": "1"},
        {"fixed-ip": "0"},
    ]
)
PLACES = st.lists(st.sampled_from([*NETWORKS]), min_size=1, max_size=2, unique=True)
# An offset in the subnet, or none.
WISHED = st.sampled_from([0, 0, 0, 0, 2, 3, 4, 5])
# At which commit of the step the store fails, and how.
FAILING = st.sampled_from([None] * 8 + [(at, when) for at in range(4) for when in When])
VERSIONS = st.sampled_from([(1, 41), (1, 44), (1, 44)])
HEARD = st.booleans()
# Of a connect: a MAC counts from 1.54 on, and tools copy one in any version.
CONNECTS = st.sampled_from([(1, 41), (1, 44), (1, 54), (1, 54)])
EDITIONS = st.sampled_from([(28, 5), (28, 5), (29, 0), (29, 1)])
# What becomes of a create or connect: it is done, refused, or nobody learns of it.
ENDS = st.sampled_from(["done", "done", "done", "refused", "lost", "lost and not done"])


class HolderMachine(RuleBasedStateMachine):
    """Drives a house; what must hold follows from the engine's containers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.house = HolderHouse(True, False)
        self.sound = False

    def teardown(self) -> None:
        """Whatever happened: when all containers are gone, nothing is left."""
        try:
            if self.sound:
                self.run(self.empty())
        finally:
            self.runner.close()

    def run(self, work: Awaitable[T]) -> T:
        """Do it on the machine's loop."""

        async def waited() -> T:
            return await work

        return self.runner.run(waited())

    @initialize(typed=st.booleans(), edition=EDITIONS, policy=st.sampled_from(["explicit", "holders"]))
    def begin(self, typed: bool, edition: tuple[int, int], policy: str) -> None:
        """Networks of each kind."""
        self.house, self.policy = HolderHouse(typed, edition >= (29, 0)), policy
        self.house.engine.edition = edition
        self.house.engine.version = engine_upgrades.NAMES if self.house.tells_names else (1, 51)
        self.run(self.house.start())
        for name, raw in NETWORKS.items():
            self.run(self.house.add_network(name, policy, **raw))

    def step(self, work: Awaitable[None], failing: tuple[int, When] | None, heard: bool) -> None:
        """Do it, with a commit that fails; then the events come, or do not."""
        if failing is not None:
            self.house.store.fail_at(*failing)
        self.run(work)
        self.house.store.calm()
        self.run(self.house.hear(lost=not heard))

    # -- containers -------------------------------------------------------------------------------------------------

    @rule(
        name=NAMES, labels=LABELS, places=PLACES, requested=WISHED, end=ENDS, version=VERSIONS, failing=FAILING,
        heard=HEARD,
    )  # fmt: skip
    def create(self, name, labels, places, requested, end, version, failing, heard) -> None:  # type: ignore[no-untyped-def]
        """`docker create`, through the proxy."""
        wishes = [
            EndpointConfig(place, *self.requested(place, requested if at == 0 else 0))
            for at, place in enumerate(places)
        ]
        spec = ContainerSpec(labels, places[0], tuple(wishes))
        self.step(self.created(name, spec, end, version), failing, heard)

    @rule(old=NAMES, name=NAMES, end=ENDS, failing=FAILING, heard=HEARD)
    def recreate(self, old: str, name: str, end: str, failing: tuple[int, When] | None, heard: bool) -> None:
        """A container with the configuration of another one, as tools make it."""
        model = self.house.named(old)
        if model is not None and all(self.house.network_of(endpoint) for endpoint in model.endpoints):
            endpoints = [
                EndpointConfig(
                    endpoint.name, str(endpoint.wanted4 or ""), str(endpoint.wanted6 or ""), endpoint.wanted_mac
                )
                for endpoint in model.endpoints
            ]
            spec = ContainerSpec(dict(model.labels), endpoints[0].network if endpoints else "", tuple(endpoints))
            self.step(self.created(name, spec, end, (1, 44)), failing, heard)

    @rule(name=NAMES, labels=LABELS, places=PLACES, requested=WISHED, heard=HEARD)
    def create_unseen(self, name: str, labels: dict[str, str], places: list[str], requested: int, heard: bool) -> None:
        """`docker create`, at the engine's own socket."""
        if self.house.named(name) is None and all(map(self.house.full, places)):
            wishes = [
                EndpointConfig(place, *self.requested(place, requested if at == 0 else 0))
                for at, place in enumerate(places)
            ]
            self.house.make(name, ContainerSpec(labels, places[0], tuple(wishes)), None)
            self.run(self.house.hear(lost=not heard))

    def requested(self, network: str, offset: int) -> tuple[str, ...]:
        """The IPv4 address with the offset; docker takes it where the subnet was typed only."""
        full = self.house.full(network)
        if not offset or not full or not self.house.typed:
            return ()
        return (str(self.house.known(full).ipv4[0].subnet[offset]),)

    async def created(self, name: str, spec: ContainerSpec, end: str, version: tuple[int, int]) -> None:
        """The proxy's part, and the engine's."""
        house, controller = self.house, self.house.keeping.controller
        before = house.leases()
        try:
            admission = await controller.create(name, spec, version)
        except Fault:
            return
        invariants.check_grants(self.house, name, spec, admission, before)
        refused = end in ("refused", "lost and not done") or house.named(name) is not None
        made = (
            None
            if refused or not all(house.full(endpoint.network) for endpoint in spec.endpoints)
            else house.make(name, spec, admission)
        )
        if admission is not None:
            await self.finish(admission.intent, made, lost=end.startswith("lost"))

    async def finish(self, intent: Intent, made: Container | None, lost: bool) -> None:
        """As the gate does it (servers/proxy/address_hook.py)."""
        controller = self.house.keeping.controller
        try:
            if lost:
                controller.leave_open(intent)
            elif made is not None:
                await controller.complete(intent, made.id)
            else:
                await controller.roll_back(intent)
        except Fault:
            controller.leave_open(intent)

    @rule(name=NAMES, failing=FAILING, heard=HEARD)
    def start(self, name: str, failing: tuple[int, When] | None, heard: bool) -> None:
        """It gets what it holds, if it can prove who it is and nothing fails."""
        container = self.house.named(name)
        if container is None or container.running:
            return
        held = {lease.address: lease for _, lease in self.house.services.holders.held_by(container.id)}

        async def started() -> None:
            if await self.house.start_container(container):
                invariants.check_start(self.house, container, held)

        self.step(started(), failing, heard)

    @rule(name=NAMES, failing=FAILING, heard=HEARD)
    def stop(self, name: str, failing: tuple[int, When] | None, heard: bool) -> None:
        """It ends, and keeps what it holds."""
        container = self.house.named(name)
        if container is not None and container.running:
            self.step(self.house.stop_container(container), failing, heard)

    @rule(heard=HEARD)
    def restart_all(self, heard: bool) -> None:
        """Every container that runs stops and starts: what it cannot prove, it may lose, and holds no more."""
        for name in [container.name for container in self.house.containers if container.running]:
            self.stop(name, None, heard)
            self.start(name, None, heard)

    @rule(name=NAMES, end=st.sampled_from(["done", "done", "lost", "refused", "unseen"]), failing=FAILING, heard=HEARD)
    def remove(self, name: str, end: str, failing: tuple[int, When] | None, heard: bool) -> None:
        """`docker rm -f`, through the proxy or at the engine's own socket."""
        container = self.house.named(name)
        if container is not None:
            self.step(self.removed(container, end), failing, heard)

    async def removed(self, container: Container, end: str) -> None:
        """The proxy's part, and the engine's."""
        controller = self.house.keeping.controller
        intent = await controller.removal(container.name) if end != "unseen" else None
        if end != "refused":
            if container.running:
                await self.house.stop_container(container)
            self.house.engine.remove(container.id)
        await self.departed(intent, end == "lost")

    async def departed(self, intent: Intent | None, lost: bool) -> None:
        """As the gate does it."""
        if intent is None:
            return
        try:
            if lost:
                self.house.keeping.controller.leave_open(intent)
            else:
                await self.house.keeping.controller.departed(intent)
        except Fault:
            self.house.keeping.controller.leave_open(intent)

    @rule(lost=st.booleans(), failing=FAILING, heard=HEARD)
    def prune(self, lost: bool, failing: tuple[int, When] | None, heard: bool) -> None:
        """All that do not run."""

        async def pruned() -> None:
            gone = [container.id for container in self.house.containers if not container.running]
            for ident in gone:
                self.house.engine.remove(ident)
            with suppress(Fault):
                await self.house.keeping.controller.pruned([] if lost else gone)

        self.step(pruned(), failing, heard)

    @rule(name=NAMES, new=NAMES, heard=HEARD)
    def rename(self, name: str, new: str, heard: bool) -> None:
        """The id and the addresses stay."""
        container = self.house.named(name)
        if container is not None and self.house.named(new) is None:
            self.house.engine.rename(container.id, new)
            self.run(self.house.hear(lost=not heard))

    # -- networks ---------------------------------------------------------------------------------------------------

    @rule(
        name=NAMES,
        network=st.sampled_from([*NETWORKS]),
        requested=WISHED,
        end=ENDS,
        version=st.none() | CONNECTS,
        copied=st.booleans(),
        failing=FAILING,
        heard=HEARD,
    )
    def connect(self, name, network, requested, end, version, copied, failing, heard) -> None:  # type: ignore[no-untyped-def]
        """One network more, for a container that runs or does not; without a version at the engine's own socket."""
        container = self.house.named(name)
        if container is not None and self.house.full(network) not in {
            endpoint.network for endpoint in container.endpoints
        }:
            address, *_ = (*self.requested(network, requested), "")
            spec = EndpointConfig(network, address, mac=self.somebodys_mac(network) if copied else "")
            self.step(self.connected(container, spec, end, version), failing, heard)

    def somebodys_mac(self, network: str) -> str:
        """The MAC that a tool copies from a container which has or had it in the network."""
        here = self.house.full(network)
        leases = [lease for lease in self.house.leases().values() if self.house.network_named(lease) == here]
        return next((lease.mac for lease in leases if lease.mac), "")

    async def connected(
        self, container: Container, spec: EndpointConfig, end: str, version: tuple[int, int] | None
    ) -> None:  # fmt: skip
        """The proxy's part, and the engine's, which uses no MAC below 1.54."""
        house, admission = self.house, None
        if version is not None:
            try:
                admission = await house.keeping.controller.connect(spec.network, container.name, spec, version)
            except Fault:
                return
        uses_mac = version is not None and version >= CONNECT_MACS
        endpoint = ContainerEndpoint(house.full(spec.network), spec.network, wanted_mac=spec.mac if uses_mac else "")
        if spec.ipv4:
            endpoint = granted(
                endpoint,
                *((address := house.known(endpoint.network).ipv4[0].subnet[int(spec.ipv4.rpartition(".")[2])]), None),
                endpoint.wanted_mac,
                frozenset({address}),
            )
        if admission is not None:
            (grant,) = admission.grants.values()
            assert not grant.mac or uses_mac, grant
            endpoint = granted(endpoint, grant.ipv4, grant.ipv6, grant.mac, grant.nameable)
        made: Container | None = None
        if end not in ("refused", "lost and not done"):
            with suppress(Fault):
                house.engine.connect(
                    container.id, await house.plug_in(container, endpoint) if container.running else endpoint
                )
                made = container
        if admission is not None:
            await self.finish(admission.intent, made, lost=end.startswith("lost"))

    @rule(
        name=NAMES,
        network=st.sampled_from([*NETWORKS]),
        end=st.sampled_from(["done", "lost", "refused", "unseen"]),
        failing=FAILING,
        heard=HEARD,
    )
    def disconnect(self, name: str, network: str, end: str, failing: tuple[int, When] | None, heard: bool) -> None:
        """One network less."""
        container = self.house.named(name)
        endpoint = (
            next((endpoint for endpoint in container.endpoints if endpoint.name == network), None)
            if container is not None
            else None
        )
        if container is not None and endpoint is not None:
            self.step(self.disconnected(container, endpoint, end), failing, heard)

    async def disconnected(self, container: Container, endpoint: ContainerEndpoint, end: str) -> None:
        """The proxy's part, and the engine's."""
        intent = (
            await self.house.keeping.controller.disconnection(endpoint.name, container.id[:20])
            if end != "unseen"
            else None
        )
        if end != "refused":
            if endpoint.endpoint:
                await self.house.pull(endpoint)
            self.house.engine.disconnect(container.id, endpoint.network)
        await self.departed(intent, end == "lost")

    @rule(name=st.sampled_from([*NETWORKS]), failing=FAILING)
    def remake_network(self, name: str, failing: tuple[int, When] | None) -> None:
        """`docker network rm`, and another one with the name."""

        async def remade() -> None:
            await self.house.remove_network(name)
            self.house.store.calm()
            if not self.house.full(name):
                await self.house.add_network(name, self.policy, **NETWORKS[name])

        self.step(remade(), failing, True)

    # -- and ourselves ----------------------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        """The daemon died, and hears what the engine remembers."""
        self.run(self.house.restart())
        self.run(self.house.hear(again=True))

    @rule(failing=FAILING, seconds=st.sampled_from([0, 3, 130, 100_000]), eager=st.booleans())
    def reconcile(self, failing: tuple[int, When] | None, seconds: int, eager: bool) -> None:
        """A pass, some time later."""
        self.house.clock.advance(seconds)

        async def passed() -> None:
            await self.house.keeping.container_reconciler.once(eager)
            with suppress(Fault):
                await self.house.services.ipam.sweep()

        self.step(passed(), failing, True)

    # -- what is true -----------------------------------------------------------------------------------------------

    @invariant()
    def nobody_loses_what_it_uses(self) -> None:
        """Whoever runs has its addresses alone, by our records too, and holds one of a family in each network."""
        self.sound = False
        invariants.check_users(self.house)
        invariants.check_one_each(self.house)
        self.sound = True

    @rule()
    @precondition(lambda self: self.house.containers)
    def settle(self) -> None:
        """After some passes holders are who names the address, or has it and is to keep it."""
        self.run(self.house.settle())
        invariants.check_holders(self.house)
        invariants.check_wishes(self.house)

    async def empty(self) -> None:
        """Nobody is left, and all time is over: no record but those of networks."""
        for container in self.house.containers:
            await self.removed(container, "unseen")
        await self.house.settle()
        self.house.clock.advance(1_000_000)
        await self.house.services.ipam.sweep()
        cache = self.house.services.cache
        assert [lease for lease in cache.every(Lease) if lease.state is not State.GATEWAY] == []
        assert (cache.count(Holder), cache.count(Intent), cache.count(Endpoint)) == (0, 0, 0)
        assert not self.house.services.holders.any


class LongMachine(HolderMachine):
    """The same, for the slow tier."""


LIMITS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
TestSome = HolderMachine.TestCase
TestSome.settings = settings(LIMITS, max_examples=15, stateful_step_count=20)
TestMany = pytest.mark.slow(LongMachine.TestCase)
TestMany.settings = settings(LIMITS, max_examples=300, stateful_step_count=40)
