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
                targets = _targets(network, endpoint, request)
                for run in _runs(targets):
                    chosen.extend(await self._choose_one(network, request, run))
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
            if publication.host_port:
                await self._guard.hold(*_place(publication))

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
        refusal: Conflict | None = None
        for port in await self._candidates(request):
            picked = [Publication(request.protocol, host, port, target, request.port) for host, target in targets]
            try:
                await self._take(picked)
            except Conflict as fault:
                refusal = fault
                continue
            return picked
        if refusal is not None and request.first and request.first == request.last:
            raise refusal
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

    async def _take(self, picked: list[Publication]) -> None:
        for publication in picked:
            self._refuse_ours(publication)
        places = [_place(publication) for publication in picked]
        self._promised.update(places)
        held: list[tuple[Protocol, Address, int]] = []
        try:
            for place in places:
                await self._guard.hold(*place)
                held.append(place)
        except BaseException:
            self._promised.difference_update(places)
            for place in held:
                await self._guard.let_go(*place)
            raise

    def _refuse_ours(self, wanted: Publication) -> None:
        label = f"host port {wanted.host_port}/{wanted.protocol.label} is published already"
        for other, holder in self._roster.publishers(wanted.protocol, wanted.host_port):
            if _meet(_place(other)[1], _place(wanted)[1]):
                raise Conflict(
                    label,
                    holder=f"endpoint {holder.id[:12]} at {other.target}",
                    hint=f"stop that container, or publish another port; see `mooring explain {other.target}`",
                )
        for protocol, host, port in self._promised:
            if (protocol, port) == (wanted.protocol, wanted.host_port) and _meet(host, _place(wanted)[1]):
                raise Conflict(label, holder="a container that is being started", hint="publish another port")


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
    wanted = (4, 6) if host is None else (host.version,)
    found = [(None if wildcard else host, address) for address in endpoint.addresses if address.version in wanted]
    if not found and request.host is not None:
        raise BadRequest(
            f"cannot publish port {request.port}/{request.protocol.label} at {request.host}: "
            f"the container has no IPv{request.host.version} address",
            hint="create the network with that family, or publish at another address",
        )
    return found


def _runs(targets: list[tuple[Address | None, Address]]) -> Iterator[tuple[tuple[Address | None, Address], ...]]:
    """All families together: one `-p` is one port number, whichever family a client comes with."""
    if targets:
        yield tuple(targets)
