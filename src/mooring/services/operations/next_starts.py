"""What the next start of a container does to its fixed address, and what its labels do not do: said before it is lost.

An engine before 29 does not say who asks for an address: what it says is what the container's configuration has, the
address or a MAC. What got its address in another way, past the proxy or at a connect, keeps it until it stops.

Rules: only what the engine told is concluded from; nothing is said of an engine that was not heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.engines import ENDPOINT_MACS, KnownEngine, is_mute
from mooring.core.findings import Finding
from mooring.core.kept_networks import KeptNetwork
from mooring.core.keys import FIXED_LABEL
from mooring.core.label_words import Remark, asks, concern, remarks
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network
from mooring.core.pools import Pool
from mooring.services.containers.container_specs import BESIDE, beside
from mooring.services.containers.engine_upgrades import NAMES
from mooring.services.containers.port_choice import is_asked_by_option
from mooring.services.operations.checks import MAKING
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import RecordCache

ANEW = "recreate it through the proxy with all its networks given at creation, or use a network with --subnet"


@dataclass(frozen=True, slots=True)
class Loss:
    """An address that its container does not get again. mends: `mooring fix` can write it into the configuration."""

    container: Container
    lease: Lease
    mends: bool

    @property
    def text(self) -> str:
        """What will happen, and why."""
        return (
            f"container {self.container.name} will get a different address than {self.lease.address} at its next "
            "start: its configuration lacks it, and Docker before 29 does not tell Mooring which container is asking"
        )

    @property
    def remedy(self) -> str:
        """What to do before that."""
        return f"`mooring fix {self.container.name}` writes it into the configuration" if self.mends else ANEW


def losses(lease: Lease, cache: RecordCache, names: EngineNames) -> Iterator[Loss]:
    """Of the holders of the fixed address those that do not get it again."""
    pool = cache.pool(lease.pool)
    if lease.state is not State.FIXED or pool is None or not names.heard or names.version >= NAMES:
        return
    if is_asked_by_option(lease, cache):
        return
    for holder in sorted(lease.holders):
        container = names.containers.get(holder)
        for endpoint in container.endpoints if container is not None else ():
            if container is None or endpoint.network != pool.network or lease.address in endpoint.wanted:
                continue
            held = [each for each in endpoint.held if each.version == lease.address.version]
            if held and lease.address not in held:
                continue  # it has been lost already, which is told elsewhere
            if lease.mac and not _is_mute(cache.holder(holder), names.version):
                continue
            yield Loss(container, lease, not pool.source)


def upgrade_costs(lease: Lease, cache: RecordCache, names: EngineNames) -> Iterator[str]:
    """What an upgrade of the engine would take from the holders of the fixed address, sentences: before 25 an engine
    writes the MAC that proves them in a place where later ones do not look for it."""
    pool = cache.pool(lease.pool)
    old = names.heard and (0, 0) < names.version < ENDPOINT_MACS
    if not old or lease.state is not State.FIXED or not lease.mac or pool is None:
        return
    if is_asked_by_option(lease, cache):
        return
    for holder in sorted(lease.holders):
        container = names.containers.get(holder)
        endpoints = (
            [endpoint for endpoint in container.endpoints if endpoint.network == pool.network]
            if container is not None
            else []
        )
        if container is not None and any(lease.address not in endpoint.wanted for endpoint in endpoints):
            yield (
                f"With Docker 25 to 28, container {container.name} would get a different address at its first start: "
                "they do not read the stored MAC that identifies it. From 29 on it keeps it; see `mooring doctor`."
            )


def upgrade_notes(cache: RecordCache, fixed_index: FixedIndex) -> list[str]:
    """What another version of the engine would cost, or costs, by the records alone: a line each.

    Where Mooring chose the subnet, no engine before 29 takes an address by name, and the MAC is all the proof there is.
    """
    versions = {known.id: known.version for known in cache.every(KnownEngine)}
    would, will = 0, 0
    for holder in cache.every(Holder):
        version = versions.get(holder.engine, (0, 0))
        pools = [
            cache.pool(lease.pool)
            for lease in fixed_index.of_holder(holder.id)
            if lease.mac and not is_asked_by_option(lease, cache)
        ]
        if not any(pool is not None and pool.source for pool in pools):
            continue
        would += (0, 0) < version < ENDPOINT_MACS
        will += version < NAMES and is_mute(holder.oldest, holder.newest, version)
    notes = []
    if would:
        notes.append(
            f"upgrading Docker to 25-28 would make {_containers(would)} lose the fixed address at the first start; "
            "from 29 on it is kept (`mooring doctor` names them)"
        )
    if will:
        notes.append(
            f"{_containers(will)} may get a different address at the next start, because another Docker version "
            "created them (`mooring doctor` names them)"
        )
    return notes


def _containers(count: int) -> str:
    return f"{count} container{'s' if count != 1 else ''}"


def _is_mute(holder: Holder | None, version: tuple[int, int]) -> bool:
    """Whether the engine does not read the MAC that another version wrote, as far as a list tells it."""
    return holder is not None and version >= ENDPOINT_MACS and is_mute(holder.oldest, holder.newest, version)


def label_remarks(
    container_labels: dict[str, str], networks: Iterable[tuple[str, Network | None]], named: Iterable[Address] = ()
) -> list[Remark]:
    """What is to be said of a container's labels. networks: its networks by name, None for those that are not ours.
    named: the addresses that its configuration names."""
    if not concern(container_labels):
        return []
    said = list(remarks(container_labels, tuple(named)))
    if not asks(container_labels):
        return said
    places = list(networks)
    ours = [(name, network) for name, network in places if network is not None]
    label = FIXED_LABEL if FIXED_LABEL in container_labels else "mooring.key"
    if not ours:
        where = ", ".join(sorted(name for name, _ in places if name))
        text = f"label {label} has no effect: the container is in no network of Mooring's" + (
            f" ({where})" if where else ""
        )
        said.append(Remark(text, "recreate it in one of those that `mooring network ls` lists, or without the label"))
    said += [
        Remark(
            f"label {label} has no effect in network {name}: another IPAM driver gives its addresses",
            "recreate the network with `-d mooring --ipam-driver mooring`, and the container in it",
        )
        for name, network in ours
        if network.segments and not any(segment.pool for segment in network.segments)
    ]
    return said


def strandings(container: Container, cache: RecordCache) -> list[Remark]:
    """What is to be said of a container whose network of ours is gone: the engine looks for it by its id, and does not
    start the container in the next one of that name (tried on 20.10 and 28)."""
    strange = [
        endpoint for endpoint in container.endpoints if endpoint.network and cache.network(endpoint.network) is None
    ]
    if not strange:
        return []
    heirs = {network.name for network in cache.every(Network) if network.name}
    left = {kept_network.id for kept_network in cache.every(KeptNetwork)}
    found = []
    for endpoint in strange:
        place = f"{endpoint.name} {container.name}"
        again = f"`docker network disconnect -f {place}`, then `docker network connect {place}`, both "
        again += "through the proxy, so that it gets its key's address there"
        if endpoint.name in heirs:
            what = f"it cannot start: its network {endpoint.name} was removed, and the current one has a different ID"
            found.append(Remark(what, again))
        elif endpoint.network in left:
            what = f"it cannot start: its network {endpoint.name} was removed; the addresses of its keys are still kept"
            found.append(Remark(what, f"create the network again under its name; {again}"))
    return found


def _has_ours(endpoint: ContainerEndpoint, cache: RecordCache) -> bool:
    """Whether it has an address there from a pool of ours that no network of ours has."""
    if not endpoint.held:
        return False
    return any(not pool.network and address in pool.subnet for pool in cache.every(Pool) for address in endpoint.held)


def said_of(container: Container, cache: RecordCache) -> list[Remark]:
    """What is to be said of the labels of a container that is there, or of the network that it has lost."""
    if not container.running and (lost := strandings(container, cache)):
        return lost
    if container.mode.startswith(BESIDE) and asks(container.labels):
        return [
            Remark(f"its label has no effect: {beside(container.mode)}", "recreate this container without the label")
        ]
    networks = [
        (endpoint.name, cache.network(endpoint.network) if endpoint.network else None)
        for endpoint in container.endpoints
    ]
    halves = [
        endpoint.name
        for endpoint in container.endpoints
        if not cache.network(endpoint.network) and _has_ours(endpoint, cache)
    ]
    if halves and asks(container.labels):
        return [
            Remark(
                f"its label has no effect in network {name}: Mooring is only the IPAM driver there",
                f"recreate network {name} with `-d mooring --ipam-driver mooring`, and the container in it",
            )
            for name in halves
        ]
    named = [address for endpoint in container.endpoints for address in (*endpoint.wanted, *endpoint.held)]
    return label_remarks(dict(container.labels), networks, named)


def label_findings(containers: Iterable[Container], cache: RecordCache, now: float) -> Iterator[Finding]:
    """A finding for each label that does not do what whoever wrote it thought, and for each container whose network is
    gone."""
    for container in containers:
        # The engine lists a container before it writes down the networks that its create named.
        if not container.endpoints and now - container.created < MAKING:
            continue
        for remark in said_of(container, cache):
            yield Finding(
                f"label {container.id} {remark.text}",
                f"container {container.name}: {remark.text}",
                "its labels and its networks, as Docker lists them",
                now,
                remark.remedy,
            )
