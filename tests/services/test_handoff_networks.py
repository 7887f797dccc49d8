"""Networks for VNICs: by their bridge or their mode, and nobody else's by mistake."""

from __future__ import annotations

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.networks import Mode
from mooring.core.plumbing import Bridge, HostLink, Inside
from mooring.core.vnics import Group, Vnic
from mooring.services.networking.garbage_collector import MINIMUM_AGE
from tests.services.vnic_hosts import V4, LauncherHost


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


async def test_a_bridge_of_vnics_means_their_network_whatever_else_is_left_out(host: LauncherHost) -> None:
    """No bridge is made for it: that came with the first VNIC."""
    made = await host.vnic("red", "172.16.5.5")
    known = host.services.cache.network(await host.handoff("n1", bridge=made.group.bridge))
    assert known is not None
    assert (known.options.mode, known.tenant, known.bridge) == (Mode.HANDOFF, "red", made.group.bridge)
    assert {fact.name for fact in host.facts if isinstance(fact, Bridge)} == {made.group.bridge}


async def test_a_network_may_be_there_before_its_vnics(host: LauncherHost) -> None:
    """By its mode, of the tenant that it names, or of nobody."""
    for tenant in ("", "red"):
        known = host.services.cache.network(await host.handoff(f"n{tenant}", tenant=tenant, mode="handoff"))
        assert known is not None
        made = await host.vnic(tenant, "172.16.5.5")
        assert host.services.vnics.index.network(made.group) == known
        assert known.bridge == made.group.bridge


async def test_a_network_of_somebody_else_is_not_made_of_an_announcement(host: LauncherHost) -> None:
    """The subnet is equal by chance; nothing is left."""
    await host.vnic("red", "172.16.5.5")
    with pytest.raises(BadRequest, match="announced for VNICs of tenant red, and this network is for none"):
        await host.handoff("n1")
    assert host.services.cache.network("n1".ljust(64, "0")) is None


@pytest.mark.parametrize(
    ("raw", "fault", "words"),
    [
        ({"bridge": "mb-0123456789ab"}, NotFound, "no VNICs with bridge mb-0123456789ab; `mooring vnic create`"),
        ({"bridge": "BRIDGE", "mooring.tenant": "blue"}, BadRequest, "of tenant red, not of tenant blue"),
        ({"bridge": "mr-one", "mode": "handoff"}, BadRequest, "bridge=mr-one is no bridge of VNICs"),
        ({"bridge": "BRIDGE", "mode": "bridge"}, BadRequest, "is for mode handoff only"),
        ({"mode": "handoff", "mtu": "1400"}, BadRequest, "mtu has no effect in mode handoff"),
    ],
)
async def test_what_contradicts_itself_is_refused(
    host: LauncherHost, raw: dict[str, str], fault: type[Exception], words: str
) -> None:
    """By its name."""
    bridge = (await host.vnic("red", "172.16.5.5")).group.bridge
    with pytest.raises(fault, match=words):
        await host.handoff("n1", **{key: bridge if text == "BRIDGE" else text for key, text in raw.items()})


async def test_a_bridge_is_for_its_own_subnet_and_a_group_has_one_network(host: LauncherHost) -> None:
    """One more is refused, and names the first."""
    made = await host.vnic("red", "172.16.5.5")
    with pytest.raises(BadRequest, match=f"bridge {made.group.bridge} is of another subnet than 10.9.0.0/24"):
        await host.handoff("n1", subnet="10.9.0.0/24", tenant="red", bridge=made.group.bridge)
    await host.handoff("n2", bridge=made.group.bridge)
    with pytest.raises(Conflict, match=f"overlaps {V4}"):
        await host.handoff("n3", tenant="red", mode="handoff")
    assert host.services.vnics.index.network(Group("red", made.subnet)) is not None


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_network_whose_vnic_a_container_has_is_never_taken(host: LauncherHost, adopted: bool) -> None:
    """Although no engine lists it: neither with an endpoint on record nor, where the kernel shows it, without; it goes
    when the container has."""
    if adopted:
        host.kernel.links["tap0"] = HostLink("tap0", "tun", "02:00:00:00:00:33", 1500, False, False)
    vnic = await host.vnic("red", "172.16.5.5", adopt="tap0" if adopted else "")
    network = await host.handoff("n", bridge=vnic.group.bridge)
    host.engine.networks.add(network)
    await host.run(network, "c1", "172.16.5.5", vnic.mac)
    if not adopted:
        host.kernel.inside[vnic.host_end] = Inside(vnic.mac, ())
    await host.services.repair.once()
    host.engine.networks.clear()
    await host.services.repair.once()
    for _ in range(3):
        host.clock.advance(MINIMUM_AGE + 1)
        report = await host.services.repair.once()
        assert any("stays because a container has VNIC" in each for each in report.findings)
        if not adopted and host.services.cache.count(Endpoint):  # a missing record is no proof
            await host.services.cache.commit(delete=list(host.services.cache.every(Endpoint)))
    if adopted:
        await host.end(network, "c1")
    else:
        del host.kernel.inside[vnic.host_end]
    for _ in range(2):
        host.clock.advance(MINIMUM_AGE + 1)
        await host.services.repair.once()
    assert host.services.cache.network(network) is None
    assert host.services.cache.count(Vnic) == 1


async def test_the_same_network_again_is_fine(host: LauncherHost) -> None:
    """As dockerd asks when an answer was lost, and after its VNICs have ended."""
    made = await host.vnic("red", "172.16.5.5")
    ident = await host.handoff("n1", bridge=made.group.bridge)
    known = host.services.cache.network(ident)
    assert known is not None
    await host.services.vnics.destroy(made)
    await host.restart()
    assert host.services.cache.network(ident) == known
