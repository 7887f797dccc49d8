"""Pictures of a house: everything that can be told of it from outside, by names, so that two houses can be compared.

Rule: ids, MACs that follow from ids, and times are spelled as names; whatever else is different shows as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mooring.core.datapath import host_facts
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Network, stable_mac
from mooring.core.pools import Pool
from mooring.core.sandboxes import Sandbox
from mooring.services.records.record_cache import RecordCache
from tests.library.houses import House

Picture = dict[str, list[str]]

_TIMES = re.compile(r"\b(created|since|until)=[0-9.]+")


async def picture(house: House) -> Picture:
    """Records, leases that do not cool, the kernel, namespaces, ports, names, files, and the books of others.

    What every network of the host rests on stays for the next one, and is left out.
    """
    cache, other = house.library.cache, house.other.cache
    spell = _Speller(cache, other)
    made = await house.namespaces.made()
    outside = sorted(house.namespaces._external)
    inside = [
        f"{path}: {fact}"
        for path in (*made.values(), *outside)
        for fact in (await house.namespaces.observe(path)).facts
    ]
    far = house.far
    return {
        "networks": spell(cache.every(Network)),
        "endpoints": spell(cache.every(Endpoint)),
        "sandboxes": spell(cache.every(Sandbox)),
        "pools": spell(cache.every(Pool)),
        "leases": spell(_held(cache)),
        "kernel": spell(set(house.kernel.facts.values()) - host_facts(ipv6=True)),
        "namespaces": spell([*made.items(), *outside]),
        "inside": spell(inside),
        "on the host": spell(house.namespaces.on_host()),
        "ports": spell(house.guard.held),
        "names": spell(house.resolver.served),
        "files": spell(house.files.texts.items()),
        "far driver": spell([*far.networks, *far.endpoints, *far.joined.items(), *far.published]),
        "other IPAM": spell([*other.every(Pool), *_held(other)]),
    }


def _held(cache: RecordCache) -> list[Lease]:
    return [lease for lease in cache.every(Lease) if lease.state is not LeaseState.COOLING]


class _Speller:
    """Says things by the names that the records of this moment give them."""

    def __init__(self, cache: RecordCache, other: RecordCache) -> None:
        self._words: dict[str, str] = {}
        for network in cache.every(Network):
            self._learn(network.id, f"<{network.name}>", "network")
        for endpoint in cache.every(Endpoint):
            self._learn(endpoint.id, f"<{endpoint.name}>", "endpoint")
        for sandbox in cache.every(Sandbox):
            self._learn(sandbox.id, f"<{sandbox.name}>", "")
        for pool in (*cache.every(Pool), *other.every(Pool)):
            self._words[pool.id] = f"<pool of {pool.subnet}>"
        words = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words)) or "$^")

    def _learn(self, ident: str, name: str, kind: str) -> None:
        self._words |= {ident: name, ident[:12]: name}
        if kind:
            self._words[stable_mac(f"{kind}:{ident}")] = f"MAC of {name}"

    def __call__(self, things: Iterable[object]) -> list[str]:
        return sorted(
            _TIMES.sub(r"\1", self._pattern.sub(lambda found: self._words[found[0]], str(thing))) for thing in things
        )


def difference(one: Picture, other: Picture) -> list[str]:
    """What only one of them has, a line each; empty when they are equal."""
    lines: list[str] = []
    for part in one:
        lines += [f"- {part}: {line}" for line in one[part] if line not in other[part]]
        lines += [f"+ {part}: {line}" for line in other[part] if line not in one[part]]
        if not lines and one[part] != other[part]:
            lines.append(f"{part} differ in number")
    return lines
