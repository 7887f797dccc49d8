"""What an operator asks and does, put together over the services of a host: what the API's door is given.

Rule: build it before the mirror is loaded, since it counts what is loaded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from mooring.services.assembly import Services, World
from mooring.services.containers.engine_changes import EngineChanges
from mooring.services.operations.doctor import Doctor
from mooring.services.operations.holds import Holds
from mooring.services.operations.inspection import Inspection, PassReport, Surroundings
from mooring.services.operations.lookup import Lookup
from mooring.services.operations.next_starts import upgrade_notes
from mooring.services.operations.reservations import Reservations
from mooring.services.records.engine_names import EngineNames, names_told


@dataclass(frozen=True, slots=True)
class Operations:
    """Looking, asking, doing by hand, and examining. names: what the engine calls everything, asked now."""

    inspection: Inspection
    inquiries: Lookup
    reservations: Reservations
    doctor: Doctor
    names: Callable[[], Awaitable[EngineNames]]
    fastening: Holds
    upgrade_notes: Callable[[], list[str]]


def operations(
    services: Services, world: World, surroundings: Surroundings, report: Callable[[], PassReport | None] | None = None
) -> Operations:
    """The use cases over these services. report: of the last repair pass, when it is not the services' own."""
    mirror, roster, clock, engine = services.mirror, services.roster, world.clock, world.engine
    policy = surroundings.policy
    inspection = Inspection(mirror, roster, clock, surroundings, report or (lambda: services.repair.report))
    reconciling = services.keeping.reconciling if services.keeping is not None else None
    changes = EngineChanges(mirror, services.ipam.tenures, engine, policy.claim_policy) if engine is not None else None
    moving = services.keeping.moving if services.keeping is not None else None
    fastening = Holds(mirror, services.ipam, services.holders, engine, moving, clock, policy)
    hosts = {policy.host: surroundings.host_name} if surroundings.host_name else {}
    names = partial(names_told, engine, hosts)
    return Operations(
        inspection,
        Lookup(inspection, mirror, roster, services.ipam.tenures, names, services.ipam.host),
        Reservations(mirror, services.ipam, engine, clock, policy, fastening),
        Doctor(
            mirror,
            roster,
            services.ipam,
            services.repair,
            services.reclaiming,
            reconciling,
            engine,
            clock,
            policy.host,
            changes,
        ),
        names,
        fastening,
        partial(upgrade_notes, mirror, services.ipam.tenures),
    )
