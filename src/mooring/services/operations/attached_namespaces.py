"""Attaching network namespaces that are no container's, and detaching them: the half that is the daemon's.

Rules: the daemon enters no namespace: it makes the interface on the host, as for an engine, and says what is to be
inside; whoever asked does that and confirms it, and what nobody confirms the garbage collector takes back; what was
reserved for the namespace's name is given to it, and stays reserved; what is so already is no change, and no error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.attached_namespaces import described, endpoint_of, is_namespaces, namespace_name, sandbox_key
from mooring.core.datapath import host_end
from mooring.core.endpoints import Attachment, Endpoint, State
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound, Unavailable
from mooring.core.leases import is_over
from mooring.core.namespace_views import NamespaceView
from mooring.core.networks import OUR_IPAM, Address, Interface, Network, Origin, stable_mac
from mooring.core.plumbing import GuardedPort, Remove
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.core.sandboxes import Member, choose_name, namespace_facts
from mooring.core.whom import id_given
from mooring.ports import Clock, Engine, Kernel
from mooring.services.assembly import Services
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames


@dataclass(frozen=True, slots=True)
class _Place:
    """A network, and what the engine calls it."""

    network: Network
    called: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """Who is meant. identity: which namespace it is (ports.Namespaces), "" for one that is gone. name: what it is
    called here. taken: names of interfaces that are in it. containers: full ids that its processes bear."""

    identity: str
    name: str
    taken: frozenset[str] = frozenset()
    containers: tuple[str, ...] = ()


class AttachedNamespaces:
    """`attach`, `confirm` and `detach`. boot: id of the host's present boot. engine: None where there is none. here:
    which namespace the calling thread is in, None when nobody can tell."""

    def __init__(
        self,
        services: Services,
        kernel: Kernel,
        engine: Engine | None,
        clock: Clock,
        boot: str,
        names: Callable[[], Awaitable[EngineNames]],
        here: Callable[[], str] | None = None,
    ) -> None:  # fmt: skip
        self._cache, self._endpoint_index = services.cache, services.endpoint_index
        self._ipam, self._fixed_index = services.ipam, services.ipam.fixed_index
        self._endpoints, self._locks = services.endpoints, services.records.locks
        self._kernel, self._engine, self._clock = kernel, engine, clock
        self._boot = boot
        self._names, self._here = names, here

    async def attach(self, namespace: Namespace, reference: str, addresses: Sequence[Address]) -> NamespaceView:
        """The namespace has an endpoint in the network, whose interface waits on the host, or is in it already; the
        answer says what is to be inside. The addresses are these, or those reserved for its name there, or any.

        Raises NotFound, Conflict for a namespace of a container or of the daemon's own, another one of that name, or
        when it is in the network with other addresses; BadRequest, Exhausted, Unavailable.
        """
        self._check_here(namespace)
        if (own := await self._own(namespace.identity)) is not None:
            raise Conflict(
                f"{namespace.name} is the host's own network namespace" if own == 0
                else f"{namespace.name} is routing domain {own} of Mooring's own networks",
                hint="`mooring expose NETWORK` gives the host an address in a network",
            )  # fmt: skip
        id_given(namespace.name)
        place = await self._place(reference)
        _check_network(place)
        network = place.network
        if len({address.version for address in addresses}) < len(addresses):
            raise BadRequest("a namespace has at most one address of a family in a network")
        await self._check_no_container(namespace, place.called)
        ident = endpoint_of(network.id, namespace.identity)
        async with self._locks.hold(f"namespaces of {network.id}"):
            known = self._cache.endpoint(network.id, ident)
            if known is not None and not set(addresses) <= set(known.addresses):
                raise Conflict(
                    f"{namespace_name(known)} is in network {place.called} already, with {_words(known.addresses)}",
                    hint="detach it first",
                )
            if known is not None and await self._is_usable(known):
                return await self._begun(place, known, namespace, changed=known.pending is not None)
            if known is not None:  # its interface was removed by hand, or never came to be inside
                addresses = addresses or known.addresses
                await self._endpoints.delete(network.id, known.id)
            await self._end_the_dead(place, namespace.name)
            made = await self._make(network, ident, namespace.name, addresses)
            try:
                return await self._begun(place, made, namespace, changed=True)
            except BaseException:
                await self._endpoints.delete(network.id, ident)
                raise

    async def confirm(self, identity: str, reference: str) -> NamespaceView:
        """What was to be inside is there: the endpoint stays. Raises NotFound, Conflict when it is not."""
        place = await self._place(reference)
        known = self._cache.endpoint(place.network.id, endpoint_of(place.network.id, identity))
        if known is None:
            raise NotFound(f"the namespace is not attached to network {place.called}", hint="attach it again")
        if not await self._living([known.id]):
            raise Conflict(f"the interface of {namespace_name(known)} is not inside", hint="attach it again")
        await self._endpoints.confirm(known.network, known.id, 0)
        return await self._view(place, known, Namespace(identity, known.name), changed=known.pending is not None)

    async def detach(
        self, namespace: Namespace, reference: str, *, dry: bool = False, unconfirmed: bool = False
    ) -> NamespaceView:
        """The namespace has no endpoint in the network, its interface is gone soon, and its addresses are free, but for
        reserved ones. The answer says what it is to have of other networks. dry: nothing is done. unconfirmed: only
        when nobody has confirmed it. A namespace of the daemon's own was never attached: a process of the host has the
        number of one whose namespace is meant.

        Raises NotFound, Unavailable.
        """
        if namespace.identity and await self._own(namespace.identity) is not None:
            namespace = replace(namespace, identity="")
        place = await self._place(reference)
        network = place.network
        async with self._locks.hold(f"namespaces of {network.id}"):
            known = self._cache.endpoint(network.id, endpoint_of(network.id, namespace.identity))
            if known is None and (other := self._named(network, namespace.name)) is not None:
                known = None if namespace.identity and await self._living([other.id]) else other
            if known is not None and unconfirmed and known.pending is None and known.state is State.ATTACHED:
                known = None
            if known is not None and not dry:
                await self._endpoints.delete(network.id, known.id)
        return await self._view(place, known, namespace, changed=known is not None)

    def _check_here(self, namespace: Namespace) -> None:
        if not namespace.identity.startswith(f"{self._boot}:"):
            raise Conflict(
                "the namespace is on another host than this daemon", hint="run the command where the daemon runs"
            )

    async def _own(self, identity: str) -> int | None:
        """Which routing domain the namespace is, 0 for the host's own; None for one of somebody else's."""
        here = self._here
        for domain in sorted({0, *(network.domain for network in self._cache.every(Network))}) if here else ():
            assert here is not None
            with suppress(NotFound, Unavailable):
                if await self._kernel.in_domain(domain, here) == identity:
                    return domain
        return None

    async def _place(self, reference: str) -> _Place:
        """Raises NotFound, Conflict for several."""
        names = await self._names()
        network = network_meant(reference.strip(), self._cache, names)
        return _Place(network, names.of_network(network) or network.id[:12])

    async def _check_no_container(self, namespace: Namespace, network: str) -> None:
        for ident in namespace.containers if self._engine is not None else ():
            assert self._engine is not None
            if (container := await self._engine.container(ident)) is not None:
                raise Conflict(
                    f"{namespace.name} is in the namespace of container {container.name}",
                    hint=f"`mooring attach {container.name} {network}`",
                )

    async def _is_usable(self, endpoint: Endpoint) -> bool:
        """Whether its interface is inside, or waits on the host for somebody to go on."""
        if await self._living([endpoint.id]):
            return True
        waits = endpoint.state is not State.ATTACHED or endpoint.pending is not None
        return waits and await self._kernel.link(host_end(endpoint.id)) is not None

    async def _living(self, endpoints: Sequence[str]) -> set[str]:
        """Those of the endpoints whose interface is in a namespace."""
        insides = await self._kernel.insides([host_end(each) for each in endpoints])
        return {each for each in endpoints if host_end(each) in insides}

    async def _end_the_dead(self, place: _Place, name: str) -> None:
        """No other namespace has the name in the network. Raises Conflict when one lives that has."""
        other = self._named(place.network, name)
        if other is None:
            return
        if await self._living([other.id]):
            raise Conflict(
                f"another namespace called {name} is in network {place.called}",
                holder=_words(other.addresses), hint="give this one another name with --name, or detach the other",
            )  # fmt: skip
        await self._endpoints.delete(place.network.id, other.id)

    def _named(self, network: Network, name: str) -> Endpoint | None:
        other = self._endpoint_index.named(network.id, name) if name else None
        return other if other is not None and is_namespaces(other.id) else None

    async def _make(self, network: Network, ident: str, name: str, addresses: Sequence[Address]) -> Endpoint:
        """The endpoint, with its interface on the host. On a fault nothing is left."""
        granted: dict[int, Interface] = {}
        mac = stable_mac(f"endpoint:{ident}")
        try:
            wanted = {address.version: address for address in addresses or self._reserved(network, name)}
            for address in wanted.values():
                if network.segment_of(address) is None:
                    has = ", ".join(str(segment.subnet) for segment in network.segments) or "none"
                    raise BadRequest(f"address {address} is in no subnet of the network", hint=f"it has {has}")
            for version in (4, 6):
                if version in wanted or version not in network.on_demand:  # the others come with the endpoint
                    await self._grant(network, version, wanted.get(version), mac, name, granted)
            ipv4, ipv6 = granted.get(4), granted.get(6)
            assert not isinstance(ipv4, IPv6Interface)
            assert not isinstance(ipv6, IPv4Interface)
            await self._sweep(ident)
            await self._endpoints.create(EndpointRequest(network.id, ident, ipv4, ipv6, mac, name=name))
        except BaseException:
            for each in granted.values():
                if (segment := network.segment_of(each.ip)) is not None:
                    await self._ipam.release_address(segment.pool, each.ip)
            raise
        made = self._cache.endpoint(network.id, ident)
        assert made is not None
        return made

    async def _sweep(self, ident: str) -> None:
        """What the port of an endpoint of that id might say, before repair has seen that it went, is not there."""
        left = [fact for fact in await self._kernel.observe() if isinstance(fact, GuardedPort)]
        await self._kernel.apply([Remove(fact) for fact in left if fact.port == host_end(ident)])

    async def _grant(
        self, network: Network, version: int, address: Address | None, mac: str, name: str,
        granted: dict[int, Interface],
    ) -> None:  # fmt: skip
        """granted: gets an address of the family, if the network has it. Raises as Ipam.request_address."""
        full: Exhausted | None = None
        for segment in network.segments_of(version):
            if address is not None and address not in segment.subnet:
                continue
            try:
                request = AddressRequest(segment.pool, Role.ENDPOINT, address, mac, name)
                granted[version] = await self._ipam.request_address(request)
            except Exhausted as fault:
                full = fault
            else:
                return
        if full is not None:
            raise full

    def _reserved(self, network: Network, name: str) -> list[Address]:
        """The addresses that are reserved for the name in the network, one of each family."""
        found: dict[int, Address] = {}
        for lease in self._fixed_index.reserved_for(name):
            pool = self._cache.pool(lease.pool)
            if pool is not None and pool.network == network.id and not is_over(lease, self._clock.now()):
                found.setdefault(lease.address.version, lease.address)
        return list(found.values())

    async def _begun(
        self, place: _Place, endpoint: Endpoint, namespace: Namespace, *, changed: bool
    ) -> NamespaceView:  # fmt: skip
        """The endpoint is the namespace's, on trial until somebody confirms it, and has a name inside."""
        key = sandbox_key(namespace.identity)
        names = {each.interface for each in self._endpoint_index.in_sandbox(key)} - {endpoint.interface}

        def named(attachment: Attachment) -> str:
            return endpoint.interface or choose_name(attachment.prefix, namespace.taken | names)

        on_trial = endpoint.state is State.CREATED or endpoint.pending is not None
        await self._endpoints.attach(
            endpoint.network, endpoint.id, JoinRequest(key), interface_name=named, provisional=on_trial
        )
        after = self._cache.endpoint(endpoint.network, endpoint.id)
        return await self._view(place, after, namespace, changed=changed)

    async def _view(
        self, place: _Place, endpoint: Endpoint | None, namespace: Namespace, *, changed: bool
    ) -> NamespaceView:  # fmt: skip
        """changed, and what the namespace is to have now. endpoint: the one that this is about."""
        inside = self._endpoint_index.in_sandbox(sandbox_key(namespace.identity)) if namespace.identity else []
        living = await self._living([each.id for each in inside])
        members = [
            Member(network, each)
            for each in inside
            if each.id in living or each == endpoint
            if (network := self._cache.network(each.network)) is not None
        ]
        interfaces, routes = described(namespace_facts(members))
        held = [str(address) for address in endpoint.addresses] if endpoint is not None else []
        name, ident = (endpoint.name or namespace.name, endpoint.id) if endpoint is not None else (namespace.name, "")
        return NamespaceView(name, place.network.id, place.called, ident, held, changed, interfaces, routes)


def _check_network(place: _Place) -> None:
    """Raises Conflict for a network that no namespace can be in."""
    network = place.network
    if network.origin is not Origin.ENGINE:
        raise Conflict(f"network {place.called} is a program's own, and not Docker's")
    if not network.bridged:
        raise Conflict(f"network {place.called} has no bridge on this host", hint="choose a network of mode bridge")
    if network.ipam != OUR_IPAM or any(not segment.pool for segment in network.segments):
        raise Conflict(
            f"another IPAM driver gives the addresses of network {place.called}",
            hint="choose a network with --ipam-driver mooring",
        )


def _words(addresses: Sequence[Address]) -> str:
    return " and ".join(map(str, addresses))
