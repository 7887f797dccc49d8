"""Networks of the cluster, as an operator sees them.

Rule: what the records have is shown whatever the cluster does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from mooring.core.blocks import HostBlock, behind
from mooring.core.cluster_networks import HostNetwork
from mooring.core.cluster_views import NetworkMemberRow, NetworkPart
from mooring.core.faults import Fault
from mooring.core.ingress import Way
from mooring.core.networks import Subnet
from mooring.core.overlays import Overlay, fitted_mtu
from mooring.core.views import NetworkDetail
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache


class ClusterNetworkRows:
    """plan: of the cluster that this host is in; None: in none. overlay: of the network, if it is one here. ingress:
    where this host's ports lead to in the network."""

    def __init__(
        self,
        cache: RecordCache,
        index: EndpointIndex,
        plan: Callable[[], AddressPlan | None],
        overlay: Callable[[str], Overlay | None],
        ingress: Callable[[str], list[list[Way]]],
    ) -> None:
        self._cache, self._index, self._plan, self._overlay, self._ingress = cache, index, plan, overlay, ingress

    async def completed(self, detail: NetworkDetail) -> NetworkDetail:
        """With this host's part in the cluster's network, and who else takes part, if it is one. Raises no Fault."""
        part = self._cache.host_network(detail.id)
        if part is None:
            return detail
        shared, plan = part.shared, self._plan()
        network, overlay = self._cache.network(detail.id), self._overlay(detail.id)
        if network is not None and overlay is not None:
            detail = msgspec.structs.replace(detail, mtu=fitted_mtu(network, overlay))
        prefixes = (
            [] if shared.overlay else [str(prefix) for each in shared.subnets for prefix in self._behind(part, each)]
        )
        shown = NetworkPart(shared.id, shared.vni, [str(address) for address in part.own], prefixes=prefixes)
        if plan is None:
            shown = msgspec.structs.replace(shown, unreached="this host is in no cluster")
            return msgspec.structs.replace(detail, cluster=shown)
        names: dict[str, str] = {}
        try:
            seen = await plan.values.networks(shared.space)
            names = {host.id: host.name for host in await plan.values.hosts.hosts()}
        except Fault as fault:
            shown = msgspec.structs.replace(shown, unreached=str(fault))
        else:
            hosts = [NetworkMemberRow(each.host, names.get(each.host, ""), each.name) for each in seen.of(shared)]
            shown = msgspec.structs.replace(shown, hosts=hosts)
        led = [_in_words(ways, names) for ways in self._ingress(detail.id)]
        shown = msgspec.structs.replace(shown, ingress=led)
        return msgspec.structs.replace(detail, cluster=shown)

    def _behind(self, part: HostNetwork, subnet: Subnet) -> list[Subnet]:
        """What of the subnet a router has to send to this host."""
        place = part.shared.space, subnet
        blocks = [block for block in self._cache.every(HostBlock) if (block.space, block.subnet) == place]
        endpoints = self._index.of_network(part.network)
        return behind(blocks, (each for endpoint in endpoints for each in endpoint.addresses if each in subnet))


def _in_words(ways: list[Way], names: Mapping[str, str]) -> str:
    """Where a port leads, and who else has it. names: of hosts, by their ids."""
    others = [f"{way.port_binding.target} on {names.get(way.host, way.host)}" for way in ways[1:]]
    also = f", and not to {', '.join(others)}" if others else ""
    return f"{ways[0].port_binding} on {names.get(ways[0].host, ways[0].host)}{also}"
