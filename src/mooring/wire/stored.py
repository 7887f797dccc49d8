"""Records as the store keeps them: a key and JSON, in a form of their own with a version number `v`.

Rules: what identifies a record is in its key alone, so key and value cannot disagree; a change of a form gets a new
version and a reader for the old one stays; what a newer Mooring wrote is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from ipaddress import IPv4Address
from operator import or_
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from mooring.core.address_claims import HostClaim
from mooring.core.blocks import HostBlock, LeftSubnet, SharedSubnet
from mooring.core.cluster_marks import ClusterMark
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import Holder
from mooring.core.deny_entries import DenyEntry
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Endpoint
from mooring.core.engines import KnownEngine
from mooring.core.faults import BadRequest, Unavailable
from mooring.core.intents import Intent
from mooring.core.kept_networks import KeptNetwork
from mooring.core.leases import Lease
from mooring.core.moves import Move
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Address, Network, Subnet
from mooring.core.pools import Pool, SubnetPool
from mooring.core.sandboxes import Sandbox
from mooring.core.vnics import Vnic
from mooring.wire.forms import (
    cluster_networks,
    deny_entries,
    dns_records,
    elements,
    endpoints,
    holders,
    kept_networks,
    leases,
    moves,
    network_ports,
    networks,
    pools,
    sandboxes,
    shared_addresses,
    vnics,
)

Record = (
    Pool
    | Lease
    | Network
    | Sandbox
    | Endpoint
    | KnownEngine
    | Holder
    | Intent
    | KeptNetwork
    | Move
    | SubnetPool
    | DenyEntry
    | DnsRecord
    | NetworkPort
    | Vnic
    | SharedSubnet
    | LeftSubnet
    | HostBlock
    | HostClaim
    | HostNetwork
    | ClusterMark
)
R = TypeVar(
    "R", Pool, Lease, Network, Sandbox, Endpoint, KnownEngine, Holder, Intent, KeptNetwork, Move, SubnetPool, DenyEntry,
    DnsRecord, NetworkPort, Vnic, SharedSubnet, LeftSubnet, HostBlock, HostClaim, HostNetwork, ClusterMark,
)  # fmt: skip
R_co = TypeVar("R_co", covariant=True)

# In the order of loading: who listens to an endpoint or a lease can look up its network and its sandbox or pool.
PREFIXES = (
    "engine/", "deny/", "dns/", "estate/", "subnet-pool/", "vnic/", "mark/", "shared/", "left/", "block/", "claim/",
    "cluster-network/", "pool/", "network/", "port/", "sandbox/", "holder/", "intent/", "move/", "endpoint/",
    "lease/",
)  # fmt: skip


def _quoted(text: str) -> str:
    """The text without a slash, reversibly. Raises BadRequest for what is not Unicode text (a lone surrogate)."""
    if text.isalnum() and text.isascii():
        return text  # as nearly all are
    try:
        return quote(text, safe=":")
    except UnicodeEncodeError as error:
        raise BadRequest(f"{text!r} is not Unicode text") from error


@lru_cache(maxsize=1024)
def _claim_prefix(space: str, subnet: Subnet) -> str:
    return f"claim/{_quoted(space)}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}/"


@lru_cache(maxsize=1024)
def _lease_prefix(space: str) -> str:
    return f"lease/{_quoted(space)}/"


@lru_cache(maxsize=1024)
def pool_key(pool_id: str) -> str:
    """Where the pool is kept."""
    return f"pool/{_quoted(pool_id)}"


def subnet_pool_key(name: str) -> str:
    """Where the subnet pool is kept."""
    return f"subnet-pool/{_quoted(name)}"


def network_key(network_id: str) -> str:
    """Where the network is kept."""
    return f"network/{_quoted(network_id)}"


def engine_key(engine_id: str) -> str:
    """Where the engine is kept."""
    return f"engine/{_quoted(engine_id)}"


def holder_key(container_id: str) -> str:
    """Where the holder with the container's full id is kept."""
    return f"holder/{_quoted(container_id)}"


def intent_key(intent_id: str) -> str:
    """Where the intent is kept."""
    return f"intent/{_quoted(intent_id)}"


def move_key(container_id: str, network_id: str) -> str:
    """Where the container's move in the network is kept."""
    return f"move/{_quoted(container_id)}/{_quoted(network_id)}"


def kept_network_key(network_id: str) -> str:
    """Where what the network left is kept."""
    return f"estate/{_quoted(network_id)}"


def deny_key(subnet: Subnet) -> str:
    """Where the deny entry of the subnet is kept."""
    return f"deny/{subnet.version}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}"


def network_port_key(port_id: str) -> str:
    """Where the network port is kept."""
    return f"port/{_quoted(port_id)}"


def vnic_key(tenant: str, subnet: Subnet, address: Address) -> str:
    """Where the VNIC is kept."""
    place = f"{subnet.network_address.packed.hex()}p{subnet.prefixlen}"
    return f"vnic/{_quoted(tenant)}/{place}/{address.packed.hex()}"


def mark_key(host: str) -> str:
    """Key of what this host has said of itself to the cluster. host: its id there."""
    return f"mark/{_quoted(host)}"


def shared_key(space: str, subnet: Subnet) -> str:
    """Where it is kept that the subnet is one of the cluster's."""
    return f"shared/{_quoted(space)}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}"


def left_key(space: str, subnet: Subnet) -> str:
    """Where it is kept that this host has left the network of the subnet."""
    return f"left/{_quoted(space)}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}"


def host_block_key(space: str, subnet: Subnet, index: int) -> str:
    """Where this host's block is kept."""
    return f"block/{_quoted(space)}/{subnet.network_address.packed.hex()}p{subnet.prefixlen}/{index:x}"


def host_claim_key(space: str, subnet: Subnet, address: Address) -> str:
    """Where this host's claim of the address of the subnet is kept."""
    return _claim_prefix(space, subnet) + address.packed.hex()


def host_network_key(network_id: str) -> str:
    """Where this host's part in the cluster network, which Docker knows by that id here, is kept."""
    return f"cluster-network/{_quoted(network_id)}"


def dns_key(network_id: str, name: str) -> str:
    """Where the DNS record of the name in the network ("" for none) is kept."""
    return f"dns/{_quoted(network_id)}/{_quoted(name)}"


def sandbox_key(sandbox_id: str) -> str:
    """Where the sandbox is kept."""
    return f"sandbox/{_quoted(sandbox_id)}"


def endpoint_key(network_id: str, endpoint_id: str) -> str:
    """Where the endpoint of the network is kept."""
    return f"endpoint/{_quoted(network_id)}/{_quoted(endpoint_id)}"


def lease_key(space: str, address: Address) -> str:
    """Where the lease of the address is kept; keys of one space and family sort as their addresses do."""
    if isinstance(address, IPv4Address):
        return f"{_lease_prefix(space)}4/{int(address):08x}"
    return f"{_lease_prefix(space)}6/{int(address):032x}"


_KEYS: dict[type, Callable[[Any], str]] = {
    Lease: lambda record: lease_key(record.space, record.address),
    Endpoint: lambda record: endpoint_key(record.network, record.id),
    Network: lambda record: network_key(record.id),
    Sandbox: lambda record: sandbox_key(record.id),
    Pool: lambda record: pool_key(record.id),
    SubnetPool: lambda record: subnet_pool_key(record.name),
    KnownEngine: lambda record: engine_key(record.id),
    Holder: lambda record: holder_key(record.id),
    Intent: lambda record: intent_key(record.id),
    KeptNetwork: lambda record: kept_network_key(record.id),
    Move: lambda record: move_key(record.container, record.network),
    DenyEntry: lambda record: deny_key(record.subnet),
    DnsRecord: lambda record: dns_key(record.network, record.name),
    NetworkPort: lambda record: network_port_key(record.id),
    Vnic: lambda record: vnic_key(record.tenant, record.subnet, record.address),
    SharedSubnet: lambda record: shared_key(record.space, record.subnet),
    LeftSubnet: lambda record: left_key(record.space, record.subnet),
    HostBlock: lambda record: host_block_key(record.space, record.subnet, record.index),
    ClusterMark: lambda record: mark_key(record.host),
    HostClaim: lambda record: host_claim_key(record.claim.space, record.claim.subnet, record.claim.address),
    HostNetwork: lambda record: host_network_key(record.network),
}


def key_of(record: Record) -> str:
    """Where the record is kept."""
    return _KEYS[type(record)](record)


class Form(Protocol[R_co]):
    """One version of one kind of record as it is stored: a tagged struct with `v` as its tag field."""

    def record(self, key: str) -> R_co:
        """The record, as core knows it now, that is kept under the key. Raises ValueError when it makes no sense."""
        ...


class _Version(msgspec.Struct):
    v: int


class Reader(Generic[R_co]):
    """Reads one kind of record in every form that it ever had."""

    def __init__(self, versions: Sequence[type[Form[R_co]]]) -> None:
        """versions: the forms, version 1 first."""
        self._latest = len(versions)
        # msgspec picks the form by its tag while it decodes; typing cannot say "one of these structs".
        union: Any = reduce(or_, versions)
        self._decoder: msgspec.json.Decoder[Form[R_co]] = msgspec.json.Decoder(union)

    def read(self, key: str, value: bytes) -> R_co:
        """The record. Raises Unavailable when it is of a newer version or damaged."""
        try:
            return self._decoder.decode(value).record(key)
        except (msgspec.MsgspecError, ValueError) as error:
            raise self._refusal(key, value, error) from error

    def _refusal(self, key: str, value: bytes, error: Exception) -> Unavailable:
        try:
            version = msgspec.json.decode(value, type=_Version).v
        except (msgspec.MsgspecError, ValueError):
            version = 0
        if version > self._latest:
            return Unavailable(
                f"record {key} has version {version}, this Mooring reads up to {self._latest}",
                hint="install the newer Mooring again, or restore a backup from before the upgrade",
            )
        return Unavailable(f"record {key} cannot be read: {error}", hint="restore a backup")


_READERS: dict[str, Reader[Any]] = {
    "lease": Reader[Lease]([leases.LeaseV1]),
    "endpoint": Reader[Endpoint]([endpoints.EndpointV1, endpoints.EndpointV2, endpoints.EndpointV3]),
    "sandbox": Reader[Sandbox]([sandboxes.SandboxV1]),
    "network": Reader[Network](
        [
            networks.NetworkV1,
            networks.NetworkV2,
            networks.NetworkV3,
            networks.NetworkV4,
            networks.NetworkV5,
            networks.NetworkV6,
        ]
    ),
    "pool": Reader[Pool]([pools.PoolV1]),
    "subnet-pool": Reader[SubnetPool]([pools.SubnetPoolV1]),
    "engine": Reader[KnownEngine]([pools.EngineV1, pools.EngineV2, pools.EngineV3]),
    "holder": Reader[Holder]([holders.HolderV1, holders.HolderV2]),
    "intent": Reader[Intent]([holders.IntentV1]),
    "estate": Reader[KeptNetwork]([kept_networks.KeptNetworkV1]),
    "move": Reader[Move]([moves.MoveV1]),
    "deny": Reader[DenyEntry]([deny_entries.DenyEntryV1]),
    "dns": Reader[DnsRecord]([dns_records.DnsRecordV1]),
    "port": Reader[NetworkPort]([network_ports.NetworkPortV1]),
    "vnic": Reader[Vnic]([vnics.VnicV1]),
    "shared": Reader[SharedSubnet]([shared_addresses.SharedSubnetV1]),
    "left": Reader[LeftSubnet]([shared_addresses.LeftSubnetV1]),
    "block": Reader[HostBlock]([shared_addresses.HostBlockV1]),
    "claim": Reader[HostClaim]([shared_addresses.HostClaimV1]),
    "cluster-network": Reader[HostNetwork]([cluster_networks.HostNetworkV1]),
    "mark": Reader[ClusterMark]([shared_addresses.ClusterMarkV1]),
}
_FORMS: dict[type, Callable[[Any], elements.Stored]] = {
    Lease: leases.lease_form,
    Endpoint: endpoints.endpoint_form,
    Sandbox: sandboxes.sandbox_form,
    Network: networks.network_form,
    Pool: pools.pool_form,
    SubnetPool: pools.subnet_pool_form,
    KnownEngine: pools.engine_form,
    Holder: holders.holder_form,
    Intent: holders.intent_form,
    KeptNetwork: kept_networks.kept_network_form,
    Move: moves.move_form,
    DenyEntry: deny_entries.deny_entry_form,
    DnsRecord: dns_records.dns_record_form,
    NetworkPort: network_ports.network_port_form,
    Vnic: vnics.vnic_form,
    SharedSubnet: shared_addresses.shared_subnet_form,
    LeftSubnet: shared_addresses.left_subnet_form,
    HostBlock: shared_addresses.host_block_form,
    HostClaim: shared_addresses.host_claim_form,
    HostNetwork: cluster_networks.host_network_form,
    ClusterMark: shared_addresses.cluster_mark_form,
}
_ENCODER = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """The record in the form of its kind that is written. Raises BadRequest when it has what is not Unicode text."""
    try:
        return _ENCODER.encode(_FORMS[type(record)](record))
    except UnicodeEncodeError as error:
        raise BadRequest(f"record {key_of(record)} contains text that is not Unicode") from error


def decode(key: str, value: bytes) -> Record:
    """The record that was stored under the key. Raises Unavailable when this version cannot read it."""
    reader = _READERS.get(key.partition("/")[0])
    if reader is None:
        raise Unavailable(f"record {key} is of a kind that this Mooring does not know", hint="install a newer one")
    record: Record = reader.read(key, value)
    return record
