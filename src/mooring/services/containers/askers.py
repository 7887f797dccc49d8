"""Who asks the DNS server, and what is in his sight, by the bridge that his question came by and his source address.

Rules: a source that is no address of the network behind the bridge is nobody; what another tenant has in his routing
domain is in nobody else's sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from mooring.core.host_names import Asker
from mooring.core.networks import Address, Network
from mooring.core.subnet_index import Holdings
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import Record, RecordCache


class Askers:
    """Whoever has it tells it of the networks' records, by `follow`."""

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._subnets = Holdings()
        self._bridges: dict[tuple[int, str], Network] = {}

    def follow(self, before: Record | None, after: Record | None) -> None:
        """A record has changed."""
        if isinstance(before, Network):
            self._bridges.pop((before.domain, before.bridge), None)
            for segment in before.segments:
                self._subnets.remove(segment.subnet, before.id)
        if isinstance(after, Network):
            for segment in after.segments:
                self._subnets.add(segment.subnet, after.id)
            if after.bridged:
                self._bridges[after.domain, after.bridge] = after

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """Who asks from the address by the bridge; None where no network of ours with such an address is behind it: who
        writes another source would have us answer somebody else (RFC 5358). domain: where the bridge is."""
        network = self._bridges.get((domain, bridge))
        if network is None or network.segment_of(source) is None:
            return None
        endpoint = self._endpoint_index.at(network.id, source)
        own = [network.id]
        if endpoint is not None and endpoint.sandbox:
            own += sorted(
                each.network for each in self._endpoint_index.in_sandbox(endpoint.sandbox) if each.network != network.id
            )
        return self.in_networks(own)

    def in_networks(self, own: Sequence[str]) -> Asker:
        """Somebody who is in these networks only."""
        known = [self._cache.network(each) for each in own]
        out = any(network is not None and not network.internal for network in known)
        return Asker(tuple(own), frozenset(self._peers(own)), out)

    def _peers(self, own: Iterable[str]) -> Iterable[str]:
        """Networks that those may reach (option `peers`): in their routing domain."""
        known = [
            network for each in own if (network := self._cache.network(each)) is not None and network.options.peers
        ]
        words = {_peer_word(network) for network in known}
        if not words:
            return ()
        every = self._cache.every(Network)
        return [each.id for each in every if _peer_word(each) in words and not each.internal]

    def networks_with(self, address: Address) -> list[str]:
        """Full ids of the networks that have the address in a subnet."""
        return [network_id for _, network_id in self._subnets.overlapping(ip_network(address))]

    def is_ours(self, address: Address, asker: Asker) -> bool:
        """See core.host_names.Directory."""
        there = self.networks_with(address)
        if asker.open is None:
            return bool(there)
        domains = {self._domain(network_id) for network_id in asker.own}
        return any(self._domain(network_id) in domains for network_id in there)

    def _domain(self, network_id: str) -> int:
        network = self._cache.network(network_id)
        return network.domain if network is not None else 0


def _peer_word(network: Network) -> tuple[str, int, str]:
    """Networks that have the same reach one another: a word of `peers` means something within one routing."""
    return network.tenant, network.domain, network.options.peers
