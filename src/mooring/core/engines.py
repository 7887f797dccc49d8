"""Engines as they answer: which networks they have. An engine that has a network of ours is one whose word counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from mooring.core.networks import Subnet

# The first version of the API whose engines read the MAC that a container asks for from its endpoints (moby 25,
# daemon/network.go, DesiredMacAddress); older ones read one for the whole container, and no engine reads the other's.
ENDPOINT_MACS = (1, 44)
# The first release in which a container may name an address also where no subnet was given (moby, 29.1).
ANY_ADDRESS = (29, 1)
# The first release that gives an interface the name that a plugin answers (DstName of Join; moby/moby#52866).
DST_NAME = (29, 8)


class KnownEngine(msgspec.Struct, frozen=True):
    """An engine that has had networks of ours, so that one which it no longer lists is gone.

    id: as the engine calls itself (`docker info`). since: seconds since the epoch of the first sighting. networks: ids
    of those of our networks that it has listed. version: of the API that it spoke last, and release: its own; (0, 0)
    when not known.
    """

    id: str
    since: float
    networks: frozenset[str] = frozenset()
    version: tuple[int, int] = (0, 0)
    release: tuple[int, int] = (0, 0)


def is_mute(oldest: tuple[int, int], newest: tuple[int, int], version: tuple[int, int]) -> bool:
    """Whether an engine of that version may not read the MAC in a container's configuration, which another one wrote.

    oldest, newest: of the engines that have had the container. An older engine drops what it does not know, so that
    after a downgrade and an upgrade the endpoints have none. (0, 0) for any is not known, and proves nothing.
    """
    upgraded = (0, 0) < oldest < ENDPOINT_MACS <= version
    return upgraded or (0, 0) < version < ENDPOINT_MACS <= newest


@dataclass(frozen=True, slots=True)
class EngineView:
    """What an engine said at one moment.

    id: its own. networks: ids of all its networks, whoever's driver. subnets: of all its networks. bridges: interface
    names of the networks of its own bridge driver. alone: no other engine runs on this host. drivers: by network's
    id. release: as KnownEngine's. elsewhere: subnets of its
    networks that no interface of the host shows (macvlan, ipvlan, overlay), each with its holder.
    """

    id: str
    networks: frozenset[str]
    subnets: frozenset[Subnet]
    bridges: frozenset[str] = frozenset()
    alone: bool = False
    drivers: Mapping[str, str] = field(default_factory=dict)
    release: tuple[int, int] = (0, 0)
    elsewhere: Mapping[Subnet, str] = field(default_factory=dict)
