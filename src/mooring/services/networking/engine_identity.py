"""Whether an engine is one that is on record under another id, and making what is on record its own.

Rules: ids of containers and networks are random and never used twice, so an engine that has one of them has the disks
of the engine that had it; an engine that has none of them is another one, whatever it is called; who is recognised is
told by what is there, never by what is missing.

An engine's id is no part of its disks: 20.10 keeps it in /etc/docker/key.json, later ones in the data root
(moby daemon/id.go), and an upgrade makes a new one (but to 23.0, which took the old one over).
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
from mooring.services.ipam.pools import ATTEMPTS, contended
from mooring.services.records.record_cache import Record, RecordCache

log = logging.getLogger(__name__)

# The API of the last engine that had its id from /etc/docker/key.json.
LAST_KEY_IDS = (1, 41)


@dataclass(slots=True)
class _Traces:
    """Ids of containers and networks that an engine is known to have had."""

    containers: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)


async def recognise(
    cache: RecordCache, engine: str, containers: Collection[str], networks: Collection[str]
) -> frozenset[str]:
    """What is on record of an engine that had any of these containers or networks is this engine's from now on.

    engine: id of the one at the socket. containers, networks: full ids of what it has, or of a part of it. Returns the
    ids of the engines on record that are not known to be this one. Raises Unavailable.
    """
    for _ in range(ATTEMPTS):
        others = _others(cache, engine)
        same = {
            ident
            for ident, traces in others.items()
            if not traces.containers.isdisjoint(containers) or not traces.networks.isdisjoint(networks)
        }
        if not same:
            return frozenset(others)
        put, delete = _moved(cache, engine, same)
        try:
            await cache.commit(put=put, delete=delete)
        except StaleRevision:
            continue
        for ident in sorted(same):
            log.info("engine %s is the engine previously known as %s: same containers and networks", engine, ident)
        return frozenset(others) - same
    raise contended(f"engine {engine}")


def _others(cache: RecordCache, engine: str) -> dict[str, _Traces]:
    """The engines on record but for this one, each with what it had."""
    found: defaultdict[str, _Traces] = defaultdict(_Traces)
    for known in cache.every(KnownEngine):
        if known.id != engine:
            found[known.id].networks |= known.networks
    for holder in cache.every(Holder):
        if holder.engine != engine:
            found[holder.engine].containers.add(holder.id)
    for intent in cache.every(Intent):
        if intent.engine != engine:
            found[intent.engine].containers |= {intent.container} - {""}
            found[intent.engine].networks |= {intent.network, *intent.keys} - {""}
    return found


def _moved(cache: RecordCache, engine: str, same: Collection[str]) -> tuple[list[Record], list[Record]]:
    """The records of those engines as this one's, and those that are gone."""
    put: list[Record] = []
    put += [_moved_holder(each, engine) for each in cache.every(Holder) if each.engine in same]
    put += [msgspec.structs.replace(each, engine=engine) for each in cache.every(Intent) if each.engine in same]
    gone = [known for known in cache.every(KnownEngine) if known.id in same]
    if gone:
        mine = [known for known in cache.every(KnownEngine) if known.id == engine]
        every = [*gone, *mine]
        networks = frozenset[str]().union(*(known.networks for known in every))
        version, release = (mine[0].version, mine[0].release) if mine else ((0, 0), (0, 0))
        put.append(KnownEngine(engine, min(known.since for known in every), networks, version, release))
    return put, list[Record](gone)


def _moved_holder(holder: Holder, engine: str) -> Holder:
    """The holder as this engine's. An id in the form of key.json that is given up for one in another form was that of a
    20.10, or older."""
    oldest = LAST_KEY_IDS if ":" in holder.engine and ":" not in engine and holder.oldest == (0, 0) else holder.oldest
    return msgspec.structs.replace(holder, engine=engine, oldest=oldest)


async def note_version(cache: RecordCache, engine: str, version: tuple[int, int], containers: Collection[str]) -> None:
    """The engine (its id) speaks this version of the API, and has these containers (full ids). Raises Unavailable."""

    def news() -> list[Record]:
        put: list[Record] = []
        for holder in cache.every(Holder):
            oldest = min(holder.oldest, version) if holder.oldest > (0, 0) else version
            newest = max(holder.newest, version)
            here = holder.engine == engine and holder.id in containers
            if here and (oldest, newest) != (holder.oldest, holder.newest):
                put.append(msgspec.structs.replace(holder, oldest=oldest, newest=newest))
        return put

    for _ in range(ATTEMPTS):
        put = news()
        if not put:
            return
        try:
            await cache.commit(put=put)
            return
        except StaleRevision:
            continue
    raise contended(f"engine {engine}")
