"""A death at every write of a fixed address's life in a cluster: of the host's store, and at the servers.

Each operation is cut off at its first write, then at its second, and so on, before or after that took effect; the
daemon starts again, and what hosts keep, what the cluster has and what containers hold is one.
"""

from __future__ import annotations

from asyncio import Event
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

import pytest

from mooring.core.address_claims import HostClaim, Phase
from mooring.core.intents import Intent
from mooring.core.keys import is_ports
from mooring.core.leases import Lease, State
from mooring.core.network_ports import NetworkPort
from mooring.ports import Transaction
from mooring.services.operations.addresses_by_id import Where
from mooring.services.operations.network_ports import PortSpec
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import MemoryStore, When
from tests.services.fixed_hosts import SPACE, FixedHost, FixedWorld, fixed_world
from tests.services.holder_hosts import ident
from tests.services.operators import operate

# Addresses of nobody's block at the beginning.
NOBODYS, RESERVED = "10.0.0.60", "10.0.0.61"


class Death(BaseException):
    """kill -9."""


class Fate:
    """When it strikes: at the write of that number, before it takes effect or after; nothing is written after that."""

    def __init__(self, at: int, after: bool) -> None:
        self.at, self.after = at, after
        self.writes = 0
        self.dead = False

    def check(self, when: When) -> None:
        """A write is about to happen, or has."""
        if self.dead:
            raise Death
        self.writes += when is When.BEFORE
        if self.writes == self.at and (when is When.AFTER) is self.after:
            self.dead = True
            raise Death


class MortalStore(MemoryStore):
    """Dies around a commit."""

    fate: Fate | None = None

    async def commit(self, transaction: Transaction) -> int:
        """As a store does, unless it is time to die."""
        if self.fate is not None:
            self.fate.check(When.BEFORE)
        revision = await super().commit(transaction)
        if self.fate is not None:
            self.fate.check(When.AFTER)
        return revision


async def create(world: FixedWorld) -> None:
    """A container of a key that nobody has."""
    await world.hosts[0].create("new", "new")


async def create_labelled(world: FixedWorld) -> None:
    """One that has its address for itself."""
    await world.hosts[0].create("new")


async def come(world: FixedWorld) -> None:
    """A container of a key that another host has, idle."""
    await world.hosts[0].create("new", "theirs")


async def refused(world: FixedWorld) -> None:
    """The engine says no."""
    host = world.hosts[0]
    admission = await host.keeping.controller.create("new", host.spec("web", labels={"mooring.key": "new"}), (1, 44))
    assert admission is not None
    await host.keeping.controller.roll_back(admission.intent)
    await host.turn()
    await host.turn()


async def other_address(world: FixedWorld) -> None:
    """Its key has another address, until the first container has gone."""
    host = world.hosts[0]
    await host.create("new", "mine", ipv4="10.0.0.9")
    await host.docker_remove("old")
    for _ in range(3):
        await host.turn()


async def run(world: FixedWorld) -> None:
    """Start and stop."""
    host = world.hosts[0]
    address = next(each.address for _, each in host.services.holders.held_by(ident("old")))
    lease = host.lease(address)
    assert lease is not None
    await host.services.ipam.fixed_claims.use(lease)
    world.clock.advance(20.0)
    for _ in range(2):
        await host.turn()


async def remove(world: FixedWorld) -> None:
    """What belonged to it alone is free, everywhere."""
    host = world.hosts[0]
    await host.docker_remove("alone")
    for _ in range(2):
        await host.turn()


async def reserve(world: FixedWorld) -> None:
    """An address that nobody has, and one that somebody uses in this host's own block."""
    host = world.hosts[0]
    operated = operate(host)
    await operated.reservations.reserve(None, ip_address(NOBODYS), ip_address(NOBODYS), "db", "", None, False)
    await operated.addresses_by_id.allocate("lab", Where(), check_alive=False, wait=0.0, hung_up=Event())


async def unreserve(world: FixedWorld) -> None:
    """What is reserved is free, everywhere."""
    host = world.hosts[0]
    await operate(host).reservations.release(None, ip_address(RESERVED), False, False)
    for _ in range(2):
        await host.turn()


async def make_port(world: FixedWorld) -> None:
    """With an address of its own."""
    host = world.hosts[0]
    operated = operate(host)
    await operated.network_ports.create(PortSpec(host.full("web"), name="p"), False, await operated.names())
    await host.turn()


async def end_port(world: FixedWorld) -> None:
    """Its address is free, everywhere."""
    host = world.hosts[0]
    await operate(host).network_ports.remove("gone", False, False)
    for _ in range(2):
        await host.turn()


OPERATIONS: list[Callable[[FixedWorld], Awaitable[None]]] = [
    create, create_labelled, come, refused, other_address, run, remove, reserve, unreserve, make_port, end_port,
]  # fmt: skip


async def lived(
    operation: Callable[[FixedWorld], Awaitable[None]],
    fate: Fate,
    then: Callable[[FixedWorld], Awaitable[None]] | None = None,
) -> list[str]:
    """What is wrong after the operation was cut off, and all is quiet. then: done as soon as the next daemon lives."""
    async with fixed_world() as world:
        one, two = world.hosts
        store = MortalStore()
        store.__dict__.update(one.store.__dict__)
        one.store = store
        await one.restart()
        await one.turn()
        await one.create("old", "mine")
        await one.create("alone")
        await two.create("there", "theirs")
        operated = operate(one)
        await operated.reservations.reserve(None, ip_address(RESERVED), ip_address(RESERVED), "x", "", None, False)
        spec = PortSpec(one.full("web"), name="gone")
        await operated.network_ports.create(spec, False, await operated.names())
        await world.turns()

        async def pause(step: Step) -> None:
            if step.client == "h1" and step.method in ("put", "delete"):
                fate.check(step.when)

        calm, world.servers.pause, store.fate = world.servers.pause, pause, fate
        with suppress(Death):
            await operation(world)
        world.servers.pause, store.fate = calm, None
        if fate.dead:
            await one.restart()
        if then is not None:
            await then(world)
        for _ in range(6):
            world.clock.advance(100.0)
            await world.turns(2, 1.0)
            for host in world.hosts:
                await host.keeping.container_reconciler.once()
        return [*wrong(one), *wrong(two), *await unlike(world)]


def wrong(host: FixedHost) -> list[str]:
    """Records of one host that do not fit."""
    cache = host.services.cache
    fixed = {str(lease.address) for lease in cache.every(Lease) if lease.state in (State.FIXED, State.RESERVED)}
    kept = {str(claim.claim.address): claim.phase for claim in cache.every(HostClaim)}
    named = {
        str(address)
        for container in host.engine._containers.values()
        for endpoint in container.endpoints
        for address in endpoint.wanted
    }
    found = [f"{host.name} keeps {kept}, and has {fixed}"] * (kept != dict.fromkeys(fixed, Phase.HELD))
    found += [f"{host.name} has not {named - fixed} that containers name"] * bool(named - fixed)
    ports = {port.key for port in cache.every(NetworkPort)}
    keys = {lease.key for lease in cache.every(Lease) if is_ports(lease.key)}
    found += [f"{host.name} has {ports}, and leases of {keys}"] * (ports != keys)
    return found + [f"{host.name} has an intent"] * cache.count(Intent)


async def unlike(world: FixedWorld) -> list[str]:
    """What the cluster has that no host keeps, or the other way."""
    one = world.hosts[0]
    claims = {claim.address: claim for claim, _ in await one.plan.values.claims(SPACE, one.subnet)}
    kept = {
        address for host in world.hosts for address in (c.claim.address for c in host.services.cache.every(HostClaim))
    }
    found = [f"the cluster has {claims.keys()}, hosts {kept}"] * (claims.keys() != kept)
    for host in world.hosts:
        for each in host.services.cache.every(HostClaim):
            claim, lease = claims.get(each.claim.address), host.services.cache.lease(SPACE, each.claim.address)
            held = claim is not None and any(who.startswith(f"{host.name}/") for who in claim.holders)
            found += [f"{host.name} is not among {claim}"] * (not held)
            of_key = [one for one in host.services.cache.every(Lease) if lease is not None and one.key == lease.key]
            if claim is not None and lease is not None and lease.key.startswith("key:") and len(of_key) == 1:
                found += [f"{claim} is of another key than {lease}"] * (claim.key != lease.key)
            found += [f"{claim} is in use"] * (claim is not None and bool(claim.boot))
    for identity, _ in await one.plan.values.identities(SPACE, one.subnet):
        led = claims.get(identity.address)
        found += [f"{identity} leads to {led}"] * (led is None or led.sequence != identity.sequence)
    return found


@pytest.mark.slow  # a quarter of a minute
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_a_death_at_any_write_leaves_one_truth(
    operation: Callable[[FixedWorld], Awaitable[None]], after: bool
) -> None:
    """Each fixed lease has its claim and each claim its lease, here and in the cluster."""
    number, died = 1, True
    while died:
        fate = Fate(number, after)
        assert await lived(operation, fate) == [], f"at write {number}"
        died = fate.dead
        number += 1
    assert number > 2


async def create_again(world: FixedWorld) -> None:
    """Another container of the key, after the first turn since the death."""
    await world.hosts[0].turn()
    await world.hosts[0].create("again", "new")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_who_asks_again_after_a_death_has_one_address(after: bool) -> None:
    """Whatever of the first attempt is in the cluster, and before anybody has found that it came to nothing."""
    number, died = 1, True
    while died:
        fate = Fate(number, after)
        assert await lived(create, fate, create_again) == [], f"at write {number}"
        died = fate.dead
        number += 1
    assert number > 2
