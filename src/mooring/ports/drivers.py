"""What makes networks and endpoints real, and what grants addresses. Rules: see mooring.ports."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.networks import Interface, Network
from mooring.core.requests import AddressRequest, EndpointGrant, JoinRequest, NetworkSpec, PoolGrant, PoolRequest


class Driver:
    """One way to make networks and endpoints real. Derive from it: what is not overridden does nothing.

    Told, not asked: an endpoint's addresses and MAC, where it has them, are used as they are, or the call is refused;
    what it leaves open the driver chooses and returns. Every call may come twice, and again after a crash in its
    middle; ending what is not known is success. Calls about different endpoints come at the same time. Raises Faults
    only.

    remembers: the driver keeps records of its own, so that it must be told of every end: an operation is noted before
    it is told, and told again at the next start. False: what it makes follows from its arguments.
    forwards: host ports are chosen and held for it, and it is told them; False: it publishes by itself, if at all.
    returns: its interfaces are returned to the host at leave; False: it ends them from its own side.
    """

    remembers: bool = False
    forwards: bool = False
    returns: bool = False

    async def wants_gateways(self, spec: NetworkSpec) -> tuple[bool, bool]:  # noqa: ARG002
        """Whether such a network should have a gateway address, in IPv4 and in IPv6. Asked before it is made."""
        return True, True

    async def create_network(self, network: Network) -> None:
        """The network is there, as far as it has to be before an endpoint joins."""

    async def change_network(self, before: Network, after: Network) -> None:  # noqa: ARG002
        """The network has the subnets of `after`. Only told to drivers that are built in."""
        await self.create_network(after)

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """The network is gone, and with it those endpoints."""

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:  # noqa: ARG002
        """The endpoint is there. Returns what it left open (an address None, a MAC ""), nothing else."""
        return EndpointGrant()

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint is gone."""

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:  # noqa: ARG002
        """The endpoint belongs to the sandbox; returns what is to be done there."""
        return Attachment("", "eth", None, None)

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint belongs to no sandbox."""

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """What endpoint.published says (if `forwards`), else what endpoint.ports asks for, leads to the endpoint."""

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:
        """Nothing of endpoint.published or endpoint.ports leads to the endpoint."""

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:  # noqa: ARG002
        """Operational data, for people."""
        return {}


class IpamDriver(Protocol):
    """Grants subnets and addresses.

    requires_mac: an endpoint's MAC is chosen before its address is asked for, and told with it.
    """

    @property
    def requires_mac(self) -> bool:
        """See above."""
        ...

    async def default_space(self) -> str:
        """The address space for networks of this host."""
        ...

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """A pool exists. gateway None in the answer: ask for one with Role.GATEWAY, if the network wants one."""
        ...

    async def release_pool(self, pool_id: str) -> None:
        """The pool and every address of it are given up; an unknown one is given up already."""
        ...

    async def request_address(self, request: AddressRequest) -> Interface:
        """The address is granted, with the prefix length of its subnet."""
        ...

    async def release_address(self, pool_id: str, address: IPv4Address | IPv6Address) -> None:
        """The address is given up; one that is not held is given up already."""
        ...


class PluginFinder(Protocol):
    """Finds the drivers that others made, by name."""

    async def network_driver(self, name: str) -> Driver:
        """Raises NotFound, BadRequest for what is found and cannot be read, Unavailable when it does not answer."""
        ...

    async def ipam_driver(self, name: str) -> IpamDriver:
        """As `network_driver`."""
        ...
