"""Choosing and holding host ports.

Rules: a port is checked against our own publications first, then held against the host's processes; a range or an
ephemeral request tries the next port, a single port is refused with the holder's name; the choice is durable before
the kernel forwards anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Exhausted
from mooring.core.networks import Address, GatewayMode, Network
from mooring.core.publications import PortRequest, Protocol, Publication
from mooring.ports import PortGuard
from mooring.services.roster import Roster

ANY4 = IPv4Address("0.0.0.0")
ANY6 = IPv6Address("::")
LOOPBACK6 = IPv6Address("::1")


class PortPublished(Conflict):
    """A host port that is asked for is published by an endpoint of ours.

    endpoint: the one that has it.
    """

    def __init__(self, wanted: Publication, other: Publication, endpoint: Endpoint) -> None:
        super().__init__(
            f"host port {wanted.host_port}/{wanted.protocol.label} is published already",
            holder=f"endpoint {endpoint.id[:12]} at {other.target}",
            hint=f"stop that container, or publish another port; see `mooring explain {other.target}`",
        )
        self.endpoint = endpoint


class Publishing:
    """Host ports of this host: who has which, and which is next."""

    def __init__(self, roster: Roster, guard: PortGuard) -> None:
        self._roster = roster
        self._guard = guard
        # Chosen, but not yet in a record: two endpoints that choose at the same time must not meet.
        self._promised: set[tuple[Protocol, Address, int]] = set()
        self._cursor = 0

    async def choose(
        self, network: Network, endpoint: Endpoint, requests: Iterable[PortRequest]
    ) -> tuple[Publication, ...]:
        """One publication for each request and family, each held.

        Raises Conflict that names the holder of a single port, Exhausted when no port of a range is free; then none is
        held. `settle` must follow when the outcome is recorded or given up.
        """
        chosen: list[Publication] = []
        try:
            for request in requests:
                targets = [t for t in _targets(network, endpoint, request) if not self._is_served(endpoint, request, t)]
                if targets:
                    chosen.extend(await self._choose_one(network, request, tuple(targets)))
        except BaseException:
            await self.let_go(chosen)
            self.settle(chosen)
            raise
        return tuple(chosen)

    def settle(self, publications: Iterable[Publication]) -> None:
        """The record tells from now on who has these ports."""
        self._promised -= {_place(publication) for publication in publications}

    async def hold(self, publications: Iterable[Publication]) -> None:
        """Hold what a record says is published, after a restart. Raises Conflict that names the holder."""
        for publication in publications:
            if not publication.host_port:
                continue
            try:
                await self._guard.hold(*_place(publication))
            except Conflict as fault:
                raise await self._named(fault, publication) from fault

    async def let_go(self, publications: Iterable[Publication]) -> None:
        """The host ports are free for others."""
        for publication in publications:
            if publication.host_port:
                await self._guard.let_go(*_place(publication))

    async def _choose_one(
        self, network: Network, request: PortRequest, targets: tuple[tuple[Address | None, Address], ...]
    ) -> list[Publication]:
        """Publications at one host port that is free in every family of the targets."""
        if all(network.gateway_mode(target.version) is GatewayMode.ROUTED for _, target in targets):
            return [Publication(request.protocol, None, 0, target, request.port) for _, target in targets]
        single = request.first != 0 and request.first == request.last
        for port in await self._candidates(request):
            picked = [Publication(request.protocol, host, port, target, request.port) for host, target in targets]
            try:
                await self._take(picked, single)
            except Conflict:
                if single:
                    raise
                continue
            return picked
        low, high = (request.first, request.last) if request.first else await self._guard.ephemeral()
        raise Exhausted(
            f"no free host port in {low}-{high}/{request.protocol.label} for container port {request.port}",
            hint="publish to another range, or see `mooring network inspect` for who holds them",
        )

    async def _candidates(self, request: PortRequest) -> Iterable[int]:
        if request.first:
            return range(request.first, (request.last or request.first) + 1)
        low, high = await self._guard.ephemeral()
        count = high - low + 1
        start = self._cursor
        self._cursor = (start + 1) % count

        def around() -> Iterator[int]:
            for step in range(count):
                yield low + (start + step) % count

        return around()

    async def _take(self, picked: list[Publication], single: bool) -> None:
        """All of them are held, or none. single: there is no other port to try, so the refusal says who has it."""
        for publication in picked:
            self._refuse_ours(publication)
        places = [_place(publication) for publication in picked]
        self._promised.update(places)
        held: list[tuple[Protocol, Address, int]] = []
        try:
            for place in places:
                await self._guard.hold(*place)
                held.append(place)
        except BaseException as error:
            self._promised.difference_update(places)
            for place in held:
                await self._guard.let_go(*place)
            if isinstance(error, Conflict) and single:
                raise await self._named(error, picked[len(held)]) from error
            raise

    async def _named(self, fault: Conflict, publication: Publication) -> Conflict:
        """The refusal of a host port with the process that has it: found out late, since that takes long."""
        return Conflict(fault.what, holder=await self._guard.holder(*_place(publication)), hint=fault.hint)

    def _is_served(self, endpoint: Endpoint, request: PortRequest, target: tuple[Address | None, Address]) -> bool:
        """Whether another endpoint of the same sandbox publishes the same request in the target's family already.

        Engines from 28 on have a gateway for each family, and ask both networks to publish the same ports.
        """
        if not request.first or not endpoint.sandbox:
            return False
        return any(
            holder.id != endpoint.id
            and holder.sandbox == endpoint.sandbox
            and other.target.version == target[1].version
            and (other.host, other.target_port) == (target[0], request.port)
            for port in range(request.first, (request.last or request.first) + 1)
            for other, holder in self._roster.publishers(request.protocol, port)
        )

    def _refuse_ours(self, wanted: Publication) -> None:
        for other, holder in self._roster.publishers(wanted.protocol, wanted.host_port):
            if _meet(_place(other)[1], _place(wanted)[1]):
                raise PortPublished(wanted, other, holder)
        for protocol, host, port in self._promised:
            if (protocol, port) == (wanted.protocol, wanted.host_port) and _meet(host, _place(wanted)[1]):
                raise Conflict(
                    f"host port {wanted.host_port}/{wanted.protocol.label} is published already",
                    holder="a container that is being started",
                    hint="publish another port",
                )


def _place(publication: Publication) -> tuple[Protocol, Address, int]:
    host = publication.host or (ANY4 if publication.target.version == 4 else ANY6)
    return publication.protocol, host, publication.host_port


def _meet(one: Address, other: Address) -> bool:
    """Whether both may not have the same port: equal, or one of them is every address of the same family."""
    return one.version == other.version and (one == other or one in (ANY4, ANY6) or other in (ANY4, ANY6))


def _targets(network: Network, endpoint: Endpoint, request: PortRequest) -> list[tuple[Address | None, Address]]:
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
    if not found and request.host is not None:
        raise BadRequest(
            f"cannot publish port {request.port}/{request.protocol.label} at {request.host}: "
            f"the container has no IPv{request.host.version} address",
            hint="create the network with that family, or publish at another address",
        )
    return found
