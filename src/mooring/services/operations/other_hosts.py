"""What other hosts of the cluster have of an address or a key, for somebody who asks this one.

Rules: what a host has told of its containers costs no question; the cluster's store is asked where nobody has told of
the address and nobody here uses it, or where no container here has an address of the key, and where it cannot be asked,
that is said; an address is not called free while somebody else may have it.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

from msgspec.structs import replace

from mooring.core.address_claims import AddressClaim
from mooring.core.faults import NotFound, Unavailable
from mooring.core.keys import is_meant, is_ports, outlives
from mooring.core.leases import State
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.core.views import Explanation, Reason
from mooring.services.containers.remote_names import RemoteNames
from mooring.services.ipam.shared_pools import SharedPools
from mooring.services.records.record_cache import RecordCache


class OtherHosts:
    """remote: what hosts tell of their containers; None where nobody listens."""

    def __init__(self, cache: RecordCache, shared: SharedPools, remote: RemoteNames | None) -> None:
        self._cache, self._shared, self._remote = cache, shared, remote

    async def explain(self, found: Explanation) -> Explanation:
        """The explanation of one address, with what other hosts have of it."""
        if not found.address:
            return found
        address = ip_address(found.address)
        return replace(found, reasons=[await self._with(each, address) for each in found.reasons])

    async def of_key(self, what: str, nobody: NotFound) -> Explanation:
        """What other hosts have for the key, or for the compose service, of which nothing is here. nobody: raised where
        they have nothing, with why the cluster could not say, where that is so."""
        try:
            reasons = await self._of_key(what)
        except Unavailable as fault:
            nobody.what += f" on this host; other hosts may have it: {fault.what}"
            raise nobody from None
        if not reasons:
            raise nobody
        return Explanation("", reasons, what)

    async def beside(self, what: str, found: Explanation) -> Explanation:
        """The explanation of who is called so, with what other hosts have where nobody here uses an address."""
        if any(each.verdict not in ("kept", "none") for each in found.reasons):
            return found
        reasons = [await self._with(each, ip_address(each.address)) if each.address else each for each in found.reasons]
        known = {each.address for each in reasons}
        with suppress(Unavailable):
            reasons += [each for each in await self._of_key(what) if each.address not in known]
        return replace(found, reasons=reasons)

    async def _of_key(self, what: str) -> list[Reason]:
        """Raises Unavailable."""
        return [
            reason
            for pool in sorted(self._cache.every(Pool), key=lambda pool: (pool.space, pool.created))
            if pool in self._shared
            for reason in await self._of_key_in(pool, what)
        ]

    async def _of_key_in(self, pool: Pool, what: str) -> list[Reason]:
        plan = self._shared.joined(pool)
        plan.check_reached()
        reasons = []
        for identity, _ in await plan.values.identities(pool.space, pool.subnet):
            if not is_meant(identity.key, what):
                continue
            claim = (await plan.keys.decides(pool.space, pool.subnet, identity.address)).claim
            if claim is None or claim.sequence != identity.sequence or claim.host == plan.member.host:
                continue
            text = [
                f"{claim.address} is in subnet {pool.subnet}, which hosts share; nothing on this host holds it.",
                f"The cluster has it for {plan.hosts.words(claim.held_by())}.",
                self._further(claim, plan.hosts.name(claim.host)),
            ]
            reasons.append(
                Reason("held", pool.space, str(pool.subnet), pool.network, State.FIXED.value, text, str(claim.address))
            )
        return sorted(reasons, key=lambda each: int(ip_address(each.address)))

    def _further(self, claim: AddressClaim, host: str) -> str:
        """What whoever asks can do next: nobody can ask a host that is off. host: its name."""
        if self._remote is None or not self._remote.is_silent(claim.host):
            return f"`mooring explain {claim.address}` on host {host} says more."
        if not outlives(claim.key) or is_ports(claim.key):
            return f"Host {host} is not heard."
        move = f"`mooring lease move {claim.address} --force`"
        return f"Host {host} is not heard: if it is surely off, {move} brings it here."

    async def _with(self, reason: Reason, address: Address) -> Reason:
        pool = next((each for each in self._cache.every(Pool) if self._is_of(reason, each)), None)
        if pool is None or reason.verdict == "never":
            return reason
        if told := self._told(reason.network, address):
            return _also(reason, told, "held")
        if reason.verdict != "free" and not (reason.state == State.FIXED.value and not self._in_use(pool, address)):
            return reason
        return await self._asked(reason, pool, address)

    def _is_of(self, reason: Reason, pool: Pool) -> bool:
        return (pool.space, str(pool.subnet)) == (reason.space, reason.subnet) and pool in self._shared

    def _in_use(self, pool: Pool, address: Address) -> bool:
        lease = self._cache.lease(pool.space, address)
        return lease is not None and lease.active is not None

    def _told(self, network: str, address: Address) -> list[str]:
        """What hosts say of containers of theirs that have the address."""
        if self._remote is None:
            return []
        return [
            f"Host {self._remote.host_name(entry.host)} has it"
            f"{', which is not heard' if self._remote.is_silent(entry.host) else ''}: container {entry.names[0]}."
            for entry in self._remote.at(network, address)
        ]

    async def _asked(self, reason: Reason, pool: Pool, address: Address) -> Reason:
        """What the cluster has on record."""
        try:
            plan = self._shared.joined(pool)
            plan.check_reached()
            decided = await plan.keys.decides(pool.space, pool.subnet, address)
        except Unavailable as fault:
            return _also(reason, [f"Another host may have it: {fault.what}."], reason.verdict)
        claim, here = decided.claim, plan.member.host
        if claim is not None and claim.host != here:
            return _also(reason, [f"The cluster has it for {plan.hosts.words(claim.held_by())}."], "held")
        if decided.owner not in ("", here):
            owner = plan.hosts.name(decided.owner)
            line = f"It is in the part of the subnet that host {owner} gives to its containers: that is asked for it."
            return replace(reason, text=[*reason.text, line])
        return reason


def _also(reason: Reason, lines: list[str], verdict: str) -> Reason:
    if reason.verdict == "free":
        first = f"{reason.address} is in subnet {reason.subnet}, which hosts share; nothing on this host holds it."
        return replace(reason, verdict=verdict, text=[first, *lines])
    return replace(reason, text=[*reason.text, *lines])
