"""The bridge driver: a Linux bridge for each network, a veth pair for each endpoint, our nftables table for both;
published ports are opened in that; neighbours are told of a new address (gratuitous ARP), conntrack of one that goes.

Rules: all that it makes follows from the records, so it remembers nothing that it could not find out; deleting a link
is answered first and done soon after, in a group; an interface is made when an endpoint joins, inside the sandbox if
that is there, and for an engine already when the endpoint is made, on the host, where the engine fetches it.

When a container has ended, its interface goes at leave already: the engine would take it out of the sandbox, rename it
and move it back to the host, which costs it two RCU grace periods, only for us to delete it; it finds it gone, says so
in its debug log and goes on. While the sandbox lives (`docker network disconnect`) the interface stays until the engine
has taken it out and deletes the endpoint: otherwise the engine counts it as there for good, `docker stats` of the
container fails, and every interface after it has a higher number (libnetwork/osl/interface_linux.go, sandbox.go).
An endpoint that joins again after its interface went gets a new one with the same MAC.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.datapath import (
    endpoint_facts,
    host_end,
    host_facts,
    network_facts,
    own_facts,
    port_facts,
    sandbox_end,
)
from mooring.core.dns_places import dns_routes
from mooring.core.domains import domain_facts
from mooring.core.endpoint_options import ENDPOINT_IFNAME
from mooring.core.endpoints import Attachment, Endpoint, State
from mooring.core.faults import BadRequest, Fault, NotSupported
from mooring.core.networks import Address, GatewayMode, Network, Origin, Segment
from mooring.core.plumbing import Bridge, Domain, Fact, GuardedPort, Member, Op, Remove, Route, Veth, plan
from mooring.core.port_bindings import PortBinding
from mooring.core.port_security import port_guards
from mooring.core.requests import EndpointGrant, JoinRequest
from mooring.ports import Driver, Kernel
from mooring.services.drivers.foreign_bridges import ForeignBridges
from mooring.services.drivers.port_security_support import PortSecurity

log = logging.getLogger(__name__)

# Port bindings whose rules are made in one transaction, at one stretch.
PART = 500


class BridgeDriver(Driver):
    """The driver of every network that is `bridged`. shape: what becomes of the facts of a network, or of an endpoint,
    where the network is not this host's alone."""

    forwards = True

    def __init__(
        self,
        kernel: Kernel,
        take_names: Callable[[], bool] = lambda: False,
        foreign_bridges: ForeignBridges | None = None,
        in_use: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """take_names: whether the engine uses the name that Join answers for the interface inside. foreign_bridges:
        None where the host has none that are bridges. in_use: whether a network is recorded in the routing domain."""
        self._kernel = kernel
        self._foreign_bridges = foreign_bridges
        self._take_names = take_names
        self._in_use = in_use
        self.shape: Callable[[Network, Iterable[Fact]], set[Fact]] = lambda _, facts: set(facts)
        self.guarding = PortSecurity(kernel)
        self._built: set[str] = set()
        # Endpoints whose interface this process has made and not yet discarded; after a restart, nobody knows.
        self._connected: set[str] = set()

    async def create_network(self, network: Network) -> None:
        """The kernel has what the network needs; what is right is not touched. Raises Conflict or Unavailable."""
        await self._kernel.apply(plan(await self._needs(network), ()))
        self._built.add(network.id)

    async def change_network(self, before: Network, after: Network) -> None:
        """See Driver. Raises Conflict or Unavailable."""
        have = self.shape(before, network_facts(before))
        wanted = self.shape(after, network_facts(after))
        if after.ipv6 and not before.ipv6:
            wanted |= await self._needs(after)
        if after.id in self._built:
            with suppress(Fault):  # somebody may have taken the bridge or our rules away since
                await self._kernel.apply(plan(wanted, have))
                return
        await self.create_network(after)
        keys = {fact.key for fact in wanted}
        await self._kernel.apply(plan((), [fact for fact in have if fact.key not in keys]))

    async def _needs(self, network: Network) -> set[Fact]:
        foreign_bridges = await self._foreign_bridges.at_once() if self._foreign_bridges is not None else ()
        shaped = self.shape(network, network_facts(network))
        return {*host_facts(bool(network.ipv6), foreign_bridges=foreign_bridges), *shaped}

    async def _restore(self, network: Network) -> None:
        """As `create_network`, of one that was there: with as much as this kernel has. Raises Conflict, Unavailable."""
        wanted = await self._needs(network)
        try:
            await self._kernel.apply(plan(self.guarding.possible(wanted), ()))
        except NotSupported as fault:
            log.warning("network %s: port security is not enforced: %s", network.id[:12], fault)
            self.guarding.lacking = True
            await self._kernel.apply(plan(self.guarding.possible(wanted), ()))
        self._built.add(network.id)

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """See Driver."""
        self._built.discard(network.id)
        facts: set[Fact] = set(own_facts(network))
        for endpoint in endpoints:
            self._connected.discard(endpoint.id)
            await _close(self._kernel, network, endpoint, endpoint.published)
            facts |= endpoint_facts(network, replace(endpoint, published=()))
        await _remove(self._kernel, facts, network.domain)
        if network.domain and not self._in_use(network.domain):
            await self._kernel.apply(_end(network.domain))

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:
        """See Driver. Raises BadRequest for a name of the interface that the engine would not use."""
        check_interface_name(endpoint, self._take_names())
        if network.origin is Origin.ENGINE:
            await self._connect(network, endpoint)
        return EndpointGrant()

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await _close(self._kernel, network, endpoint, endpoint.published)
        if endpoint.id in self._connected:  # otherwise it has left, or repair finds what is left of it
            await self._disconnect(network, endpoint)
        await self._kernel.discard([host_end(endpoint.id)], network.domain)
        await self._flush_connections(network, endpoint)

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:
        """See Driver. After a restart an attached endpoint has its interface, or repair and its sandbox tell."""
        if endpoint.state is State.CREATED and endpoint.id not in self._connected:
            await self._connect(network, endpoint, request.key if request.inside else "")
        return _attachment(network, endpoint)

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver. An engine takes the interface out of a living sandbox itself, and deletes the endpoint then."""
        if network.origin is Origin.ENGINE and await self._kernel.is_lived_in(host_end(endpoint.id), network.domain):
            return
        await self._disconnect(network, endpoint)

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        done = 0
        try:
            async for part in _parts(endpoint.published):
                await self._kernel.apply(plan(port_facts(network, endpoint, part), ()))
                done += len(part)
        except BaseException:
            await _close(self._kernel, network, endpoint, endpoint.published[:done])
            raise

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await _close(self._kernel, network, endpoint, endpoint.published)
        await self._flush_connections(network, endpoint)

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:  # noqa: ARG002
        """See Driver."""
        return {"mooring.interface": host_end(endpoint.id)}

    async def is_dead(self, endpoint: Endpoint) -> bool:
        """Whether no process can be behind the endpoint: its interface is gone, or is in the host or in a sandbox where
        nothing runs. True as well for one whose container is only being started."""
        veth = await self._interface(endpoint)
        return veth is None or not await self._kernel.is_lived_in(veth.name, veth.domain)

    async def is_connected(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint's interface exists."""
        return await self._interface(endpoint) is not None

    async def _interface(self, endpoint: Endpoint) -> Veth | None:
        found = (fact for fact in await self._kernel.observe() if isinstance(fact, Veth))
        return next((fact for fact in found if fact.name == host_end(endpoint.id)), None)

    async def _disconnect(self, network: Network, endpoint: Endpoint) -> None:
        """The interface is gone, soon, and what its port may say."""
        self._connected.discard(endpoint.id)
        await self._kernel.discard([host_end(endpoint.id)], network.domain)
        await _remove(self._kernel, set(port_guards(network, endpoint, host_end(endpoint.id))), network.domain)

    async def _connect(self, network: Network, endpoint: Endpoint, inside: str = "") -> None:
        facts = {
            replace(fact, inside=inside) if isinstance(fact, Veth) else fact
            for fact in self.shape(network, endpoint_facts(network, endpoint))
        }
        # After a reboot a bridge may not be there, and forwarding is off until the first container comes, so that
        # dockerd finds it off and guards its FORWARD chain as it always does.
        if network.id not in self._built:
            await self._restore(network)
        try:
            await self._kernel.apply(plan(self.guarding.possible(facts), ()))
        except Fault:
            # Somebody may have taken the bridge or our rules away since; once they are back there is no excuse.
            await self._restore(network)
            await self._kernel.apply(plan(self.guarding.possible(facts), ()))
        self._connected.add(endpoint.id)
        for address in endpoint.addresses:
            await self._kernel.announce(network.bridge, address, endpoint.mac, network.domain)

    async def _flush_connections(self, network: Network, endpoint: Endpoint) -> None:
        for address in endpoint.addresses:
            await self._kernel.flush_connections(address, network.domain)


def check_interface_name(endpoint: Endpoint, taken: bool) -> None:
    """Raises BadRequest for a name of the interface inside, unless the engine takes such (`taken`)."""
    name = endpoint.options.get(ENDPOINT_IFNAME)
    if name and not taken:
        raise BadRequest(
            f"{ENDPOINT_IFNAME}={name}: Docker before 29.8 does not support it for plugin networks",
            hint="name the interfaces of a whole network with -o interface_prefix=",
        )


async def _parts(published: Sequence[PortBinding]) -> AsyncIterator[Sequence[PortBinding]]:
    """The port bindings in parts, each of which takes some milliseconds. Few are one part, and one transaction."""
    for begin in range(0, len(published), PART):
        if begin:
            await asyncio.sleep(0)
        yield published[begin : begin + PART]


async def _close(kernel: Kernel, network: Network, endpoint: Endpoint, published: Sequence[PortBinding]) -> None:
    async for part in _parts(published):
        await _remove(kernel, set(port_facts(network, endpoint, part)), network.domain)


def _end(domain: int) -> list[Op]:
    """The routing domain is gone, and what the host has because of it."""
    return [Remove(fact) for fact in domain_facts(domain, True) if isinstance(fact, Domain | Member)]


async def _remove(kernel: Kernel, facts: set[Fact], domain: int) -> None:
    """Take the facts out of the kernel: rules and routes at once, links in a group, soon. Settings and addresses go
    with those."""
    ops: list[Op] = [Remove(fact) for fact in facts if isinstance(fact, Member | GuardedPort | Route)]
    if ops:
        await kernel.apply(ops)
    await kernel.discard([fact.name for fact in facts if isinstance(fact, Veth | Bridge)], domain)


def _attachment(network: Network, endpoint: Endpoint) -> Attachment:
    def next_hop(interface: IPv4Interface | IPv6Interface | None) -> Address | None:
        segment: Segment | None = network.segment_of(interface.ip) if interface else None
        if segment is None or segment.gateway is None or network.internal or not network.options.gateway:
            return None
        if network.gateway_mode(segment.subnet.version) is GatewayMode.ISOLATED:
            return None
        return segment.gateway.ip

    return Attachment(
        sandbox_end(endpoint.id),
        network.options.interface_prefix,
        next_hop(endpoint.ipv4),
        next_hop(endpoint.ipv6),
        (*network.options.routes, *dns_routes(network, endpoint.addresses)),
        name=endpoint.options.get(ENDPOINT_IFNAME, ""),
    )
