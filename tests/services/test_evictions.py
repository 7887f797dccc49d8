"""Who has lost an address to another host is put off the network at once, and told of until it is started again."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from mooring.core.address_claims import AddressClaim, HostClaim, Phase, Spec, moved
from mooring.core.claims import Claim, claimed, started
from mooring.core.faults import Fault, Unavailable
from mooring.core.leases import Active
from mooring.core.networks import Address
from mooring.core.sessions import SessionRule
from mooring.services.cluster.shared_values import SharedValues
from mooring.services.networking.evictions import FORGOTTEN, LACKING, Whose
from tests.services.lost_stores import copied
from tests.services.member_hosts import NETWORK, SUBNET, MemberHost, answers, container, neighbours, run, take_blocks

RULE = SessionRule()


def recorded(host: MemberHost, name: str) -> bool:
    """Whether the container's endpoint is on record."""
    return host.services.cache.endpoint(NETWORK, name.ljust(64, "0")) is not None


def told(host: MemberHost) -> list[str]:
    """What people are told."""
    return [finding.text for finding in host.runtime.evictions.findings()]


async def use(host: MemberHost, address: Address, key: str, mac: str = "", *, moves: bool = True) -> AddressClaim:
    """The host claims the address for the key, and it is in use."""
    plan = host.runtime.plan
    assert plan is not None
    await plan.claim(Spec("default", SUBNET, host.clock.token(), key, mac, "c", moves), address)
    return await plan.claims.use("default", SUBNET, address, key)


async def fixed(host: MemberHost, name: str, *, mac: str = "", moves: bool = True) -> AddressClaim:
    """The container's address is claimed by its key, as if it had been from the start."""
    address = await run(host, name)
    lease = host.services.cache.lease("default", address)
    assert lease is not None
    await host.services.cache.commit(delete=[lease])
    claim = await use(host, address, f"key:{name}", mac, moves=moves)
    key = Claim(key=f"key:{name}", holder=name)
    endpoint = host.services.endpoint_index.at(NETWORK, address)
    assert endpoint is not None
    active = Active(endpoint.id, host.policy.host, host.policy.boot)
    await host.services.cache.commit(put=[started(claimed(lease, lease, key, 0.0), active)])
    return claim


async def taken(host: MemberHost, other: MemberHost, claim: AddressClaim) -> None:
    """The other host takes the claim."""
    values, member = SharedValues(host.servers.client("operator")), other.runtime.member
    assert member is not None
    seen = await values.claim("default", SUBNET, claim.address)
    assert seen.value is not None
    await values.put(moved(seen.value, member.host, "d", 0.0), seen.revision)


async def test_whose_block_is_another_hosts_is_put_off_the_network(caplog: pytest.LogCaptureFixture) -> None:
    """Interface, record and lease are gone; doctor and the log name container, address, host, and the way back."""
    host, other = await neighbours()
    address = await run(host, "web")
    await take_blocks(host, other)
    assert answers(host, "web")
    await host.turn(30.0)
    assert not answers(host, "web")
    assert not recorded(host, "web")
    assert host.services.cache.lease("default", address) is None
    (finding,) = host.runtime.evictions.findings()
    assert finding.text == (
        f"container web runs without an interface in network {NETWORK[:12]}: {address} is not this host's any more; "
        "host web2 decides over it"
    )
    assert finding.remedy == "`docker restart web` gives it an interface and an address again"
    network = host.services.cache.network(NETWORK)
    assert network is not None
    await host.services.cache.commit(put=[replace(network, name="shop")])
    assert "in network shop: " in host.runtime.evictions.findings()[0].text
    assert caplog.text.count(finding.text) == 1


async def test_who_ended_with_the_boot_before_is_not_told_to_run_on() -> None:
    """A host that was forgotten comes back: of its containers nothing runs, and their records go without a word."""
    host, other = await neighbours()
    address = await run(host, "web")
    await take_blocks(host, other)
    host.kernel.facts.clear()
    await host.turn(30.0)
    assert not recorded(host, "web")
    assert host.services.cache.lease("default", address) is None
    assert told(host) == []


async def test_whose_claim_was_taken_is_put_off_the_network() -> None:
    """Its neighbour stays."""
    host, other = await neighbours()
    claim = await fixed(host, "web")
    await run(host, "db")
    await host.turn(1.0)
    await taken(host, other, claim)
    for _ in range(10):
        await host.turn(3.0)  # as often as it is heard
    assert (answers(host, "web"), answers(host, "db")) == (False, True)
    assert told(host) == [
        f"container web runs without an interface in network {NETWORK[:12]}: {claim.address} is not this host's any "
        "more; host web2 has it"
    ]


async def test_only_who_has_the_very_mac_is() -> None:
    """A claim says which; a lease that came back to the same container is its own."""
    host, _ = await neighbours()
    claim = await fixed(host, "web", mac="02:00:00:77:65:62")
    evictions = host.runtime.evictions
    evictions.of_claims([msgspec.structs.replace(claim, mac="02:00:00:00:00:01")], "is another's")
    lease = host.services.cache.lease("default", await run(host, "db"))
    assert lease is not None
    evictions.of_leases([lease], "was lost, and given again")
    await host.turn()
    assert answers(host, "web")
    assert answers(host, "db")


async def test_what_moves_by_itself_stops_before_another_host_may_have_it() -> None:
    """When this host has not been heard for so long; what does not move runs on. The address is idle then."""
    host, _ = await neighbours()
    claim = await fixed(host, "web")
    await fixed(host, "db", moves=False)
    host.servers.cut(host.setup.address)
    host.clock.advance(RULE.ttl - RULE.margin - 0.1)
    await host.membership.attempt()
    await host.runtime.stop_overdue()
    assert answers(host, "web")
    host.clock.advance(0.2)
    await host.membership.attempt()
    await host.runtime.stop_overdue()
    assert (answers(host, "web"), answers(host, "db")) == (False, True)
    assert "may be another host's by now" in told(host)[0]
    kept = host.services.cache.host_claim("default", SUBNET, claim.address)
    assert kept is not None
    assert kept.idle


async def test_what_moves_by_itself_stops_when_its_host_leaves_by_force() -> None:
    """It would not see when another host may have it; what does not move runs on, and so it does in a rehearsal."""
    host, _ = await neighbours()
    claim = await fixed(host, "web")
    await fixed(host, "db", moves=False)
    for dry in (True, False):
        await host.membership.leave(force=True, dry=dry)
        assert (answers(host, "web"), answers(host, "db")) == (dry, True)
    assert "may be another host's soon: this one has left the cluster" in told(host)[0]
    kept = host.services.cache.host_claim("default", SUBNET, claim.address)
    assert kept is not None
    assert kept.idle


async def test_a_host_that_slept_stops_what_may_be_anothers_before_it_is_heard_again() -> None:
    """Whatever it tries first: once it is heard nobody would look for up to twenty seconds."""
    host, _ = await neighbours()
    await fixed(host, "web")
    await fixed(host, "db", moves=False)
    host.clock.advance(3600.0)
    await host.membership.attempt()
    assert host.membership.confirmed == host.clock.boot()
    assert (answers(host, "web"), answers(host, "db")) == (False, True)


async def test_what_starts_again_while_others_are_put_off_is_in_use() -> None:
    """The cluster was reached at that moment: the address is not told as idle."""
    host, _ = await neighbours()
    claim = await fixed(host, "web")
    host.servers.cut(host.setup.address)
    host.clock.advance(RULE.ttl - RULE.margin + 0.1)
    await host.membership.attempt()
    evictions = host.runtime.evictions
    put_off = evictions.turn

    async def and_start_again(whose: Whose) -> list[Fault]:
        faults = await put_off(whose)
        host.servers.mend()
        await host.membership.attempt()
        assert host.runtime.plan is not None
        await host.runtime.plan.claims.use("default", SUBNET, claim.address, claim.key)
        return faults

    evictions.turn = and_start_again  # type: ignore[method-assign]
    await host.runtime.stop_overdue()
    kept = host.services.cache.host_claim("default", SUBNET, claim.address)
    assert kept is not None
    assert (kept.claim.boot, kept.idle) == (claim.boot, False)


async def test_after_a_start_nothing_is_overdue_before_the_first_try() -> None:
    """Nobody knows when this host was heard last; if the cluster does not answer, what moves stops."""
    host, _ = await neighbours()
    await fixed(host, "web")
    await host.restart()
    await host.runtime.stop_overdue()
    assert answers(host, "web")
    await host.turn()
    await host.runtime.stop_overdue()
    assert answers(host, "web")
    host.servers.cut(host.setup.address)
    await host.restart()
    await host.membership.attempt()
    await host.runtime.stop_overdue()
    assert not answers(host, "web")


@pytest.mark.parametrize("kind", ["lease", "claim"])
async def test_a_daemon_that_died_before_it_could_does_so_at_its_next_start(kind: str) -> None:
    """An endpoint that lives without its lease, or whose claim is idle. After a boot nobody lives, and none is told."""
    host, _ = await neighbours()
    if kind == "lease":
        lease = host.services.cache.lease("default", await run(host, "web"))
        assert lease is not None
        await host.services.cache.commit(delete=[lease])
    else:
        claim = await fixed(host, "web")
        await host.services.cache.commit(put=[HostClaim(claim=claim, phase=Phase.RELEASING)])
    await host.restart()
    host.servers.cut(host.setup.address)
    await host.turn()
    assert not answers(host, "web")
    assert not recorded(host, "web")
    assert "was another host's when this daemon started" in told(host)[0]


async def test_what_cannot_be_done_is_tried_again() -> None:
    """The kernel refuses: it is a finding, and the next turn goes on."""
    host, other = await neighbours()
    await run(host, "web")
    await take_blocks(host, other)
    host.refusals = [Unavailable("the kernel is busy")]
    await host.turn(30.0)
    assert recorded(host, "web")
    assert [fault.what for fault in host.runtime.faults] == ["the kernel is busy"]
    await host.turn(1.0)
    assert not answers(host, "web")


async def test_who_lives_without_a_record_in_a_restored_store_is_not_put_off() -> None:
    """A missing record is no proof: the store may have lost it. The container is taken into the records."""
    host, _ = await neighbours()
    backup = await copied(host.store)
    address = await run(host, "web")
    host.store = backup
    await host.restart()
    assert host.services.restored_store is not None
    await host.services.restored_store.at_start()
    for _ in range(3):
        await host.turn(30.0)
    assert answers(host, "web")
    assert host.services.cache.lease("default", address) is not None
    assert told(host) == []


async def test_nobody_is_put_off_after_a_boot() -> None:
    """What the records say was, nothing of it lives."""
    host, _ = await neighbours()
    await fixed(host, "web")
    await host.reboot()
    await host.turn()
    assert told(host) == []


async def test_it_is_told_of_until_it_is_started_again() -> None:
    """Also by the next daemon, which finds its endpoint missing; a container that is gone is forgotten in time."""
    host, other = await neighbours()
    await run(host, "web")
    await take_blocks(host, other)
    await host.turn(30.0)
    await host.restart()
    note = host.services.ipam.index.endpoint_containers.note
    note(container("web"))
    assert told(host) == []
    host.clock.advance(LACKING)
    note(container("web"))
    assert told(host) == [f"container web runs without an interface in network {NETWORK[:12]}"]
    note(container("web", "web again"))
    assert told(host) == []
    note(container("web"))
    host.clock.advance(LACKING)
    note(container("web"))
    host.clock.advance(FORGOTTEN)
    assert told(host) == []
