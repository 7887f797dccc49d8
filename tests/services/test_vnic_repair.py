"""VNICs over restarts, reboots, lost stores and interfaces that died."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict
from mooring.core.plumbing import ORDER, Add, Bridge, HostLink, Inside, Member, Veth
from mooring.core.requests import AddressRequest, Role
from mooring.core.vnics import Vnic, all_facts
from mooring.services.containers.container_reconciler import ENDPOINT_AGE
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from mooring.testing.memory_store import MemoryStore
from tests.services.vnic_hosts import ROUTE, LauncherHost, spec


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


async def test_a_restart_finds_everything_in_place(host: LauncherHost) -> None:
    """Nothing is touched."""
    await host.vnic("red", "172.16.5.5", routes=(ROUTE,))
    before = host.facts
    await host.restart()
    report = await host.services.repair.once()
    assert (report.repaired, report.findings) == ((), ())
    assert host.facts == before


async def test_an_interface_that_died_is_made_again_with_the_same_mac_and_told(host: LauncherHost) -> None:
    """As is a bridge, with its ports, and all of it after a reboot."""
    made = await host.vnic("red", "172.16.5.5")
    host.kernel.lose(made.host_end)
    report = await host.services.repair.once()
    assert report.repaired == (f"{made}, MAC {made.mac}, whose interface had died: 1 item repaired",)
    host.kernel.lose(made.group.bridge)
    await host.services.repair.once()
    assert set(all_facts([made])) <= set(host.facts)
    await host.reboot()
    await host.services.repair.once()
    assert set(all_facts([made])) <= set(host.facts)


async def test_a_preview_changes_nothing(host: LauncherHost) -> None:
    """It says what would be done."""
    made = await host.vnic("red", "172.16.5.5")
    host.kernel.lose(made.host_end)
    report = await host.services.repair.preview()
    assert "whose interface had died: 1 item missing or different" in report.repaired[0]
    assert ("veth", made.host_end) not in host.kernel.facts


@pytest.mark.parametrize("living", [True, False])
async def test_after_a_lost_store_vnics_are_known_by_their_aliases(host: LauncherHost, living: bool) -> None:
    """Whether a container has the other end or it waits on the host."""
    made = await host.vnic("red", "172.16.5.5", mtu=1400, instance="i-1")
    if living:
        host.kernel.inside[made.host_end] = Inside(made.mac, ())
    host.store = MemoryStore()
    await host.restart()
    report = await host.services.repair.once()
    assert report.repaired == (f"{made} was missing from the records: restored, without static routes",)
    assert [replace(vnic, created=made.created) for vnic in host.services.cache.every(Vnic)] == [made]
    assert ("veth", made.host_end) in host.kernel.facts


async def test_what_cannot_be_read_is_left_alone(host: LauncherHost) -> None:
    """A missing record is no proof."""
    made = await host.vnic("red", "172.16.5.5")
    host.kernel.inside[made.host_end] = Inside("", ())
    host.store = MemoryStore()
    await host.restart()
    await host.services.repair.once()
    assert {("veth", made.host_end), ("bridge", made.group.bridge)} <= set(host.kernel.facts)


async def test_what_this_process_has_ended_is_a_leftover(host: LauncherHost) -> None:
    """It does not come back."""
    made = await host.vnic("red", "172.16.5.5")
    left = [fact for fact in host.facts if isinstance(fact, Bridge | Veth)]
    await host.services.vnics.destroy(made)
    host.kernel.facts.update({fact.key: fact for fact in left})
    await host.services.repair.once()
    assert list(host.services.cache.every(Vnic)) == []
    assert not any(isinstance(fact, Bridge | Veth) for fact in host.kernel.facts.values())


async def test_an_adopted_interface_that_is_gone_is_a_finding(host: LauncherHost) -> None:
    """Nobody can make it but who made it before."""
    host.kernel.links["eth7"] = HostLink("eth7", "", "02:00:00:00:00:08", 9000, False, False)
    made = await host.vnic("red", "172.16.5.5", adopt="eth7")
    assert (await host.services.repair.once()).findings == ()
    del host.kernel.links["eth7"]
    (finding,) = (await host.services.repair.once()).findings
    assert finding.startswith("VNIC 172.16.5.5 of tenant red has adopted interface eth7, which is not on the host")
    assert made.id in finding


async def test_after_a_lost_store_ciaos_network_is_its_tenants_again(host: LauncherHost) -> None:
    """The engine knows no tenant and no mode, only the bridge; the ID of its pool is understood as before."""
    made = await host.vnic("red", "172.16.5.5")
    ident = await host.handoff("n1", bridge=made.group.bridge)
    known = host.services.cache.network(ident)
    assert known is not None
    host.engine.networks.add(ident)
    host.engine.described[ident] = EngineNetwork(
        ident, made.group.bridge, "mooring", options={"bridge": made.group.bridge}, ipam="mooring",
        subnets=(EngineSubnet(made.subnet, gateway=ip_address("172.16.5.1")),),
    )  # fmt: skip
    host.store = MemoryStore()
    await host.restart()
    for _ in range(3):
        await host.services.repair.once()
        host.clock.advance(10.0)
    again = host.services.cache.network(ident)
    assert again is not None
    assert (again.handed_over, again.tenant, again.bridge) == (True, "red", made.group.bridge)
    assert host.services.vnics.index.network(made.group) is again
    asked = AddressRequest(known.ipv4[0].pool, Role.ENDPOINT, made.address, made.mac)
    assert str(await host.services.ipam.request_address(asked)) == "172.16.5.5/24"


@pytest.mark.parametrize("number", range(9))
async def test_a_crash_at_any_step_of_a_creation_is_finished_by_the_next_start(host: LauncherHost, number: int) -> None:
    """The record is first: whoever asks again gets the same."""
    made = spec("red", "172.16.5.5").vnic(host.clock.now())
    await host.services.cache.commit(put=[made])
    facts = sorted(all_facts([made]), key=lambda fact: ORDER.index(type(fact)))
    await host.kernel.apply([Add(fact) for fact in facts[:number]])
    await host.restart()
    await host.services.repair.once()
    assert set(all_facts([made])) <= set(host.facts)
    assert (await host.services.vnics.create(spec("red", "172.16.5.5")))[1] is False


@pytest.mark.parametrize("gone", [False, True])
async def test_a_crash_in_the_middle_of_an_end_leaves_all_or_nothing(host: LauncherHost, gone: bool) -> None:
    """The record has gone: what is left of the links tells which."""
    made = await host.vnic("red", "172.16.5.5")
    await host.services.cache.commit(delete=[made])
    if gone:
        host.kernel.lose(made.host_end)
    await host.restart()
    await host.services.repair.once()
    left = [fact for fact in host.facts if isinstance(fact, Bridge | Veth | Member)]
    assert bool(left) is not gone
    assert [vnic.id for vnic in host.services.cache.every(Vnic)] == ([] if gone else [made.id])
    assert await host.services.vnics.destroy(made) is not gone


async def network_listed(host: LauncherHost, made: Vnic) -> str:
    """The VNIC's network, which the engine lists."""
    ident = await host.handoff("n1", bridge=made.group.bridge)
    host.engine.networks.add(ident)
    host.engine.described[ident] = EngineNetwork(ident, made.group.bridge, "mooring")
    await host.services.repair.once()
    return ident


async def test_what_a_container_had_that_was_removed_unheard_is_free_after_the_minimum_age(host: LauncherHost) -> None:
    """Its VNIC looks attached for ever, and the engine's list alone says that nobody has it; who wants it meanwhile is
    told that the container may be gone."""
    made = await host.vnic("red", "172.16.5.5")
    ident = await network_listed(host, made)
    await host.run(ident, "e1", "172.16.5.5", made.mac)
    assert host.services.keeping is not None
    reconciler = host.services.keeping.container_reconciler
    host.clock.advance(ENDPOINT_AGE)
    for waited in (0.0, MINIMUM_AGE - 1):
        host.clock.advance(waited)
        await reconciler.once()
        with pytest.raises(Conflict, match=r"in use .*stop that container.*`mooring doctor --fix` frees the address"):
            await host.run(ident, "e2", "172.16.5.5", made.mac)
    host.clock.advance(1)
    await reconciler.once()
    await host.run(ident, "e2", "172.16.5.5", made.mac)


async def test_an_endpoint_that_nobody_attached_is_removed_and_an_attached_one_is_not(host: LauncherHost) -> None:
    """The daemon went after Leave or CreateEndpoint, and Docker forgot the rest."""
    left, used = await host.vnic("red", "172.16.5.5"), await host.vnic("red", "172.16.5.6")
    ident = await network_listed(host, left)
    await host.run(ident, "e1", "172.16.5.5", left.mac)
    await host.run(ident, "e2", "172.16.5.6", used.mac)
    await host.services.endpoints.detach(ident, "e1".ljust(64, "0"))
    for _ in range(2):
        await host.services.repair.once()
        host.clock.advance(MINIMUM_AGE)
    await host.services.repair.once()
    assert [endpoint.id for endpoint in host.services.cache.every(Endpoint)] == ["e2".ljust(64, "0")]
    await host.run(ident, "e3", "172.16.5.5", left.mac)
