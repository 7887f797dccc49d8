"""Making, attaching, publishing and removing endpoints.

Rules: addresses that Docker gives are honoured or refused, never replaced; the record is written before the kernel is
touched, and goes before the kernel is cleaned; every call may come twice, late, or for something never heard of;
deleting a link is answered first and done soon after, in a group.

The interface goes at Leave already, not at DeleteEndpoint: dockerd would take it out of the container, rename it and
move it back to the host, which costs it two RCU grace periods, only for us to delete it. When it finds it gone, it
notes so in its debug log and goes on (libnetwork/osl/interface_linux.go). An endpoint that is attached again gets a
new one with the same MAC.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.datapath import endpoint_facts, host_end, publication_facts, sandbox_end
from mooring.core.endpoints import Attachment, Endpoint, Event, State, advance
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.networks import Address, GatewayMode, Network, Segment, stable_mac
from mooring.core.plumbing import Veth, plan
from mooring.core.publications import PortRequest, Publication
from mooring.core.requests import AddressRequest, EndpointGrant, EndpointRequest, Role
from mooring.ports import Clock, Kernel
from mooring.services.ipam import ATTEMPTS, Ipam
from mooring.services.locks import KeyedLocks
from mooring.services.mirror import Mirror
from mooring.services.networks import OWNED, Networks, remove
from mooring.services.publishing import PortPublished, Publishing
from mooring.services.roster import Roster


class Endpoints:
    """CreateEndpoint to DeleteEndpoint."""

    def __init__(
        self,
        mirror: Mirror,
        roster: Roster,
        kernel: Kernel,
        ipam: Ipam,
        publishing: Publishing,
        clock: Clock,
        locks: KeyedLocks,
        networks: Networks,
    ) -> None:
        self._mirror = mirror
        self._roster = roster
        self._kernel = kernel
        self._ipam = ipam
        self._publishing = publishing
        self._clock = clock
        self._locks = locks
        self._networks = networks
        # Endpoints whose interface this process has made and not yet discarded; after a restart, nobody knows.
        self._plugged: set[str] = set()

    async def create(self, request: EndpointRequest) -> EndpointGrant:
        """The endpoint is recorded, and its interface waits on the host for dockerd to take it.

        Returns what the request left open. Raises NotFound for an unknown network, BadRequest for an address outside
        of it, Conflict when the id exists with other addresses. On a fault nothing is left.
        """
        async with self._locks.hold(request.network):
            network = self._network(request.network)
            known = self._mirror.endpoint(request.network, request.id)
            if known is not None:
                return _same(known, request)
            _must_fit(network, request)
            ipv4, ipv6 = await self._complete(network, request)
            endpoint = Endpoint(
                request.id,
                request.network,
                ipv4,
                ipv6,
                request.mac or stable_mac(f"endpoint:{request.id}"),
                self._clock.now(),
                ports=request.ports,
                options=dict(request.options),
            )
            try:
                await self._record(network, endpoint)
                await self._plug(network, endpoint)
                for address in endpoint.addresses:
                    await self._kernel.announce(network.bridge, address, endpoint.mac)
            except BaseException:
                await self._give_up(network, endpoint, request)
                raise
            return _grant(endpoint, request)

    async def _record(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint and its leases are written in one commit, so that no address is anybody else's.

        The same address under a new id is Docker's way to say that the old endpoint died with a crash of dockerd.
        Raises Conflict when an address was given to somebody else since Docker was told it.
        """
        for _ in range(ATTEMPTS):
            dead = {e.id: e for a in endpoint.addresses if (e := self._roster.at(network.id, a)) is not None}
            inherited = frozenset(address for old in dead.values() for address in old.addresses)
            leases = self._ipam.confirm(network, endpoint, inherited)
            with contextlib.suppress(StaleRevision):
                await self._mirror.commit(put=[endpoint, *leases], delete=list(dead.values()))
                for old in dead.values():
                    await self._unplug(network, old)
                return
        raise Unavailable(f"the addresses of endpoint {endpoint.id[:12]} are contended", hint="do it again")

    async def release(self, pool_id: str, address: Address) -> None:
        """ReleaseAddress: the lease is given up. What is not held is released already.

        An endpoint that still has the address is dead, and goes first: Docker releases after it has deleted, and the
        deletion did not reach us. But for an IPv6 address beside an IPv4 one, which engines from 29 on release from a
        living endpoint (libnetwork/endpoint.go); its lease stays until the endpoint goes.
        """
        pool = self._mirror.pool(pool_id)
        endpoint = self._roster.at(pool.network, address) if pool is not None and pool.network else None
        if endpoint is not None:
            if address.version == 6 and endpoint.ipv4 is not None and endpoint.state is State.ATTACHED:
                return
            await self.delete(endpoint.network, endpoint.id)
        await self._ipam.release_address(pool_id, address)

    async def delete(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint is gone, its interface soon after; what is not known is gone already."""
        async with self._locks.hold(network_id):
            network = self._mirror.network(network_id)
            endpoint = self._mirror.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None:
                return
            await self._mirror.commit(delete=[endpoint])
            await self._unplug(network, endpoint)
            await self._release_owned(network, endpoint)

    async def attach(self, network_id: str, endpoint_id: str, sandbox: str) -> Attachment:
        """The endpoint belongs to the sandbox; returns what dockerd is to do in it.

        Raises NotFound, and Conflict when another sandbox has it.
        """
        async with self._locks.hold(network_id):
            network, endpoint = self._known(network_id, endpoint_id)
            if endpoint.state is State.ATTACHED and endpoint.sandbox != sandbox:
                raise Conflict(
                    f"endpoint {endpoint_id[:12]} is attached already",
                    holder=f"sandbox {endpoint.sandbox}",
                    hint="disconnect it there first",
                )
            state = advance(endpoint.state, Event.ATTACH, f"endpoint {endpoint_id[:12]}")
            if endpoint.state is State.CREATED and endpoint.id not in self._plugged:
                await self._plug(network, endpoint)
            if state is not endpoint.state:
                await self._mirror.commit(put=[replace(endpoint, state=state, sandbox=sandbox)])
            return _attachment(network, endpoint)

    async def detach(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint is in no sandbox and publishes nothing, and its interface goes soon; it keeps its addresses.

        Unknown ones are fine.
        """
        async with self._locks.hold(network_id):
            network = self._mirror.network(network_id)
            endpoint = self._mirror.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None:
                return
            left = replace(
                endpoint, state=advance(endpoint.state, Event.DETACH, f"endpoint {endpoint_id[:12]}"), sandbox=""
            )
            if left != endpoint:
                await self._withdraw(network, endpoint, left)
            self._plugged.discard(endpoint.id)
            await self._kernel.discard([host_end(endpoint.id)])

    async def publish(self, network_id: str, endpoint_id: str, ports: tuple[PortRequest, ...]) -> None:
        """The ports are reachable at the host. Called again with the same ports it changes nothing.

        Raises NotFound, Conflict that names who has a port, Exhausted; then nothing is published.
        """
        async with self._locks.hold(network_id):
            network, endpoint = self._known(network_id, endpoint_id)
            if endpoint.published and endpoint.ports == ports:
                return
            if endpoint.published:
                await self._withdraw(network, endpoint, endpoint)
                network, endpoint = self._known(network_id, endpoint_id)
            if not ports or not network.bridged:
                return
            published = await self._choose(network, endpoint, ports)
            after = replace(endpoint, ports=ports, published=published)
            try:
                await self._mirror.commit(put=[after])
                await self._kernel.apply(plan(publication_facts(network, after, published), ()))
            except BaseException:
                await self._publishing.let_go(published)
                if self._mirror.endpoint(network_id, endpoint_id) == after:
                    await self._mirror.commit(put=[replace(after, published=())])
                raise
            finally:
                self._publishing.settle(published)

    async def _choose(
        self, network: Network, endpoint: Endpoint, ports: tuple[PortRequest, ...]
    ) -> tuple[Publication, ...]:
        """Host ports for the requests. An endpoint whose interface is gone is no holder: it is removed, and its port
        is free, because dockerd with an IPAM driver of its own never tells of endpoints that died with it."""
        asked: set[str] = set()
        while True:
            try:
                return await self._publishing.choose(network, endpoint, ports)
            except PortPublished as fault:
                other = fault.endpoint
                if other.id in asked or await self._is_plugged(other):
                    raise
                asked.add(other.id)
                await self._forget_dead(other)

    async def _is_plugged(self, endpoint: Endpoint) -> bool:
        return any(
            isinstance(fact, Veth) and fact.name == host_end(endpoint.id) for fact in await self._kernel.observe()
        )

    async def _forget_dead(self, endpoint: Endpoint) -> None:
        """As `delete`, without the lock of its network: the caller may hold it."""
        network = self._mirror.network(endpoint.network)
        if network is not None and self._mirror.endpoint(endpoint.network, endpoint.id) == endpoint:
            await self._mirror.commit(delete=[endpoint])
            await self._unplug(network, endpoint)
            await self._release_owned(network, endpoint)

    async def unpublish(self, network_id: str, endpoint_id: str) -> None:
        """The endpoint publishes nothing. Unknown ones are fine."""
        async with self._locks.hold(network_id):
            network = self._mirror.network(network_id)
            endpoint = self._mirror.endpoint(network_id, endpoint_id)
            if network is not None and endpoint is not None and endpoint.published:
                await self._withdraw(network, endpoint, endpoint)

    def info(self, network_id: str, endpoint_id: str) -> dict[str, str]:
        """What `EndpointOperInfo` tells. Raises NotFound."""
        _, endpoint = self._known(network_id, endpoint_id)
        told = {"com.docker.network.endpoint.macaddress": endpoint.mac, "mooring.interface": host_end(endpoint.id)}
        if endpoint.published:
            told["mooring.published"] = ", ".join(str(publication) for publication in endpoint.published)
        return told

    async def _complete(
        self, network: Network, request: EndpointRequest
    ) -> tuple[IPv4Interface | None, IPv6Interface | None]:
        """The request's addresses, and ours where Docker gave none because its IPAM driver is null."""
        found: dict[int, IPv4Interface | IPv6Interface | None] = {4: request.ipv4, 6: request.ipv6}
        for segment in network.segments:
            pool = self._mirror.pool(segment.pool)
            version = segment.subnet.version
            if pool is not None and OWNED in pool.options and found[version] is None:
                found[version] = await self._ipam.request_address(
                    AddressRequest(pool.id, Role.ENDPOINT, mac=request.mac)
                )
        ipv4, ipv6 = found[4], found[6]
        assert ipv4 is None or isinstance(ipv4, IPv4Interface)
        assert ipv6 is None or isinstance(ipv6, IPv6Interface)
        return ipv4, ipv6

    async def _plug(self, network: Network, endpoint: Endpoint) -> None:
        ops = plan(endpoint_facts(network, endpoint), ())
        await self._networks.ensure(network)
        try:
            await self._kernel.apply(ops)
        except Fault:
            # Somebody may have taken the bridge or our rules away since; once they are back there is no excuse.
            await self._networks.build(network)
            await self._kernel.apply(ops)
        self._plugged.add(endpoint.id)

    async def _unplug(self, network: Network, endpoint: Endpoint) -> None:
        self._plugged.discard(endpoint.id)
        await self._publishing.let_go(endpoint.published)
        await remove(self._kernel, set(endpoint_facts(network, endpoint)))
        for address in endpoint.addresses:
            await self._kernel.forget(address)

    async def _withdraw(self, network: Network, before: Endpoint, after: Endpoint) -> None:
        """Record `after` with nothing published, then take the rules away."""
        await self._mirror.commit(put=[replace(after, published=())])
        if before.published:
            await self._publishing.let_go(before.published)
            await remove(self._kernel, set(publication_facts(network, before, before.published)))
            for address in before.addresses:
                await self._kernel.forget(address)

    async def _give_up(self, network: Network, endpoint: Endpoint, request: EndpointRequest) -> None:
        # What was never recorded was never plugged, and its address may be somebody else's.
        if self._mirror.endpoint(endpoint.network, endpoint.id) is not None:
            await self._mirror.commit(delete=[endpoint])
            await self._unplug(network, endpoint)
        if request.ipv4 is None or request.ipv6 is None:
            await self._release_owned(network, endpoint)

    async def _release_owned(self, network: Network, endpoint: Endpoint) -> None:
        for address in endpoint.addresses:
            segment = network.segment_of(address)
            pool = self._mirror.pool(segment.pool) if segment else None
            if pool is not None and OWNED in pool.options:
                await self._ipam.release_address(pool.id, address)

    def _network(self, network_id: str) -> Network:
        network = self._mirror.network(network_id)
        if network is None:
            raise NotFound(
                f"network {network_id[:12]} is not known to Mooring",
                hint="remove and create it again (`docker network rm`, `docker network create`)",
            )
        return network

    def _known(self, network_id: str, endpoint_id: str) -> tuple[Network, Endpoint]:
        network = self._network(network_id)
        endpoint = self._mirror.endpoint(network_id, endpoint_id)
        if endpoint is None:
            raise NotFound(
                f"endpoint {endpoint_id[:12]} is not known in network {network_id[:12]}",
                hint="restart the container, which makes a new endpoint",
            )
        return network, endpoint


def _must_fit(network: Network, request: EndpointRequest) -> None:
    for interface in (request.ipv4, request.ipv6):
        if interface is None or not network.bridged:
            continue
        segment = network.segment_of(interface.ip)
        if segment is None:
            raise BadRequest(
                f"address {interface.ip} is in no subnet of network {network.id[:12]}",
                hint=f"it has {', '.join(str(part.subnet) for part in network.segments) or 'none'}",
            )
        if segment.gateway is not None and segment.gateway.ip == interface.ip:
            raise Conflict(f"address {interface.ip} is taken", holder=f"the gateway of network {network.id[:12]}")


def _same(known: Endpoint, request: EndpointRequest) -> EndpointGrant:
    asked = (request.ipv4 or known.ipv4, request.ipv6 or known.ipv6, request.mac or known.mac)
    if asked != (known.ipv4, known.ipv6, known.mac):
        raise Conflict(
            f"endpoint {known.id[:12]} exists already with other addresses",
            holder=", ".join(str(address) for address in known.addresses),
            hint="delete it first",
        )
    return _grant(known, request)


def _grant(endpoint: Endpoint, request: EndpointRequest) -> EndpointGrant:
    """Only what the request left open: dockerd refuses a reply that repeats even the identical value."""
    return EndpointGrant(
        ipv4=None if request.ipv4 else endpoint.ipv4,
        ipv6=None if request.ipv6 else endpoint.ipv6,
        mac="" if request.mac else endpoint.mac,
    )


def _attachment(network: Network, endpoint: Endpoint) -> Attachment:
    if not network.bridged:
        return Attachment("", network.options.interface_prefix, None, None)

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
        network.options.routes,
    )
