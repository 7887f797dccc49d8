"""Replicas of one compose service that have one key: two containers that can never run together.

Rule: refused is only what can be nothing else. A container with another's key is its successor as a rule, made while
the predecessor runs; compose's numbers tell replicas from successors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mooring.core.faults import Conflict
from mooring.core.intents import is_placeholder
from mooring.core.keys import compose_replica, is_ports
from mooring.ports import Engine
from mooring.services.containers.fixed_allocator import FixedSpec
from mooring.services.records.fixed_index import FixedIndex


async def refuse_replicas(
    engine: Engine, fixed_index: FixedIndex, labels: Mapping[str, str], fixed_specs: Iterable[FixedSpec]
) -> None:
    """Raises Conflict when another replica of the container's service holds an address by the same key, naming it;
    Unavailable when the engine cannot be asked."""
    service, number = compose_replica(labels)
    if not number:
        return
    asked: set[str] = set()
    for fixed_spec in fixed_specs:
        for lease in fixed_index.of_key(fixed_spec.network.id, fixed_spec.key):
            for holder in sorted(lease.holders - asked):
                if is_placeholder(holder):
                    continue
                asked.add(holder)
                known = await engine.container(holder)
                theirs = compose_replica(known.labels) if known is not None else ("", "")
                if known is not None and theirs[0] == service and theirs[1] not in ("", number):
                    word = "mooring.port" if is_ports(lease.key) else "mooring.key"
                    raise Conflict(
                        f"replica {number} of service {service} has the same {word} as another replica, and two "
                        "containers cannot share one address",
                        holder=f"container {known.name}, which has {lease.address}",
                        hint=f"use the label fixed-ip instead of {word}: it distinguishes replicas",
                    )
