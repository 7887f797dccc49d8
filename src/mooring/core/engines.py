"""Engines as they answer: which networks they have. An engine that has a network of ours is one whose word counts."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mooring.core.networks import Subnet


class KnownEngine(msgspec.Struct, frozen=True):
    """An engine that has had a network of ours, so that what it does not list is not there.

    id: as the engine calls itself (`docker info`). since: seconds since the epoch of the first sighting.
    """

    id: str
    since: float


@dataclass(frozen=True, slots=True)
class EngineView:
    """What an engine said at one moment.

    id: its own. networks: ids of all its networks, whoever's driver. subnets: of all its networks.
    """

    id: str
    networks: frozenset[str]
    subnets: frozenset[Subnet]
