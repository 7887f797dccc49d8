"""`mooring tenant ls|inspect`."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.networks import HostAccess, Network, NetworkOptions, Segment
from tests.cli.daemons import ServedHost
from tests.services.samples import START

SEGMENT = Segment(ip_network("10.77.0.0/24"), ip_interface("10.77.0.1/24"), "red", "p")
RED = Network("d1" + "0" * 62, NetworkOptions(), False, (SEGMENT,), (), START, domain=3)
BEFORE = replace(RED, id="d2" + "0" * 62, ipv4=(), options=NetworkOptions(tenant="red"), domain=0)


async def test_tenants_are_listed(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is separate in part says so."""
    await daemon.host.cache.commit(put=[RED])
    assert await daemon.run("tenant", "ls", "--filter", "name=red") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["TENANT", "NETWORKS", "ENDPOINTS", "SEPARATE", "SUBNETS"]
    assert row.split() == ["red", "1", "0", "yes", "10.77.0.0/24"]
    await daemon.host.cache.commit(put=[BEFORE])
    assert await daemon.run("tenant", "ls", "--filter", "separate=true", "-o", "wide") == 0
    assert "1 of 2" in capsys.readouterr().out
    assert await daemon.run("network", "ls", "--filter", "tenant=red", "-q") == 0
    assert len(capsys.readouterr().out.split()) == 2


async def test_a_tenant_is_shown(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """With what is needed to go in."""
    await daemon.host.cache.commit(put=[RED])
    assert await daemon.run("tenant", "inspect", "red") == 0
    out = capsys.readouterr().out
    assert "mt-3" in out
    assert "/tenants/3" in out
    assert "d1000000" in out
    assert await daemon.run("tenant", "inspect", "red", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["link"] == "mt-3"
    open_to_host = NetworkOptions(host_access=HostAccess.ADDRESSES)
    await daemon.host.cache.commit(put=[replace(RED, id="d3" + "0" * 62, options=open_to_host)])
    assert await daemon.run("tenant", "inspect", "red") == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("d")]
    assert [row[:2] for row in rows if "published ports" in row] == ["d1"]
    assert [row[:2] for row in rows if "containers at their addresses" in row] == ["d3"]
    assert await daemon.run("network", "inspect", "d3") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Tenant: red" in shown
    assert "Host reaches: containers at their addresses" in shown
    assert await daemon.run("tenant", "inspect", "green") == 3
    assert "no tenant 'green'" in capsys.readouterr().err
