"""Fixing an address for good by hand: the one that a container has, so that it has it after its next start, too.

Rules: what is promised is true when it is said: where the engine does not tell who asks, the container's configuration
names the address, or a MAC of its own, before the address is called its own, and where neither can be it is refused;
a container that runs is out of its network for a moment then, and nothing else of it changes.
"""

from __future__ import annotations

from contextlib import suppress

from mooring.core.claims import Claim, claimed, started
from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.faults import BadRequest, Conflict, NotFound, StaleRevision
from mooring.core.keys import CONTAINER_KEY, is_ports, key_of, outlives
from mooring.core.label_words import asks
from mooring.core.leases import Active, Lease, State, is_over
from mooring.core.networks import Address, Network
from mooring.core.pools import Pool
from mooring.core.reservations import belonging, key_named
from mooring.core.views import Change
from mooring.ports import Clock, Engine
from mooring.services.containers.engine_upgrades import NAMES
from mooring.services.containers.fixed_leases import Holders
from mooring.services.containers.reattachment import Reattachment
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.ipam.pools import ATTEMPTS, contended
from mooring.services.operations.next_starts import ANEW, strandings
from mooring.services.records.holder_names import holder_names, in_words
from mooring.services.records.record_cache import Record, RecordCache


def pool_around(cache: RecordCache, space: str | None, address: Address) -> Pool:
    """The one pool around the address. Raises NotFound for none, Conflict for several spaces."""
    found = [pool for pool in cache.every(Pool) if address in pool.subnet and pool.space == (space or pool.space)]
    if not found:
        where = f" in address space {space}" if space else ""
        raise NotFound(f"no pool{where} has {address}", hint="`mooring pool ls` lists them")
    if len(found) > 1:
        spaces = ", ".join(sorted(pool.space for pool in found))
        raise Conflict(f"{address} is in several address spaces: {spaces}", hint="choose one with --space")
    return found[0]


def _must_outlive(lease: Lease, hold: float | None) -> None:
    if hold is not None and not outlives(lease.key):
        raise BadRequest("its key ends with its container and keeps nothing after that", hint="give one with --key")


class Holds:
    """`hold` and `fix`. engine, moving: None where there is no engine."""

    def __init__(
        self, cache: RecordCache, ipam: Ipam, holders: Holders, engine: Engine | None,
        reattachment: Reattachment | None, clock: Clock, policy: IpamPolicy,
    ) -> None:  # fmt: skip
        self._cache = cache
        self._index, self._claims = ipam.index, ipam.fixed_claims
        self._fixed_index = ipam.fixed_index
        self._holders = holders
        self._engine = engine
        self._reattachment = reattachment
        self._clock = clock
        self._policy = policy

    async def hold(self, space: str | None, address: Address, key: str, hold: float | None, dry: bool) -> list[Change]:
        """The address is fixed: a dynamic one for the container that uses it, or for the key; a fixed one gets the key.

        key: "" for the container's own, or as it was. hold: seconds that the key keeps it without a container, None as
        it was. A container that could not ask for it at its next start is put into its network anew, by name. Raises
        Conflict when nobody uses it, the key has another, or nothing can make it ask; NotFound, BadRequest,
        Unavailable.
        """
        pool, key = pool_around(self._cache, space, address), key_named(key)
        note = ""
        for _ in range(ATTEMPTS):
            lease = self.lease_in(pool, address)
            gone = list[Record]()
            if lease is not None and is_ports(lease.key):
                port = lease.key.partition(":")[2]
                raise Conflict(
                    f"address {address} belongs to port {port} already", hint=f"see `mooring port inspect {port}`"
                )
            if lease is not None and lease.state is State.FIXED:
                self._check_key(pool, lease, key or lease.key)
                after = belonging(lease, key, hold, self._clock.now())
                _must_outlive(after, hold)
                put: list[Record] = [after]
            else:
                after, put, gone, asker = await self._settled(pool, address, lease, key)
                _must_outlive(after, hold)
                if asker is not None:
                    note, again = await self._prove(*asker, pool, bool(key), dry)
                    if again:
                        continue
                if hold is not None:
                    after = put[0] = belonging(after, "", hold, self._clock.now())
            if after == lease:
                return []
            if self._cache.lease(pool.space, address) is not lease:
                continue
            changes = [
                Change(pool.space, str(address), in_words(lease, self._cache), in_words(after, self._cache), note)
            ]
            if dry:
                return changes
            with suppress(StaleRevision):
                async with self._claims.fixing(after):
                    await self._cache.commit(put=put, delete=gone)
                return changes
        raise contended(f"address {address}")

    def _check_key(self, pool: Pool, lease: Lease, key: str) -> None:
        """Raises Conflict when somebody has another address of the network and family under the key."""
        for other in self._fixed_index.of_key(pool.network, key):
            same = other.address.version == lease.address.version and other.address != lease.address
            if same and key != lease.key and (other.holders or other.active is not None):
                raise Conflict(
                    f"the key {key} has {other.address} in that network",
                    holder=", ".join(holder_names(other, self._cache)),
                    hint="choose another key",
                )

    async def _settled(
        self, pool: Pool, address: Address, lease: Lease | None, key: str
    ) -> tuple[Lease, list[Record], list[Record], tuple[Container, ContainerEndpoint] | None]:
        """The lease of the container that uses the address now, all that has to be written and deleted, and that
        container when its configuration does not ask for the address."""
        network = self._cache.network(pool.network) if pool.network else None
        endpoint = self._index.endpoint(pool, address)
        if network is None or lease is None or lease.state is not State.DYNAMIC or not endpoint:
            raise Conflict(
                f"no container known to Mooring uses address {address}: it is {in_words(lease, self._cache)}",
                hint=f"start the container, or keep the address with `mooring lease reserve {address} --for NAME`",
            )
        engine, container, container_endpoint = await self._user(network, address, endpoint)
        claim = Claim(
            key=key or key_of(container.labels, container.name, network.options.sticky, container.id)
            or CONTAINER_KEY + container.id,
            holder=container.id, mac=container_endpoint.proof, name=container.name,
        )  # fmt: skip
        now = self._clock.now()
        fixed = claimed(lease, lease, claim, now)
        after = started(fixed, Active(endpoint, self._policy.host, self._policy.boot))
        self._check_key(pool, lease, after.key)
        for other in self._fixed_index.of_holder(container.id):
            if self._fixed_index.network_of(other) == network.id and other.address.version == address.version:
                raise Conflict(
                    f"container {container.name} already has a fixed address in that network: {other.address}",
                    hint="recreate it without that address",
                )
        put: list[Record] = [after]
        gone: list[Record] = []
        for old, rest in self._holders.fixed_allocator.left_behind(
            self._fixed_index.of_key(network.id, after.key), after
        ):
            (gone if rest is None else put).append(rest or old)
        if self._cache.holder(container.id) is None:
            put.append(Holder(id=container.id, engine=engine, name=container.name, since=now))
        named = address in container_endpoint.wanted or bool(container_endpoint.proof)
        return after, put, gone, None if named else (container, container_endpoint)

    async def _prove(
        self, container: Container, container_endpoint: ContainerEndpoint, pool: Pool, keyed: bool, dry: bool
    ) -> tuple[str, bool]:  # fmt: skip
        """A note, and whether the container is in its network anew, so that everything is to be looked at again.

        keyed: the address is to be a key's that was given. Raises Conflict when it would lose the address all the same.
        """
        assert self._engine is not None  # it has told the container
        assert self._reattachment is not None
        who, typed = f"container {container.name}", self._typed(container_endpoint)
        if await self._engine.api_version() >= NAMES:
            return "", False
        if not pool.source:
            name = container_endpoint.name
            if dry:
                return f"{who} would be disconnected from network {name} for a moment, to configure the address", False
            await self._reattachment.reconnect(container.id, container_endpoint.network, typed)
            return f"{who} was disconnected from network {name} for a moment, to configure the address", True
        why = "Docker before 29 does not tell which container asks, and accepts no --ip in a subnet that Mooring chose"
        if keyed:
            return f"{who} gets another address at its next start ({why}); one created with the key gets this", False
        raise Conflict(f"{who} would lose the address at its next start: {why}", hint=f"{ANEW}; or give a --key")

    def _typed(self, container_endpoint: ContainerEndpoint) -> list[Address]:
        """What it has in subnets that were typed by hand, where an engine takes an address by name."""
        network = self._cache.network(container_endpoint.network)
        found = []
        for address in container_endpoint.held:
            segment = network.segment_of(address) if network is not None else None
            pool = self._cache.pool(segment.pool) if segment is not None and segment.pool else None
            if pool is not None and not pool.source:
                found.append(address)
        return found

    async def _user(
        self, network: Network, address: Address, endpoint: str
    ) -> tuple[str, Container, ContainerEndpoint]:
        """The engine's id, and the container whose endpoint it is. Raises Unavailable and Conflict."""
        if self._engine is None:
            raise Conflict(f"no Docker engine here can tell which container has {address}")
        engine, containers = await self._engine.containers()
        for container in containers:
            for container_endpoint in container.endpoints:
                if (
                    container_endpoint.endpoint == endpoint
                    and container_endpoint.network == network.id
                    and address in container_endpoint.held
                ):
                    known = await self._engine.container(container.id)  # a list does not tell the MAC that it asks for
                    endpoints = known.endpoints if known is not None else ()
                    return (
                        engine,
                        container,
                        next((each for each in endpoints if each.endpoint == endpoint), container_endpoint),
                    )
        raise Conflict(
            f"Docker lists no container that has {address}",
            holder=f"endpoint {endpoint[:12]}",
            hint="wait until the container has started, then try again",
        )

    async def fix(self, reference: str, dry: bool) -> list[Change]:
        """The container (by name or id) asks for the fixed addresses that it holds at its next start.

        One that runs is out of a network for a moment, where its configuration does not name its address yet. Nothing
        to do is no change. Raises NotFound for no such container, Conflict when it holds none or an engine cannot be
        made to ask, Unavailable.
        """
        if self._engine is None:
            raise Conflict("there is no Docker engine here")
        container = await self._engine.container(reference.strip())
        if container is None:
            raise NotFound(f"Docker has no container {reference[:70]!r}", hint="`docker ps -a` lists them")
        held = self._fixed_index.of_holder(container.id)
        if not held:
            raise self._holds_nothing(container)
        changes: list[Change] = []
        if await self._engine.api_version() >= NAMES:
            return changes  # it tells the container's name, which is proof
        for container_endpoint in container.endpoints:
            mine = [
                lease
                for lease in held
                if container_endpoint.network and self._fixed_index.network_of(lease) == container_endpoint.network
            ]
            lost = [
                lease
                for lease in mine
                if lease.address not in container_endpoint.wanted and not self._shows(container_endpoint, lease)
            ]
            if lost:
                changes += await self._name(container, container_endpoint, mine, lost, dry)
        return changes

    async def _name(
        self,
        container: Container,
        container_endpoint: ContainerEndpoint,
        mine: list[Lease],
        lost: list[Lease],
        dry: bool,
    ) -> list[Change]:
        """Its configuration names the addresses. Raises Conflict, and then it is as it was."""
        assert self._reattachment is not None
        pools = {lease.pool: self._cache.pool(lease.pool) for lease in mine}
        if any((pool := pools[lease.pool]) is None or pool.source for lease in lost):
            addresses = " and ".join(str(lease.address) for lease in lost)
            raise Conflict(
                f"container {container.name} cannot be made to ask for {addresses}: Docker before 29 accepts no "
                f"--ip in network {container_endpoint.name}, whose subnet Mooring chose",
                hint=ANEW,
            )
        words = f"in the configuration of container {container.name}"
        moment = f"it is disconnected from network {container_endpoint.name} for a moment" if container.running else ""
        changes = [
            Change(lease.space, str(lease.address), in_words(lease, self._cache), words, moment) for lease in lost
        ]
        if not dry:
            typed = [lease.address for lease in mine if (pool := pools[lease.pool]) is not None and not pool.source]
            others = [
                each for each in self._typed(container_endpoint) if each.version not in {one.version for one in typed}
            ]
            await self._reattachment.reconnect(container.id, container_endpoint.network, [*typed, *others])
        return changes

    @staticmethod
    def _shows(container_endpoint: ContainerEndpoint, lease: Lease) -> bool:
        """Whether the MAC that proves the lease is in the configuration."""
        return bool(lease.mac) and lease.mac == container_endpoint.wanted_mac

    def _holds_nothing(self, container: Container) -> Conflict:
        for remark in strandings(container, self._cache) if not container.running else ():
            return Conflict(f"container {container.name} holds no address; {remark.text}", hint=remark.remedy)
        ours = [each for each in container.endpoints if each.network and self._cache.network(each.network) is not None]
        if not ours:
            return Conflict(
                f"container {container.name} is in no network of Mooring's, so it has no address to keep",
                hint="`docker network connect NETWORK`; `mooring network ls` lists them",
            )
        if asks(container.labels):
            hint = "try again in a few seconds" if container.running else "start it first"
            return Conflict(f"container {container.name} has no fixed address yet", hint=hint)
        address = next((each for container_endpoint in ours for each in container_endpoint.held), None)
        hint = f"`mooring lease hold {address}` fixes the one it has" if address else "give it the label fixed-ip"
        return Conflict(f"container {container.name} has no fixed address", hint=hint)

    def lease_in(self, pool: Pool, address: Address) -> Lease | None:
        """The lease of the address; one whose pool is gone, or whose time is over, counts for nothing."""
        lease = self._cache.lease(pool.space, address)
        if lease is None or self._cache.pool(lease.pool) is None or is_over(lease, self._clock.now()):
            return None
        return lease
