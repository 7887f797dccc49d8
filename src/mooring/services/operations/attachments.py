"""Attaching running containers to networks, and detaching them, by the engine's connect and disconnect.

Rules: an address that is named, or that is reserved for the container in that network, is on record as the container's
before the engine is asked, and stays its own through its stops; what the engine refuses leaves nothing behind; what is
so already is no change, and no error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.docker_requests import EndpointConfig
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, StaleRevision
from mooring.core.intents import Intent, Purpose
from mooring.core.keys import CONTAINER_KEY, key_of
from mooring.core.leases import Claimant, Lease, is_over
from mooring.core.networks import Address, Network, Origin
from mooring.core.reservations import without_reservation
from mooring.core.views import AttachmentView
from mooring.core.whom import for_container
from mooring.ports import Clock, Engine
from mooring.services.containers.admission import AdmissionController
from mooring.services.containers.fixed_allocator import FixedSpec
from mooring.services.containers.fixed_leases import Holders
from mooring.services.ipam.pools import ATTEMPTS, contended
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.record_cache import RecordCache


class Attachments:
    """`attach` and `detach`. engine, controller: None where there is no engine."""

    def __init__(
        self,
        cache: RecordCache,
        holders: Holders,
        engine: Engine | None,
        controller: AdmissionController | None,
        clock: Clock,
        names: Callable[[], Awaitable[EngineNames]],
    ) -> None:
        self._cache = cache
        self._holders, self._fixed_index = holders, holders.fixed_index
        self._engine = engine
        self._controller = controller
        self._clock = clock
        self._names = names

    async def attach(self, container: str, network: str, addresses: Sequence[Address]) -> AttachmentView:
        """The container (name or id) is in the network, with these addresses, or those that are reserved for it there,
        or any; at most one of each family.

        Raises NotFound, Conflict when it is in it with other ones, when somebody else has an address, or with the
        engine's words; BadRequest for an address that cannot be, Exhausted, Unavailable.
        """
        engine, controller, known, place = await self._meant(container, network)
        if len({address.version for address in addresses}) < len(addresses):
            raise BadRequest("a container has at most one address of a family in a network")
        here = _place_in(known, place)
        if here is not None:
            self._check_same(known, here, addresses)
            return self._view(known, place, here, changed=False)
        wanted = [*addresses] or self._reserved(known, place)
        intent, mac = None, ""
        if wanted:
            fixed_spec = await self._fixed_spec(controller, known, place, wanted, named=bool(addresses))
            engine_id = await controller.session.identity()
            intent = self._holders.begin(Purpose.CONNECT, engine_id, known.id, known.name, place.id)
            await controller.hold(intent, [fixed_spec], Claimant(known.name, "", known.labels, known.id))
        elif (admission := await controller.connect(place.id, known.id, EndpointConfig(place.id), None)) is not None:
            (grant,) = admission.grants.values()
            intent, mac, wanted = admission.intent, grant.mac, sorted(grant.nameable, key=lambda each: each.version)
        await self._connect(controller, known, place, wanted, mac, intent)
        after = await engine.container(known.id)
        return self._view(known, place, _place_in(after, place) if after is not None else None, changed=True)

    async def _connect(
        self, controller: AdmissionController, container: Container, network: Network, wanted: Sequence[Address],
        mac: str, intent: Intent | None,
    ) -> None:  # fmt: skip
        """The engine has done it, and it is settled. Raises Conflict, and then nothing is left; Unavailable."""
        assert self._engine is not None
        try:
            await self._engine.attach(container.id, network.id, wanted, mac)
        except Conflict:
            if intent is not None:
                await controller.roll_back(intent)
            raise
        except BaseException:  # the engine may have done it: who follows it will know
            if intent is not None:
                controller.leave_open(intent)
            raise
        if intent is not None:
            await controller.complete(intent, container.id)

    async def detach(self, container: str, network: str, *, dry: bool = False) -> AttachmentView:
        """The container (name or id) is not in the network, and no address is kept for it there. dry: nothing is done,
        and the answer is the same.

        Raises NotFound, Conflict with the engine's words, Unavailable.
        """
        engine, controller, known, place = await self._meant(container, network)
        here = _place_in(known, place)
        if dry:
            return self._view(known, place, here, changed=here is not None or bool(self._reserved_alone(known, place)))
        # First: what the container has in use goes to rest when it is let go, and is not reserved again for a moment.
        released = await self._unreserve(known, place)
        if here is not None:
            intent = await controller.disconnection(place.id, known.id)
            try:
                await engine.detach(known.id, place.id)
            finally:
                if intent is not None:
                    with suppress(Fault):  # what was begun is on record: the reconciler goes on
                        await controller.departed(intent)
        return self._view(known, place, here, changed=here is not None or released)

    async def _unreserve(self, container: Container, network: Network) -> bool:
        """Nothing is reserved for the container alone in the network; whether anything was. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            mine = self._reserved_alone(container, network)
            if not mine:
                return False
            after = [(lease, without_reservation(lease)) for lease in mine]
            with suppress(StaleRevision):
                await self._cache.commit(
                    put=[rest for _, rest in after if rest is not None],
                    delete=[lease for lease, rest in after if rest is None],
                )
                return True
        raise contended(f"the addresses of container {container.name}")

    def _reserved_alone(self, container: Container, network: Network) -> list[Lease]:
        """What is reserved for this container, and for no other of its name."""
        reserved = self._fixed_index.reserved_for(for_container(container.id))
        return [lease for lease in reserved if self._is_in(lease.pool, network)]

    def _reserved(self, container: Container, network: Network) -> list[Address]:
        """The addresses that are reserved for the container in the network, one of each family."""
        found: dict[int, Address] = {}
        for whom in (for_container(container.id), container.id, container.name):
            for lease in self._fixed_index.reserved_for(whom):
                if self._is_in(lease.pool, network) and not is_over(lease, self._clock.now()):
                    found.setdefault(lease.address.version, lease.address)
        return [found[version] for version in sorted(found)]

    def _is_in(self, pool_id: str, network: Network) -> bool:
        pool = self._cache.pool(pool_id)
        return pool is not None and pool.network == network.id

    async def _fixed_spec(
        self,
        controller: AdmissionController,
        container: Container,
        network: Network,
        wanted: Sequence[Address],
        named: bool,
    ) -> FixedSpec:
        """Its place in the network with these addresses. named: by who attaches it, and not reserved before. Raises
        Conflict where the engine takes none by name."""
        anywhere = await controller.takes_addresses(network)
        for address in wanted:
            segment = network.segment_of(address)
            pool = self._cache.pool(segment.pool) if segment is not None else None
            if pool is not None and pool.source and not anywhere:
                raise Conflict(
                    f"{address} cannot be given to a container: Docker before 29.1 accepts no address by name in "
                    f"network {network.name or network.id[:12]}, whose subnet Mooring chose",
                    hint="create the network with --subnet, or "
                    + (
                        "attach the container without an address"
                        if named
                        else f"`mooring lease release {address}` first: it is reserved for the container"
                    ),
                )
        key = key_of(container.labels, container.name, network.options.sticky, container.id)
        return FixedSpec(network, key or CONTAINER_KEY + container.id, tuple(wanted), settable=False, anywhere=anywhere)

    def _check_same(self, container: Container, here: ContainerEndpoint, addresses: Sequence[Address]) -> None:
        """Raises Conflict when the container has other addresses there than these."""
        has = here.held or here.wanted
        if not set(addresses) <= set(has):
            raise Conflict(
                f"container {container.name} is in network {here.name} already, with {' and '.join(map(str, has))}",
                hint=f"`mooring detach {container.name} {here.name}` first",
            )

    def _view(
        self, container: Container, network: Network, place: ContainerEndpoint | None, changed: bool
    ) -> AttachmentView:
        held = place.held or place.wanted if place is not None else ()
        name = place.name if place is not None and place.name else network.name
        return AttachmentView(
            container.id, container.name, network.id, name or network.id[:12], [*map(str, held)], changed
        )

    async def _meant(self, container: str, network: str) -> tuple[Engine, AdmissionController, Container, Network]:
        """Raises NotFound, Conflict for several, Unavailable."""
        if self._engine is None or self._controller is None:
            raise Conflict("there is no Docker engine here")
        known = await self._engine.container(container.strip())
        if known is None:
            raise NotFound(f"Docker has no container {container[:70]!r}", hint="`docker ps -a` lists them")
        place = network_meant(network.strip(), self._cache, await self._names())
        if place.origin is not Origin.ENGINE:
            raise Conflict(f"network {network[:70]} is a program's own, and not Docker's")
        return self._engine, self._controller, known, place


def _place_in(container: Container, network: Network) -> ContainerEndpoint | None:
    return next((each for each in container.endpoints if each.network == network.id), None)
