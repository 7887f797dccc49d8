"""A network driver in memory, as somebody else's: it keeps records of its own and gives out interfaces by name.

Rules: it holds to the contract of ports.Driver to the letter: told addresses are kept, ending what is not known is
success, everything may come twice; a test may refuse calls, look in before each, and have it choose addresses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import Fault, NotFound
from mooring.core.networks import Address, Network
from mooring.core.requests import EndpointGrant, JoinRequest, NetworkSpec
from mooring.ports import Driver

Before = Callable[[str], Awaitable[None]]


async def _nothing(_: str) -> None:
    """Look on."""


class MemoryDriver(Driver):
    """networks, endpoints: ids of those that it has; joined: endpoint id -> sandbox key; published: endpoint ids.

    grant: what create_endpoint answers. links: whether endpoints have interfaces, named `md-` and the id's beginning.
    refusals: method -> the fault that it raises. before: called with the method's name before each call.
    """

    def __init__(
        self,
        *,
        remembers: bool = True,
        returns: bool = False,
        links: bool = False,
        grant: EndpointGrant | None = None,
        gateways: tuple[bool, bool] = (True, True),
        before: Before = _nothing,
    ) -> None:
        self.remembers = remembers
        self.returns = returns
        self.links = links
        self.grant = grant or EndpointGrant()
        self.gateways = gateways
        self.before = before
        self.refusals: dict[str, Fault] = {}
        self.networks: dict[str, Network] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.joined: dict[str, str] = {}
        self.published: dict[str, Endpoint] = {}

    async def _enter(self, method: str) -> None:
        await self.before(method)
        if method in self.refusals:
            raise self.refusals[method]

    async def wants_gateways(self, spec: NetworkSpec) -> tuple[bool, bool]:  # noqa: ARG002
        """See Driver."""
        return self.gateways

    async def create_network(self, network: Network) -> None:
        """See Driver."""
        await self._enter("create_network")
        self.networks[network.id] = network

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """See Driver."""
        await self._enter("delete_network")
        self.networks.pop(network.id, None)
        for endpoint in endpoints:
            self._drop(endpoint)

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:
        """See Driver. Raises NotFound for a network that it was not told of."""
        await self._enter("create_endpoint")
        if network.id not in self.networks:
            raise NotFound(f"network {network.id[:12]} is not known to the driver")
        self.endpoints[endpoint.id] = endpoint
        return self.grant

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:  # noqa: ARG002
        """See Driver."""
        await self._enter("delete_endpoint")
        self._drop(endpoint)

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:
        """See Driver. Raises NotFound for an endpoint that it was not told of."""
        await self._enter("join")
        if endpoint.id not in self.endpoints:
            raise NotFound(f"endpoint {endpoint.id[:12]} is not known to the driver")
        self.joined[endpoint.id] = request.key

        def gateway(version: int) -> Address | None:
            address = endpoint.ipv4 if version == 4 else endpoint.ipv6
            segment = network.segment_of(address.ip) if address is not None else None
            return segment.gateway.ip if segment is not None and segment.gateway is not None else None

        link = f"md-{endpoint.id[:12]}" if self.links else ""
        return Attachment(link, "eth", gateway(4), gateway(6))

    async def leave(self, network: Network, endpoint: Endpoint) -> None:  # noqa: ARG002
        """See Driver."""
        await self._enter("leave")
        self.joined.pop(endpoint.id, None)

    async def publish(self, network: Network, endpoint: Endpoint) -> None:  # noqa: ARG002
        """See Driver."""
        await self._enter("publish")
        self.published[endpoint.id] = endpoint

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:  # noqa: ARG002
        """See Driver."""
        await self._enter("unpublish")
        self.published.pop(endpoint.id, None)

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:  # noqa: ARG002
        """See Driver."""
        return {"example.joined": self.joined.get(endpoint.id, "")}

    def _drop(self, endpoint: Endpoint) -> None:
        self.endpoints.pop(endpoint.id, None)
        self.joined.pop(endpoint.id, None)
        self.published.pop(endpoint.id, None)
