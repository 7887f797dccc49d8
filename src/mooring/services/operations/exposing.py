"""Giving the host an address in a network, and taking it back: Weave Net's expose and hide.

Rules: the address is on record before the bridge has it, and repair gives it back after a flush and a reboot; where the
bridge has the gateway's address, the host is in the network already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mooring.core.datapath import exposed_facts, network_facts
from mooring.core.faults import Conflict, Fault
from mooring.core.networks import Address, Interface, Network
from mooring.core.plumbing import LinkAddress, plan
from mooring.core.views import ExposureView
from mooring.ports import Kernel
from mooring.services.operations.addresses_by_id import AddressesById
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.exposures import Exposures
from mooring.services.records.record_cache import RecordCache


class Exposing:
    """`expose` and `hide`."""

    def __init__(
        self, cache: RecordCache, addresses: AddressesById, exposures: Exposures, kernel: Kernel,
        names: Callable[[], Awaitable[EngineNames]],
    ) -> None:  # fmt: skip
        self._cache = cache
        self._addresses = addresses
        self._exposures = exposures
        self._kernel = kernel
        self._names = names

    async def expose(self, reference: str, asked: Sequence[Address]) -> ExposureView:
        """The host has these addresses in the network (as people write it), or, when none is named, one of each family
        of the network: what it has counts.

        Raises NotFound, Conflict when somebody else has one or the network has no bridge here, Exhausted, BadRequest,
        Unavailable.
        """
        network = network_meant(reference.strip(), self._cache, await self._names())
        self._check(network)
        before = self._exposures.of(network)
        own = _on_bridge(network)
        has = {each.ip for each in (*own, *before)}
        for address in asked:
            if address not in has:
                await self._addresses.claim_for_host(network, address)
        for segment in () if asked else (*network.ipv4[:1], *network.ipv6[:1]):
            if all(each.version != segment.subnet.version for each in (*own, *before)):
                await self._addresses.allocate_for_host(network, segment.subnet)
        after = self._exposures.of(network)
        new = [each for each in after if each not in before]
        try:
            await self._kernel.apply(plan(exposed_facts(network, after), ()))
        except Fault:
            await self._addresses.release_for_host(network, [each.ip for each in new])
            raise
        return ExposureView(network.id, [*map(str, own), *map(str, after)], bool(new))

    async def hide(self, reference: str, asked: Sequence[Address]) -> ExposureView:
        """The host does not have these addresses in the network any more, or none that `expose` gave it.

        The gateway's address stays: it is the network's. Raises NotFound, Conflict for that, Unavailable.
        """
        network = network_meant(reference.strip(), self._cache, await self._names())
        own = _on_bridge(network)
        for each in own:
            if each.ip in asked:
                raise Conflict(
                    f"{each.ip} is the gateway of the network and stays on its bridge",
                    hint="a network without one is created with -o gateway=none",
                )
        gone = [each for each in self._exposures.of(network) if not asked or each.ip in asked]
        if gone:
            await self._addresses.release_for_host(network, [each.ip for each in gone])
            await self._kernel.apply(plan((), exposed_facts(network, gone)))  # or repair does it, in its next pass
        return ExposureView(network.id, [*map(str, own), *map(str, self._exposures.of(network))], bool(gone))

    def _check(self, network: Network) -> None:
        """Raises Conflict for a network that the host cannot be in."""
        if not network.bridged:
            raise Conflict(f"network {network.id[:12]} has no bridge on this host", hint="its mode is another one")
        if network.domain:
            raise Conflict(
                f"network {network.id[:12]} is in a tenant's routing domain, where the host is not",
                hint="-o host_access=addresses lets the host's own programs reach its containers",
            )


def _on_bridge(network: Network) -> list[Interface]:
    """The network's own addresses on its bridge: its gateways."""
    found = [fact.interface for fact in network_facts(network) if isinstance(fact, LinkAddress)]
    return sorted(found, key=lambda each: (each.version, int(each.ip)))
