"""Choosing and holding host ports.

Rules: a port is checked against our own port bindings first, then held against the host's processes; a range or an
ephemeral request tries the next port, a single port is refused with the holder's name; the choice is durable before
the kernel forwards anything; a container may publish tens of thousands of ports, so each costs the same however many
there are, and the loop has a break every so many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Exhausted
from mooring.core.networks import Address, GatewayMode, Network
from mooring.core.port_bindings import PortBinding, PortRequest, Protocol
from mooring.ports import PortGuard
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.pacing import Pace

ANY4 = IPv4Address("0.0.0.0")
ANY6 = IPv6Address("::")
LOOPBACK6 = IPv6Address("::1")


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of what a sandbox publishes that is one endpoint's.

    families: it publishes these. elsewhere: families that other endpoints of the sandbox have, so that a request for
    one of them is theirs and no mistake. near: what they publish, or did: a host port that need not change does not.
    """

    families: frozenset[int] = frozenset({4, 6})
    elsewhere: frozenset[int] = frozenset()
    near: tuple[PortBinding, ...] = ()


WHOLE = Scope()


class PortPublished(Conflict):
    """A host port that is asked for is published by an endpoint of ours.

    endpoint: the one that has it.
    """

    def __init__(self, wanted: PortBinding, other: PortBinding, endpoint: Endpoint) -> None:
        super().__init__(
            f"host port {wanted.host_port}/{wanted.protocol.label} is already published",
            holder=f"endpoint {endpoint.id[:12]} at {other.target}",
            hint=f"stop that container, or publish another port; see `mooring explain {other.target}`",
        )
        self.endpoint = endpoint


@dataclass(eq=False, slots=True)
class _Pending:
    """What one call chooses, and no record tells yet. places: the addresses of the host at each port. domain: the
    routing domain of the network."""

    domain: int
    port_bindings: list[PortBinding] = field(default_factory=list)
    places: dict[tuple[Protocol, int], list[Address]] = field(default_factory=dict)


class PortAllocator:
    """Host ports of this host: who has which, and which is next."""

    def __init__(
        self, endpoint_index: EndpointIndex, guard: PortGuard, domain: Callable[[str], int] = lambda _: 0
    ) -> None:
        """domain: the routing domain of the network with the id."""
        self._domain = domain
        self._endpoint_index = endpoint_index
        self._guard = guard
        # Chosen, but not yet in a record: two endpoints that choose at the same time must not meet.
        self._pending: dict[int, _Pending] = {}
        self._cursor = 0
        # Whoever else holds ports, since they lead to other hosts: which they are, and he gives up one that is wanted.
        self.leads: Callable[[Protocol, int], bool] = lambda _, __: False
        self.cede: Callable[[Protocol, int], Awaitable[None]] = _nobody

    @property
    def choosing(self) -> bool:
        """Whether ports are chosen that no record tells of yet."""
        return bool(self._pending)

    def has(self, protocol: Protocol, host: Address, port: int) -> bool:
        """Whether an endpoint of ours publishes the port at the address, or at one that cannot be had beside it, or is
        about to."""
        hosts = [_place(each)[1] for each, _ in self._endpoint_index.publishers(protocol, port)]
        hosts += [each for pending in self._pending.values() for each in pending.places.get((protocol, port), ())]
        return any(_meet(each, host) for each in hosts)

    async def choose(
        self, network: Network, endpoint: Endpoint, requests: Iterable[PortRequest], scope: Scope = WHOLE
    ) -> Sequence[PortBinding]:
        """One port binding for each request and family of the scope that the endpoint does not publish yet, each held.

        Raises Conflict that names the holder of a single port, Exhausted when no port of a range is free; then none is
        held but those that it has. `confirm` must follow when the outcome is recorded or given up.
        """
        pending = _Pending(network.domain)
        self._pending[id(pending.port_bindings)] = pending
        pace = Pace()
        # Where the search in a range goes on: what was taken for the request before is taken for the next one, too.
        passed: dict[tuple[object, ...], int] = {}
        try:
            had = await _Had.of(network, endpoint.published, pace)
            hints: dict[tuple[Protocol, Address | None, int], int] = {}
            for each in chain(scope.near, endpoint.published):
                await pace.step()
                hints[each.protocol, each.host, each.target_port] = each.host_port
            for request in requests:
                await pace.step()
                missing = tuple(
                    (host, target)
                    for host, target in _targets(network, endpoint, request, scope)
                    if had.take(request, host, target) is None
                )
                if missing:
                    hint = hints.get((request.protocol, missing[0][0], request.port), 0)
                    await self._choose_one(network, request, missing, pending, passed, pace, hint)
        except BaseException:
            await self.release(pending.port_bindings)
            self.confirm(pending.port_bindings)
            raise
        return pending.port_bindings

    async def kept(
        self, network: Network, endpoint: Endpoint, requests: Iterable[PortRequest], scope: Scope
    ) -> tuple[PortBinding, ...]:
        """What the endpoint publishes already of what is asked for now. Raises BadRequest as `choose`."""
        pace = Pace()
        had = await _Had.of(network, endpoint.published, pace)
        kept: list[PortBinding] = []
        for request in requests:
            await pace.step()
            for host, target in _targets(network, endpoint, request, scope):
                if (old := had.take(request, host, target)) is not None:
                    kept.append(old)
        return endpoint.published if len(kept) == len(endpoint.published) else tuple(kept)

    def confirm(self, port_bindings: Sequence[PortBinding]) -> None:
        """The record tells from now on who has these ports. port_bindings: the very ones that were chosen."""
        self._pending.pop(id(port_bindings), None)

    async def hold(self, port_bindings: Iterable[PortBinding]) -> None:
        """Hold what a record says is published, after a restart. Raises Conflict that names the holder."""
        pace = Pace()
        for port_binding in port_bindings:
            await pace.step()
            if not port_binding.host_port:
                continue
            await self.cede(port_binding.protocol, port_binding.host_port)
            try:
                await self._guard.hold(*_place(port_binding))
            except Conflict as fault:
                raise await self._named(fault, port_binding) from fault

    async def release(self, port_bindings: Iterable[PortBinding]) -> None:
        """The host ports are free for others, also when the caller is cancelled meanwhile."""
        pace, cancelled = Pace(), None
        for port_binding in port_bindings:
            if port_binding.host_port:
                # Who took it since the record is without it would not hold it any more, and not know that.
                await self.cede(port_binding.protocol, port_binding.host_port)
                await self._guard.release(*_place(port_binding))
            try:
                await pace.step()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _choose_one(
        self,
        network: Network,
        request: PortRequest,
        targets: tuple[tuple[Address | None, Address], ...],
        pending: _Pending,
        passed: dict[tuple[object, ...], int],
        pace: Pace,
        hint: int,
    ) -> None:
        """Promise port bindings at one host port that is free in every family of the targets. hint: the port to try
        first, or 0."""
        if all(network.gateway_mode(target.version) is GatewayMode.ROUTED for _, target in targets):
            pending.port_bindings += [
                PortBinding(request.protocol, None, 0, target, request.port) for _, target in targets
            ]
            return
        single = request.first != 0 and request.first == request.last
        search = request.protocol, request.first, request.last, tuple(host for host, _ in targets)
        hinted = (hint,) if hint and not single and (not request.first or _within(request, hint)) else ()
        for port in chain(hinted, await self._candidates(request, passed.get(search, request.first))):
            await pace.step()
            if request.first and port not in hinted:
                passed[search] = port + 1
            picked = [PortBinding(request.protocol, host, port, target, request.port) for host, target in targets]
            try:
                await self._take(picked, single, pending)
            except Conflict:
                if single:
                    raise
                continue
            return
        low, high = (request.first, request.last) if request.first else await self._guard.ephemeral()
        raise Exhausted(
            f"no free host port in {low}-{high}/{request.protocol.label} for container port {request.port}",
            hint="publish to another range; `mooring network inspect` shows the published ports",
        )

    async def _candidates(self, request: PortRequest, first: int) -> Iterable[int]:
        """The ports of the request, from the first that may be free; those that lead to other hosts come last."""
        low, high = (request.first, request.last or request.first) if request.first else await self._guard.ephemeral()
        ports: Iterable[int] = range(first, high + 1)
        if low == high:
            return ports
        if not request.first:
            count = high - low + 1
            start = self._cursor
            self._cursor = (start + 1) % count
            ports = (low + (start + step) % count for step in range(count))
        free = (port for port in ports if not self.leads(request.protocol, port))
        return chain(free, (port for port in range(low, high + 1) if self.leads(request.protocol, port)))

    async def _take(self, picked: list[PortBinding], single: bool, pending: _Pending) -> None:
        """All of them are held, or none. single: there is no other port to try, so the refusal says who has it."""
        for port_binding in picked:
            self._refuse_ours(port_binding, pending.domain)
        places = [_place(port_binding) for port_binding in picked]
        ports = {(protocol, port) for protocol, _, port in places}
        before = {key: list(pending.places.get(key, ())) for key in ports}
        for protocol, host, port in places:
            pending.places.setdefault((protocol, port), []).append(host)
        held: list[tuple[Protocol, Address, int]] = []
        try:
            for place in places:
                await self.cede(place[0], place[2])
                await self._guard.hold(*place)
                held.append(place)
        except BaseException as error:
            pending.places.update(before)
            for place in held:
                await self._guard.release(*place)
            if isinstance(error, Conflict) and single:
                raise await self._named(error, picked[len(held)]) from error
            raise
        pending.port_bindings += picked

    async def _named(self, fault: Conflict, port_binding: PortBinding) -> Conflict:
        """The refusal of a host port with the process that has it: found out late, since that takes long."""
        return Conflict(fault.what, holder=await self._guard.holder(*_place(port_binding)), hint=fault.hint)

    def _refuse_ours(self, wanted: PortBinding, domain: int) -> None:
        for other, holder in self._endpoint_index.publishers(wanted.protocol, wanted.host_port):
            if _meet(_place(other)[1], _place(wanted)[1]):
                raise PortPublished(wanted, other, holder)
            if domain and _parts(wanted, other) and self._domain(holder.network) == domain:
                raise _led_elsewhere(wanted, f"endpoint {holder.id[:12]} at {other.target}")
        for pending in self._pending.values():
            hosts = pending.places.get((wanted.protocol, wanted.host_port), ())
            theirs = pending.port_bindings if domain and hosts and pending.domain == domain else ()
            if any(_parts(wanted, other) for other in theirs):
                raise _led_elsewhere(wanted, "a container that is starting")
            if any(_meet(host, _place(wanted)[1]) for host in hosts):
                raise Conflict(
                    f"host port {wanted.host_port}/{wanted.protocol.label} is already published",
                    holder="a container that is starting",
                    hint="publish another port",
                )


async def _nobody(protocol: Protocol, port: int) -> None:
    """Nobody else holds ports."""


def _place(port_binding: PortBinding) -> tuple[Protocol, Address, int]:
    host = port_binding.host or (ANY4 if port_binding.target.version == 4 else ANY6)
    return port_binding.protocol, host, port_binding.host_port


def _meet(one: Address, other: Address) -> bool:
    """Whether both may not have the same port: equal, or one of them is every address of the same family."""
    return one.version == other.version and (one == other or one in (ANY4, ANY6) or other in (ANY4, ANY6))


def _parts(one: PortBinding, other: PortBinding) -> bool:
    """Whether both have one port of the host, in one family, and lead to different places."""
    same = one.protocol is other.protocol and one.host_port == other.host_port
    ends = [(each.target, each.target_port) for each in (one, other)]
    return same and one.target.version == other.target.version and ends[0] != ends[1]


def _led_elsewhere(wanted: PortBinding, holder: str) -> Conflict:
    """A domain is told the port, not the address of the host (core/domains)."""
    return Conflict(
        f"host port {wanted.host_port}/{wanted.protocol.label} leads to another place in the tenant's networks "
        "already, from another address of the host",
        holder=holder,
        hint="within a tenant a port leads to one place, at all addresses of the host; publish another port",
    )


def _within(request: PortRequest, port: int) -> bool:
    return request.first <= port <= request.last


class _Had:
    """Port bindings to be found again, each once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._left: dict[tuple[Protocol, Address | None, Address, int], list[PortBinding]] = {}

    @classmethod
    async def of(cls, network: Network, published: Iterable[PortBinding], pace: Pace) -> _Had:
        """These."""
        had = cls(network)
        for each in published:
            await pace.step()
            had._left.setdefault((each.protocol, each.host, each.target, each.target_port), []).append(each)
        return had

    def take(self, request: PortRequest, host: Address | None, target: Address) -> PortBinding | None:
        """One that does what the request asks for."""
        routed = self._network.gateway_mode(target.version) is GatewayMode.ROUTED
        key = request.protocol, None if routed else host, target, request.port
        for index, each in enumerate(left := self._left.get(key, [])):
            if routed or not request.first or _within(request, each.host_port):
                return left.pop(index)
        return None


def _targets(
    network: Network, endpoint: Endpoint, request: PortRequest, scope: Scope
) -> list[tuple[Address | None, Address]]:
    """(host address or None for all, container address) for each family that the request concerns."""
    host = request.host or network.options.binding
    wildcard = host is None or host in (ANY4, ANY6)
    if host == LOOPBACK6:
        raise BadRequest(
            f"cannot publish port {request.port}/{request.protocol.label} at [::1]: nothing is forwarded from there",
            hint="publish at 127.0.0.1, or at another IPv6 address of the host",
        )
    wanted = (4, 6) if host is None else (host.version,)
    found = [(None if wildcard else host, address) for address in endpoint.addresses if address.version in wanted]
    if not found and request.host is not None and request.host.version not in scope.elsewhere:
        raise BadRequest(
            f"cannot publish port {request.port}/{request.protocol.label} at {request.host}: "
            f"the container has no IPv{request.host.version} address",
            hint="create the network with that family, or publish at another address",
        )
    return [(host, target) for host, target in found if target.version in scope.families]
