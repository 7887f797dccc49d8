"""dockerd's door: libnetwork's remote network and IPAM drivers on one socket.

Rules: a method decodes, calls one service method, and encodes; how a call comes to it and what becomes of a fault is
plugin.dispatch's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from mooring.core.addresses import parse_address
from mooring.core.endpoints import Attachment
from mooring.core.faults import Forbidden
from mooring.core.networks import Address
from mooring.core.port_bindings import PortRequest
from mooring.core.requests import EndpointGrant, EndpointRequest, JoinRequest, NetworkRequest
from mooring.ports import IpamDriver
from mooring.servers.http import Request, Response
from mooring.servers.large_bodies import read
from mooring.servers.plugin import arguments
from mooring.servers.plugin.dispatch import DEADLINE, Method, ProtocolDoor, ready
from mooring.wire import remote_api as api
from mooring.wire.remote_options import ipv6_elsewhere, port_requests, weight

log = logging.getLogger(__name__)


class Networks(Protocol):
    """What the door needs of networking.networks."""

    async def create(self, request: NetworkRequest) -> None:
        """The network is there."""
        ...

    async def delete(self, network_id: str) -> None:
        """The network is gone; success for an unknown one."""
        ...


class Endpoints(Protocol):
    """What the door needs of networking.endpoints."""

    async def create(self, request: EndpointRequest) -> EndpointGrant:
        """The endpoint is there."""
        ...

    async def delete(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint is gone; success for an unknown one."""
        ...

    async def attach(self, network_id: str, endpoint_id: str, request: JoinRequest) -> Attachment:
        """The endpoint belongs to the sandbox."""
        ...

    async def detach(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint belongs to no sandbox; success for an unknown one."""
        ...

    async def publish(
        self, network_id: str, endpoint_id: str, ports: tuple[PortRequest, ...], ipv6_elsewhere: bool
    ) -> None:
        """The ports lead to the endpoint, and no others. ipv6_elsewhere: the sandbox has a gateway for each family."""
        ...

    async def unpublish(self, network_id: str, endpoint_id: str) -> None:
        """No port leads to the endpoint; success for an unknown one."""
        ...

    async def release(self, pool_id: str, address: Address) -> None:
        """The lease is given up; success when there is none."""
        ...

    async def info(self, network_id: str, endpoint_id: str) -> dict[str, str]:
        """What is known of the endpoint. Raises NotFound."""
        ...


class PluginDoor(ProtocolDoor):
    """Answers dockerd's calls. Use the instance as the handler of an HttpServer."""

    def __init__(
        self,
        ipam: IpamDriver,
        networks: Networks,
        endpoints: Endpoints,
        *,
        before_call: Callable[[], Awaitable[None]] = ready,
        on_activate: Callable[[int], None] = lambda _: None,
        on_unavailable: Callable[[str], None] = lambda _: None,
        deadline: float = DEADLINE,
    ) -> None:
        """before_call: awaited before each call of a service. on_activate: told of each Plugin.Activate, with the
        pid of who called. on_unavailable: as ProtocolDoor. deadline: of a call, in seconds, that wait included."""
        self._ipam = ipam
        self._networks = networks
        self._endpoints = endpoints
        self._on_activate = on_activate
        self._under_way = 0
        super().__init__(self._table(), before_call=before_call, deadline=deadline, on_unavailable=on_unavailable)

    async def __call__(self, request: Request) -> Response:
        """As ProtocolDoor."""
        if request.path == "/Plugin.Activate" and request.method == "POST":
            self._on_activate(request.process)
        self._under_way += 1
        try:
            return await super().__call__(request)
        finally:
            self._under_way -= 1

    def is_busy(self) -> bool:
        """Whether dockerd waits for an answer."""
        return self._under_way > 0

    def _table(self) -> dict[str, Method]:
        return {
            "Plugin.Activate": Method(self._activate, waits=False),
            "NetworkDriver.GetCapabilities": Method(self._network_capabilities, waits=False),
            "NetworkDriver.GwAllocCheck": Method(self._gateway_check, waits=False),
            "NetworkDriver.AllocateNetwork": Method(self._no_swarm, waits=False),
            "NetworkDriver.FreeNetwork": Method(self._no_swarm, waits=False),
            "NetworkDriver.CreateNetwork": Method(self._create_network, changes=True),
            "NetworkDriver.DeleteNetwork": Method(self._delete_network, changes=True, forgiving=True),
            "NetworkDriver.CreateEndpoint": Method(self._create_endpoint, changes=True),
            "NetworkDriver.DeleteEndpoint": Method(self._delete_endpoint, changes=True, forgiving=True),
            "NetworkDriver.EndpointOperInfo": Method(self._info),
            "NetworkDriver.Join": Method(self._join, changes=True),
            "NetworkDriver.Leave": Method(self._leave, changes=True, forgiving=True),
            "NetworkDriver.ProgramExternalConnectivity": Method(self._publish, changes=True),
            "NetworkDriver.RevokeExternalConnectivity": Method(self._unpublish, changes=True, forgiving=True),
            "NetworkDriver.DiscoverNew": Method(self._nothing, waits=False),
            "NetworkDriver.DiscoverDelete": Method(self._nothing, waits=False),
            "IpamDriver.GetCapabilities": Method(self._ipam_capabilities, waits=False),
            "IpamDriver.GetDefaultAddressSpaces": Method(self._spaces, waits=False),
            "IpamDriver.RequestPool": Method(self._request_pool, changes=True),
            "IpamDriver.ReleasePool": Method(self._release_pool, changes=True, forgiving=True),
            "IpamDriver.RequestAddress": Method(self._request_address, changes=True),
            "IpamDriver.ReleaseAddress": Method(self._release_address, changes=True, forgiving=True),
        }

    # The methods of both drivers.

    async def _activate(self, _: api.Message) -> api.Message:
        return api.Activation(list(api.IMPLEMENTS))

    async def _network_capabilities(self, _: api.Message) -> api.Message:
        return api.NetworkCapabilities("local", "local", gw_alloc_checker=True)

    async def _ipam_capabilities(self, _: api.Message) -> api.Message:
        # With MACs an endpoint's request can be told from an auxiliary address; what is durable needs no replay.
        return api.IpamCapabilities(requires_mac_address=True, requires_request_replay=False)

    async def _spaces(self, _: api.Message) -> api.Message:
        return api.AddressSpaces(arguments.LOCAL_SPACE, arguments.GLOBAL_SPACE)

    async def _nothing(self, _: api.Message) -> api.Message:
        return api.Empty()

    async def _no_swarm(self, _: api.Message) -> api.Message:
        raise Forbidden("swarm scope is not supported: swarm mode cannot use plugins that listen on a host socket")

    async def _gateway_check(self, query: api.GatewayCheck) -> api.Message:
        return arguments.gateway_check(query)

    async def _create_network(self, query: api.NetworkCreation) -> api.Message:
        await self._networks.create(arguments.network_request(query))
        return api.Empty()

    async def _delete_network(self, query: api.NetworkReference) -> api.Message:
        await self._networks.delete(arguments.identifier("NetworkID", query.network_id))
        return api.Empty()

    async def _create_endpoint(self, query: api.EndpointCreation) -> api.Message:
        request = await read(partial(arguments.endpoint_request, query), weight(query.options))
        return arguments.endpoint_created(request, await self._endpoints.create(request))

    async def _delete_endpoint(self, query: api.EndpointReference) -> api.Message:
        await self._endpoints.delete(*arguments.pair(query.network_id, query.endpoint_id))
        return api.Empty()

    async def _info(self, query: api.EndpointReference) -> api.Message:
        return api.EndpointInfo(dict(await self._endpoints.info(*arguments.pair(query.network_id, query.endpoint_id))))

    async def _join(self, query: api.Joining) -> api.Message:
        network, endpoint = arguments.pair(query.network_id, query.endpoint_id)
        ports = await _ports(query.options)
        request = JoinRequest(arguments.sandbox(query.sandbox_key), ports=ports)
        return arguments.joined(await self._endpoints.attach(network, endpoint, request))

    async def _leave(self, query: api.EndpointReference) -> api.Message:
        await self._endpoints.detach(*arguments.pair(query.network_id, query.endpoint_id))
        return api.Empty()

    async def _publish(self, query: api.ExternalConnectivity) -> api.Message:
        network, endpoint = arguments.pair(query.network_id, query.endpoint_id)
        ports, elsewhere = await _ports(query.options), ipv6_elsewhere(query.options)
        await self._endpoints.publish(network, endpoint, ports, elsewhere)
        return api.Empty()

    async def _unpublish(self, query: api.EndpointReference) -> api.Message:
        await self._endpoints.unpublish(*arguments.pair(query.network_id, query.endpoint_id))
        return api.Empty()

    async def _request_pool(self, query: api.PoolQuery) -> api.Message:
        grant = await self._ipam.request_pool(arguments.pool_request(query))
        for warning in grant.warnings:
            log.warning("pool %s: %s", grant.pool, warning)
        return arguments.pool_answer(grant)

    async def _release_pool(self, query: api.PoolReference) -> api.Message:
        await self._ipam.release_pool(arguments.pool_id(query.pool_id))
        return api.Empty()

    async def _request_address(self, query: api.AddressQuery) -> api.Message:
        interface = await self._ipam.request_address(arguments.address_request(query))
        return api.AddressAnswer(str(interface), {})

    async def _release_address(self, query: api.AddressReference) -> api.Message:
        await self._endpoints.release(arguments.pool_id(query.pool_id), parse_address(query.address, "Address"))
        return api.Empty()


async def _ports(options: Mapping[str, Any] | None) -> tuple[PortRequest, ...]:
    return await read(partial(port_requests, options), weight(options))
