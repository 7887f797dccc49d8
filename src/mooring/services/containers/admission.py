"""What is asked before a container (`fixed-ip`) is made, connected or removed, and done after: the proxy's use cases.

Rules: an intent is durable before the engine hears of the request; what became of it is asked of the engine by full
id, whatever its reply was; a container that is to have no fixed address, and one that holds none, costs the store
nothing; what cannot be found out here is left to the reconciler, and never holds up a removal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from mooring.core.containers import Container
from mooring.core.docker_requests import ENDPOINT_MACS, MOST_NETWORKS, ContainerSpec, EndpointConfig
from mooring.core.engines import ANY_ADDRESS
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.intents import Intent, Purpose, is_placeholder, placeholder
from mooring.core.keys import FIXED_LABEL, KEY_LABEL, LONGEST_KEY, is_on, is_sound, key_of
from mooring.core.leases import Claimant, Lease
from mooring.core.networks import Network, Origin, Sticky
from mooring.ports import Engine
from mooring.services.containers.container_specs import Room, Spellings, addresses_of
from mooring.services.containers.engine_session import EngineSession
from mooring.services.containers.fixed_allocator import FixedSpec, Grant
from mooring.services.containers.fixed_leases import Holders
from mooring.services.containers.port_choice import PortChoice
from mooring.services.containers.replicas import refuse_replicas
from mooring.services.records.record_cache import RecordCache

# Seconds that a labelled container waits for store and engine: then it is refused, and nothing was done.
DEADLINE = 4.0
# How many destroyed containers are remembered: as many as the engine remembers events.
REMEMBERED = 256
# Seconds that the engine may still be at a create whose client has gone.
AT_IT = 10.0


@dataclass(frozen=True, slots=True)
class Admission:
    """What a container gets, by how each network is to be written in the request, until it is settled.

    version: of the API that the request is written in. spellings: networks that it writes otherwise, as no engine can
    start a container with. main: the network of the container's mode, "" where that is none of these.
    """

    intent: Intent
    grants: Mapping[str, Grant]
    version: tuple[int, int]
    spellings: Mapping[str, str] = field(default_factory=dict)
    main: str = ""


class AdmissionController:
    """One method for each thing that may change who holds an address. session: with the engine that answers now."""

    def __init__(
        self,
        cache: RecordCache,
        holders: Holders,
        engine: Engine,
        left_undone: Callable[[], None] = lambda: None,
        deadline: float = DEADLINE,
    ) -> None:
        """left_undone: told when something is left to the reconciler."""
        self._cache = cache
        self._holders = holders
        self._engine = engine
        self._left_undone = left_undone
        self._deadline = deadline
        self.session = EngineSession(engine, holders.now)
        self._ports = PortChoice(cache)
        self._open: set[str] = set()
        self._gone: dict[str, None] = {}
        self._at_it: dict[str, float] = {}

    @property
    def guards(self) -> bool:
        """Whether anybody holds a fixed address, so that removals are of interest."""
        return self._holders.any

    @property
    def serves(self) -> bool:
        """Whether there is any network in which somebody could hold one."""
        return self._cache.count(Network) > 0

    def is_open(self, intent: Intent) -> bool:
        """Whether somebody still waits for the engine's reply to it, or the engine may still be at it."""
        return intent.id in self._open or self._holders.now() < self._at_it.get(intent.id, 0.0)

    def leave_open(self, intent: Intent) -> None:
        """Nobody waits any more, and nobody knows the outcome: the reconciler asks the engine."""
        self._open.discard(intent.id)
        if intent.purpose in (Purpose.CREATE, Purpose.CONNECT):
            # Who hung up does not end a create that the engine has begun.
            now = self._holders.now()
            self._at_it = {ident: until for ident, until in self._at_it.items() if until > now}
            self._at_it[intent.id] = now + AT_IT
        self._left_undone()

    def note_gone(self, container: str) -> None:
        """The engine says that the container (full id) was destroyed."""
        self._gone[container] = None
        while len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    async def create(self, name: str, spec: ContainerSpec, version: tuple[int, int] | None) -> Admission | None:
        """Addresses and MACs for the container that is about to be made, None when it is to have no fixed ones.

        name: "" when the engine is to choose one. version: of the API, None for the engine's own. Raises Conflict when
        an address that it names is somebody else's, Exhausted, BadRequest, Unavailable within the deadline.
        """
        if not self._may_stick(spec.labels) and not self._ports.concerns(spec):
            return None
        if not is_sound(spec.labels.get(KEY_LABEL, "")):
            raise BadRequest(f"label {KEY_LABEL}: must be at most {LONGEST_KEY} printable characters")
        if spec.crowd:
            raise BadRequest(
                f"the container names {spec.crowd} networks, but fixed addresses are kept in at most {MOST_NETWORKS}",
                hint="connect it to fewer, or create it with the label fixed-ip=false",
            )
        async with self._in_time():
            intent = self._holders.begin(Purpose.CREATE, await self.session.identity(), name=name)
            room = Room(version or await self.session.api_version(), mac=spec.mac)
            return await self._claim(intent, spec, name, placeholder(intent.id), room)

    async def connect(
        self, reference: str, container: str, endpoint: EndpointConfig, version: tuple[int, int] | None
    ) -> Admission | None:
        """As `create`, for a container (as the request names it) that is about to be connected to one more network."""
        if not self.serves:
            return None
        async with self._in_time():
            network, called = await self._look_up(reference, always=True)
            known = await self._engine.container(container) if network is not None else None
            if network is None or known is None or any(each.network == network.id for each in known.endpoints):
                return None
            asked = ContainerSpec(dict(known.labels), known.mode, (endpoint,), known.mac)
            if not self._may_stick(known.labels) and not self._ports.concerns(asked):
                return None
            intent = self._holders.begin(
                Purpose.CONNECT, await self.session.identity(), known.id, known.name, network.id
            )
            place = known.mode if called and called == known.mode else network.id
            spec = replace(asked, endpoints=(replace(endpoint, network=place),))
            room = Room(version or await self.session.api_version(), connecting=True, mac=known.mac)
            return await self._claim(intent, spec, known.name, known.id, room)

    async def concerns(self, networks: Sequence[str], labels: Mapping[str, str] | None) -> bool:
        """Whether a container with these labels (None: not known) might get an address in one of these networks, as a
        request names them. Raises Unavailable within the deadline."""
        if labels is not None and not self._may_stick(labels):
            return False
        async with self._in_time():
            for reference in networks:
                if await self._network(reference) is not None:
                    return True
        return False

    async def complete(self, intent: Intent, container: str) -> None:
        """The container (full id) was made, or connected: it holds what the intent did. Raises Unavailable."""
        try:
            await self._holders.complete(intent, container, intent.name)
        finally:
            self._open.discard(intent.id)
        if container in self._gone:  # somebody else was quicker with its removal
            await self._holders.release_all(container)

    async def roll_back(self, intent: Intent) -> None:
        """The engine refused: nobody holds anything because of the intent. Raises Unavailable."""
        try:
            await self._holders.roll_back(intent)
        finally:
            self._open.discard(intent.id)

    async def removal(self, reference: str) -> Intent | None:
        """The container that is named is about to be removed: a durable intent, None when it holds nothing.

        Never raises a Fault: a removal is not held up.
        """
        return await self._departure(Purpose.REMOVE, reference, "")

    async def disconnection(self, reference: str, container: str) -> Intent | None:
        """The container is about to be disconnected from the network, as `removal`."""
        if not self.guards:
            return None
        with suppress(Fault):
            async with self._in_time():
                network = await self._network(reference)
                return await self._departure(Purpose.DISCONNECT, container, network.id) if network else None
        return None

    async def departed(self, intent: Intent) -> bool:
        """The engine has answered a removal or a disconnection: whoever is gone by its own word holds nothing, who is
        still there keeps everything. Returns whether he is gone. Raises Unavailable: the intent stays, and the
        reconciler goes on."""
        self._open.discard(intent.id)
        known = await self._engine.container(intent.container)
        if known is None:
            self.note_gone(intent.container)
            await self._holders.release_all(intent.container, intent)
            return True
        if intent.purpose is Purpose.DISCONNECT and all(each.network != intent.network for each in known.endpoints):
            await self._holders.leave(intent.container, intent.network, intent)
            return True
        await self._holders.end(intent)
        return False

    async def pruned(self, containers: Sequence[str]) -> None:
        """The engine says that it has removed these (full ids). Raises Unavailable."""
        for container in containers:
            if self._holders.holds(container):
                await self._holders.release_all(container)

    async def replay(self, intent: Intent, containers: Sequence[Container]) -> None:
        """Settle an intent whose reply nobody heard. containers: all of the engine's, listed after it was written.

        Raises Unavailable.
        """
        mine = self._holders.held_by(placeholder(intent.id))
        if intent.purpose in (Purpose.REMOVE, Purpose.DISCONNECT):
            await self.departed(intent)
            return
        holding = {holder for _, lease in mine for holder in lease.holders}
        for container in containers if mine else ():
            if intent.container and container.id != intent.container:
                continue
            # A predecessor's configuration names the same addresses: it is a holder already.
            if not intent.container and container.id in holding:
                continue
            if await self._is_meant(container, mine):
                await self._holders.complete(intent, container.id, container.name)
                if container.id in self._gone:  # since it was listed
                    await self._holders.release_all(container.id)
                return
        await self._holders.roll_back(intent)

    async def _is_meant(self, container: Container, leases: Sequence[tuple[str, Lease]]) -> bool:
        """Whether the container's configuration names all these addresses, or bears their MACs."""
        connected = {endpoint.network for endpoint in container.endpoints}
        if not all(network in connected for network, _ in leases):
            return False
        if all(_names(container, network, lease) for network, lease in leases):
            return True
        known = await self._engine.container(container.id)  # a list does not tell the MAC that was asked for
        return known is not None and all(_names(known, network, lease) for network, lease in leases)

    async def _departure(self, purpose: Purpose, reference: str, network: str) -> Intent | None:
        if not self.guards:
            return None
        with suppress(Fault):
            async with self._in_time():
                container = reference
                if not self._holders.holds(reference):
                    known = await self._engine.container(reference)
                    container = known.id if known is not None else ""
                if not container or not self._holders.holds(container):
                    return None
                intent = self._holders.begin(purpose, await self.session.identity(), container, network=network)
                self._open.add(intent.id)
                try:
                    with suppress(Fault):  # without it the events and the reconciler see to it, a little later
                        await self._holders.note(intent)
                except BaseException:
                    self._open.discard(intent.id)
                    raise
                return intent
        return None

    async def _claim(
        self, intent: Intent, spec: ContainerSpec, name: str, self_id: str, room: Room
    ) -> Admission | None:
        spellings = Spellings()
        fixed_specs = await self._fixed_specs(spec, name, self_id, room, spellings)
        if not fixed_specs:
            return None
        await refuse_replicas(self._engine, self._holders.fixed_index, spec.labels, fixed_specs.values())
        claimant = Claimant(name=name, labels=spec.labels, container=intent.container)
        grants = await self.hold(intent, list(fixed_specs.values()), claimant)
        got = {grant.network: grant for grant in grants if grant.ipv4 or grant.ipv6}
        if not got:
            self._open.discard(intent.id)
            return None
        written = {spellings.written[network]: grant for network, grant in got.items()}
        return Admission(intent, written, room.version, spellings.needed(got), spellings.main)

    async def hold(self, intent: Intent, fixed_specs: Sequence[FixedSpec], claimant: Claimant) -> list[Grant]:
        """As Holders.claim, until the intent is completed, rolled back or left open."""
        self._open.add(intent.id)
        try:
            return await self._holders.claim(intent, fixed_specs, claimant)
        except BaseException:
            self._open.discard(intent.id)  # whatever was written all the same is released by the reconciler
            raise

    async def _fixed_specs(
        self, spec: ContainerSpec, name: str, self_id: str, room: Room, spellings: Spellings
    ) -> dict[str, FixedSpec]:
        """The container's place in each network of ours in which it is to have fixed addresses, by the network's id.

        self_id: what stands for the container, whose id is not known before it is made. spellings: is filled in.
        """
        fixed_specs: dict[str, FixedSpec] = {}
        for endpoint in spec.endpoints:
            main = bool(spec.mode) and endpoint.network == spec.mode
            # Before 1.44 a create has room for one MAC, that of the mode's network, which old engines want by its name.
            network, called = await self._look_up(endpoint.network, always=main and room.version < ENDPOINT_MACS)
            wanted, mac = addresses_of(endpoint), room.mac_of(endpoint, main)
            if network is None or wanted is None or mac is None:
                continue
            if is_placeholder(self_id):
                self._ports.check_label(spec.labels)
            port = self._ports.meant(network, endpoint, mac, spec.labels)
            key = key_of(spec.labels, name, network.options.sticky, self_id) if port is None else port.key
            if not key:
                continue
            fixed_spec = FixedSpec(
                network,
                key,
                wanted if port is None else (),
                mac,
                settable=room.settable(main),
                nameable=room.nameable(main, len(spec.endpoints) == 1),
                anywhere=await self.takes_addresses(network),
                families=(4, 6) if port is None else tuple(address.version for address in port.addresses),
            )
            if port is not None:
                self._ports.check(fixed_spec, port)
            before = fixed_specs.get(network.id)
            if before is not None:
                fixed_spec = replace(
                    fixed_spec,
                    wanted=(*before.wanted, *fixed_spec.wanted),
                    mac=mac or before.mac,
                    settable=fixed_spec.settable or before.settable,
                    nameable=True,
                )
            fixed_specs[network.id] = fixed_spec
            spellings.note(network.id, endpoint.network, called, main)
        return fixed_specs

    async def takes_addresses(self, network: Network) -> bool:
        """Whether the engine takes an address by name although the network's subnets were chosen, or some of them."""
        pools = [self._cache.pool(segment.pool) for segment in network.segments]
        chosen = any(pool is not None and pool.source for pool in pools)
        return chosen and await self.session.release() >= ANY_ADDRESS

    async def _network(self, reference: str) -> Network | None:
        """Our network that the engine has under the name or id, None when it is not ours or there is none."""
        return (await self._look_up(reference))[0]

    async def _look_up(self, reference: str, *, always: bool = False) -> tuple[Network | None, str]:
        """As `_network`, and the network's name, "" where that was not asked for. always: ask for it, although the
        reference is a full id."""
        known, name = self._cache.network(reference), ""
        if known is None or always:
            try:
                found = await self._engine.network(reference)
            except Conflict:  # a name of several: the engine says so at the start
                return None, ""
            known = self._cache.network(found.id) if found is not None else None
            name = found.name if found is not None and found.name != found.id else ""
        return (known, name) if known is not None and known.origin is Origin.ENGINE else (None, "")

    def _may_stick(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels, or any network of ours, ask for fixed addresses."""
        if FIXED_LABEL in labels and not is_on(labels[FIXED_LABEL]):
            return False
        if FIXED_LABEL in labels or labels.get(KEY_LABEL):
            return self.serves
        return any(network.options.sticky is not Sticky.OFF for network in self._cache.every(Network))

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadline) as scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise Unavailable(
                f"no addresses could be assigned to the container within {self._deadline:g} s",
                hint="check `mooring status`, and in a cluster `mooring cluster status`, then try again",
            ) from None
        except NotFound as fault:  # the container or network went meanwhile: the engine says so better
            raise Unavailable(str(fault), hint="try again") from fault


def _names(container: Container, network: str, lease: Lease) -> bool:
    """Whether the container asks for the address, or for its MAC, in the network."""
    return any(
        endpoint.network == network
        and (lease.address in endpoint.wanted or (bool(lease.mac) and lease.mac in (endpoint.wanted_mac, endpoint.mac)))
        for endpoint in container.endpoints
    )
