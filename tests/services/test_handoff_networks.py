"""Networks for VNICs: by their bridge or their mode, and nobody else's by mistake."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.networks import Mode
from mooring.core.plumbing import Bridge
from mooring.core.vnics import Group
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


async def test_the_same_network_again_is_fine(host: LauncherHost) -> None:
    """As dockerd asks when an answer was lost, and after its VNICs have ended."""
    made = await host.vnic("red", "172.16.5.5")
    ident = await host.handoff("n1", bridge=made.group.bridge)
    known = host.services.cache.network(ident)
    assert known is not None
    await host.services.vnics.destroy(made)
    await host.restart()
    assert host.services.cache.network(ident) == known
