"""Containers that have lost an address to another host: they are put off its network at once, and people are told.

Rules: the interface goes before the record, so that who is found without a lease after a crash is put off then; only
who has the very address and MAC is, and never for want of a record that a lost store may have had; a container stays
told of until it has been started again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.containers import Container
from mooring.core.datapath import endpoint_facts, host_end
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.findings import Finding
from mooring.core.keys import is_reservations
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network, Subnet
from mooring.core.plumbing import Remove, Veth
from mooring.ports import Kernel
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.endpoints import Endpoints
from mooring.services.records.endpoint_index import Records

log = logging.getLogger(__name__)

# Seconds for which a container that the engine no longer tells of is told of yet.
FORGOTTEN = 120.0
# Seconds for which a container may lack the record of its endpoint: the engine's list may be older than the record.
LACKING = 30.0

Whose = Callable[[str, Subnet, Address], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Eviction:
    """A container that was put off a network. container: its name, "" while the engine has not said it. lost: which
    address and why, for a sentence; "" where that is not known. at: seconds since the epoch. heard: seconds since the
    boot, when the engine told of the container last, or it was put off."""

    network: str
    endpoint: str
    container: str
    lost: str
    at: float
    heard: float

    def finding(self, network: str) -> Finding:
        """For a person. network: what it is called."""
        who = f"container {self.container}" if self.container else f"endpoint {self.endpoint[:12]}"
        lost = f": {self.lost}" if self.lost else ""
        return Finding(
            f"evicted {self.endpoint}",
            f"{who} runs without an interface in network {network}{lost}",
            "what the cluster says of its address" if self.lost else "Docker's list of containers, and the records",
            self.at,
            f"`docker restart {self.container or 'CONTAINER'}` gives it an interface and an address again",
        )


class Evictions:
    """Build it before the cache is loaded."""

    def __init__(self, records: Records, ipam: Ipam, endpoints: Endpoints, kernel: Kernel) -> None:
        self._cache, self._endpoint_index, self._clock = records.cache, records.endpoint_index, records.clock
        self._index, self._endpoints, self._kernel = ipam.index, endpoints, kernel
        self._due: dict[tuple[str, str], str] = {}
        self._done: dict[str, Eviction] = {}
        self._lacking: dict[str, float] = {}
        self._index.endpoint_containers.listen(self._note)

    def of_leases(self, leases: Iterable[Lease], why: str) -> None:
        """Whoever has the address of one of these leases, which are gone, is to be put off. why: of an address."""
        for lease in leases:
            pool = self._cache.pool(lease.pool)
            endpoint = self._endpoint_index.at(pool.network, lease.address) if pool is not None else None
            if endpoint is None or lease.mac not in ("", endpoint.mac):
                continue
            now = self._cache.lease(lease.space, lease.address)
            if now is None or now.mac not in ("", endpoint.mac) or now.state is State.COOLING:
                self._owe(endpoint, lease.address, why)  # else he has it again by now

    def of_claims(self, claims: Iterable[AddressClaim], why: str) -> None:
        """Whoever uses one of these claims is to be put off. why: of an address."""
        for claim in claims:
            for pool in self._index.pools_of(claim.space, claim.subnet):
                endpoint = self._endpoint_index.at(pool.network, claim.address) if pool.network else None
                if endpoint is not None and claim.mac in ("", endpoint.mac):
                    self._owe(endpoint, claim.address, why)

    async def look(self, boot: str) -> None:
        """At a start, in that boot: who lives in a subnet of the cluster with an address that this host has no lease
        or claim of is to be put off: a daemon died before it could. Raises Unavailable."""
        if not self._index.blocks.any:
            return
        living = await self._living()
        for endpoint in self._cache.every(Endpoint):
            if host_end(endpoint.id) in living:
                for address in self._lost(endpoint, boot):
                    self._owe(endpoint, address, "was another host's when this daemon started")

    async def _living(self) -> set[str]:
        """Names of the host's ends of interfaces that containers have. Raises Unavailable."""
        return {fact.name for fact in await self._kernel.observe() if isinstance(fact, Veth) and fact.living}

    def _lost(self, endpoint: Endpoint, boot: str) -> Iterator[Address]:
        """The endpoint's addresses of the cluster's subnets that it does not have."""
        network = self._cache.network(endpoint.network)
        for address in endpoint.addresses if network is not None else ():
            segment = network.segment_of(address) if network is not None else None
            if segment is None or (segment.space, segment.subnet) not in self._index.blocks:
                continue
            # A lease is written together with its endpoint: a store that has only one of them has not lost the other.
            lease = self._cache.lease(segment.space, address)
            claim = self._cache.host_claim(segment.space, segment.subnet, address)
            others = lease is not None and lease.state is State.DYNAMIC and lease.mac not in ("", endpoint.mac)
            if lease is None or lease.state is State.COOLING or others or _is_idle(claim, lease, boot):
                yield address

    def _owe(self, endpoint: Endpoint, address: Address, why: str) -> None:
        self._due.setdefault((endpoint.network, endpoint.id), f"{address} {why}")

    async def turn(self, whose: Whose) -> list[Fault]:
        """Who is to be put off is; what could not be done. whose: says who has an address by now, for a sentence."""
        faults: list[Fault] = []
        for (network_id, endpoint_id), lost in list(self._due.items()):
            network, endpoint = self._cache.network(network_id), self._cache.endpoint(network_id, endpoint_id)
            try:
                if network is not None and endpoint is not None:
                    await self._evict(network, endpoint, lost)
                    await self._tell(network, endpoint, whose)
            except Fault as fault:
                faults.append(fault)
            else:
                del self._due[network_id, endpoint_id]
        return faults

    async def _evict(self, network: Network, endpoint: Endpoint, lost: str) -> None:
        """The endpoint's interface is gone, and then its record. Whose ended with the boot before, and runs no more, is
        no container that runs on without. Raises Unavailable."""
        runs = host_end(endpoint.id) in await self._living()
        name = self._index.endpoint_containers.name(endpoint.id)
        links = [fact for fact in endpoint_facts(network, endpoint) if isinstance(fact, Veth)]
        await self._kernel.apply([Remove(link) for link in links])
        if runs:
            now = self._clock.now()
            self._done[endpoint.id] = Eviction(network.id, endpoint.id, name, lost, now, self._clock.boot())
        await self._endpoints.delete(network.id, endpoint.id, force=True)

    async def _tell(self, network: Network, endpoint: Endpoint, whose: Whose) -> None:
        """Who has the address by now is known where the cluster says so, and it is in the log."""
        eviction = self._done.get(endpoint.id)
        if eviction is None:
            return
        for address in endpoint.addresses:
            segment = network.segment_of(address)
            if segment is not None and eviction.lost.startswith(f"{address} "):
                with suppress(Fault):
                    if who := await whose(segment.space, segment.subnet, address):
                        eviction = self._done[endpoint.id] = replace(eviction, lost=f"{eviction.lost}; {who}")
        finding = self._finding(eviction)
        log.warning("%s; %s", finding.text, finding.remedy)

    def findings(self) -> list[Finding]:
        """Containers that were put off a network and run on without it, or that lack the record of their endpoint."""
        now = self._clock.boot()
        self._done = {ident: done for ident, done in self._done.items() if now - done.heard < FORGOTTEN}
        return [self._finding(done) for done in self._done.values()]

    def _finding(self, done: Eviction) -> Finding:
        network = self._cache.network(done.network)
        return done.finding(network.name if network is not None and network.name else done.network[:12])

    def _note(self, container: Container) -> None:
        """The engine tells of the container."""
        now = self._clock.boot()
        has = {each.endpoint: each.network for each in container.endpoints if each.endpoint and container.running}
        for ident, network in has.items():
            if (done := self._done.get(ident)) is not None:
                self._done[ident] = replace(done, container=container.name, heard=now)
            elif not self._lacks(network, ident):
                self._lacking.pop(ident, None)
            elif now - self._lacking.setdefault(ident, now) >= LACKING:
                del self._lacking[ident]
                self._done[ident] = Eviction(network, ident, container.name, "", self._clock.now(), now)
        for ident, done in list(self._done.items()):
            if done.container == container.name and ident not in has:
                del self._done[ident]  # it has been started again, or has ended

    def _lacks(self, network_id: str, endpoint_id: str) -> bool:
        """Whether a running container's endpoint, in a network of the cluster, is not on record: a daemon of before
        put it off."""
        network = self._cache.network(network_id)
        shared = self._index.blocks
        ours = network is not None and any((part.space, part.subnet) in shared for part in network.segments)
        return ours and self._cache.endpoint(network_id, endpoint_id) is None


def _is_idle(kept: HostClaim | None, lease: Lease, boot: str) -> bool:
    """Whether a claim for a key is not in use here in that boot, or is on its way back. What is reserved is in use
    while somebody has been given it."""
    if kept is None or not kept.claim.key:
        return False
    given = lease.state is State.DYNAMIC and is_reservations(kept.claim.key)
    return kept.phase is not Phase.HELD or not (given or kept.claim.boot == boot)
