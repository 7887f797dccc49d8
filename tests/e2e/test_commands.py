"""The mooring command against a daemon that serves a real engine."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE

DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")


def test_leases_are_listed_as_a_table_and_as_json(host: Host) -> None:
    """`mooring lease ls` shows gateway and container addresses; --format json gives the same rows as fields."""
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "--ip", "10.77.0.9")
    table = host.mooring("lease", "ls").output
    rows = host.daemon.document("lease", "ls")
    assert {row["address"] for row in rows if row["state"] == "gateway"} == {"10.77.0.1", "fd77:1::1"}
    assert all(str(row["address"]) in table for row in rows)
    assert [row["address"] for row in host.daemon.document("lease", "ls", "--state", "dynamic", "10.77.")] == [
        "10.77.0.9"
    ]
    assert host.daemon.document("lease", "inspect", "10.77.0.9")[0]["state"] == "dynamic"


def test_networks_are_listed_and_inspected(host: Host) -> None:
    """`mooring network ls` and `inspect` show subnets, endpoints and published ports under Docker's network id."""
    network = host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    assert network[:12] in host.mooring("network", "ls").output
    detail = host.daemon.document("network", "inspect", network[:12])
    assert [segment["subnet"] for segment in detail["segments"]] == ["10.77.0.0/24", "fd77:1::/64"]
    assert "8080" in str(detail["endpoints"][0]["published"])
    assert "10.77.0.0/24" in host.mooring("network", "inspect", network).output


def test_any_address_is_explained(host: Host) -> None:
    """`mooring explain` says who holds an address, that one is free, and that one is of no network."""
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "--ip", "10.77.0.9")
    assert "10.77.0.9" in host.mooring("explain", "10.77.0.9").output
    verdicts = {
        address: host.daemon.document("explain", address)["reasons"][0]["verdict"]
        for address in ("10.77.0.9", "10.77.0.10", "10.77.0.0", "192.0.2.1")
    }
    assert verdicts == {"10.77.0.9": "held", "10.77.0.10": "free", "10.77.0.0": "never", "192.0.2.1": "elsewhere"}


def test_status_counts_what_there_is(host: Host) -> None:
    """`mooring status` ends with 0 and counts networks and attached endpoints."""
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one")
    status = host.daemon.document("status")
    assert (status["networks"], status["endpoints"], status["attached"]) == (1, 1, 1)
    assert host.mooring("status").ok
    assert status["version"] in host.mooring("version").output


def test_a_backup_is_made_while_the_daemon_serves(host: Host) -> None:
    """`mooring backup` writes a file that was not there, refuses one that is, and disturbs nobody."""
    host.create_network("one", *DUAL)
    target = Path(host.folder) / "copy.db"
    assert host.mooring("backup", str(target)).ok
    assert target.stat().st_size > 0
    again = host.mooring("backup", str(target), check=False)
    assert again.status == 4
    assert host.docker("run", "--rm", "--network", "one", IMAGE, "true").ok
    target.unlink()
