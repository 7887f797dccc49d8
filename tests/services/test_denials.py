"""An operator sees who is in a subnet that he denies; they stay."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.faults import Forbidden
from mooring.core.requests import NetworkRequest, SegmentRequest
from mooring.services.operations.denials import Denials
from mooring.services.operations.explain import explain_address
from mooring.services.operations.scenes import Scene
from tests.services.hosts import MemoryHost

SUBNET = ip_network("10.32.0.0/16")


async def test_a_network_in_a_denied_subnet_stays_and_is_named() -> None:
    """Allowed, because an entry only forbids the future; told, because somebody may have meant to move it."""
    host = await MemoryHost().start()
    await host.network("a")
    denials = Denials(host.services.cache, host.services.ipam.deny_list)
    row, changed = await denials.add(SUBNET, "for the VPN", dry=False)
    assert changed
    assert len(row.networks) == 1
    assert row.networks[0].endswith("(10.32.0.0/24)")
    assert denials.rows()[-1] == row
    assert row.origin == "stored"
    assert (await denials.remove(SUBNET, dry=False)).note == "for the VPN"
    assert row not in denials.rows()


@pytest.mark.parametrize("version", [4])
async def test_docker_s_own_ipam_driver_gets_no_denied_subnet_into_a_network_of_ours(version: int) -> None:
    """CreateNetwork with a subnet that no pool of ours has is looked at, too."""
    host = await MemoryHost().start()
    await Denials(host.services.cache, host.services.ipam.deny_list).add(ip_network("10.8.0.0/16"), "x", dry=False)
    segment = SegmentRequest("LocalDefault", ip_network("10.8.1.0/24"), ip_interface("10.8.1.1/24"), {})
    with pytest.raises(Forbidden, match=r"10\.8\.0\.0/16 is denied by `mooring deny`: x"):
        await host.services.networks.create(NetworkRequest("b" * 64, {}, False, (segment,), ()))
    assert version == 4


async def test_an_explanation_says_denied_with_the_note() -> None:
    """Of an address in no network; of one in a network it says so beside."""
    host = await MemoryHost().start()
    await host.network("a")
    denials = Denials(host.services.cache, host.services.ipam.deny_list)
    await denials.add(SUBNET, "for the VPN", dry=False)
    scene = Scene(host.services.cache, host.services.endpoint_index, host.clock.now())
    (outside,) = explain_address(ip_network("10.32.9.9").network_address, scene).reasons
    assert (outside.verdict, outside.subnet) == ("denied", "10.32.0.0/16")
    assert "denied by `mooring deny`: for the VPN" in outside.text[0]
    assert "`mooring deny rm 10.32.0.0/16`" in outside.text[1]
    (inside,) = explain_address(ip_network("10.32.0.9").network_address, scene).reasons
    assert inside.verdict == "free"
    assert "for the VPN" in inside.text[-1]
