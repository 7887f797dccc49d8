"""What is true of one address, in sentences for somebody who is woken at night.

Rules: every address has an answer; it says who has it, since when, why, and what would free it, or why nobody can have
it; a sentence names a thing as the commands do, so that it can be pasted into the next one.
"""

from __future__ import annotations

import msgspec

from mooring.core.addresses import usable
from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.deny_entries import DenyEntry
from mooring.core.dns_places import ADDRESSES
from mooring.core.endpoints import Endpoint
from mooring.core.intents import PLACEHOLDER, is_placeholder
from mooring.core.keys import is_ports, outlives
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, HostAccess, Network, Subnet
from mooring.core.pools import Pool
from mooring.core.times import ago, moment, span
from mooring.core.views import Explanation, Reason
from mooring.core.vnics import Vnic, group_of
from mooring.core.whom import HOST, container_of, whom_in_words
from mooring.services.containers.engine_upgrades import NAMES
from mooring.services.ipam.kept_address_rows import kept_reasons, kept_subnets
from mooring.services.operations.next_starts import losses, upgrade_costs
from mooring.services.operations.outside_pools import by_rule, denied, in_foreign_segment, of_dns_server
from mooring.services.operations.scenes import Scene, in_use
from mooring.services.records.holder_names import container_name, holder_names, holder_of, owner_in_words
from mooring.services.records.record_cache import RecordCache

ABANDONED = (
    "If whoever asked for that has gone (Ctrl-C), Mooring asks Docker within half a minute whether there is such a "
    "container, and if not, it counts as removed; the same command has the address again before that."
)


def explain_address(address: Address, scene: Scene) -> Explanation:
    """Every place that has something to say of the address: its pools, else its networks, else the rules."""
    reasons = [
        explain_in_pool(address, pool, scene)
        for pool in sorted(scene.cache.every(Pool), key=lambda pool: (pool.space, pool.created))
        if address in pool.subnet
    ]
    reasons += [
        in_foreign_segment(address, network, scene.endpoint_index, scene.names)
        for network in scene.cache.every(Network)
        if (segment := network.segment_of(address)) is not None and not segment.pool
    ]
    reasons = reasons or kept_reasons(scene.cache, scene.now, address)
    reasons = reasons or kept_subnets(scene.cache, scene.now, address)
    reasons += _vnics_without_network(address, scene)
    entries = list(scene.cache.every(DenyEntry))
    if reasons and (entry := denied(address, scene.policy, entries)) is not None:
        kept = f"No new network can get it: {entry.in_words()}. What has it keeps it."
        reasons = [msgspec.structs.replace(each, text=[*each.text, kept]) for each in reasons]
    if not reasons and address in ADDRESSES:
        reasons = [of_dns_server(address, scene.cache.every(Network), scene.names)]
    return Explanation(str(address), reasons or [by_rule(address, scene.policy, scene.subnet_pools, entries)])


def special_role(address: Address, subnet: Subnet) -> str:
    """Why the subnet can never give this address to anybody, "" when it can."""
    start, end = usable(subnet)
    if start <= int(address) < end:
        return ""
    if address == subnet.network_address:
        return "the network address" if address.version == 4 else "the subnet-router anycast address"
    return "the broadcast address"


def explain_in_pool(address: Address, pool: Pool, scene: Scene) -> Reason:
    """What is true of the address in the pool."""
    lease = scene.cache.lease(pool.space, address)
    network = scene.cache.network(pool.network) if pool.network else None
    endpoint = scene.endpoint_index.at(pool.network, address) if pool.network else None
    place = f"subnet {pool.subnet}"
    if network is not None:
        place += f" of network {scene.names.place(network)}"
    if lease is not None:
        waits = lease.state is LeaseState.FIXED and not lease.holders and lease.active is None and endpoint is None
        verdict = "cooling" if lease.state is LeaseState.COOLING else "kept" if waits else "held"
        text = [f"{address} is in {place}.", *_of_lease(lease, network, endpoint, scene)]
    else:
        verdict, text = _without_lease(address, pool, network, endpoint, place)
    if pool.space != "default":
        text.append(f"This is in address space {pool.space}; the same address may also exist in another address space.")
    if network is not None and network.domain:
        text.append(_host_reaches(network))
    if network is not None and network.handed_over:
        text.append(_handed_over(address, network, scene))
    state = lease.state.value if lease else ""
    return Reason(verdict, pool.space, str(pool.subnet), pool.network, state, text, str(address))


def _handed_over(address: Address, network: Network, scene: Scene) -> str:
    group = group_of(network)
    vnic = scene.cache.vnic(group.tenant, group.subnet, address) if group is not None else None
    if vnic is None:
        return "It is no VNIC's, so no container can get it: `mooring vnic create` makes one."
    return f"It is that of {_vnic_in_words(vnic)}"


def _vnic_in_words(vnic: Vnic) -> str:
    whose = f", instance {vnic.instance}" if vnic.instance else ""
    return f"VNIC {vnic.id}{whose}, MAC {vnic.mac}, which ends with `mooring vnic rm {vnic.id}` alone."


def _vnics_without_network(address: Address, scene: Scene) -> list[Reason]:
    """What launchers have made the address for, and what waits for its Docker network."""
    if not scene.cache.count(Vnic):
        return []
    there = {group_of(network) for network in scene.cache.every(Network) if network.handed_over}
    return [
        Reason(
            "held", vnic.tenant or "default", str(vnic.subnet), "", "",
            [
                f"{address} in subnet {vnic.subnet}{f' of tenant {vnic.tenant}' if vnic.tenant else ''} is that of "
                f"{_vnic_in_words(vnic)}",
                f"Its Docker network is not there: `mooring vnic inspect {vnic.id}` tells the command that creates it.",
            ],
            str(address),
        )
        for vnic in scene.cache.every(Vnic)
        if vnic.address == address and vnic.group not in there
    ]  # fmt: skip


def _host_reaches(network: Network) -> str:
    if network.host_access is HostAccess.ADDRESSES:
        return "This host's programs reach it at this address (-o host_access=addresses)."
    return "This host's programs reach it by published ports only: its network is in a routing domain of its tenant's."


def _without_lease(
    address: Address, pool: Pool, network: Network | None, endpoint: Endpoint | None, place: str
) -> tuple[str, list[str]]:
    if endpoint is not None:
        return "held", [
            f"{address} is in {place}, and endpoint {endpoint.id[:12]} has it, MAC {endpoint.mac}.",
            "There is no lease for it, an inconsistency: Docker released the address while the endpoint still exists.",
            "It becomes free when the container is disconnected or stopped.",
        ]
    if role := special_role(address, pool.subnet):
        return "never", [f"{address} is {role} of {place}: no container can get it."]
    if network is not None and network.handed_over:
        return "free", [f"{address} is in {place}, and no container has it."]
    if network is None:
        lines = [f"{address} is free in {place}, which no network of Mooring's uses now."]
    else:
        lines = [f"{address} is free in {place}: nothing holds it, and any container of the network may get it."]
    if pool.range is not None and address not in pool.range:
        lines = [
            f"{address} is free in {place}, but outside of the range {pool.range} (--ip-range).",
            "It is never chosen automatically.",
        ]
    family = "--ip" if address.version == 4 else "--ip6"
    lines.append(f"A container that asks for it with `docker run {family} {address}` gets it.")
    return "free", lines


def _of_lease(lease: Lease, network: Network | None, endpoint: Endpoint | None, scene: Scene) -> list[str]:
    now = scene.now
    since = f"{moment(lease.since)} ({ago(now - lease.since)})"
    name = scene.names.of_network(network) or network.id[:12] if network else ""
    remove = f"`docker network rm {name}`" if name else "`docker network rm` of its network"
    match lease.state:
        case LeaseState.GATEWAY:
            return [f"It has been the gateway of that subnet since {since}.", f"Only {remove} frees it."]
        case LeaseState.AUXILIARY:
            name = _auxiliary_name(lease.address, network)
            return [
                f"It was set aside with --aux-address{name} when the network was created, at {since}.",
                f"Only {remove} frees it.",
            ]
        case LeaseState.COOLING:
            return _cooling(lease, since, now)
        case LeaseState.RESERVED:
            return _reserved(lease, since, now, name or "NETWORK")
        case LeaseState.FIXED:
            if is_ports(lease.key):
                return _of_port(lease, endpoint, scene)
            return [*_fixed(lease, endpoint, since, scene), *_unproven(lease, scene)]
        case LeaseState.DYNAMIC:
            return _dynamic(lease, network, endpoint, since, scene)


def _cooling(lease: Lease, since: str, now: float) -> list[str]:
    lines = [f"No container holds it: it was released, and has been cooling down since {since}."]
    if lease.until is not None and lease.until > now:
        lines.append(f"It is not chosen automatically before {moment(lease.until)} (in {span(lease.until - now)}).")
    else:
        lines.append("Its cooldown is over: it can be assigned again, after addresses that have been free longer.")
    lines.append("A container that requests it (--ip, --ip6) gets it now.")
    return lines


def _reserved(lease: Lease, since: str, now: float, network: str) -> list[str]:
    whom = f" for {whom_in_words(lease.whom)}" if lease.whom else ""
    note = f" Note: {lease.note}." if lease.note else ""
    until = " It does not expire."
    if lease.until is not None:
        until = f" It expires at {moment(lease.until)} (in {span(lease.until - now)})."
        if lease.until <= now:
            until = f" It expired at {moment(lease.until)} and no longer applies."
    lines = [f"An operator reserved it{whom} at {since}.{note}{until}"]
    if lease.whom == HOST:
        lines.append("This host has it in the network: `mooring hide` takes it back.")
        return lines
    if container := container_of(lease.whom):
        lines.append(f"`mooring attach {container[:12]} {network}` gives it to that container, and it ends with it.")
    elif "=" in lease.whom:
        lines.append(f"A container that asks for it gets it when its labels are {lease.whom}; no other container does.")
        lines.append("Docker passes no labels to drivers: create it through the proxy, with the label fixed-ip.")
    elif lease.whom:
        lines.append(f"A container that asks for it gets it when its name is {lease.whom}; no other container does.")
        lines.append("With Docker before 29, create it through the proxy, with the label fixed-ip.")
    else:
        lines.append("No container can get it.")
    lines.append(f"`mooring lease release {lease.address}` ends the reservation.")
    return lines


def _fixed(lease: Lease, endpoint: Endpoint | None, since: str, scene: Scene) -> list[str]:
    cache, now = scene.cache, scene.now
    whose = owner_in_words(lease, cache, scene.names)
    lines = [f"It is fixed for {whose}: a stop or a crash does not free it."]
    lines.append(in_use(lease, endpoint, scene))
    if endpoint is None and lease.active is None and lease.holders:
        lines.append(f"It has been idle since {since}.")
    made = [each for each in lease.holders if is_placeholder(each)]
    names = [name.removeprefix("container ") for name in holder_names(lease, cache, scene.names)]
    if made:
        lines.append(f"It is assigned to a container that is being created{_begun(made, now, cache)}.")
        lines.append(ABANDONED)
    if there := ", ".join(names[: len(names) - len(made)]):
        lines.append(_ending(lease, there, scene))
        lines += _gone(lease, scene)
    elif not made and lease.until is not None and not lease.whom and lease.active is None:
        left = f" (in {span(lease.until - now)})" if lease.until > now else ""
        lines.append(f"Its containers were removed. It is kept until {moment(lease.until)}{left}, then it is free.")
        lines.append(f"`mooring lease release {lease.address}` releases it now.")
    elif not made and lease.active is None:
        lines.append(
            f"No container is configured with it any more; `mooring lease release {lease.address}` releases it."
        )
    elif not made:
        kept = f", and not before {moment(lease.until)}" if lease.until is not None and lease.until > now else ""
        lines.append(
            f"No container is configured with it any more: it becomes free when the one that uses it stops{kept}."
        )
    if lease.whom and not (lease.until is not None and lease.until <= now):
        lines.append(f"After that it is reserved for {whom_in_words(lease.whom)} again.")
    return lines


def _of_port(lease: Lease, endpoint: Endpoint | None, scene: Scene) -> list[str]:
    name = lease.key.partition(":")[2]
    lines = [f"It belongs to port {name}, MAC {lease.mac}: nothing that a container does frees it."]
    lines.append(in_use(lease, endpoint, scene))
    if holders := holder_names(lease, scene.cache, scene.names):
        lines.append(f"In whose configuration it is: {', '.join(holders)}.")
    return [
        *lines,
        f"`mooring port inspect {name}` says how a container asks for it; `mooring port rm {name}` frees it.",
    ]


def _ending(lease: Lease, there: str, scene: Scene) -> str:
    """When it becomes free. there: the containers that hold it, for people."""
    losing = {loss.container.id for loss in losses(lease, scene.cache, scene.names)}
    if losing and losing == {each for each in lease.holders if not is_placeholder(each)}:
        return f"It becomes free when {there} starts again, with a different address, or is removed."
    return f"It becomes free {_when(lease, scene)} the last container that holds it is removed: {there}."


def _when(lease: Lease, scene: Scene) -> str:
    """How long after its last container is gone: a key may keep it for a while."""
    hold = lease.hold or scene.policy.hold
    return f"{span(hold)} after" if outlives(lease.key) and not lease.whom and hold > 0 else "when"


def _gone(lease: Lease, scene: Scene) -> list[str]:
    """What is to be said of holders that the engine does not have any more."""
    if not scene.names.heard:
        return []
    gone = [each for each in sorted(lease.holders) if not is_placeholder(each) and each not in scene.names.containers]
    if not gone:
        return []
    who = ", ".join(container_name(each, lease, scene.cache) for each in gone)
    return [
        f"Docker no longer has a container {who}: Mooring notices this by itself within a few minutes, and "
        "`mooring doctor --fix` checks it now."
    ]


def _unproven(lease: Lease, scene: Scene) -> list[str]:
    """What is to be said of a fixed address that only its container's name can prove."""
    if scene.names.heard:
        said = [f"{loss.text}. Before that: {loss.remedy}." for loss in losses(lease, scene.cache, scene.names)]
        return [*said, *upgrade_costs(lease, scene.cache, scene.names)]
    pool = scene.cache.pool(lease.pool)
    if lease.mac or not lease.holders or pool is None or not pool.source:
        return []
    return [
        "The container's configuration has no MAC for it (for example because it was connected to the network later,",
        "with Docker before 29.3 or API below 1.54). Docker before 29 does not tell Mooring which container is asking,",
        "so it gets a different address at its next start. Recreate it with this network, or use one with --subnet.",
    ]


def _begun(placeholders: list[str], now: float, cache: RecordCache) -> str:
    """Since when a container is being made."""
    intents = [cache.intent(each.removeprefix(PLACEHOLDER)) for each in sorted(placeholders)]
    known = next((intent for intent in intents if intent is not None), None)
    if known is None:
        return ""
    return (f" ({known.name})" if known.name else "") + f", started {ago(now - known.created)}"


def _dynamic(lease: Lease, network: Network | None, endpoint: Endpoint | None, since: str, scene: Scene) -> list[str]:
    if network is not None and endpoint is not None and is_namespaces(endpoint.id):
        return _of_namespace(lease, network, endpoint, since, scene)
    known = scene.names.with_endpoint(endpoint.id) if endpoint is not None else None
    name = known.name if known is not None else lease.name
    back = [f"After that it is reserved for {whom_in_words(lease.whom)} again."] if lease.whom else []
    handed_over = network is not None and network.handed_over
    if endpoint is not None:
        who = (f"container {name}, " if name else "") + f"endpoint {endpoint.id[:12]} ({endpoint.state.value})"
        lines = [
            f"It is held by {who}, MAC {endpoint.mac}; given to it at {since}.",
            *(() if handed_over else _this_run(lease, endpoint, scene)),
        ]
        if scene.names.heard and known is None:
            lines.append(
                "Docker lists no container with that endpoint: it is starting or stopping, or Docker has lost track of "
                "it; in that case `mooring doctor` prints the command that removes it."
            )
            return [*lines, *back]
        cools = " for the next container" if handed_over else "; it cools down first"
        free = f"`docker stop {name or 'CONTAINER'}` or `docker network disconnect` frees it{cools}."
        return [*lines, free, *back]
    asked = holder_of(lease, None)
    if network is None:
        return [
            f"It was given to {asked} at {since}.",
            "The network is not Mooring's (it uses another driver), so only Docker knows the container:",
            "`docker network inspect NETWORK` shows it. It becomes free when that container stops.",
        ]
    return [
        f"It was given to {asked} at {since}, but no endpoint has it.",
        "Its container is starting, or Docker never released it; Mooring releases such addresses within a few minutes.",
    ]


def _of_namespace(lease: Lease, network: Network, endpoint: Endpoint, since: str, scene: Scene) -> list[str]:
    inside = f", interface {endpoint.interface}" if endpoint.interface else ""
    after = f"reserved for {whom_in_words(lease.whom)} again" if lease.whom else "free, after a cooldown"
    return [
        f"It is held by {namespace_name(endpoint)}{inside}, MAC {endpoint.mac}; attached at {since}.",
        f"`mooring detach --netns {endpoint.name or 'PATH'} {scene.names.of_network(network) or network.id[:12]}` ends "
        "that, and so does the end of the namespace, within minutes.",
        f"After that it is {after}.",
    ]


def _this_run(lease: Lease, endpoint: Endpoint, scene: Scene) -> list[str]:
    """What becomes of a dynamic address at the next start, and what would keep it."""
    address = lease.address
    option = "--ip" if address.version == 4 else "--ip6"
    found = scene.names.endpoints.get(endpoint.id)
    if found is None:
        return [
            "It is dynamic: after `docker restart` the container may get a different address,",
            f"unless it was created with `{option} {address}`. `mooring lease hold {address}` fixes it.",
        ]
    pool = scene.cache.pool(lease.pool)
    if address in found[1].wanted:
        return [
            f"It is dynamic. The container's configuration has it ({option}), so each start requests it, but while the",
            f"container is stopped, another one may get it. `mooring lease hold {address}` fixes it.",
        ]
    lines = ["It is dynamic: after `docker restart` the container may get a different address."]
    if scene.names.version < NAMES and pool is not None and pool.source:
        how = "To keep it, recreate the container through the proxy, with the label fixed-ip or mooring.key."
        return [*lines, how]
    return [*lines, f"`mooring lease hold {address}` fixes it."]


def _auxiliary_name(address: Address, network: Network | None) -> str:
    segment = network.segment_of(address) if network else None
    names = [name for name, held in (segment.auxiliary if segment else {}).items() if held == address]
    return f" {names[0]}={address}" if names else ""
