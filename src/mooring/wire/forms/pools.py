"""The forms of pools and engines.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_network

from msgspec import field

from mooring.core.engines import KnownEngine
from mooring.core.pools import Pool
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
