"""`mooring network ls|inspect`."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from mooring.cli.networks import cluster_facts, mode_words
from mooring.client import NetworkDetail, NetworkMemberRow, NetworkPart
from tests.cli.daemons import ServedHost
from tests.services.samples import WEB


async def test_networks_are_listed_in_columns(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A header and a line each, aligned, as docker does it."""
    assert await daemon.run("network", "ls") == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header == "NETWORK ID     NAME   SUBNETS                      ENDPOINTS"
    assert first == "1f6b2c000000   -      10.32.0.0/24, fd00:32::/64   1"
    assert await daemon.run("network", "ls", "-o", "wide") == 0
    wide = capsys.readouterr().out.splitlines()
    assert wide[0].split()[-5:] == ["BRIDGE", "INTERNAL", "CREATED", "TENANT", "SCOPE"]
    assert wide[1].split()[5:7] == ["mr-1f6b2c000000", "no"]
    assert header.index("SUBNETS") == first.index("10.32.0.0/24") == second.index("172.30.0.0/24")


async def test_a_network_is_shown_with_its_endpoints(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Segments with usage, then the endpoints in columns."""
    assert await daemon.run("network", "inspect", "1f6b") == 0
    text = capsys.readouterr().out
    assert f"Network:   {WEB}" in text
    assert "Usage:      6 used, 1 cooling, of 254" in text
    assert "of 2^64" in text
    assert "0.0.0.0:8080->10.32.0.2:80/tcp" in text


async def test_a_network_without_bridge_or_pool_is_shown(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """Addresses of another IPAM driver are told so."""
    assert await daemon.run("network", "inspect", "aaaa") == 0
    assert "addresses come from another IPAM driver" in capsys.readouterr().out


async def test_networks_are_json_on_request(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """List and detail are the API's replies."""
    assert await daemon.run("network", "ls", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == WEB
    assert await daemon.run("network", "inspect", "1f6b", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["segments"][0]["subnet"] == "10.32.0.0/24"


async def test_an_unknown_network_is_exit_code_3(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, nothing on stdout."""
    assert await daemon.run("network", "inspect", "ffff") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mooring: Mooring has no network 'ffff'; `mooring network ls`")
    assert err.count("\n") == 1


def test_a_part_in_the_cluster_is_told_with_who_else_takes_part() -> None:
    """By name, or by id; and why that is not known."""
    members = [NetworkMemberRow("h1", "web1", "app"), NetworkMemberRow("h2", "", "")]
    part = NetworkPart("i1", 5000, ["10.30.0.9"], members, ingress=["0.0.0.0:80->10.30.0.5:80/tcp on web2"])
    assert cluster_facts(part) == [
        ("In the cluster", "i1"), ("This host", "10.30.0.9"), ("Hosts", "web1 (as app), h2"),
        ("Leads to", "0.0.0.0:80->10.30.0.5:80/tcp on web2"),
    ]  # fmt: skip
    away = NetworkPart("", 0, [], None, "no leader")
    assert cluster_facts(away) == [
        ("In the cluster", "not known yet"), ("This host", ""), ("Hosts", "unknown: no leader"),
    ]  # fmt: skip
    assert cluster_facts(None) == []


def test_an_overlay_says_that_it_is_one() -> None:
    """With its VNI, once that is known; a network that is none has its mode alone."""
    detail = NetworkDetail("n1", "vxlan", "mb-n1", "", 1450, False, 0.0, {}, [], [])
    assert mode_words(detail) == "vxlan"
    assert mode_words(structs.replace(detail, cluster=NetworkPart("i1", 5000, []))) == "vxlan, VNI 5000"
    assert mode_words(structs.replace(detail, mode="bridge", cluster=NetworkPart("i1", 0, []))) == "bridge"
