"""Who holds a lease, in words: for refusals, lists and explanations."""

from __future__ import annotations

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.endpoints import Endpoint
from mooring.core.intents import PLACEHOLDER, is_placeholder
from mooring.core.keys import is_ports, key_in_words
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address
from mooring.core.times import moment, span
from mooring.core.whom import whom_in_words
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache


def holder_names(lease: Lease, cache: RecordCache, names: EngineNames = NOBODY_ASKED) -> list[str]:
    """The containers that hold the fixed lease, for people: by name where one is known. One that is being made has no
    name yet and comes last."""
    found = []
    for each in sorted(lease.holders, key=lambda holder: (is_placeholder(holder), holder)):
        if is_placeholder(each):
            intent = cache.intent(each.removeprefix(PLACEHOLDER))
            name = f" {intent.name}" if intent is not None and intent.name else ""
            found.append(f"container{name} that is being created")
        else:
            found.append(f"container {container_name(each, lease, cache, names)}")
    return found


def container_name(container: str, lease: Lease, cache: RecordCache, names: EngineNames = NOBODY_ASKED) -> str:
    """The container's name, the beginning of its id when nobody has said it."""
    told = names.containers.get(container)
    if told is not None:
        return told.name
    known = cache.holder(container)
    if known is not None and known.name:
        return known.name
    return lease.name if lease.name and lease.holders == {container} else container[:12]


def in_words(lease: Lease | None, cache: RecordCache) -> str:
    """What an address is, in a few words: the state with its essentials."""
    if lease is None:
        return "free"
    until = f" until {moment(lease.until)}" if lease.until is not None else ""
    match lease.state:
        case LeaseState.RESERVED:
            note = f" ({lease.note})" if lease.note else ""
            return f"reserved for {whom_in_words(lease.whom)}{note}{until}"
        case LeaseState.COOLING:
            return f"cooling{until}"
        case LeaseState.FIXED:
            who = ", ".join(holder_names(lease, cache))
            waits = bool(lease.hold) and not is_ports(lease.key)
            kept = f", kept {span(lease.hold)} after its last container" if waits else ""
            use = ", in use" if lease.active is not None else ", not in use"
            return f"fixed for {owner_in_words(lease, cache)}" + (f", held by {who}" if who else until) + use + kept
        case LeaseState.DYNAMIC:
            return f"dynamic, {holder_of(lease, None)}"
        case state:
            return str(state.value)


def owner_in_words(lease: Lease, cache: RecordCache, names: EngineNames = NOBODY_ASKED) -> str:
    """What a fixed address belongs to."""
    key = lease.key
    kind, _, text = key.partition(":")
    match kind if text else "":
        case "container" if is_placeholder(text):
            return "the container that is being created"
        case "container":
            return f"container {container_name(text, lease, cache, names)}"
        case "key":
            return f"the key {text} (label mooring.key)"
        case "port":
            return f"port {text}"
        case "name":
            return f"the container named {text}"
        case "compose":
            return f"replica {text.rpartition('/')[2]} of the compose service {text.rpartition('/')[0]}"
        case _:
            return f"the key {key}" if key else "its container"


def reservation_in_words(lease: Lease) -> str:
    """Who has a reserved address, for a fault."""
    return f"the reservation for {whom_in_words(lease.whom)}" + (f" ({lease.note})" if lease.note else "")


def way_out_of_use(address: Address) -> str:
    """What to do about an address that an endpoint has: its container may be gone, and nobody have told us."""
    return (
        "stop that container, or choose another address; was it removed while Mooring was down, `mooring doctor --fix` "
        f"frees the address; see `mooring explain {address}`"
    )


def holder_of(lease: Lease, endpoint: Endpoint | None, names: EngineNames = NOBODY_ASKED) -> str:
    """Who has the lease, in words; of a fixed one without its containers' names (see holder_names)."""
    match lease.state:
        case LeaseState.GATEWAY:
            return "gateway"
        case LeaseState.AUXILIARY:
            return "auxiliary address"
        case LeaseState.RESERVED:
            return f"reserved for {whom_in_words(lease.whom)}" if lease.whom else "reserved"
        case LeaseState.COOLING:
            return "no container"
    if endpoint is not None and is_namespaces(endpoint.id):
        return namespace_name(endpoint)
    container = names.with_endpoint(endpoint.id) if endpoint is not None else None
    if container is not None:
        return f"container {container.name}"
    if lease.state is LeaseState.FIXED and endpoint is None and not lease.holders and lease.key:
        return key_in_words(lease.key)  # the name is that of a container which is gone
    if lease.name:
        return f"container {lease.name}"
    if endpoint is not None:
        return f"endpoint {endpoint.id[:12]}"
    if lease.key:
        return f"key {lease.key}"
    return f"MAC {lease.mac}" if lease.mac else "a container that Docker did not name"
