"""Everything that the API has: the resources, in the order in which they are described."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.servers.api.attached_namespaces import AttachedNamespaces
from mooring.servers.api.attachments import Attachments
from mooring.servers.api.backups import Backups
from mooring.servers.api.cluster import Cluster
from mooring.servers.api.containers import Containers
from mooring.servers.api.denials import DenyEntries
from mooring.servers.api.diagnoses import Diagnoses
from mooring.servers.api.dns import Dns
from mooring.servers.api.explanations import Explanations
from mooring.servers.api.ip import Ip
from mooring.servers.api.leases import Leases
from mooring.servers.api.network_ports import NetworkPorts
from mooring.servers.api.networks import Networks
from mooring.servers.api.networks_everywhere import NetworksEverywhere
from mooring.servers.api.pools import Pools
from mooring.servers.api.readiness import ReadinessProbes
from mooring.servers.api.status import Status
from mooring.servers.api.subnet_pools import SubnetPools
from mooring.servers.api.tenants import Tenants
from mooring.servers.api.vnics import Vnics
from mooring.services.operations.operations import Operations

RESOURCES = (
    Status, Networks, Pools, SubnetPools, Leases, NetworkPorts, DenyEntries, Tenants, Vnics, Containers, Explanations,
    Diagnoses, Backups, ReadinessProbes, Ip, Attachments, AttachedNamespaces, Dns, Cluster, NetworksEverywhere,
)  # fmt: skip


def resources(operations: Operations, backup: Callable[[str], Awaitable[None]]) -> list[object]:
    """All of them over these services. backup: writes a copy of the store to a new file."""
    return [
        Status(operations), Networks(operations), Pools(operations), SubnetPools(operations), Leases(operations),
        NetworkPorts(operations), DenyEntries(operations), Tenants(operations), Vnics(operations),
        Containers(operations), Explanations(operations), Diagnoses(operations), Backups(backup),
        ReadinessProbes(operations), Ip(operations), Attachments(operations),
        AttachedNamespaces(operations), Dns(operations), Cluster(operations), NetworksEverywhere(operations),
    ]  # fmt: skip
