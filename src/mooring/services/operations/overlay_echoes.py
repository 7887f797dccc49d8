"""Asking the other hosts of this host's overlays, through their tunnels, whether they are there.

Rules: only when somebody looks, and nobody is told of whom the cluster does not hear, or of what came so lately that he
may not know of it; a container of his answers for him where his firewall drops pings; what the doctor says anyhow, of
ports that differ, is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from mooring.core.advertisements import Advertisement
from mooring.core.cluster_hosts import ClusterHost
from mooring.core.cluster_networks import HostNetwork
from mooring.core.faults import Unavailable
from mooring.core.networks import Address, Network
from mooring.core.overlay_paths import Answers, Path, path_to
from mooring.core.overlays import Overlay
from mooring.core.wireguard import inner_address
from mooring.ports import Echoes
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.cluster_runtime import ClusterRuntime
from mooring.services.networking.host_overlays import HostOverlays
from mooring.services.networking.overlay_feed import OverlayFeed
from mooring.services.records.endpoint_index import Records
from mooring.services.records.pacing import Pace
from mooring.services.records.record_cache import Record

# Seconds after which whoever hears of something at all knows of it.
SETTLED = 5.0
# Containers of a host that are asked in a network, beside the host itself.
CONTAINERS = 2


@dataclass(frozen=True, slots=True)
class _There:
    """What another host has in a network: its own addresses, and some of containers."""

    own: tuple[Address, ...] = ()
    others: tuple[Address, ...] = ()


class OverlayEchoes:
    """Build it before the cache is loaded. echoes: None where nobody can be asked."""

    def __init__(
        self, records: Records, host: HostOverlays, feed: OverlayFeed, runtime: ClusterRuntime, echoes: Echoes | None
    ) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._host, self._feed, self._runtime, self._echoes = host, feed, runtime, echoes
        # Own addresses of other hosts, and since when they are known here.
        self._told: dict[str, tuple[tuple[Address, ...], float]] = {}
        self._began: dict[str, float] = {}  # networks of this host: since when it has its own addresses there
        feed.listen(self._hear)
        self._cache.listen(self._follow, HostNetwork)

    async def ask(self, overlays: Iterable[tuple[Network, Overlay]]) -> tuple[list[Path], Answers]:
        """The ways to the hosts that are heard, in each of the overlays, and what became of the questions. Raises
        Unavailable where it cannot be known who is heard."""
        runtime, echoes, here = self._runtime, self._echoes, self._host.underlay
        opened = [(network, overlay) for network, overlay in overlays if overlay.own and self._is_old(network)]
        if echoes is None or here is None or runtime.cluster is None or runtime.member is None or not opened:
            return [], {}
        records, me = HostRecords(runtime.cluster), runtime.member.host
        heard = await records.heard()
        if me not in heard or runtime.is_strange():
            raise Unavailable("this host is not heard by the others, so they may know nothing of it")
        hosts = {host.id: host for host in await records.hosts() if host.id in heard and host.id != me}
        there, paths, pace = await self._there(opened), list[Path](), Pace()
        for network, overlay in opened:
            for host in hosts.values():
                await pace.step()
                found = there.get((network.id, host.id))
                if found is not None and found.own and self._is_fit(network, overlay, host):
                    ends = inner_address(me), ip_address(here.address)
                    paths.append(path_to(host, found.own, found.others, network, overlay, ends))
        asked = dict.fromkeys(echo for path in paths for echo in path.echoes)
        return paths, await echoes.ask(asked) if asked else {}

    def _is_fit(self, network: Network, overlay: Overlay, host: ClusterHost) -> bool:
        """Whether there can be a tunnel at all; where there can be none, the doctor says why."""
        if network.options.encrypted:
            return host.tunnel is not None
        same_family = ip_address(host.underlay.address).version == overlay.local.version
        return same_family and host.vxlan_port in (0, overlay.port)

    async def _there(self, opened: Iterable[tuple[Network, Overlay]]) -> Mapping[tuple[str, str], _There]:
        """By network here and host."""
        here = {part.shared.id: part.network for part in self._cache.every(HostNetwork)}
        wanted, found, pace = {network.id for network, _ in opened}, dict[tuple[str, str], _There](), Pace()
        for key, told in self._feed.advertisements():
            await pace.step()
            place = here.get(told.network, ""), told.host
            if place[0] not in wanted:
                continue
            known = found.get(place, _There())
            if told.endpoint:
                if len(known.others) < CONTAINERS:
                    found[place] = replace(known, others=(*known.others, *told.addresses[:1]))
            elif self._clock.boot() - self._told.get(key, ((), 0.0))[1] >= SETTLED:
                found[place] = replace(known, own=told.addresses)
        return found

    def _is_old(self, network: Network) -> bool:
        """Whether the others have been able to hear of this host's own addresses in the network."""
        return self._clock.boot() - self._began.get(network.id, float("-inf")) >= SETTLED

    def _hear(self, key: str, told: Advertisement | None) -> None:
        if told is None or told.endpoint:
            self._told.pop(key, None)
        elif self._told.get(key, ((), 0.0))[0] != told.addresses:
            self._told[key] = told.addresses, self._clock.boot()

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(after, HostNetwork) and (not isinstance(before, HostNetwork) or before.own != after.own):
            self._began[after.network] = self._clock.boot()
        elif isinstance(before, HostNetwork) and not isinstance(after, HostNetwork):
            self._began.pop(before.network, None)
