"""What a program implements to be a Docker plugin: one method for each call of libnetwork's remote API.

Rules: a method that is not overridden does what a driver may do that has nothing to do there; plain methods may block,
they run in a thread; `async def` ones run in the loop. Values are those of the wire, so that the documents about the
protocol (libnetwork's docs/remote.md and docs/ipam.md) are documents about these classes.

dockerd asks again: after a timeout or a restart a call may come that was carried out already. A method is to succeed
then, and only its author can know how; NotFound from something that ends is taken for success.
"""

# ruff: noqa: ARG002 - the arguments are for those who override
from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeAlias, TypeVar

from mooring.core.faults import Forbidden
from mooring.wire import remote_api as api

T = TypeVar("T")
# What a method returns: the value, or what becomes it when it is awaited.
Answer: TypeAlias = T | Awaitable[T]


class NetworkDriver:
    """Makes networks and endpoints. The order of calls is create_network, create_endpoint, join, publish, and back.

    scope: "local", or "global" for a swarm's. connectivity_scope: how far its networks reach, the same two words.
    """

    scope = "local"
    connectivity_scope = "local"

    def create_network(self, request: api.NetworkCreation) -> Answer[None]:
        """`docker network create`. `-o KEY=VALUE` is in options["com.docker.network.generic"]."""

    def delete_network(self, request: api.NetworkReference) -> Answer[None]:
        """`docker network rm`; also when a creation is rolled back."""

    def create_endpoint(self, request: api.EndpointCreation) -> Answer[api.EndpointCreated | None]:
        """A container is to join. None, or what the request left open: dockerd refuses a value for what it gave."""
        return None

    def delete_endpoint(self, request: api.EndpointReference) -> Answer[None]:
        """The container is out of the network for good."""

    def endpoint_info(self, request: api.EndpointReference) -> Answer[dict[str, str]]:
        """What `docker inspect` may show of the endpoint."""
        return {}

    def join(self, request: api.Joining) -> Answer[api.Joined]:
        """The container starts. The link that `interface_name` names is moved into it; without one it gets none."""
        return api.Joined()

    def leave(self, request: api.EndpointReference) -> Answer[None]:
        """The container stops. dockerd has moved the link back."""

    def publish(self, request: api.ExternalConnectivity) -> Answer[None]:
        """`-p`: ports are in options["com.docker.network.portmap"]."""

    def unpublish(self, request: api.EndpointReference) -> Answer[None]:
        """No port leads to the endpoint."""

    def allocate_network(self, request: api.NetworkCreation) -> Answer[api.NetworkAllocated]:
        """A swarm's manager prepares a network of a "global" driver."""
        return api.NetworkAllocated()

    def free_network(self, request: api.NetworkReference) -> Answer[None]:
        """The end of what allocate_network began."""

    def discover_new(self, request: api.Discovery) -> Answer[None]:
        """A node has joined the swarm."""

    def discover_delete(self, request: api.Discovery) -> Answer[None]:
        """A node has left the swarm."""


class IpamDriver:
    """Gives subnets and addresses. The order of calls is request_pool, request_address, and back.

    local_space, global_space: names of its address spaces, which no other IPAM driver of the engine may have.
    requires_mac_address: request_address gets the endpoint's MAC in its options. requires_request_replay: when dockerd
    starts, it asks again for every pool and address of its networks.
    """

    local_space = "local"
    global_space = "global"
    requires_mac_address = False
    requires_request_replay = False

    def request_pool(self, request: api.PoolQuery) -> Answer[api.PoolAnswer]:
        """A subnet: `pool` when somebody named one, else the driver's choice. pool_id comes in all later calls."""
        raise Forbidden("this IPAM driver gives no subnets", hint="choose another one with --ipam-driver")

    def release_pool(self, request: api.PoolReference) -> Answer[None]:
        """Nobody uses the subnet any more."""

    def request_address(self, request: api.AddressQuery) -> Answer[api.AddressAnswer]:
        """An address of the pool with its prefix length: `address` when somebody named one, else the driver's choice.
        options["RequestAddressType"] is "com.docker.network.gateway" for a gateway."""
        raise Forbidden("this IPAM driver gives no addresses", hint="choose another one with --ipam-driver")

    def release_address(self, request: api.AddressReference) -> Answer[None]:
        """Nobody uses the address any more."""
