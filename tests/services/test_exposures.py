"""The index of the host's addresses in networks."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.leases import Lease, State
from mooring.core.plumbing import LinkAddress
from mooring.core.whom import HOST
from mooring.services.records.exposures import Exposures
from tests.services.hosts import MemoryHost


async def test_it_follows_the_reservations_for_the_host() -> None:
    """Of the network, by family and number; what ends is not there any more."""
    host = await MemoryHost().start()
    cache = host.services.cache
    exposures = Exposures(cache)
    networks = [cache.network(await host.network(name)) for name in ("a", "b")]
    first, second = [network for network in networks if network is not None]
    pool = first.ipv4[0].pool
    leases = [
        Lease(
            space="default",
            address=ip_address(f"10.32.0.{last}"),
            pool=pool,
            state=State.RESERVED,
            since=0.0,
            whom=whom,
        )
        for last, whom in ((9, HOST), (8, HOST), (7, "db"))
    ]
    await cache.commit(put=leases)
    assert [str(each) for each in exposures.of(first)] == ["10.32.0.8/24", "10.32.0.9/24"]
    assert exposures.of(second) == []
    facts = exposures.facts(first).values()
    assert {fact.link for fact in facts if isinstance(fact, LinkAddress)} == {first.bridge}
    await cache.commit(delete=leases)
    assert (exposures.of(first), exposures.facts(first)) == ([], {})
