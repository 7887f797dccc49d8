"""The DNS server of the host, as settings, networks and Docker's own settings want it.

Rule: it is there while somebody asks it, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mooring.adapters.dns.host_dns import HostDns
from mooring.adapters.docker.engine_dns_file import MARK, EngineUse
from mooring.adapters.host.host_resolver import has_link
from mooring.config import Config
from mooring.core.dns_places import ADDRESS4, Serving, served_domains, served_otherwise
from mooring.core.dns_views import DnsServerView
from mooring.core.networks import Network
from mooring.services.assembly import Services
from mooring.services.networking.assembly import World
from mooring.services.networking.port_holders import PortHolders
from mooring.services.records.record_cache import Record


def dns_server(config: Config, services: Services, world: World, busy: Callable[[], bool]) -> HostDns | None:
    """The server of the host's names, which begins and ends as networks say; None where nobody follows an engine."""
    if services.keeping is None:
        return None
    services.keeping.host_names.local_first = config.dns_order == "local-first"
    cache, use = services.cache, EngineUse(config.state_dir, config.run_dir / MARK)

    def wanted() -> Mapping[int, bool]:
        return served_domains(cache.every(Network), config.dns, use.since_boot(), has_link())

    def missed() -> str:
        lost = config.dns is Serving.OFF and use.now()
        return f'Docker tells its containers to ask {ADDRESS4}, and the daemon is set to `dns = "off"`' if lost else ""

    def follow(_key: str, before: Record | None, after: Record | None) -> None:
        was, becomes = (each if isinstance(each, Network) else None for each in (before, after))
        if served_otherwise(was, becomes):
            server.nudge()

    holders = PortHolders(services.endpoint_index, services.ipam.index.endpoint_containers, world.guard)
    server = HostDns(services.keeping.host_names, world.kernel, wanted, holders.who, config.repair_period, busy, missed)
    cache.listen(follow, Network)
    return server


async def look_at_dns(config: Config, services: Services, server: HostDns) -> DnsServerView:
    """How the server is, which is as it should be by then; why, as far as networks and settings say it."""
    await server.settle()
    networks = sum(bool(network.options.dns) for network in services.cache.every(Network))
    use = EngineUse(config.state_dir, config.run_dir / MARK)
    reasons = ['the setting dns = "on"'] if config.dns is Serving.ON else []
    reasons += [f"networks with dns=on ({networks})"] if networks else []
    reasons += [why for why in (use.reason(), "the host's resolver" if has_link() else "") if why]
    serving = [str(address) for address in server.serving()]
    told = server.trouble, server.remedy, server.domains
    return DnsServerView(config.dns.value, config.dns_zone, serving, reasons, *told)
