"""Which network or pools a person means: by id or its beginning, Docker's name, compose's, bridge, or subnet.

Rules: an id is before a name, a name before everything else, as Docker has it; what may be two things is said, with
both; what nobody knows is an error, and never an empty answer.
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.kept_networks import KeptNetwork
from mooring.core.networks import Network, Subnet
from mooring.core.pools import Pool
from mooring.services.records.engine_names import EngineNames, compose_network_names
from mooring.services.records.record_cache import RecordCache

_SUBNET = re.compile(r"[0-9a-fA-F.:]*[.:][0-9a-fA-F.:]*/[0-9]+")


def subnet_in(text: str) -> Subnet | None:
    """The subnet that the text is, None for what does not look like one. Raises BadRequest."""
    if not _SUBNET.fullmatch(text):
        return None
    try:
        return ip_network(text)
    except ValueError as error:
        raise BadRequest(f"{text[:60]!r} is not a subnet: {error}", hint="write it as 10.32.0.0/24") from None


def network_meant(reference: str, cache: RecordCache, names: EngineNames) -> Network:
    """The one network. Raises NotFound, Conflict for several, Unavailable when only the engine could know."""
    known = cache.network(reference)
    if known is not None:
        return known
    named = _named(reference, cache, names)
    found = named or _otherwise(reference, cache, names)
    if not found:
        raise _unknown_network(reference, cache, names)
    if len(found) > 1:
        some = ", ".join(names.words(network) for network in found[:5])
        what = f"are called {reference!r}" if named else f"are meant by {reference!r}"
        if not named and all(network.id.startswith(reference) for network in found):
            what = f"have ids that begin with {reference!r}"
        raise Conflict(f"{len(found)} networks {what}: {some}", hint="give more of it, or the ID")
    return found[0]


def pools_meant(which: str, cache: RecordCache, names: EngineNames) -> list[Pool]:
    """The pool with the id, those of the subnet (one for each address space), or those of the network.

    Raises NotFound, Conflict for the beginning of several ids, BadRequest for what is no subnet, Unavailable.
    """
    exact = cache.pool(which)
    if exact is not None:
        return [exact]
    pools = sorted(cache.every(Pool), key=pool_place)
    subnet = subnet_in(which)
    if subnet is not None:
        found = [pool for pool in pools if pool.subnet == subnet]
        if not found:
            raise NotFound(f"there is no pool {which[:60]!r}", hint="`mooring pool ls` lists them")
        return found
    if not _named(which, cache, names):
        found = [pool for pool in pools if pool.id.startswith(which)]
        if len(found) > 1:
            some = ", ".join(f"{pool.id} ({pool.subnet})" for pool in found[:5])
            raise Conflict(f"{len(found)} pools have ids that begin with {which!r}: {some}", hint="give more of the ID")
        if found:
            return found
    try:
        network = network_meant(which, cache, names)
    except NotFound:
        raise NotFound(f"there is no pool {which[:60]!r}", hint="`mooring pool ls` lists them") from None
    found = [pool for pool in pools if pool.network == network.id]
    if not found:
        raise NotFound(
            f"network {names.words(network)} has no pool: another IPAM driver gives its addresses",
            hint="`mooring pool ls` lists the pools",
        )
    return found


def check_space(space: str, cache: RecordCache) -> None:
    """Raises NotFound for an address space that no pool is in, unless it is the usual one."""
    spaces = {pool.space for pool in cache.every(Pool)} | {"default"}
    if space not in spaces:
        raise NotFound(f"there is no address space {space[:60]!r}", hint=f"there are {', '.join(sorted(spaces))}")


def pool_place(pool: Pool) -> tuple[str, int, int]:
    """For the order of pools: by address space, family and subnet."""
    return pool.space, pool.subnet.version, int(pool.subnet.network_address)


def _named(reference: str, cache: RecordCache, names: EngineNames) -> list[Network]:
    """Ours that are called so exactly."""
    found = [network for network in cache.every(Network) if reference and names.of_network(network) == reference]
    return sorted(found, key=lambda network: network.id)


def _otherwise(reference: str, cache: RecordCache, names: EngineNames) -> list[Network]:
    """Ours that compose calls so, or whose subnet, bridge or beginning of an id it is; none for a name that the engine
    has for another driver's."""
    if not reference or any(told.name == reference for told in names.networks.values()):
        return []
    subnet = subnet_in(reference)
    found = []
    for network in cache.every(Network):
        told = names.networks.get(network.id)
        if (
            network.id.startswith(reference.lower())
            or (told is not None and reference in compose_network_names(told))
            or (network.bridged and network.bridge == reference)
            or any(segment.subnet == subnet for segment in network.segments)
        ):
            found.append(network)
    return sorted(found, key=lambda network: network.id)


def _unknown_network(reference: str, cache: RecordCache, names: EngineNames) -> NotFound | Unavailable:
    other = next((told for told in names.networks.values() if reference in (told.name, told.id)), None)
    if other is not None and other.driver:
        return NotFound(
            f"network {reference[:70]} is not Mooring's: its driver is {other.driver}",
            hint="`mooring network ls` lists those that are",
        )
    what = f"Mooring has no network {reference[:70]!r}"
    if names.why:
        return Unavailable(f"{what} by its ID, and Docker cannot be reached for names: {names.why}")
    if any(kept_network.name == reference for kept_network in cache.every(KeptNetwork)):
        return NotFound(
            f"network {reference[:70]} was removed; the addresses of its keys are kept until it is created again",
            hint=f"`mooring lease ls {reference[:70]}` lists them",
        )
    return NotFound(what, hint="`mooring network ls` lists them")
