"""Making, changing and removing network ports, `mooring port`.

Rules: all of a port is one commit; what is wanted is granted or refused, never replaced, and a refusal names who has
it; a port that an endpoint has, or is about to have, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from mooring.core.addresses import address_of
from mooring.core.containers import Holder
from mooring.core.faults import BadRequest, Conflict, Exhausted, StaleRevision
from mooring.core.leases import Lease, Place, State
from mooring.core.network_ports import NetworkPort, check_families, port_mac, port_name, ported, unported
from mooring.core.networks import Address, Network, Origin, Segment, Subnet
from mooring.core.pools import Pool, check_address
from mooring.core.reservations import line
from mooring.ports import Clock
from mooring.services.assembly import Services
from mooring.services.ipam.allocator import ATTEMPTS, IpamPolicy
from mooring.services.ipam.pools import contended
from mooring.services.networking.on_demand_subnets import Lack, LacksSubnet
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.holder_names import holder_names, in_words
from mooring.services.records.network_ports import port_meant, ports_of
from mooring.services.records.record_cache import Record


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A port that an operator wants. network: as people refer to one. tenant: whose that has to be, "" for anybody's.

    subnets, addresses: at most one of each family; without any it has one address of each family of the network. mac,
    name: "" to choose one.
    """

    network: str
    subnets: tuple[Subnet, ...] = ()
    addresses: tuple[Address, ...] = ()
    mac: str = ""
    name: str = ""
    tenant: str = ""
    note: str = ""


@dataclass(slots=True)
class _Draft:
    """What one commit will write. held: pool ids and numbers that were taken out of the choice of others meanwhile."""

    port: NetworkPort
    leases: list[Lease]
    held: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a port gets an address of one family. pools: that it may be from. address, subnet: if one is named."""

    version: int
    address: Address | None
    subnet: Subnet | None
    pools: Sequence[Pool]


class NetworkPorts:
    """`create`, `note` and `remove`."""

    def __init__(self, services: Services, clock: Clock, policy: IpamPolicy) -> None:
        self._cache, self._endpoint_index = services.cache, services.endpoint_index
        self._locks, self._subnets = services.records.locks, services.endpoints.subnets
        self._ipam = services.ipam
        self._clock = clock
        self._policy = policy

    async def create(self, spec: PortSpec, dry: bool, names: EngineNames) -> NetworkPort:
        """The port exists, and its addresses are fixed for it. dry: what it might be.

        Raises NotFound for an unknown network, BadRequest for what no port can have, Conflict when somebody else has
        it, Exhausted, Unavailable. On a fault nothing is left.
        """
        note = line(spec.note, "a note")
        network = network_meant(spec.network, self._cache, names)
        self._check_network(network, spec, names)
        if not network.name and (told := names.of_network(network)) and not dry:
            await self._ipam.kept_networks.inherit(network.id, told)  # a port comes back with a network of its name
        await self._ipam.host.refresh()
        made: list[Segment] = []
        try:
            while True:
                try:
                    return await self._create(network.id, spec, note, dry)
                except LacksSubnet as error:
                    if dry:
                        raise Conflict(
                            f"network {names.words(network)} has no subnet of IPv{error.lack.version} yet",
                            hint="without --dry-run it gets one for the port",
                        ) from None
                    if (segment := await self._subnets.add(network.id, error.lack)) is not None:
                        made.append(segment)
        except BaseException:
            if made:
                await self._subnets.withdraw(network.id, made)
            raise

    def _check_network(self, network: Network, spec: PortSpec, names: EngineNames) -> None:
        what = f"network {names.words(network)}"
        if network.origin is not Origin.ENGINE:
            raise BadRequest(f"{what} is a program's own, and ports are for Docker's containers")
        if network.handed_over:
            raise BadRequest(
                f"{what} gives the addresses of VNICs alone, which keep them as a port does",
                hint="`mooring vnic create` makes one",
            )
        if spec.tenant not in ("", network.tenant or "default"):
            raise BadRequest(f"{what} is of tenant {network.tenant or 'default'}, not {spec.tenant[:40]}")
        if any(not segment.pool for segment in network.segments):
            raise BadRequest(
                f"{what} has its addresses from another IPAM driver, which might give a port's to somebody",
                hint="create the network with --ipam-driver mooring",
            )
        if not network.segments and not network.on_demand:
            raise BadRequest(f"{what} has no addresses")

    async def _create(self, network_id: str, spec: PortSpec, note: str, dry: bool) -> NetworkPort:
        # One after another: no revision guards "nobody has the name, or the MAC". In a network: one may wait for the
        # cluster.
        async with self._locks.share(network_id), self._locks.hold(f"network ports of {network_id}"):
            for _ in range(ATTEMPTS):
                network = self._cache.network(network_id)
                if network is None:
                    raise Conflict(f"network {network_id[:12]} was removed meanwhile")
                draft = _Draft(self._port(network, spec, note), [], [])
                try:
                    with ExitStack() as pending:
                        places = self._places(network, spec)
                        if dry:
                            await self._check_cluster(places, draft.port)
                        claimed = await self._claimed(places, draft.port, pending) if not dry else {}
                        draft.port = self._chosen(network, places, claimed, draft)
                        if not dry:
                            await self._cache.commit(put=[draft.port, *draft.leases])
                    return draft.port
                except StaleRevision:
                    continue
                finally:
                    # From here on only the records count, also when the commit failed or this task was cancelled.
                    for pool_id, number in draft.held:
                        self._ipam.index.unhold(pool_id, number)
            raise contended(f"network {network_id[:12]}")

    def _port(self, network: Network, spec: PortSpec, note: str) -> NetworkPort:
        """The port without its addresses. Raises BadRequest, Conflict for a name or a MAC that is somebody's."""
        ident = self._clock.token()
        name, mac = port_name(spec.name, ident), spec.mac or port_mac(ident)
        place = network.name or network.id[:12]
        for other in ports_of(network.id, self._cache):
            if other.name == name:
                raise Conflict(f"network {place} has a port {name} already", holder=f"port {other.in_words()}")
        if mac == network.mac:
            raise Conflict(f"MAC {mac} is in use", holder=f"the bridge of network {place}", hint="choose another MAC")
        for lease in self._ipam.fixed_index.with_mac(network.id, mac):
            raise Conflict(
                f"MAC {mac} belongs to the fixed address {lease.address}",
                holder=in_words(lease, self._cache),
                hint="choose another MAC",
            )
        if (endpoint := self._endpoint_index.with_mac(network.id, mac)) is not None:
            holder = self._ipam.index.called(network.id, endpoint.id)
            raise Conflict(f"MAC {mac} is in use", holder=holder, hint="choose another MAC, or stop that container")
        space = next((segment.space for segment in network.segments), network.options.tenant or "default")
        return NetworkPort(
            id=ident, name=name, network=network.id, network_name=network.name, space=space, mac=mac, addresses=(),
            created=self._clock.now(), note=note,
        )  # fmt: skip

    def _places(self, network: Network, spec: PortSpec) -> list[_Place]:
        """Where the port gets an address of each family. Raises as `create` does, and LacksSubnet."""
        check_families([each.version for each in spec.addresses], "addresses")
        check_families([each.version for each in spec.subnets], "subnets")
        asked = {each.version for each in (*spec.addresses, *spec.subnets)}
        there = {segment.subnet.version for segment in network.segments} | set(network.on_demand)
        places = []
        for version in sorted(asked or there):
            address = next((each for each in spec.addresses if each.version == version), None)
            subnet = next((each for each in spec.subnets if each.version == version), None)
            if address is not None and subnet is not None and address not in subnet:
                raise BadRequest(f"address {address} is not in subnet {subnet}")
            places.append(_Place(version, address, subnet, self._pools(network, version, address, subnet)))
        return places

    async def _claimed(
        self, places: Sequence[_Place], port: NetworkPort, pending: ExitStack
    ) -> dict[int, tuple[Pool, Address]]:
        """The addresses of each family that the cluster has as this host's for the port, where hosts share them. Raises
        Conflict, naming holder and host, Exhausted, Unavailable."""
        found = {}
        for place in places:
            for pool in (pool for pool in place.pools if pool in self._ipam.shared):
                if place.address is not None:
                    self._check_free(pool, place.address)
                    pending.enter_context(self._ipam.fixed_claims.pending(pool.space, place.address))
                claim = await self._ipam.new_claims.port(pool, port.key, port.mac, place.address)
                pending.enter_context(self._ipam.fixed_claims.pending(pool.space, claim.address))
                found[place.version] = (pool, claim.address)
                break
        return found

    async def _check_cluster(self, places: Sequence[_Place], port: NetworkPort) -> None:
        """Raises Conflict where another host has such a port, or its address, where hosts share them; Unavailable."""
        for place in places:
            for pool in place.pools[:1]:
                await self._ipam.new_claims.check_port(pool, port.key, place.address)

    def _chosen(
        self, network: Network, places: Sequence[_Place], claimed: Mapping[int, tuple[Pool, Address]], draft: _Draft
    ) -> NetworkPort:
        """The port with its addresses; their leases are in the draft. Raises as `create` does, and LacksSubnet."""
        addresses = []
        for place in places:
            address: Address | None
            if place.version in claimed:
                pool, address = claimed[place.version]
            elif (address := place.address) is not None:
                pool = place.pools[0]
            else:
                exact = place.subnet is not None
                pool, address = self._free(network, place.version, place.pools, exact, draft)
            if place.address is not None or place.version in claimed:
                self._check_free(pool, address)
            known = self._ipam_lease(pool, address)
            at = Place(pool.space, address, pool.id)
            draft.leases.append(ported(draft.port, known, at, self._clock.now()))
            addresses.append(address)
        return msgspec.structs.replace(draft.port, addresses=tuple(addresses), space=draft.leases[0].space)

    def _pools(self, network: Network, version: int, address: Address | None, subnet: Subnet | None) -> list[Pool]:
        """Where the address may be from. Raises LacksSubnet, BadRequest."""
        segments = network.segments_of(version)
        found = [
            pool
            for segment in segments
            if subnet in (None, segment.subnet) and (address is None or address in segment.subnet)
            if (pool := self._cache.pool(segment.pool)) is not None
        ]
        if found:
            return found
        if version in network.on_demand and address is None:
            raise LacksSubnet(Lack(version, segments, subnet))
        what = f"address {address} is in no subnet" if address is not None else f"there is no subnet {subnet or ''}"
        raise BadRequest(
            f"{what.strip()} of network {network.name or network.id[:12]}",
            hint=f"it has {', '.join(str(part.subnet) for part in network.segments) or 'none yet'}",
        )

    def _free(
        self, network: Network, version: int, pools: Sequence[Pool], exact: bool, draft: _Draft
    ) -> tuple[Pool, Address]:
        """A free address, held until the draft is written. Raises Exhausted, LacksSubnet."""
        chosen = self._ipam.index.choose(pools[0], exact)
        if chosen is None and version in network.on_demand and not exact:
            raise LacksSubnet(Lack(version, network.segments_of(version)))
        if chosen is None:
            full = ", ".join(str(pool.subnet) for pool in pools)
            raise Exhausted(f"{full} is full: no address is free", hint=f"see `mooring lease ls --pool {pools[0].id}`")
        pool, number = chosen
        draft.held.append((pool.id, number))
        return pool, address_of(version, number)

    def _check_free(self, pool: Pool, address: Address) -> None:
        """Raises Conflict when anybody has the address, BadRequest for one that nobody can have."""
        check_address(pool.subnet, address)
        self._ipam.index.check_use(address)
        if self._ipam.index.of(pool.id).is_held(int(address)):
            raise Conflict(f"address {address} is being given to somebody", hint="try again in seconds")
        hint = f"choose another one; see `mooring explain {address}`"
        if endpoint := self._ipam.index.endpoint(pool, address):
            holder = self._ipam.index.called(pool.network, endpoint)
            raise Conflict(f"address {address} is in use", holder=holder, hint=hint)
        lease = self._ipam_lease(pool, address)
        if lease is not None and lease.state is not State.COOLING:
            holders = ", ".join(holder_names(lease, self._cache))
            what = f"address {address} is not free: it is {in_words(lease, self._cache)}"
            raise Conflict(what, holder=holders, hint=hint)

    def _ipam_lease(self, pool: Pool, address: Address) -> Lease | None:
        """What the address is; a lease whose pool is gone counts for nothing."""
        lease = self._cache.lease(pool.space, address)
        return lease if lease is not None and self._cache.pool(lease.pool) is not None else None

    async def note(self, reference: str, note: str, dry: bool) -> NetworkPort:
        """The port has the note. Raises NotFound, Conflict for the name of several, BadRequest, Unavailable."""
        text = line(note, "a note")
        for _ in range(ATTEMPTS):
            port = port_meant(reference, self._cache)
            after = port.noted(text)
            if dry or after == port:
                return after
            try:
                await self._cache.commit(put=[after])
            except StaleRevision:
                continue
            return after
        raise contended(f"port {reference}")

    async def remove(self, reference: str, force: bool, dry: bool) -> NetworkPort:
        """The port is gone, and its addresses cool. force: although containers that do not run name them.

        Raises NotFound, Conflict for the name of several and for a port that somebody has, Unavailable.
        """
        for _ in range(ATTEMPTS):
            port = port_meant(reference, self._cache)
            leases = leases_of(port, self._ipam.fixed_index.of_key(port.network, port.key))
            self._check_unused(port, leases, force)
            if dry:
                return port
            now = self._clock.now()
            after = [(lease, unported(lease, now, self._policy.cooldown)) for lease in leases]
            gone: list[Record] = [port, *(lease for lease, left in after if left is None), *self._idle_holders(leases)]
            try:
                await self._end_waiting(port)
                await self._cache.commit(put=[left for _, left in after if left is not None], delete=gone)
            except StaleRevision:
                continue
            return port
        raise contended(f"port {reference}")

    def _idle_holders(self, leases: Sequence[Lease]) -> list[Holder]:
        """The holders that hold nothing without the leases."""
        idents = {ident for lease in leases for ident in lease.holders}
        known = [self._cache.holder(ident) for ident in sorted(idents)]
        of_holder = self._ipam.fixed_index.of_holder
        return [each for each in known if each is not None and all(lease in leases for lease in of_holder(each.id))]

    def _check_unused(self, port: NetworkPort, leases: Sequence[Lease], force: bool) -> None:
        for lease in leases:
            endpoint = self._endpoint_index.at(port.network, lease.address)
            if endpoint is not None:
                raise Conflict(
                    f"port {port.in_words()} is in use",
                    holder=self._ipam.index.called(port.network, endpoint.id),
                    hint="stop that container first",
                )
            if self._ipam.pending_allocations.is_promised(lease):
                raise Conflict(f"port {port.in_words()} is being given to a container", hint="try again in seconds")
            if lease.active is not None and lease.active.host != self._policy.host:
                raise Conflict(f"port {port.in_words()} is in use on host {lease.active.host}")
        names = sorted({name for lease in leases for name in holder_names(lease, self._cache)})
        if names and not force:
            raise Conflict(
                f"port {port.in_words()} is in the configuration of containers",
                holder=", ".join(names),
                hint="remove them first, or remove it anyway with --force",
            )

    async def _end_waiting(self, port: NetworkPort) -> None:
        """Addresses of a port whose network is gone do not wait for that any more."""
        for address in port.addresses:
            waiting = [
                each
                for each in self._ipam.kept_networks.keeping(address)
                if each.id == port.network and any(kept.key == port.key for kept in each.kept_addresses)
            ]
            if waiting:
                await self._ipam.kept_networks.release(address, waiting)


def leases_of(port: NetworkPort, leases: Sequence[Lease]) -> list[Lease]:
    """Those of the port's leases that are of its addresses."""
    return [lease for lease in leases if lease.address in port.addresses]
