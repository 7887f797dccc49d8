"""What is wanted is in the cluster soon, whatever becomes of single writes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address

from msgspec.structs import replace

from mooring.core.advertisements import Advertisement, advertisement_key
from mooring.services.cluster.advertisement_writer import LOOK, AdvertisementWriter
from mooring.services.cluster.shared_values import advertisement_of
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_store import When

HOST = "A"


@dataclass
class Rig:
    """A writer that has entered."""

    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.servers = MemoryCluster(self.clock)
        self.client = self.servers.client("one")
        self.writer = AdvertisementWriter(self.clock)
        self.writer.enter(self.client, HOST)

    def want(self, number: int, wanted: bool = True) -> None:
        """The endpoint with this number is to be there, or not."""
        told = Advertisement(
            network="n", host=HOST, endpoint=f"{number:02x}", mac=f"02:00:00:00:00:{number:02x}", addresses=(),
            underlay=ip_address("192.0.2.1"),
        )  # fmt: skip
        self.writer.want(advertisement_key(HOST, "n", told.endpoint), told if wanted else None)

    def there(self) -> list[int]:
        """The numbers of those that are."""
        records = self.servers.records.items()
        return [int(advertisement_of(key, value).mac[-2:], 16) for key, value in records]


async def test_what_is_wanted_is_there() -> None:
    """And goes, and nothing is written that is there already."""
    rig = Rig()
    for number in range(50):
        rig.want(number)
    await rig.writer.settle()
    assert rig.there() == list(range(50))
    before = rig.servers.revision
    rig.want(7)
    await rig.writer.settle()
    assert rig.servers.revision == before
    for number in range(1, 50):
        rig.want(number, wanted=False)
    rig.want(99, wanted=False)
    await rig.writer.settle()
    assert rig.there() == [0]


async def test_what_was_left_there_goes() -> None:
    """An earlier daemon of this host wrote it, and nobody wants it."""
    rig = Rig()
    await rig.client.put("ep/A/n/ff", b"?", 0)
    await rig.client.put("ep/B/n/ff", b"?", 0)
    rig.want(1)
    await rig.writer.settle()
    assert list(rig.servers.records) == ["ep/A/n/01", "ep/B/n/ff"]


async def test_an_unknown_outcome_is_looked_at_and_not_repeated() -> None:
    """The write may have happened, or happen later."""
    rig = Rig()
    rig.want(1)
    await rig.writer.settle()
    rig.servers.fail_next(When.AFTER)
    rig.want(2)
    await rig.writer.settle()
    assert len(rig.writer.turn()) == 1
    rig.servers.delay_next()
    rig.want(3)
    await rig.writer.settle()
    before = rig.servers.revision
    await rig.writer.settle()
    assert rig.there() == [1, 2, 3]
    assert rig.servers.revision == before + 1
    assert rig.writer.turn() == []
    assert rig.servers.deliver() == 0


async def test_a_late_write_is_put_right_by_the_next_look() -> None:
    """It deletes, or writes, what has become wrong since."""
    rig = Rig()
    rig.servers.delay_next()
    rig.want(1)
    await rig.writer.settle()
    rig.want(1, wanted=False)
    await rig.writer.settle()
    assert rig.servers.deliver() == 1
    assert rig.there() == [1]
    rig.clock.advance(LOOK)
    rig.writer.turn()
    await rig.writer.settle()
    assert rig.there() == []


async def test_what_changes_while_it_is_written_is_written_again() -> None:
    """The last word counts."""
    rig = Rig()
    rig.want(1)
    await rig.writer.settle()

    async with asyncio.TaskGroup() as tasks:
        rig.want(1, wanted=False)
        tasks.create_task(rig.writer.settle())
        await asyncio.sleep(0)
        rig.want(1)
    await rig.writer.settle()
    assert rig.there() == [1]


async def test_who_leaves_takes_everything_along_or_nothing() -> None:
    """Nothing is written by who is in no cluster, and everything again by who comes back."""
    rig = Rig()
    rig.want(1)
    await rig.writer.settle()
    await rig.writer.leave(remove=False)
    rig.want(2)
    await rig.writer.settle()
    assert rig.there() == [1]
    rig.writer.enter(rig.client, HOST)
    await rig.writer.settle()
    assert rig.there() == [1, 2]
    await rig.writer.leave(remove=True)
    assert rig.there() == []
    assert rig.writer.turn() == []


async def test_names_that_are_not_known_yet_are_those_that_are_there() -> None:
    """Until they are known; the rest is told at once. Where there are none, what little is known is."""
    rig = Rig()
    told = Advertisement(
        network="n", host=HOST, endpoint="e", mac="02:00:00:00:00:01", addresses=(), names=("db", "sql"),
        underlay=ip_address("192.0.2.1"),
    )  # fmt: skip
    key = advertisement_key(HOST, "n", "e")
    unnamed = replace(told, names=(), underlay=ip_address("192.0.2.2"))

    async def seen(wanted: Advertisement | None, nameless: bool = True) -> Advertisement | None:
        rig.writer.want(key, wanted, nameless=nameless)
        await rig.writer.settle()
        value = rig.servers.records.get(key)
        return advertisement_of(key, value) if value is not None else None

    assert await seen(replace(told, names=("db",))) == replace(told, names=("db",))
    assert await seen(told, nameless=False) == told
    for _ in range(2):
        assert await seen(unnamed) == replace(unnamed, names=("db", "sql"))
    assert await seen(unnamed, nameless=False) == unnamed
    assert await seen(replace(told, names=("db",))) == replace(told, names=("db",))
    assert await seen(replace(told, names=("\ud800",))) is None
    assert await seen(told) == told
    assert await seen(None) is None


async def test_text_that_cannot_be_written_is_left_out() -> None:
    """The rest is told all the same."""
    rig = Rig()
    odd = Advertisement(
        network="n", host=HOST, endpoint="e", mac="02:00:00:00:00:09", addresses=(), names=("\ud800",),
        underlay=ip_address("192.0.2.1"),
    )  # fmt: skip
    rig.writer.want(advertisement_key(HOST, "n", "e"), odd)
    rig.want(1)
    await rig.writer.settle()
    assert rig.there() == [1]


async def test_who_may_have_been_forgotten_writes_nothing() -> None:
    """Until it is known that it was not: then all that is wanted by then."""
    rig, strange = Rig(), [True]
    rig.writer = AdvertisementWriter(rig.clock, lambda: bool(strange))
    rig.writer.enter(rig.client, HOST)
    rig.want(1)
    await rig.writer.settle()
    assert rig.there() == []
    strange.clear()
    await rig.writer.settle()
    assert rig.there() == [1]
