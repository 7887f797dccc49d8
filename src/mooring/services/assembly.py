"""All services of a host, put together over its ports. The daemon, the tests and the benchmarks start from here."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.ports import Clock, Engine, Kernel, PortGuard, Store
from mooring.services.endpoints import Endpoints
from mooring.services.ipam import Ipam, IpamPolicy
from mooring.services.locks import KeyedLocks
from mooring.services.mirror import Mirror
from mooring.services.networks import Networks
from mooring.services.publishing import Publishing
from mooring.services.reclaiming import MINIMUM_AGE, Reclaiming
from mooring.services.repair import Repair
from mooring.services.roster import Roster


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases of one host."""

    mirror: Mirror
    roster: Roster
    ipam: Ipam
    publishing: Publishing
    networks: Networks
    endpoints: Endpoints
    repair: Repair


@dataclass(frozen=True, slots=True)
class World:
    """What the services stand on."""

    store: Store
    kernel: Kernel
    guard: PortGuard
    engine: Engine
    clock: Clock


def assemble(
    world: World, policy: IpamPolicy, repair_period: float = 10.0, minimum_age: float = MINIMUM_AGE
) -> Services:
    """Services that know each other, over a mirror that is still empty: `await services.mirror.load()` comes next."""
    kernel, clock = world.kernel, world.clock
    mirror = Mirror(world.store)
    roster = Roster(mirror)
    ipam = Ipam(mirror, clock, policy, kernel.occupied)
    publishing = Publishing(roster, world.guard)
    locks = KeyedLocks()
    networks = Networks(mirror, roster, kernel, ipam, publishing, clock, locks)
    endpoints = Endpoints(mirror, roster, kernel, ipam, publishing, clock, locks, networks)
    reclaiming = Reclaiming(mirror, roster, ipam, networks, endpoints, world.engine, clock, minimum_age)
    repair = Repair(mirror, roster, kernel, publishing, reclaiming, clock, repair_period)
    return Services(mirror, roster, ipam, publishing, networks, endpoints, repair)
