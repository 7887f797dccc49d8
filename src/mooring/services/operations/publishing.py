"""Networks that are made the cluster's by hand, as an operator names and sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.core.cluster_views import PublishedView
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.networking.published_networks import PublishedNetworks
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.record_cache import RecordCache


class NetworkPublishing:
    """`publish`. names: what the engine calls everything, asked now."""

    def __init__(
        self, cache: RecordCache, networks: PublishedNetworks, membership: ClusterMembership,
        names: Callable[[], Awaitable[EngineNames]],
    ) -> None:  # fmt: skip
        self._cache, self._networks, self._membership, self._names = cache, networks, membership, names

    async def publish(self, reference: str, dry: bool) -> PublishedView:
        """The network is one of the cluster; what that is, or would be. Raises NotFound, also on a host that is in no
        cluster, and as PublishedNetworks.publish."""
        self._membership.entered()
        names = await self._names()
        network = network_meant(reference, self._cache, names)
        done = await self._networks.publish(network.id, dry)
        return PublishedView(
            done.network, names.of_network(network), list(done.subnets), done.addresses, list(done.hosts),
            list(done.asked), done.changed, dry,
        )  # fmt: skip
