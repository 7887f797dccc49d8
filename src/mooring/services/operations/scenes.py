"""What an explanation is made of, and who uses a fixed address at the moment, as records and engine have it."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.core.containers import Container
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease
from mooring.core.pools import SubnetPool
from mooring.core.times import ago, moment
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.ipam.subnet_pools import subnet_pools_of
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class Scene:
    """What an answer is made of. now: seconds since the epoch. names: what the engine told a moment ago."""

    cache: RecordCache
    endpoint_index: EndpointIndex
    now: float
    names: EngineNames = NOBODY_ASKED
    policy: IpamPolicy = IpamPolicy()  # noqa: RUF009  a frozen value

    @property
    def subnet_pools(self) -> list[SubnetPool]:
        """All that are used."""
        return subnet_pools_of(self.cache, self.policy.declared())


def in_use(lease: Lease, endpoint: Endpoint | None, scene: Scene) -> str:
    """Which endpoint has the fixed address now, and who runs without it."""
    if endpoint is not None:
        host = f" on host {scene.names.host(lease.active.host)}" if lease.active is not None else ""
        began = f"created at {moment(endpoint.created)} ({ago(scene.now - endpoint.created)})"
        container = scene.names.with_endpoint(endpoint.id)
        who = f"container {container.name}, " if container is not None else ""
        state = endpoint.state.value
        return f"It is in use by {who}endpoint {endpoint.id[:12]} ({state}){host}, MAC {endpoint.mac}, {began}."
    if lease.active is not None:
        return f"It is in use by endpoint {lease.active.endpoint[:12]} on host {scene.names.host(lease.active.host)}."
    known = [scene.names.containers[each] for each in sorted(lease.holders) if each in scene.names.containers]
    if not known:
        return "It is not in use: no endpoint has it."
    return "It is not in use: " + ", ".join(_without_it(each, lease, scene) for each in known) + "."


def _without_it(container: Container, lease: Lease, scene: Scene) -> str:
    """What a container does that names an address and does not have it."""
    if not container.running:
        return f"container {container.name} is not running"
    pool = scene.cache.pool(lease.pool)
    endpoints = [each for each in container.endpoints if pool is not None and each.network == pool.network]
    held = [
        str(each)
        for container_endpoint in endpoints
        for each in container_endpoint.held
        if each.version == lease.address.version
    ]
    if held:
        return f"container {container.name} is running with {held[0]} instead"
    if endpoints:
        return f"container {container.name} has no address in that network at the moment: it is starting or restarting"
    return f"container {container.name} is running but not connected to that network"
