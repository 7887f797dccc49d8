"""What containers lose with another version of the engine on the same disks: told before the start that loses it.

Where no configuration names an address, a MAC proves at a start who asks. Engines before 25 keep one for the whole
container, later ones one for each endpoint, and none reads what the other wrote (moby daemon/network.go). From 29 on
an engine tells the container's name, which is proof too.

Rules: what an upgrade would do some day is a note, what the next start will do is a finding; what a container has lost
already is told elsewhere (operations/checks.py, adoption); nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.engines import ENDPOINT_MACS, is_mute
from mooring.core.findings import Finding
from mooring.core.leases import ClaimPolicy, Lease
from mooring.core.pools import Pool
from mooring.ports import Engine
from mooring.services.containers.port_choice import is_asked_by_option
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import RecordCache

# The first version of the API whose engines tell IPAM the container's name (moby 29).
NAMES = (1, 52)
# How many containers a note names.
NAMED = 10

_OLD_MACS = "Docker from 25 on does not read the MAC that an older version stored for a container"


@dataclass(frozen=True, slots=True)
class _Place:
    """What a container holds in one network. named: its configuration names all of the addresses. strict: nobody gets
    them without proof (claim=holders)."""

    container: Container
    endpoint: ContainerEndpoint
    leases: tuple[Lease, ...]
    named: bool
    strict: bool

    @property
    def astray(self) -> bool:
        """It runs, and has other addresses than its own."""
        held = set(self.endpoint.held)
        return self.container.running and bool(held) and not held >= {lease.address for lease in self.leases}


class EngineChanges:
    """`next_starts` and `notes`. claim: of a pool."""

    def __init__(
        self, cache: RecordCache, fixed_index: FixedIndex, engine: Engine, claim: Callable[[Pool], ClaimPolicy]
    ) -> None:
        self._cache = cache
        self._fixed_index = fixed_index
        self._engine = engine
        self._claim = claim

    async def next_starts(
        self, version: tuple[int, int], containers: Collection[Container], now: float
    ) -> list[Finding]:
        """Containers that get another address at their next start, since this engine does not read their proof.

        version: of the engine's API. Raises Unavailable.
        """
        found: list[Finding] = []
        for place in self._places(containers) if version < NAMES else ():
            if place.astray or place.named or not await self._is_mute(version, place):
                continue
            addresses = " and ".join(str(lease.address) for lease in place.leases)
            mac = place.leases[0].mac
            text = f"container {place.container.name} will get a different address than {addresses} at its next start"
            proof = f"its MAC {mac} is stored where this Docker version does not look: another version stored it"
            remedy = f"recreate it through the proxy, with its `mooring.key` or `--mac-address {mac}`"
            found.append(Finding(f"unread-mac {place.container.id} {place.endpoint.network}", text, proof, now, remedy))
        return found

    def notes(self, version: tuple[int, int], containers: Collection[Container], now: float) -> Iterator[Finding]:
        """What an upgrade of this engine would take from its containers, or has taken and matters less than an
        address: one note for each network and kind of loss."""
        kinds: dict[tuple[str, str], list[_Place]] = {}
        for place in self._places(containers):
            if (0, 0) < version < ENDPOINT_MACS:
                kind = "refused" if place.named and place.strict else "mac" if place.named else "lost"
            elif place.named and self._was_written_by_another(version, place):
                kind = "changed"
            else:
                continue
            kinds.setdefault((place.endpoint.network, kind), []).append(place)
        for (network, kind), places in sorted(kinds.items()):
            text, remedy = _told(kind, f"{_names(places)} of network {places[0].endpoint.name}")
            yield Finding(f"upgrade {network} {kind}", text, _OLD_MACS, now, remedy)

    def _places(self, containers: Collection[Container]) -> Iterator[_Place]:
        """Where containers hold addresses that have a MAC."""
        for container in containers:
            mine = [
                lease
                for lease in self._fixed_index.of_holder(container.id)
                if lease.mac and not is_asked_by_option(lease, self._cache)
            ]
            for endpoint in container.endpoints if mine else ():
                leases = tuple(
                    lease
                    for lease in mine
                    if endpoint.network and self._fixed_index.network_of(lease) == endpoint.network
                )
                if not leases:
                    continue
                pools = [pool for lease in leases if (pool := self._cache.pool(lease.pool)) is not None]
                strict = any(self._claim(pool) is ClaimPolicy.HOLDERS for pool in pools)
                yield _Place(
                    container, endpoint, leases, all(lease.address in endpoint.wanted for lease in leases), strict
                )

    async def _is_mute(self, version: tuple[int, int], place: _Place) -> bool:
        """Whether the engine does not read the MAC of the container's configuration."""
        if (
            version >= ENDPOINT_MACS
        ):  # its answers do not tell: they show a MAC that it does not use (daemon/inspect.go)
            return self._was_written_by_another(version, place)
        asked = await self._engine.container(place.container.id)  # a list does not tell the MAC
        if asked is None:
            return False
        macs = {endpoint.wanted_mac for endpoint in asked.endpoints if endpoint.network == place.endpoint.network}
        return macs.isdisjoint({lease.mac for lease in place.leases})

    def _was_written_by_another(self, version: tuple[int, int], place: _Place) -> bool:
        known = self._cache.holder(place.container.id)
        return known is not None and is_mute(known.oldest, known.newest, version)


def _told(kind: str, who: str) -> tuple[str, str]:
    """What the note says, and what to do."""
    anew = (
        "recreate them through the proxy, with their `mooring.key` or `--mac-address MAC` (`mooring lease ls --fixed`)"
    )
    match kind:
        case "lost":
            return (
                f"with Docker 25 to 28, the fixed addresses of {who} would be lost",
                f"after such an upgrade {anew}",
            )
        case "refused":
            return (
                f"with Docker 25 or newer, the first start of {who} would be refused (claim=holders)",
                "after such an upgrade start them half a minute after Docker (`docker start`)",
            )
        case "mac":
            return (
                f"with Docker 25 or newer, the MACs of {who} would be lost, but the fixed addresses kept",
                f"if a MAC matters, after such an upgrade {anew}",
            )
        case _:
            return f"the MACs of {who} are lost, but the fixed addresses kept", f"if a MAC matters, {anew}"


def _names(places: Sequence[_Place]) -> str:
    """The containers, for people."""
    names = sorted(place.container.name for place in places)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"container{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED])}{more}"
