"""What is told of ports, VNICs and DNS names."""

from __future__ import annotations

import pytest

from mooring.core.faults import NotFound
from mooring.services.records.engine_names import NOBODY_ASKED
from tests.services.operators import operate
from tests.services.port_hosts import WEB, host_with
from tests.services.samples import WEB as SAMPLE_WEB
from tests.services.samples import sample
from tests.services.test_remote_names import advertised
from tests.services.vnic_hosts import LauncherHost


async def test_a_port_is_explained_by_its_name_its_id_and_what_it_lost() -> None:
    """With its address it is that address; without it says what happened, and what to do."""
    host = await host_with()
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    port = await host.port()
    for what in ("db", port.id, port.id[:12]):
        (reason,) = (await host.operated.lookup.explain(what)).reasons
        assert reason.address == str(port.addresses[0])
    await host.network_goes()
    assert "removed network web" in (await host.operated.lookup.explain("db")).reasons[0].text[0]
    other = await host.network("other")
    await host.services.ipam.kept_networks.inherit(other, "web")
    for what in ("db", port.id[:12]):
        (reason,) = (await host.operated.lookup.explain(what)).reasons
        assert f"network web came back without {port.addresses[0]}" in reason.text[0]
        assert f"`mooring port rm {port.id[:12]}`" in reason.text[1]


async def test_a_vnic_is_explained_by_its_id_and_its_interface() -> None:
    """Of two with equal addresses the one that is meant, with its Docker network and without."""
    host = LauncherHost()
    await host.start()
    red = await host.vnic("red", "172.16.5.5")
    network = await host.handoff("n1", bridge=red.group.bridge)
    blue = await host.vnic("blue", "172.16.5.5")
    for vnic, there in ((red, network), (blue, "")):
        for what in (vnic.id, vnic.link, vnic.host_end):
            (reason,) = (await operate(host).lookup.explain(what)).reasons
            assert (reason.space, reason.address, reason.network) == (vnic.tenant, "172.16.5.5", there)
            assert f"VNIC {vnic.id}" in " ".join(reason.text)


async def test_a_dns_name_is_explained_as_who_has_it() -> None:
    """A container's by its addresses, an operator's record by what it says; with the zone or without, in any case."""
    operated = (await sample()).operations
    for what in ("db.1f6b2c000000.mooring", "DB.1f6b2c000000.mooring.", "db.1f6b2c000000"):
        found = await operated.lookup.explain(what)
        assert [each.address for each in found.reasons] == ["10.32.0.2", "fd00:32::2"]
    await operated.dns_rows.add("nas", ["192.0.2.9"], "", "Berlin", None, False, NOBODY_ASKED)
    await operated.dns_rows.add("tape", ["192.0.2.8"], SAMPLE_WEB, "", 4e9, False, NOBODY_ASKED)
    (reason,) = (await operated.lookup.explain("nas.mooring")).reasons
    assert "nas.mooring is a DNS record for everybody, of 192.0.2.9;" in reason.text[0]
    assert "Note: Berlin." in reason.text[0]
    assert "`mooring dns rm nas` ends it" in reason.text[1]
    (reason,) = (await operated.lookup.explain("tape.1f6b2c000000.mooring")).reasons
    assert "in network 1f6b2c000000" in reason.text[0]
    assert "It ends at" in reason.text[0]
    assert "`mooring dns rm tape --network 1f6b2c000000` ends it" in reason.text[1]
    with pytest.raises(NotFound, match="DNS name"):
        await operated.lookup.explain("nobody.mooring")


async def test_a_dns_name_of_another_host_is_explained_as_that_hosts() -> None:
    """With what to ask there; or that the host is not heard, and then nobody can."""
    host = await sample()
    assert host.services.keeping is not None
    remote = host.services.keeping.host_names.remote
    remote.begin("h0", "web0")
    remote.take_part("shared", SAMPLE_WEB)
    remote.note("ep/h1/shared/e1", advertised("h1", "e1", "far", "10.32.0.90"))
    for heard, words in (
        (True, "of host h1, with 10.32.0.90."),
        (False, "of host h1, which is not heard, with 10.32.0.90."),
    ):
        remote.note_silent(frozenset() if heard else frozenset({"h1"}))
        for what in ("far.1f6b2c000000.mooring", "far"):
            (reason,) = (await host.operations.lookup.explain(what)).reasons
            assert words in reason.text[0]
            assert reason.text[1:] == (["`mooring explain far` on host h1 says more."] if heard else [])
