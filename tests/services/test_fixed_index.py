"""The index of fixed leases."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.containers import Holder
from mooring.core.leases import Lease, State
from mooring.core.networks import Network
from tests.services.holder_hosts import HolderHost, ident


async def test_a_fixed_lease_is_found_by_holder_key_mac_and_name() -> None:
    """And by nothing any more when it is gone."""
    host = HolderHost()
    await host.start()
    network = await host.network("web", v6=True)
    (grant,) = await host.made("db", host.fixed_spec(network, "key:db"))
    fixed_index = host.services.ipam.fixed_index
    addresses = [grant.ipv4, grant.ipv6]
    assert [lease.address for lease in fixed_index.of_holder(ident("db"))] == addresses
    assert [lease.address for lease in fixed_index.of_key(network, "key:db")] == addresses
    assert [lease.address for lease in fixed_index.with_mac(network, grant.mac)] == addresses
    assert [holder.id for holder in fixed_index.holders_named("db")] == [ident("db")]
    await host.services.networks.delete(network)
    for segment_pool in {lease.pool for lease in fixed_index.of_holder(ident("db"))}:
        await host.services.ipam.release_pool(segment_pool)
    assert (len(fixed_index), fixed_index.of_holder(ident("db")), fixed_index.of_key(network, "key:db")) == (0, [], [])


STEP = st.tuples(st.sampled_from(["made", "forget", "leave", "restart"]), st.sampled_from(["a", "b", "c"]))


@given(st.lists(STEP, max_size=12))
@settings(max_examples=30, deadline=None)
async def test_the_index_says_what_the_records_say(steps: list[tuple[str, str]]) -> None:
    """After any steps, also after a restart, looking at every record finds the same."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    for step, name in steps:
        match step:
            case "made":
                await host.made(name, host.fixed_spec(network, f"key:{name}"))
            case "forget":
                await host.services.holders.release_all(ident(name))
            case "leave":
                await host.services.holders.leave(ident(name), network)
            case _:
                await host.restart()
    cache, fixed_index = host.services.cache, host.services.ipam.fixed_index
    fixed = [lease for lease in cache.every(Lease) if lease.state is State.FIXED]
    assert len(fixed_index) == len(fixed)
    assert cache.count(Network) == 1
    for name in ("a", "b", "c"):
        assert fixed_index.of_holder(ident(name)) == [lease for lease in fixed if ident(name) in lease.holders]
        assert fixed_index.of_key(network, f"key:{name}") == [lease for lease in fixed if lease.key == f"key:{name}"]
    # A record of a holder is there for exactly those who hold something.
    assert {holder.id for holder in cache.every(Holder)} == {each for lease in fixed for each in lease.holders}
