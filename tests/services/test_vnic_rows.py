"""VNICs as a launcher and an operator see them."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.filters import VnicFilter
from mooring.services.operations.vnic_rows import VnicRows
from tests.services.vnic_hosts import ROUTE, LauncherHost


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


def rows_of(host: LauncherHost) -> VnicRows:
    """The rows."""
    return VnicRows(host.services.cache, host.services.endpoint_index, host.services.vnics, "mooring")


async def test_the_network_of_a_vnic_goes_through_its_states(host: LauncherHost) -> None:
    """With the very command for the next step."""
    rows = rows_of(host)
    made = await host.vnic("red", "172.16.5.5", routes=(ROUTE,))
    bridge = made.group.bridge
    detail = rows.detail(made)
    assert (detail.network.state, detail.network.name, detail.network.command) == (
        "create",
        bridge,
        "docker network create -d mooring --ipam-driver mooring --ipam-opt tenant=red --subnet 172.16.5.0/24 "
        f"--gateway 172.16.5.1 -o mode=handoff -o bridge={bridge} {bridge}",
    )
    assert detail.run == f"--network {bridge} --ip 172.16.5.5 --mac-address {made.mac}"
    network = await host.handoff("n1", bridge=bridge)
    assert rows.network(made.group).state == "there"
    await host.run(network, "e1", "172.16.5.5", made.mac)
    row = rows.row(made)
    assert (row.container.startswith("endpoint e1"), row.network, row.routes) == (
        True, network, ["10.0.0.0/8 via 172.16.5.9"],
    )  # fmt: skip
    await host.services.vnics.destroy(made)
    assert rows.network(made.group).command == f"docker network rm {network[:12]}"
    await host.services.networks.delete(network)
    assert rows.network(made.group).state == "none"


async def test_a_command_says_when_there_is_no_gateway_or_tenant(host: LauncherHost) -> None:
    """Docker would choose one."""
    made = await host.vnic("", "172.16.5.5", gateway="")
    command = rows_of(host).network(made.group).command
    assert "--ipam-opt gateway=none" in command
    assert "tenant" not in command


async def test_vnics_are_listed_filtered_and_found(host: LauncherHost) -> None:
    """By id, address, or interface; what names several is refused with all of them."""
    rows = rows_of(host)
    red = await host.vnic("red", "172.16.5.5", instance="i-1")
    await host.handoff("n1", bridge=red.group.bridge)
    blue = await host.vnic("blue", "172.16.5.5")
    assert [row.tenant for row in (await rows.page(VnicFilter())).rows] == ["blue", "red"]
    for query in (VnicFilter(tenant="red"), VnicFilter(instance="i-1"), VnicFilter(subnet="172.16.5.0/24", limit=9)):
        assert "red" in {row.tenant for row in (await rows.page(query)).rows}
    assert (await rows.page(VnicFilter(subnet="10.0.0.0/8"))).rows == []
    for reference in (red.id, red.link, red.host_end):
        assert rows.find(reference) == red
    assert rows.find("172.16.5.5", "blue") == blue
    with pytest.raises(Conflict, match=f"{red.id} .red"):
        rows.find("172.16.5.5")
    with pytest.raises(NotFound, match="there is no VNIC 'x'"):
        rows.find("x")
    with pytest.raises(BadRequest, match="must not be empty"):
        rows.find(" ")
