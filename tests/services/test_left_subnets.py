"""What comes late of a subnet that this host has left goes, and nothing that it has, or may have lost the record of."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from msgspec import structs

from mooring.core.address_claims import AddressClaim
from mooring.core.blocks import Block, LeftSubnet
from mooring.ports import Transaction
from mooring.services.cluster.late_writes import EXPECTED
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import MemoryStore, When
from tests.services.member_hosts import MemberHost, members
from tests.services.test_cluster_networks import make, remove

SUBNET, SPACE = ip_network("10.30.0.0/24"), "default"
FREE = 12
"""A block that no host tries first."""


async def left() -> tuple[MemberHost, MemberHost, SharedValues]:
    """Two hosts that had a network, of which the second has left it, and a way to the servers."""
    one, two = await members()
    for host in (one, two):
        await make(host)
        await host.turn()
    await remove(two, "app".ljust(64, "0"))
    await two.turn()
    return one, two, SharedValues(one.servers.client("late"))


async def come_late(values: SharedValues, host: MemberHost) -> tuple[str, ...]:
    """A block that bears a claim, and a claim, are written for the host; where."""
    assert host.runtime.member is not None
    ident, boot = host.runtime.member.host, host.runtime.member.boot
    borne, claim = (
        AddressClaim(
            space=SPACE, subnet=SUBNET, address=ip_address(f"10.30.0.{number}"), sequence=f"s{number}", host=ident,
            holders=frozenset({f"{ident}/web"}), boot=boot,
        )
        for number in (16 * FREE + 1, 1)
    )  # fmt: skip
    block = Block(
        space=SPACE, subnet=SUBNET, index=FREE, host=ident, boot=boot, generation=1, carved={borne.address: borne}
    )
    await values.put(block, 0)
    await values.put(claim, 0)
    return tuple(await values.hosts.held(ident))


async def held(values: SharedValues, host: MemberHost) -> tuple[str, ...]:
    """The keys of what the host has in the cluster."""
    assert host.runtime.member is not None
    return tuple(await values.hosts.held(host.runtime.member.host))


async def test_what_comes_late_of_a_subnet_that_was_left_goes_after_two_sightings() -> None:
    """While others are in the network: else one block and one address of it would be nobody's for as long."""
    _, two, values = await left()
    late = await come_late(values, two)
    assert len(late) == 2
    await two.turn(20.0)
    await two.turn(20.0)
    assert await held(values, two) == late
    for _ in range(3):  # what the block bore is a claim of its own then, and goes as one
        await two.turn(20.0)
    await two.turn(20.0)
    assert await held(values, two) == ()
    assert (await values.block(SPACE, SUBNET, FREE)).value == Block(
        space=SPACE, subnet=SUBNET, index=FREE, generation=2
    )


async def test_what_is_written_between_two_sightings_stays_until_it_was_seen_twice() -> None:
    """Also between the last look and the write."""
    _, two, values = await left()
    await come_late(values, two)
    await two.turn(20.0)

    async def write(step: Step) -> None:
        if (step.method, step.key.partition("/")[0], step.when) == (
            "put",
            "block",
            When.BEFORE,
        ) and step.client != "late":
            seen = await values.block(SPACE, SUBNET, FREE)
            assert seen.value is not None
            await values.put(structs.replace(seen.value, boot="another"), seen.revision)

    two.servers.pause = write
    await two.turn(20.0)
    await two.turn(20.0)
    block = (await values.block(SPACE, SUBNET, FREE)).value
    assert block is not None
    assert block.boot == "another"


async def test_a_network_that_is_made_again_has_what_came_late() -> None:
    """It is this host's own there as anything else."""
    _, two, values = await left()
    await come_late(values, two)
    await two.turn(20.0)
    await make(two)
    for _ in range(4):
        await two.turn(20.0)
    seen = (await values.block(SPACE, SUBNET, FREE)).value
    assert seen is not None
    assert two.runtime.member is not None
    assert seen.host in ("", two.runtime.member.host)
    assert two.runtime.faults == ()


@pytest.mark.parametrize("seconds", [0.0, 2 * EXPECTED])
@pytest.mark.parametrize("reboots", [True, False])
async def test_a_new_process_looks_for_it_as_well(reboots: bool, seconds: float) -> None:
    """However long it was off: what was left is on record, and not any more once nothing comes."""
    _, two, values = await left()
    await (two.reboot() if reboots else two.restart())
    assert len(await come_late(values, two)) == 2
    two.clock.advance(seconds)
    for _ in range(6):
        await two.turn(20.0)
    assert await held(values, two) == ()
    await two.turn(EXPECTED)
    assert on_record(two) == []


async def test_what_is_not_on_record_as_left_stays() -> None:
    """The store may have been lost: then what lives has blocks and claims, and no record of them."""
    _, two, values = await left()
    late = await come_late(values, two)
    two.store = MemoryStore()
    await two.restart()
    for _ in range(6):
        await two.turn(20.0)
    assert await held(values, two) == late


async def test_a_store_of_before_the_network_was_made_again_takes_nothing_from_it() -> None:
    """The cluster says yet that this host takes part, so what it has there may live."""
    one, two, values = await left()
    old = two.store.records
    await make(two)
    await two.turn()
    lives = await held(values, two)
    assert lives
    two.store = MemoryStore()
    await two.store.commit(Transaction(put=old))
    await two.restart()
    for _ in range(8):
        await two.turn(20.0)
        await one.turn()
    assert await held(values, two) == lives
    assert on_record(two) == []


async def test_a_host_that_has_left_the_cluster_has_nothing_to_look_for() -> None:
    """The record goes with the next network that is made."""
    _, two, _ = await left()
    assert len(on_record(two)) == 1
    await two.membership.leave(force=True, dry=False)
    await two.network("alone")
    assert on_record(two) == []


def on_record(host: MemberHost) -> list[LeftSubnet]:
    """What the host has written of subnets that it has left."""
    return list(host.services.cache.every(LeftSubnet))


async def test_it_is_looked_for_as_long_as_something_may_come() -> None:
    """Each look reads what all hosts have there."""
    _, two, values = await left()
    scans: list[str] = []

    async def count(step: Step) -> None:
        if step.method == "scan" and step.key.startswith("block/default") and step.when is When.BEFORE:
            scans.append(step.key)

    two.servers.pause = count
    await two.turn(20.0)
    assert scans
    await two.turn(EXPECTED)
    scans.clear()
    await two.turn(20.0)
    assert scans == []
    assert await held(values, two) == ()
