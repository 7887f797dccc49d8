"""Making, attaching, publishing and removing endpoints.

Rules: addresses that somebody gave are honoured or refused, never replaced; the record is written before the driver is
told, and goes before the driver ends what it made; every call may come twice, late, or for something never heard of;
operations on one endpoint queue, and a network changes only while none of its endpoints does.

A driver that remembers is told of every end, whatever happens: what is begun with it is noted in the record (`pending`)
first, and a start finishes or undoes it (sandboxes/recovery.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.attached_namespaces import is_namespaces
from mooring.core.endpoints import Attachment, Endpoint, Event, State, advance
from mooring.core.faults import Conflict, Fault, StaleRevision, Unavailable
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import OUR_IPAM, Address, Network, Origin, Segment, stable_mac
from mooring.core.requests import EndpointGrant, EndpointRequest, JoinRequest
from mooring.ports import Driver
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import ATTEMPTS, Ipam
from mooring.services.networking.endpoint_addresses import EndpointAddresses, must_have_subnets
from mooring.services.networking.endpoint_admission import EndpointAdmission, granted, must_fit, same
from mooring.services.networking.endpoint_ports import EndpointPorts
from mooring.services.networking.endpoint_records import EndpointRecords
from mooring.services.networking.liveness import Liveness
from mooring.services.networking.on_demand_subnets import LacksSubnet, OnDemandSubnets
from mooring.services.networking.port_allocator import PortAllocator
from mooring.services.networking.port_mapper import PortMapper
from mooring.services.networking.takeover import Takeovers
from mooring.services.records.endpoint_index import Records

InterfaceName = Callable[[Attachment], str]
Addresses = tuple[IPv4Interface | None, IPv6Interface | None]


class Endpoints:
    """CreateEndpoint to DeleteEndpoint."""

    def __init__(
        self, records: Records, drivers: Drivers, ipam: Ipam, port_allocator: PortAllocator, subnets: OnDemandSubnets
    ) -> None:
        self._cache = cache = records.cache
        self._endpoint_index = index = records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self._drivers = drivers
        self._ipam = ipam
        self.subnets = subnets
        self._addresses = EndpointAddresses(cache, index, ipam)
        self._ports = EndpointPorts(cache, ipam.index, ipam.fixed_index)
        self.takeovers = Takeovers(ipam, records.clock)
        self._records = EndpointRecords(cache, drivers, ipam, port_allocator, records.locks)
        liveness = Liveness(cache, drivers, self._records, records.clock)
        self._admission = EndpointAdmission(cache, index, liveness, ipam.index.endpoint_containers)
        forwarding = PortMapper(cache, index, drivers, self._records, port_allocator, liveness)
        self.publish = forwarding.publish
        self.unpublish = forwarding.unpublish

    async def create(self, request: EndpointRequest) -> EndpointGrant:
        """The endpoint is recorded, and its driver has it.

        Returns what the request left open. A network that gets subnets on demand has one more if there was no address.
        Raises NotFound for an unknown network, BadRequest for an address outside of it, Conflict when the id exists
        with other addresses, or the MAC or port is another one's, Exhausted, and what the driver raises. On a fault
        nothing is left.
        """
        made: list[Segment] = []
        try:
            while True:  # each round finds another subnet, of its own making or of others', or there is none left
                try:
                    return await self._create(request)
                except LacksSubnet as error:
                    if (segment := await self.subnets.add(request.network, error.lack)) is not None:
                        made.append(segment)
        except BaseException:
            if made:
                await self.subnets.withdraw(request.network, made)
            raise

    async def _create(self, request: EndpointRequest) -> EndpointGrant:
        async with self._records.alone(request.network, request.id):
            network = self._records.network(request.network)
            known = self._cache.endpoint(request.network, request.id)
            if known is not None:
                return same(known, request)
            must_have_subnets(network, request)
            must_fit(network, request)
            port = self._ports.asked(network, request)
            async with self._addresses.completed(network, request, port) as addresses:
                return await self._make(network, request, addresses, port)

    async def _make(
        self, network: Network, request: EndpointRequest, addresses: Addresses, port: NetworkPort | None
    ) -> EndpointGrant:
        driver = await self._drivers.network_driver(network.driver)
        own = "" if driver.remembers else stable_mac(f"endpoint:{request.id}")
        endpoint = Endpoint(
            request.id,
            request.network,
            *addresses,
            request.mac or (port.mac if port is not None else own),
            self._clock.now(), ports=request.ports, options=dict(request.options), name=request.name,
            aliases=request.aliases, links=dict(request.links), services=request.services,
            pending=Event.CREATE if driver.remembers else None, exposed=request.exposed,
        )  # fmt: skip
        try:
            self._ports.check(network, endpoint, port)
            await self._record(network, endpoint)
            grant = await driver.create_endpoint(network, endpoint)
            made = _completed(network, endpoint, grant)
            if made != endpoint:
                await self._records.save(endpoint, made)
        except BaseException:
            await self._roll_back(network, endpoint, driver)
            raise
        return granted(made, request)

    async def _record(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint and its leases are written in one commit, so that no address is anybody else's.

        The same address under a new id is an engine's way to say that the old endpoint died with a crash of its own.
        Raises Conflict when an address was given to somebody else since its holder was told it.
        """
        async with self._locks.hold(f"addresses of {network.id}"):
            await self._admission.check_mac(network, endpoint)
            for _ in range(ATTEMPTS):
                dead = {
                    e.id: e for a in endpoint.addresses if (e := self._endpoint_index.at(network.id, a)) is not None
                }
                if dead and network.origin is Origin.LIBRARY:
                    holder = ", ".join(f"endpoint {old.name or old.id[:12]}" for old in dead.values())
                    raise Conflict(f"an address is in use in network {network.name}", holder=holder)
                for old in dead.values():
                    self.takeovers.check_dead(old)
                inherited = frozenset(address for old in dead.values() for address in old.addresses)
                leases = self._ipam.confirm(network, endpoint, inherited)
                kept, gone = self.takeovers.left_by(network, dead.values(), endpoint)
                with contextlib.suppress(StaleRevision):
                    await self._cache.commit(put=[endpoint, *leases, *kept], delete=[*dead.values(), *gone])
                    for old in dead.values():
                        await self._records.end(network, old)
                    return
        raise Unavailable(f"addresses of endpoint {endpoint.id[:12]} were changed by other requests", hint="try again")

    async def release(self, pool_id: str, address: Address) -> None:
        """ReleaseAddress: the lease is given up. What is not held is released already.

        An endpoint that still has the address is dead, and goes first: Docker releases after it has deleted, and the
        deletion did not reach us. But for an IPv6 address beside an IPv4 one, which engines from 29 on release from a
        living endpoint (libnetwork/endpoint.go); its lease stays until the endpoint goes.
        """
        pool_id = await self._ipam.names.resolve(pool_id, address)
        pool = self._cache.pool(pool_id)
        endpoint = self._endpoint_index.at(pool.network, address) if pool is not None and pool.network else None
        if endpoint is not None:
            network = self._cache.network(endpoint.network)
            if (network is not None and network.origin is Origin.LIBRARY) or is_namespaces(endpoint.id):
                return  # an engine has no say in it
            if self.takeovers.is_of_refused(endpoint.network, address):
                return
            if address.version == 6 and endpoint.ipv4 is not None and endpoint.state is State.ATTACHED:
                return
            await self.delete(endpoint.network, endpoint.id)
        await self._ipam.release_address(pool_id, address)

    async def delete(
        self, network_id: str, endpoint_id: str, force: bool = False, attached: bool = True,
        known: Endpoint | None = None,
    ) -> None:  # fmt: skip
        """The endpoint is gone, its interface soon after; what is not known is gone already.

        The leases of a network of the library go with it. force: also when its driver cannot be reached, which then may
        keep what it made. Raises Unavailable otherwise. attached False: only when it is in no sandbox. Raises Conflict
        otherwise. known: only while it is as it was when somebody decided so.
        """
        await self._delete(network_id, endpoint_id, force, attached, known)
        await self.subnets.release_idle(network_id)

    async def _delete(
        self, network_id: str, endpoint_id: str, force: bool, attached: bool, known: Endpoint | None
    ) -> None:
        async with self._records.alone(network_id, endpoint_id):
            network = self._cache.network(network_id)
            endpoint = self._cache.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None or (known is not None and endpoint != known):
                return
            if endpoint.state is State.ATTACHED and not attached:
                raise Conflict(
                    f"endpoint {endpoint.name or endpoint_id[:12]} is in use",
                    holder=f"sandbox {endpoint.sandbox}",
                    hint="let it leave first",
                )
            driver = await self._records.driver(network, force)
            if driver.remembers or network.ipam != OUR_IPAM:
                endpoint = await self._records.note(endpoint, Event.DELETE)
            if driver.remembers:
                await self._tell_end(network, endpoint, driver, force)
            await self._records.release_addresses(network, endpoint, force)
            await self._records.delete(network, endpoint)
            if not driver.remembers:
                await self._records.end(network, endpoint, driver)

    async def _tell_end(self, network: Network, endpoint: Endpoint, driver: Driver, force: bool) -> None:
        """The driver has heard that the endpoint leaves, whether it is anywhere or not, and goes."""
        try:
            if endpoint.ports:
                await driver.unpublish(network, endpoint)
            await driver.leave(network, endpoint)
            await driver.delete_endpoint(network, endpoint)
        except Fault:
            if not force:
                raise

    async def attach(
        self,
        network_id: str,
        endpoint_id: str,
        request: JoinRequest,
        priority: int = 0,
        interface_name: InterfaceName | None = None,
        provisional: bool = False,
    ) -> Attachment:
        """The endpoint belongs to the sandbox; returns what is to be done in it.

        name_inside: says what the interface is called there, to be recorded. provisional: it may still be refused, so a
        start undoes it, until `confirm`. Raises NotFound, Conflict when another sandbox has it or it is on its way out.
        """
        async with self._records.alone(network_id, endpoint_id):
            network, endpoint = self._records.known(network_id, endpoint_id)
            subject = f"endpoint {endpoint_id[:12]}"
            if endpoint.state is State.ATTACHED and endpoint.sandbox not in ("", request.key):
                raise Conflict(
                    f"{subject} is already attached",
                    holder=f"sandbox {endpoint.sandbox}",
                    hint="disconnect it there first",
                )
            if endpoint.pending in (Event.CREATE, Event.DELETE):
                raise Conflict(f"{subject} is only partly created or deleted", hint="delete it again")
            state = advance(endpoint.state, Event.ATTACH, subject)
            if state is endpoint.state and endpoint.attachment is not None and endpoint.pending is None:
                return endpoint.attachment
            driver = await self._drivers.network_driver(network.driver)
            if driver.remembers:
                endpoint = await self._records.note(endpoint, Event.ATTACH)
            try:
                attachment = await driver.join(network, endpoint, request)
                interface = interface_name(attachment) if interface_name is not None and attachment.link else ""
                joined = replace(
                    endpoint, state=state, sandbox=request.key, priority=priority, interface=interface,
                    attachment=attachment, pending=Event.ATTACH if provisional else None,
                )  # fmt: skip
                await self._records.save(endpoint, joined)
            except BaseException:
                if endpoint.state is State.CREATED:
                    await self._undo_attach(network, endpoint, driver)
                raise
            return attachment

    async def _undo_attach(self, network: Network, endpoint: Endpoint, driver: Driver) -> None:
        """The endpoint is in no sandbox again. A driver that cannot be told now is told when it is detached or at the
        next start: the note stays."""
        with contextlib.suppress(Fault):
            await driver.leave(network, endpoint)
            known = self._cache.endpoint(endpoint.network, endpoint.id)
            if known is not None and known != _left(network, known):
                await self._cache.commit(put=[_left(network, known)])

    async def reconnect(self, network_id: str, endpoint_id: str, request: JoinRequest) -> Attachment:
        """The attached endpoint's driver makes its interface anew, for the sandbox with the key, which is recorded.

        Raises NotFound, Conflict when it is not attached.
        """
        async with self._records.alone(network_id, endpoint_id):
            network, endpoint = self._records.known(network_id, endpoint_id)
            if endpoint.state is not State.ATTACHED:
                raise Conflict(f"endpoint {endpoint_id[:12]} is in no sandbox")
            driver = await self._drivers.network_driver(network.driver)
            await driver.leave(network, endpoint)
            attachment = await driver.join(network, replace(endpoint, state=State.CREATED), request)
            moved = replace(endpoint, sandbox=request.key, attachment=attachment)
            await self._records.save(endpoint, moved)
            return attachment

    async def rename_inside(self, network_id: str, endpoint_id: str, interface: str) -> None:
        """The interface is called so in its sandbox."""
        async with self._records.alone(network_id, endpoint_id):
            _, endpoint = self._records.known(network_id, endpoint_id)
            await self._records.save(endpoint, replace(endpoint, interface=interface))

    async def confirm(self, network_id: str, endpoint_id: str, priority: int) -> None:
        """The join is done, and the priority counts from now on. Raises NotFound."""
        async with self._records.alone(network_id, endpoint_id):
            _, endpoint = self._records.known(network_id, endpoint_id)
            await self._records.save(endpoint, replace(endpoint, priority=priority, pending=None))

    async def returns(self, network_id: str) -> bool:
        """Whether interfaces of the network go back to the host before their endpoint leaves. Raises NotFound."""
        return (await self._drivers.network_driver(self._records.network(network_id).driver)).returns

    async def detach(self, network_id: str, endpoint_id: str, force: bool = False) -> None:
        """The endpoint is in no sandbox and publishes nothing, and its interface goes soon; it keeps its addresses.

        Unknown ones are fine. force: also when its driver cannot be reached. Raises Unavailable otherwise.
        """
        async with self._records.alone(network_id, endpoint_id):
            network = self._cache.network(network_id)
            endpoint = self._cache.endpoint(network_id, endpoint_id)
            if network is None or endpoint is None:
                return
            driver = await self._records.driver(network, force)
            left = _left(network, endpoint)
            if driver.remembers:
                if left == endpoint:
                    return
                endpoint = await self._records.note(endpoint, Event.DETACH)
                try:
                    if endpoint.ports:
                        await driver.unpublish(network, endpoint)
                    await driver.leave(network, endpoint)
                except Fault:
                    if not force:
                        raise
                await self._records.save(endpoint, left)
                return
            try:
                if endpoint.ports and not driver.forwards:
                    await driver.unpublish(network, endpoint)
                if left != endpoint:
                    await self._records.unpublish(network, endpoint, left)
            except BaseException:
                known = self._cache.endpoint(network_id, endpoint_id)
                if known is not None and known.state is not State.ATTACHED:
                    # Rules that stay are a matter of repair, an interface in a sandbox is not.
                    await driver.leave(network, endpoint)
                raise
            await driver.leave(network, endpoint)

    async def info(self, network_id: str, endpoint_id: str) -> dict[str, str]:
        """What `EndpointOperInfo` tells. Raises NotFound."""
        network, endpoint = self._records.known(network_id, endpoint_id)
        driver = await self._drivers.network_driver(network.driver)
        told = {"com.docker.network.endpoint.macaddress": endpoint.mac} if endpoint.mac else {}
        told |= await driver.info(network, endpoint)
        if endpoint.published:
            told["mooring.published"] = ", ".join(str(port_binding) for port_binding in endpoint.published)
        return told

    async def _roll_back(self, network: Network, endpoint: Endpoint, driver: Driver) -> None:
        at = self._endpoint_index.at
        users = [(each, a) for a in endpoint.addresses if (each := at(network.id, a)) is not None]
        self.takeovers.note_refused(network.id, [a for each, a in users if each.id != endpoint.id])
        # What was never recorded was never made, and its address may be somebody else's.
        if self._cache.endpoint(endpoint.network, endpoint.id) is not None:
            if driver.remembers:
                try:
                    await driver.delete_endpoint(network, endpoint)
                except Fault:
                    return  # the note stays, and the next start or a deletion tells it
            await self._records.delete(network, endpoint)
            if not driver.remembers:
                await self._records.end(network, endpoint)


def _left(network: Network, endpoint: Endpoint) -> Endpoint:
    """The endpoint in no sandbox. Its ports are what an engine made it with, or else the sandbox's."""
    state = advance(endpoint.state, Event.DETACH, f"endpoint {endpoint.id[:12]}")
    ports = endpoint.ports if network.origin is Origin.ENGINE else ()
    return replace(
        endpoint, state=state, sandbox="", ports=ports, interface="", attachment=None, priority=0, pending=None
    )


def _completed(network: Network, endpoint: Endpoint, grant: EndpointGrant) -> Endpoint:
    """The endpoint with what its driver chose. Raises Conflict when the driver replaced what it was told."""
    for told, chosen in ((endpoint.ipv4, grant.ipv4), (endpoint.ipv6, grant.ipv6), (endpoint.mac, grant.mac)):
        if told and chosen:
            raise Conflict(f"driver {network.driver} changed {told} to {chosen}, which it must use or refuse")
    return replace(
        endpoint,
        ipv4=endpoint.ipv4 or grant.ipv4,
        ipv6=endpoint.ipv6 or grant.ipv6,
        mac=endpoint.mac or grant.mac,
        pending=None,
    )
