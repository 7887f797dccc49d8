"""dockerd's door: libnetwork's remote network and IPAM drivers on one socket.

Rules: a method decodes, calls one service method, and encodes; an empty body where arguments belong is a blind retry of
a call that may have been carried out, and changes nothing; every fault is answered in one line under both error keys,
and every call is logged here, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from mooring.core.addresses import parse_address
from mooring.core.endpoints import Attachment
from mooring.core.faults import HTTP_STATUS, BadRequest, Fault, Forbidden, NotFound, Unavailable
from mooring.core.networks import Address
from mooring.core.port_bindings import PortRequest
from mooring.core.requests import EndpointGrant, EndpointRequest, JoinRequest, NetworkRequest
from mooring.ports import IpamDriver
from mooring.servers.http import Request, Response
from mooring.servers.large_bodies import read
from mooring.servers.plugin import arguments
from mooring.wire import remote_api as api
from mooring.wire.remote_options import ipv6_elsewhere, port_requests, weight

log = logging.getLogger(__name__)

# dockerd gives a managed plugin 30 s and then asks again, with an empty body.
DEADLINE = 25.0
# Bytes of a request: a range of twenty thousand ports, once asked for and once exposed, has less than this.
BODY_LIMIT = 4 << 20
ERROR_LENGTH = 1000


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


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table.

    call: the request, decoded -> the reply. changes: something may be different afterwards. forgiving: success when the
    thing is not known, because dockerd gives up what it has given up before. waits: until the daemon is ready.
    """

    call: Callable[[Any], Awaitable[api.Message]]
    changes: bool = False
    forgiving: bool = False
    waits: bool = True


async def _ready() -> None:
    """Nothing to wait for."""


class PluginDoor:
    """Answers dockerd's calls. Use the instance as the handler of an HttpServer."""

    def __init__(
        self,
        ipam: IpamDriver,
        networks: Networks,
        endpoints: Endpoints,
        *,
        before_call: Callable[[], Awaitable[None]] = _ready,
        on_activate: Callable[[], None] = lambda: None,
        deadline: float = DEADLINE,
    ) -> None:
        """before_call: awaited before each call of a service. on_activate: told of each Plugin.Activate. deadline: of a
        call, in seconds, that wait included."""
        self._ipam = ipam
        self._networks = networks
        self._endpoints = endpoints
        self._before_call = before_call
        self._on_activate = on_activate
        self._deadline = deadline
        self.methods = self._table()

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

    async def __call__(self, request: Request) -> Response:
        """The answer to any HTTP request; nothing is raised but cancellation."""
        name = request.path[1:]
        method = self.methods.get(name)
        if method is None:
            return self._refuse(name, 404, f"no method {name} in the network and IPAM driver protocols")
        if request.method != "POST":
            return self._refuse(name, 405, f"{name} is called with POST, not {request.method}")
        started = perf_counter()
        subject = ""
        try:
            message = await read(partial(self._decode, name, request.body), len(request.body))
            subject = _subject(message)
            body = await self._run(name, method, message)
        except Fault as fault:
            return self._refuse(name, _status(name, fault), str(fault), subject, started)
        except Exception as error:
            # The last guard: dockerd shows its user whatever comes, and a traceback is not for users.
            log.exception("%s %s failed", name, subject)
            text = f"internal error in {name} ({type(error).__name__}), see mooring's log"
            return self._refuse(name, 500, text, subject, started)
        level = logging.INFO if method.changes else logging.DEBUG
        log.log(level, "%s %s ok %.1f ms", name, subject, (perf_counter() - started) * 1e3)
        return Response(200, body, api.MEDIA_TYPE)

    def _decode(self, name: str, body: bytes) -> api.Message:
        if api.METHODS[name][0] is not api.Empty and not body.strip():
            raise BadRequest(
                f"{name} without a body is a retry of a call that may have been carried out; nothing was changed",
                hint="try again",
            )
        return api.decode_request(name, body)

    async def _run(self, name: str, method: Method, message: api.Message) -> bytes:
        try:
            async with asyncio.timeout(self._deadline) as scope:
                if method.waits:
                    await self._before_call()
                return api.encode_reply(await method.call(message))
        except NotFound:
            if not method.forgiving:
                raise
            return api.encode_reply(api.Empty())
        except TimeoutError:
            if not scope.expired():
                raise
            text = f"{name} timed out after {self._deadline:g} s"
            raise Unavailable(text, hint="check `mooring status`, then try again") from None

    def _refuse(self, name: str, status: int, text: str, subject: str = "", started: float | None = None) -> Response:
        ms = 0.0 if started is None else (perf_counter() - started) * 1e3
        line = one_line(text)
        log.warning("%s %s refused %d: %s %.1f ms", one_line(name)[:80], subject, status, line, ms)
        return fail(status, line)

    # The methods of both drivers.

    async def _activate(self, _: api.Message) -> api.Message:
        self._on_activate()
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


def fail(status: int, text: str) -> Response:
    """A refusal as both drivers of dockerd read it; the HttpServer's own are to look the same."""
    return Response(status, api.encode_error(one_line(text)), api.MEDIA_TYPE)


def one_line(text: str) -> str:
    """The text without line breaks and control characters, and not endless."""
    clean = text[: ERROR_LENGTH + 1]
    if not clean.isprintable():
        clean = "".join(c if c.isprintable() else " " for c in clean)
    return clean if len(clean) <= ERROR_LENGTH else clean[: ERROR_LENGTH - 3] + "..."


def _status(name: str, fault: Fault) -> int:
    status = HTTP_STATUS[fault.kind]
    # dockerd takes a 404 here for a driver that publishes no ports, and goes on (libnetwork/drivers/remote/driver.go).
    return 500 if status == 404 and name.endswith("ExternalConnectivity") else status


def _subject(message: api.Message) -> str:
    """The ids that a request names, shortened, for the log."""
    named = (
        ("network", "network_id", 12),
        ("endpoint", "endpoint_id", 12),
        ("pool", "pool_id", 24),
        ("address", "address", 45),
    )
    parts = ((what, getattr(message, attribute, ""), most) for what, attribute, most in named)
    return " ".join(f"{what}={one_line(text[:most])}" for what, text, most in parts if text)
