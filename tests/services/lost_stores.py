"""Hosts whose store is a backup from before, or lost altogether, while their containers run."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.plumbing import Inside
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.ports import Transaction
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)
NETWORK = "a".ljust(64, "0")
ENDPOINT = "e2".ljust(64, "0")
LINK = f"mv-{ENDPOINT[:12]}"
MAC = "02:00:00:65:32:00"


async def copied(store: MemoryStore) -> MemoryStore:
    """A backup, as a store of its own."""
    entries, _ = await store.scan("")
    copy = MemoryStore()
    await copy.commit(Transaction(put={entry.key: entry.value for entry in entries}))
    return copy


async def restored_host() -> MemoryHost:
    """A host whose store is a backup from before its second container, which runs and publishes a port."""
    host = await MemoryHost().start()
    await host.network("a", v6=True)
    await host.endpoint(NETWORK, "e1")
    backup = await copied(host.store)
    await host.endpoint(NETWORK, "e2")
    await host.services.endpoints.publish(NETWORK, ENDPOINT, WEB)
    host.kernel.inside[LINK] = Inside(MAC, (ip_interface("10.32.0.3/24"), ip_interface("fd00:32::3/64")))
    host.store = backup
    await host.restart()
    return host


async def bare_host() -> MemoryHost:
    """The same host, whose store is lost altogether, and an engine that knows its network."""
    host = await restored_host()
    known = host.services.cache.network(NETWORK)
    assert known is not None
    host.engine.networks.add(NETWORK)
    host.engine.described[NETWORK] = EngineNetwork(
        NETWORK, "web", "mooring", ipv6=True, ipam="mooring",
        subnets=(
            EngineSubnet(ip_network("10.32.0.0/24"), gateway=ip_address("10.32.0.1")),
            EngineSubnet(ip_network("fd00:32::/64")),
        ),
    )  # fmt: skip
    host.kernel.inside["mv-e10000000000"] = Inside(
        "02:00:00:65:31:00", (ip_interface("10.32.0.2/24"), ip_interface("fd00:32::2/64"))
    )
    host.old_pools = [segment.pool for segment in known.segments]  # type: ignore[attr-defined]
    host.store = MemoryStore()
    await host.restart()
    return host
