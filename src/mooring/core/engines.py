"""Engines as they answer: which networks they have. An engine that has a network of ours is one whose word counts."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mooring.core.networks import Subnet


class KnownEngine(msgspec.Struct, frozen=True):
    """An engine that has had networks of ours, so that one which it no longer lists is gone.

    id: as the engine calls itself (`docker info`). since: seconds since the epoch of the first sighting. networks: ids
    of those of our networks that it has listed.
    """

    id: str
    since: float
    networks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EngineView:
    """What an engine said at one moment.

    id: its own. networks: ids of all its networks, whoever's driver. subnets: of all its networks. bridges: interface
    names of the networks of its own bridge driver. alone: no other engine runs on this host.
    """

    id: str
    networks: frozenset[str]
    subnets: frozenset[Subnet]
    bridges: frozenset[str] = frozenset()
    alone: bool = False
