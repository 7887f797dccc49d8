"""Whether an engine is one that is on record under another id, and making what is on record its own.

Rules: ids of containers and networks are random and never used twice, so an engine that has one of them has the disks
of the engine that had it; an engine that has none of them is another one, whatever it is called; who is recognised is
told by what is there, never by what is missing.

An engine's id is no part of its disks: 20.10 keeps it in /etc/docker/key.json, later ones in the data root
(moby daemon/id.go), and an upgrade makes a new one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec

from mooring.core.containers import Holder
from mooring.core.engines import KnownEngine
from mooring.core.faults import StaleRevision
from mooring.core.intents import Intent
from mooring.services.mirror import Mirror, Record
from mooring.services.subnets import ATTEMPTS, contended

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Traces:
    """Ids of containers and networks that an engine is known to have had."""

    containers: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)


async def recognise(
    mirror: Mirror, engine: str, containers: Collection[str], networks: Collection[str]
) -> frozenset[str]:
    """What is on record of an engine that had any of these containers or networks is this engine's from now on.

    engine: id of the one at the socket. containers, networks: full ids of what it has, or of a part of it. Returns the
    ids of the engines on record that are not known to be this one. Raises Unavailable.
    """
    for _ in range(ATTEMPTS):
        others = _others(mirror, engine)
        same = {
            ident
            for ident, traces in others.items()
            if not traces.containers.isdisjoint(containers) or not traces.networks.isdisjoint(networks)
        }
        if not same:
            return frozenset(others)
        put, delete = _moved(mirror, engine, same)
        try:
            await mirror.commit(put=put, delete=delete)
        except StaleRevision:
            continue
        for ident in sorted(same):
            log.info("engine %s is the one that was called %s: it has what that one had", engine, ident)
        return frozenset(others) - same
    raise contended(f"engine {engine}")


def _others(mirror: Mirror, engine: str) -> dict[str, _Traces]:
    """The engines on record but for this one, each with what it had."""
    found: defaultdict[str, _Traces] = defaultdict(_Traces)
    for known in mirror.every(KnownEngine):
        if known.id != engine:
            found[known.id].networks |= known.networks
    for holder in mirror.every(Holder):
        if holder.engine != engine:
            found[holder.engine].containers.add(holder.id)
    for intent in mirror.every(Intent):
        if intent.engine != engine:
            found[intent.engine].containers |= {intent.container} - {""}
            found[intent.engine].networks |= {intent.network, *intent.keys} - {""}
    return found


def _moved(mirror: Mirror, engine: str, same: Collection[str]) -> tuple[list[Record], list[Record]]:
    """The records of those engines as this one's, and those that are gone."""
    put: list[Record] = []
    put += [msgspec.structs.replace(each, engine=engine) for each in mirror.every(Holder) if each.engine in same]
    put += [msgspec.structs.replace(each, engine=engine) for each in mirror.every(Intent) if each.engine in same]
    gone = [known for known in mirror.every(KnownEngine) if known.id in same]
    if gone:
        mine = [known for known in mirror.every(KnownEngine) if known.id == engine]
        every = [*gone, *mine]
        networks = frozenset[str]().union(*(known.networks for known in every))
        put.append(KnownEngine(engine, min(known.since for known in every), networks))
    return put, list[Record](gone)
