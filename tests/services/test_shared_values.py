"""Typed access to what hosts share."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.address_claims import Spec
from mooring.core.blocks import Block, division
from mooring.core.faults import StaleRevision
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import MemoryCluster

SUBNET = ip_network("10.0.0.0/24")


async def test_values_are_read_with_the_revision_that_their_write_had() -> None:
    """A block that nobody had is made up; keys of a block are read without those of others."""
    values = SharedValues(MemoryCluster().client("A"))
    made_up = await values.block("default", SUBNET, 1)
    assert made_up == (Block(space="default", subnet=SUBNET, index=1), 0)
    block = Block(space="default", subnet=SUBNET, index=1, host="A", generation=1)
    revision = await values.put(block, 0)
    assert await values.block("default", SUBNET, 1) == (block, revision)
    assert await values.blocks("default", SUBNET) == {1: (block, revision)}
    spec = Spec("default", SUBNET, "s1", key="key:db", holder="c")
    inside, outside = (spec.claim(ip_address(f"10.0.0.{number}"), "A", 5.0) for number in (17, 33))
    at = [await values.put(claim, 0) for claim in (inside, outside)]
    divided = division(SUBNET)
    assert divided is not None
    assert await values.claims_in("default", SUBNET, divided, 1) == {inside.address: (inside, at[0])}
    assert [claim for claim, _ in await values.claims("default", SUBNET)] == [inside, outside]


async def test_a_write_expects_what_was_read() -> None:
    """And a deletion, too."""
    values = SharedValues(MemoryCluster().client("A"))
    block = Block(space="default", subnet=SUBNET, index=1, host="A", generation=1)
    revision = await values.put(block, 0)
    with pytest.raises(StaleRevision):
        await values.put(block, 0)
    with pytest.raises(StaleRevision):
        await values.delete(block, revision + 1)
    await values.delete(block, revision)
    assert await values.blocks("default", SUBNET) == {}
