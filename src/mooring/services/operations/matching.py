"""Which networks, pools and leases the filters of a list mean.

Rules: a name that nobody has is refused rather than answered with an empty list, but for the name of a network which
is waited for; a filter decides by the records and by what the engine called things, not by what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from mooring.core.addresses import usable
from mooring.core.faults import BadRequest, NotFound
from mooring.core.filters import LeaseFilter, NetworkFilter, PoolFilter
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Network, Subnet
from mooring.core.pools import Pool
from mooring.services.ipam.kept_address_rows import is_waited_for
from mooring.services.operations.references import check_space, network_meant, pools_meant
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import EngineNames, compose_container_names
from mooring.services.records.holder_names import holder_names
from mooring.services.records.record_cache import RecordCache


def network_matcher(wanted: NetworkFilter, cache: RecordCache, names: EngineNames) -> Callable[[Network], bool]:
    """Whether a network matches. Raises BadRequest, and NotFound for an address space that is not there."""
    subnet = _subnet(wanted.subnet)
    if wanted.space:
        check_space(wanted.space, cache)

    def matches(network: Network) -> bool:
        return (
            (wanted.mode is None or wanted.mode.value == network.mode_word)
            and (not wanted.name or wanted.name in names.of_network(network))
            and (subnet is None or any(segment.subnet == subnet for segment in network.segments))
            and (not wanted.space or any(segment.space == wanted.space for segment in network.segments))
        )

    return matches


def pool_matcher(
    wanted: PoolFilter, cache: RecordCache, index: AddressIndex, names: EngineNames
) -> Callable[[Pool], bool]:
    """Whether a pool matches. Raises as references.network_meant, BadRequest, NotFound for an unknown address space."""
    subnet = _subnet(wanted.subnet)
    if wanted.space:
        check_space(wanted.space, cache)
    network = network_meant(wanted.network, cache, names).id if wanted.network else ""

    def is_full(pool: Pool) -> bool:
        tally, (start, end) = index.counts(pool.id), usable(pool.subnet)
        return tally.total() - tally[LeaseState.COOLING] >= end - start

    def matches(pool: Pool) -> bool:
        return (
            wanted.space in ("", pool.space)
            and network in ("", pool.network)
            and subnet in (None, pool.subnet)
            and (wanted.full is None or wanted.full is is_full(pool))
        )

    return matches


def lease_matcher(
    wanted: LeaseFilter, cache: RecordCache, endpoints: EndpointIndex, now: float, names: EngineNames
) -> Callable[[Lease], bool]:
    """Whether a lease matches. now: seconds since the epoch.

    Raises as references.network_meant and pools_meant, and NotFound for an address space that is not there.
    """
    pools = _wanted_pools(wanted, cache, now, names)
    text, mac = wanted.text.lower(), wanted.mac.lower()
    asked = bool(text or mac or wanted.container)

    def matches(lease: Lease) -> bool:
        if wanted.state not in (None, lease.state) or (wanted.fixed and lease.state is not LeaseState.FIXED):
            return False
        if wanted.space not in ("", lease.space) or (pools is not None and lease.pool not in pools):
            return False
        if wanted.key and wanted.key not in (lease.key, lease.key.partition(":")[2]):
            return False
        return not asked or by_user(lease)

    def by_user(lease: Lease) -> bool:
        pool = cache.pool(lease.pool)
        endpoint = endpoints.at(pool.network, lease.address) if pool is not None else None
        user = names.with_endpoint(endpoint.id) if endpoint is not None else None
        if mac and mac not in (lease.mac.lower(), endpoint.mac.lower() if endpoint is not None else ""):
            return False
        holders = holder_names(lease, cache, names)
        if wanted.container:
            named = [
                user.name if user is not None else lease.name,
                *(each.removeprefix("container ") for each in holders),
            ]
            ids = [*lease.holders, *([user.id] if user is not None else [])]
            if wanted.container not in named and not any(each.startswith(wanted.container) for each in ids):
                return False
        users = [each for each in (user, *(names.containers.get(each) for each in lease.holders)) if each is not None]
        called = [name for each in users for name in (each.name, *compose_container_names(each.labels)[:1])]
        own = (str(lease.address), lease.mac, lease.name, lease.owner, lease.note, lease.key, lease.whom)
        return any(text in field.lower() for field in (*own, *called, *holders))

    return matches


def _wanted_pools(wanted: LeaseFilter, cache: RecordCache, now: float, names: EngineNames) -> set[str] | None:
    """Ids of the pools that pool and network leave, None for all."""
    if wanted.space:
        check_space(wanted.space, cache)
    left: set[str] | None = None
    if wanted.pool:
        left = set()
        with _unless_waited_for(wanted.pool, cache, now):
            left = {pool.id for pool in pools_meant(wanted.pool, cache, names)}
    if wanted.network:
        its = set[str]()
        with _unless_waited_for(wanted.network, cache, now):
            network = network_meant(wanted.network, cache, names)
            its = {pool.id for pool in cache.every(Pool) if pool.network == network.id}
        left = its if left is None else left & its
    return left


@contextmanager
def _unless_waited_for(reference: str, cache: RecordCache, now: float) -> Iterator[None]:
    """What there is not is no error when addresses wait for it to come back."""
    try:
        yield
    except NotFound:
        if not is_waited_for(cache, now, reference):
            raise


def _subnet(text: str) -> Subnet | None:
    try:
        return ip_network(text) if text else None
    except ValueError as error:
        raise BadRequest(
            f"parameter subnet: {text[:60]!r} is not a subnet: {error}", hint="write it as 10.32.0.0/24"
        ) from None
