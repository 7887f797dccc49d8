"""The forms of pools, subnet pools and engines.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_network

from msgspec import field

from mooring.core.engines import KnownEngine
from mooring.core.faults import BadRequest
from mooring.core.pools import Pool, SubnetPool
from mooring.wire.forms.elements import Stored, address_of, id_of, text_of


class PoolV1(Stored, tag=1):
    """A pool."""

    space: str
    subnet: str
    range: str = ""
    source: str = ""
    options: dict[str, str] = field(default_factory=dict)
    created: float = 0.0
    gateway: str = ""
    network: str = ""

    def record(self, key: str) -> Pool:
        """The pool that is kept under the key."""
        return Pool(
            id=id_of(key),
            space=self.space,
            subnet=ip_network(self.subnet),
            range=ip_network(self.range) if self.range else None,
            source=self.source,
            options=self.options,
            created=self.created,
            gateway=address_of(self.gateway),
            network=self.network,
        )


def pool_form(pool: Pool) -> PoolV1:
    """The newest form of a pool."""
    return PoolV1(
        space=pool.space,
        subnet=str(pool.subnet),
        range=text_of(pool.range),
        source=pool.source,
        options=pool.options,
        created=pool.created,
        gateway=text_of(pool.gateway),
        network=pool.network,
    )


class SubnetPoolV1(Stored, tag=1):
    """A subnet pool that was made by a command; its name is in the key. position 0: it is used by name only."""

    space: str
    prefixes: list[str]
    length: int
    shortest: int = 1
    longest: int = 128
    position: int = 0
    note: str = ""
    since: float = 0.0

    def record(self, key: str) -> SubnetPool:
        """See stored.Form."""
        try:
            return SubnetPool(
                id_of(key), self.space, tuple(ip_network(prefix) for prefix in self.prefixes), self.length,
                self.shortest, self.longest, self.position or None, self.note, self.since, declared=False,
            )  # fmt: skip
        except BadRequest as error:
            raise ValueError(str(error)) from error


def subnet_pool_form(pool: SubnetPool) -> SubnetPoolV1:
    """The newest form of a subnet pool."""
    return SubnetPoolV1(
        space=pool.space, prefixes=[str(prefix) for prefix in pool.prefixes], length=pool.length,
        shortest=pool.shortest, longest=pool.longest, position=pool.position or 0, note=pool.note, since=pool.since,
    )  # fmt: skip


class EngineV1(Stored, tag=1):
    """An engine of ours."""

    since: float
    networks: list[str] = field(default_factory=list)

    def record(self, key: str) -> KnownEngine:
        """See stored.Form."""
        return KnownEngine(id_of(key), self.since, frozenset(self.networks))


class EngineV2(Stored, tag=2):
    """As version 1, with the version of the API that it spoke last."""

    since: float
    networks: list[str] = field(default_factory=list)
    version: tuple[int, int] = (0, 0)

    def record(self, key: str) -> KnownEngine:
        """See stored.Form."""
        return KnownEngine(id_of(key), self.since, frozenset(self.networks), self.version)


class EngineV3(Stored, tag=3):
    """As version 2, with its own release."""

    since: float
    networks: list[str] = field(default_factory=list)
    version: tuple[int, int] = (0, 0)
    release: tuple[int, int] = (0, 0)

    def record(self, key: str) -> KnownEngine:
        """See stored.Form."""
        return KnownEngine(id_of(key), self.since, frozenset(self.networks), self.version, self.release)


def engine_form(engine: KnownEngine) -> EngineV3:
    """The newest form of an engine."""
    return EngineV3(
        since=engine.since, networks=sorted(engine.networks), version=engine.version, release=engine.release
    )
