"""Making and ending VNICs: twice is once, all or nothing, together or one after another."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from ipaddress import ip_interface

import pytest

from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.plumbing import Bridge, HostLink, Member, Op, Veth
from mooring.core.vnics import Vnic, all_facts
from mooring.services.networking.vnics import Vnics
from mooring.testing.memory_kernel import MemoryKernel
from tests.services.vnic_hosts import ROUTE, LauncherHost, spec


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


def links(kernel: MemoryKernel) -> set[str]:
    """Names of bridges and host ends."""
    return {fact.name for fact in kernel.facts.values() if isinstance(fact, Bridge | Veth)}


def members(kernel: MemoryKernel) -> int:
    """Elements of the firewall."""
    return sum(isinstance(fact, Member) for fact in kernel.facts.values())


async def test_the_first_brings_the_bridge_and_the_last_takes_it(host: LauncherHost) -> None:
    """As it does with what the firewall knows of it."""
    one, two = await host.vnic("red", "172.16.5.5", mtu=1400), await host.vnic("red", "172.16.5.6")
    assert set(all_facts([one, two])) <= set(host.facts)
    assert links(host.kernel) == {one.group.bridge, one.host_end, two.host_end}
    assert await host.services.vnics.destroy(one)
    assert links(host.kernel) == {one.group.bridge, two.host_end}
    assert await host.services.vnics.destroy(two)
    assert (links(host.kernel), members(host.kernel)) == (set(), 0)
    assert list(host.services.cache.every(Vnic)) == []


async def test_twice_is_once_both_ways(host: LauncherHost) -> None:
    """The same again is the same answer; an end of what is not there is fine."""
    vnics = host.services.vnics
    made, new = await vnics.create(spec("red", "172.16.5.5", routes=(ROUTE,)))
    again, newer = await vnics.create(spec("red", "172.16.5.5", routes=(ROUTE,)))
    assert (made, new, newer) == (again, True, False)
    assert host.kernel.made["veth", made.host_end] == 1
    with pytest.raises(Conflict, match=f"VNIC 172.16.5.5 of tenant red is there already, with mtu 1500; .*{made.id}"):
        await vnics.create(spec("red", "172.16.5.5", routes=(ROUTE,), mtu=1400))
    assert [await vnics.destroy(made) for _ in range(2)] == [True, False]


async def test_what_is_missing_is_made_again_by_the_same_call(host: LauncherHost) -> None:
    """Somebody has deleted it."""
    made = await host.vnic("red", "172.16.5.5")
    host.kernel.lose(made.host_end)
    await host.vnic("red", "172.16.5.5")
    assert made.host_end in links(host.kernel)


@pytest.mark.parametrize("number", range(9))
async def test_a_fault_at_any_step_leaves_nothing(host: LauncherHost, number: int) -> None:
    """Nor does it keep the next call from succeeding."""
    count = 0

    async def before(_: Op) -> None:
        nonlocal count
        count += 1
        if count == number + 1:
            raise Unavailable("no")

    host.kernel.before = before
    with pytest.raises(Unavailable):
        await host.vnic("red", "172.16.5.5")
    assert (links(host.kernel), members(host.kernel)) == (set(), 0)
    assert list(host.services.cache.every(Vnic)) == []
    host.kernel.before = None
    await host.vnic("red", "172.16.5.5")


@pytest.mark.parametrize("which", ["bridge", "host_end", "link"])
async def test_a_foreign_link_of_the_name_is_refused_in_one_line(host: LauncherHost, which: str) -> None:
    """Nobody's link is taken, whatever it is called."""
    made = spec("red", "172.16.5.5").vnic(0.0)
    name = made.group.bridge if which == "bridge" else str(getattr(made, which))
    host.kernel.foreign.add(name)
    with pytest.raises(Conflict, match=f"interface {name} already exists and is not ours.*rename or remove"):
        await host.vnic("red", "172.16.5.5")
    assert list(host.services.cache.every(Vnic)) == []


async def test_a_mac_is_had_once_in_a_group(host: LauncherHost) -> None:
    """Another tenant may have it as well."""
    mac = "02:00:00:00:00:07"
    await host.vnic("red", "172.16.5.5", mac=mac)
    with pytest.raises(Conflict, match=f"MAC {mac} is in use .*VNIC 172.16.5.5 of tenant red"):
        await host.vnic("red", "172.16.5.6", mac=mac)
    await host.vnic("blue", "10.9.0.5", subnet="10.9.0.0/24", gateway="", mac=mac)


async def test_one_tenant_at_a_time_waits_for_a_network_of_a_subnet(host: LauncherHost) -> None:
    """The next one comes when that has been made, or is told what to do."""
    red = await host.vnic("red", "172.16.5.5")
    await host.vnic("red", "172.16.5.6")
    with pytest.raises(
        Conflict, match=f"tenant red waits for its Docker network.*`mooring vnic inspect {red.id}` says how"
    ):
        await host.vnic("blue", "172.16.5.5")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(host.services.vnics.create(spec("blue", "172.16.5.5"), 10.0))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await host.handoff("n1", bridge=red.group.bridge)
    blue, new = waiting.result()
    assert new
    assert blue.group.bridge != red.group.bridge
    network = await host.handoff("n2", bridge=blue.group.bridge)
    known = host.services.cache.network(network)
    assert known is not None
    assert known.tenant == "blue"


async def test_who_waits_goes_on_when_the_other_gives_up(host: LauncherHost) -> None:
    """The announcement ended with its last VNIC."""
    red = await host.vnic("red", "172.16.5.5")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(host.services.vnics.create(spec("blue", "172.16.5.5"), 10.0))
        await asyncio.sleep(0.01)
        await host.services.vnics.destroy(red)
    assert waiting.result()[1]


async def test_a_dry_run_says_what_removing_would_do(host: LauncherHost) -> None:
    """Refused where that would be; the VNIC stays."""
    vnic = await host.vnic("red", "172.16.5.5")
    assert await host.services.vnics.destroy(vnic, dry=True)
    assert host.services.vnics.index.at(vnic.group, vnic.address) == vnic
    host.kernel.lived_in.add(vnic.host_end)
    with pytest.raises(Conflict, match="is in use"):
        await host.services.vnics.destroy(vnic, dry=True)
    assert await host.services.vnics.destroy(vnic, force=True, dry=True)
    assert await host.services.vnics.destroy(vnic, force=True)
    assert not await host.services.vnics.destroy(vnic, dry=True)


async def test_what_a_container_has_is_not_taken_but_by_force(host: LauncherHost) -> None:
    """The refusal names who has it."""
    made = await host.vnic("red", "172.16.5.5")
    network = await host.handoff("n1", bridge=made.group.bridge)
    await host.run(network, "e1", "172.16.5.5", made.mac)
    host.kernel.lived_in.add(made.host_end)
    with pytest.raises(Conflict, match=r"VNIC 172.16.5.5 of tenant red is in use \(held by endpoint e1"):
        await host.services.vnics.destroy(made)
    assert await host.services.vnics.destroy(made, force=True)
    assert links(host.kernel) == set()


@pytest.mark.parametrize(
    ("link", "fault", "words"),
    [
        (None, NotFound, "there is no interface eth7"),
        (HostLink("eth7", "bridge", "", 1500, False, False), BadRequest, "cannot be in a container"),
        (HostLink("eth7", "ipvlan", "02:00:00:00:00:07", 1500, False, False), BadRequest, "cannot be in a container"),
        (HostLink("eth7", "tun", "", 1400, False, False), BadRequest, "eth7 has no MAC; give it one"),
        (HostLink("eth7", "", "00:00:00:00:00:00", 1400, False, False), BadRequest, "eth7 has no MAC"),
        (HostLink("eth7", "veth", "02:00:00:00:00:07", 1500, False, True), Conflict, "Mooring's own"),
        (HostLink("eth7", "veth", "02:00:00:00:00:07", 1500, True, False), Conflict, "port of a bridge"),
        (
            HostLink("eth7", "", "02:00:00:00:00:07", 1400, False, False, (ip_interface("192.0.2.1/24"),)),
            Conflict,
            "has an address of this host: 192.0.2.1/24",
        ),
        (HostLink("eth7", "", "02:00:00:00:00:08", 1500, False, False), Conflict, "has MAC 02:00:00:00:00:08, not"),
        (HostLink("eth7", "", "02:00:00:00:00:07", 9000, False, False), Conflict, "has MTU 9000, not 1400"),
    ],
)
async def test_a_link_that_cannot_be_adopted_is_refused(
    host: LauncherHost, link: HostLink | None, fault: type[Fault], words: str
) -> None:
    """With the reason."""
    if link is not None:
        host.kernel.links["eth7"] = link
    with pytest.raises(fault, match=words):
        await host.vnic("red", "172.16.5.5", adopt="eth7", mac="02:00:00:00:00:07", mtu=1400)
    assert list(host.services.cache.every(Vnic)) == []


async def test_an_adopted_link_is_had_once_and_left(host: LauncherHost) -> None:
    """Its MAC and MTU are its own; nothing of it is made or deleted."""
    host.kernel.links["eth7"] = HostLink("eth7", "", "02:00:00:00:00:08", 9000, False, False)
    made = await host.vnic("red", "172.16.5.5", adopt="eth7")
    assert (made.mac, made.mtu, made.link) == ("02:00:00:00:00:08", 9000, "eth7")
    with pytest.raises(Conflict, match=r"adopted already .*VNIC 172.16.5.5"):
        await host.vnic("red", "172.16.5.6", adopt="eth7")
    del host.kernel.links["eth7"]  # a container has it
    assert (await host.services.vnics.create(spec("red", "172.16.5.5", adopt="eth7")))[1] is False
    assert links(host.kernel) == set()
    assert await host.services.vnics.destroy(made)


async def test_128_calls_at_once_with_random_cancellation_leave_each_whole_or_not_at_all(host: LauncherHost) -> None:
    """ciao's tests/parallel: four tenants, creations and ends of the same ones among each other."""
    dice, vnics = random.Random(7), host.services.vnics
    groups = {f"t{number}": f"10.{number}.0.0/24" for number in range(4)}

    async def step(_: Op) -> None:
        await asyncio.sleep(0)

    host.kernel.before = step

    async def call(tenant: str, number: int) -> None:
        subnet = groups[tenant]
        wanted = spec(tenant, subnet.replace("0/24", str(number)), subnet=subnet, gateway="")
        made, _ = await vnics.create(wanted)
        if dice.random() < 0.5:
            await vnics.destroy(made)

    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(call(dice.choice(list(groups)), dice.randrange(5, 20))) for _ in range(128)]
        for each in calls:
            if dice.random() < 0.4:
                await asyncio.sleep(0)
                each.cancel()
    await agrees(host, vnics)


async def agrees(host: LauncherHost, vnics: Vnics) -> None:
    """The kernel has what the records say and nothing else."""
    wanted = {fact.key for fact in all_facts(host.services.cache.every(Vnic))}
    have = {key for key, fact in host.kernel.facts.items() if isinstance(fact, Bridge | Veth | Member)}
    assert have == {key for key in wanted if key[0] in ("bridge", "veth", "member")}
    assert Counter(vnics.index.groups()) == Counter({each.group for each in host.services.cache.every(Vnic)})
