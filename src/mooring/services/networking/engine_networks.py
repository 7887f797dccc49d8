"""Networks as an engine asks for them: as networking.networks, but for those whose addresses the engine gives itself.

Rules: a network of our driver alone, without our IPAM driver, is refused with what to add, since nothing that Mooring
is for would be true in it, and nobody would be told, unless it says `subnets=on-demand`: whoever does so knows that the
subnets come from elsewhere; one that is on record stays as it is; one to which a namespace is attached stays until that
has left, since no engine knows of it.
"""

from __future__ import annotations

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Mode, Subnets
from mooring.core.options import parse_network_options
from mooring.core.requests import NetworkRequest
from mooring.services.networking.networks import Networks
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache

# Address spaces of Docker's own IPAM driver (libnetwork/ipams/defaultipam; engines before 27 have both).
DOCKERS_OWN = ("LocalDefault", "GlobalDefault")


class EngineNetworks:
    """`create` and `delete`. plugin: the name that the engine has for us."""

    def __init__(self, networks: Networks, cache: RecordCache, endpoint_index: EndpointIndex, plugin: str) -> None:
        self._networks = networks
        self._cache, self._endpoint_index = cache, endpoint_index
        self._plugin = plugin

    async def create(self, request: NetworkRequest) -> None:
        """As networking.networks. Raises BadRequest when Docker's own IPAM driver gives the addresses."""
        parts = request.ipv4 + request.ipv6
        if any(part.space in DOCKERS_OWN for part in parts) and self._cache.network(request.id) is None:
            options = parse_network_options(request.raw, request.internal, ipv6=bool(request.ipv6))
            if options.mode is Mode.BRIDGE and options.subnets is Subnets.AT_CREATION:
                raise BadRequest(
                    "this network would get its addresses from Docker's IPAM driver, so Mooring could not manage them",
                    hint=f"add `--ipam-driver {self._plugin}`; in a compose file `ipam: {{driver: {self._plugin}}}`",
                )
        await self._networks.create(request)

    async def delete(self, network_id: str) -> None:
        """As networking.networks. Raises Conflict while a namespace is attached to it."""
        inside = [each for each in self._endpoint_index.of_network(network_id) if is_namespaces(each.id)]
        if inside:
            raise Conflict(
                f"network {network_id[:12]} is in use", holder=", ".join(map(namespace_name, inside)),
                hint="detach it (`mooring detach --help`): Mooring removes the network after that",
            )  # fmt: skip
        await self._networks.delete(network_id)
