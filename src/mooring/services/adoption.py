"""Taking what an engine tells of a container into the records: labels and addresses that no proxy saw.

Rules: a container whose configuration names a fixed address is one of its holders, whatever its labels; a container
that is to have fixed addresses keeps the one that it has; nothing that somebody else holds is taken, that is told.
"""

from __future__ import annotations

import msgspec

from mooring.core.claims import Claim, claimed, started
from mooring.core.containers import CONTAINER_KEY, Container, Holder, Plug, key_of
from mooring.core.leases import Active, Claimant, Lease, State, may_hold
from mooring.core.networks import Address, Network, Origin
from mooring.core.pools import Pool
from mooring.ports import Clock
from mooring.services.holders import Holders
from mooring.services.ipam import Ipam, IpamPolicy
from mooring.services.mirror import Mirror, Record


class Adoption:
    """`adopt` for each container that an engine tells of."""

    def __init__(self, mirror: Mirror, ipam: Ipam, holders: Holders, clock: Clock, policy: IpamPolicy) -> None:
        self._mirror = mirror
        self._index = ipam.index
        self._tenures = ipam.tenures
        self._holders = holders
        self._clock = clock
        self._policy = policy

    async def adopt(self, engine: str, container: Container) -> list[str]:
        """The container holds what it should, as far as it can. engine: the engine's id.

        Returns findings, a line each: what it should hold and cannot. Raises Unavailable.
        """
        findings: list[str] = []
        for plug in container.plugs:
            network = self._mirror.network(plug.network) if plug.network else None
            if network is None or network.origin is Origin.LIBRARY:
                continue
            key = key_of(container.labels, container.name, network.options.sticky, container.id)
            for wanted, held in ((plug.wanted4, plug.ipv4), (plug.wanted6, plug.ipv6)):
                address = wanted or held
                if address is not None:
                    await self._adopt(engine, container, network, plug, key, address, wanted is not None, findings)
        known = self._mirror.holder(container.id)
        if known is not None and known.name != container.name:
            await self._holders.rename(container.id, container.name)
        return findings

    async def _adopt(
        self,
        engine: str,
        container: Container,
        network: Network,
        plug: Plug,
        key: str,
        address: Address,
        wanted: bool,
        findings: list[str],
    ) -> None:
        def change() -> tuple[list[Record], list[Record]]:
            segment = network.segment_of(address)
            pool = self._index.pool(segment.pool) if segment is not None else None
            if pool is None:
                return [], []
            taken = self._taken(pool, network, container, plug, key, address, wanted)
            if taken is None:
                return [], []
            put: list[Record] = [taken]
            gone: list[Record] = []
            mine = self._tenures.of_key(network.id, taken.key)
            for lease, rest in self._holders.seating.left_behind(mine, taken):
                (gone if rest is None else put).append(rest or lease)
            if self._mirror.holder(container.id) is None:
                put.append(Holder(id=container.id, engine=engine, name=container.name, since=self._clock.now()))
            return put, gone

        try:
            await self._holders.commit(change, f"address {address}")
        except _Refused as refusal:
            findings.append(str(refusal))

    def _taken(
        self,
        pool: Pool,
        network: Network,
        container: Container,
        plug: Plug,
        key: str,
        address: Address,
        wanted: bool,
    ) -> Lease | None:
        """The lease with the container among its holders, None when there is nothing to do. Raises _Refused."""
        lease = self._mirror.lease(pool.space, address)
        if lease is not None and container.id in lease.holders:
            return None
        uses = bool(plug.endpoint) and self._index.endpoint(pool, address) == plug.endpoint
        mine = [
            other
            for other in self._tenures.of_holder(container.id)
            if self._tenures.network_of(other) == network.id and other.address.version == address.version
        ]
        now = self._clock.now()
        fixed = lease is not None and lease.state is State.FIXED
        if not fixed and not key:
            return None
        if not wanted and mine:
            mac = f", with `--mac-address {mine[0].mac}` or its `mooring.key`" if mine[0].mac else ""
            raise _Refused(
                f"container {container.name} has {address}, although {mine[0].address} is fixed for it: its "
                "configuration names no address, and this engine does not say who asks; make it anew through the proxy"
                + mac
            )
        claim = Claim(key=key or CONTAINER_KEY + container.id, holder=container.id, name=container.name)
        if uses and lease is not None and lease.state in (State.FIXED, State.DYNAMIC):
            active = Active(plug.endpoint, self._policy.host, self._policy.boot)
            after = claimed(lease, pool.space, address, pool.id, claim, now)
            if not fixed:  # a MAC that the engine drew is another one at the next start, and proves nothing
                after = msgspec.structs.replace(after, mac=plug.wanted_mac)
            return started(after, active)
        if not wanted:
            return None  # what it had when it was asked, and has no more
        claimant = Claimant(container.name, plug.wanted_mac, container.labels, container.id, claim.key)
        verdict = may_hold(lease, claimant, self._policy.claim_policy(pool), now)
        if not verdict.allowed or (self._index.endpoint(pool, address) and not fixed):
            holder = f", which {verdict.holder} has" if verdict.holder else ""
            raise _Refused(
                f"container {container.name} names {address}{holder}: {verdict.rule}; {verdict.hint or 'see explain'}"
            )
        return claimed(lease, pool.space, address, pool.id, claim, now)


class _Refused(Exception):
    """What the container should hold is somebody else's. Its text is a finding."""
