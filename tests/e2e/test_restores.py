"""A restored backup and a lost store on a real engine: what runs stays on the net, and its addresses are its own."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import DUAL, FIXED, fixed
from tests.e2e.lab.fixed import run as run_fixed
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import Server, ask_tcp, pings

QUICK = {"MOORING_REPAIR_PERIOD": "1", "MOORING_RECLAIM_AFTER": "5"}


def state(host: Host) -> Path:
    """The store's file."""
    return host.folder / "state/mooring.db"


def passes(host: Host, count: int = 3) -> None:
    """So many repair passes have ended since now."""
    for _ in range(count):
        seen = host.daemon.api("/v1/status")["repair"]

        def another(before: object = seen) -> bool:
            return bool(host.daemon.api("/v1/status")["repair"] != before)

        eventually(another, "a pass has ended")


def put_in_place(host: Host, backup: Path | None) -> None:
    """What docs/operations.md says of a restore; None: the store is lost."""
    host.daemon.stop()
    for each in state(host).parent.glob("mooring.db*"):
        if not each.name.endswith(".lock"):
            each.unlink()
    if backup is not None:
        backup.rename(state(host))
    host.daemon.start()


def test_what_a_restored_backup_does_not_know_stays_on_the_net(make_host: MakeHost) -> None:
    """A container, its published port and its addresses are younger than the backup: traffic flows on, nobody else
    gets the addresses, and afterwards it is a container like any other."""
    host = make_host(settings=QUICK)
    network = host.create_network("one", *DUAL)
    host.run_container("old", "--network", "one")
    backup = host.folder / "backup.db"
    host.mooring("backup", str(backup))
    host.run_container("young", "--network", "one", "-p", "8080:80")
    host.docker("rm", "-f", "old")
    host.run_container("third", "--network", "one", "--ip", "10.77.0.77")
    v4, v6 = host.addresses("young", "one")
    with Server(host.container_network("young"), "young", 80):
        put_in_place(host, backup)
        host.run_container("next", "--network", "one")
        assert host.addresses("next", "one")[0] not in (v4, "10.77.0.77")
        passes(host, 8)
        assert pings(host.network, v4)
        assert pings(host.network, v6)
        assert pings(host.network, "10.77.0.77")
        assert ask_tcp(host.network, "127.0.0.1", 8080).server == "young"
    eventually(lambda: len(host.daemon.held(network)) == 6, "leases are those of what runs")
    assert host.daemon.api("/v1/status")["repair"]["findings"] == []
    host.docker("restart", "-t", "0", "young")
    assert pings(host.network, host.addresses("young", "one")[0])
    host.docker("rm", "-f", "young", "third", "next")
    assert host.daemon.held(network) == []
    host.docker("network", "rm", "one")
    assert host.daemon.api("/v1/pools") == []


def test_a_lost_store_is_rebuilt_from_engine_and_kernel(make_host: MakeHost) -> None:
    """Networks of every kind, endpoints, addresses, fixed ones by their labels, and published ports are known again;
    traffic flows meanwhile; restart, rm and network rm work and release, and no address is given twice."""
    host = make_host(settings=QUICK)
    one = host.create_network("one", *DUAL, "-o", "mtu=1400", "--aux-address", "printer=10.77.0.9")
    two = host.create_network("two", "--internal", "--ipam-opt", "tenant=blue", "-o", "sticky=container")
    host.run_container("plain", "--network", "one", "-p", "8080:80")
    run_fixed(host, "db", *FIXED)
    run_fixed(host, "kept", network="two")
    host.proxy.docker("create", "--name", "stopped", "--network", "one", *FIXED, IMAGE, "stay")
    before = {
        (name, network): host.addresses(name, network)
        for name, network in (("plain", "one"), ("db", "one"), ("kept", "two"))
    }
    held, fixed_ones = host.daemon.held(), fixed(host)
    networks = {ident: host.daemon.document("network", "inspect", ident) for ident in (one, two)}
    with Server(host.container_network("plain"), "plain", 80):
        put_in_place(host, None)
        assert ask_tcp(host.network, "127.0.0.1", 8080).server == "plain"
        eventually(lambda: fixed(host) == fixed_ones, "fixed addresses are known again", 30)
        assert host.daemon.held() == held
        passes(host, 8)
        assert host.daemon.held() == held
        assert ask_tcp(host.network, "127.0.0.1", 8080).server == "plain"
        for v4, v6 in before.values():
            assert pings(host.network, v4)
            assert not v6 or pings(host.network, v6)
    assert host.daemon.api("/v1/status")["repair"]["findings"] == []
    for ident, was in networks.items():
        now = host.daemon.document("network", "inspect", ident)
        for key in ("mode", "bridge", "mac", "mtu", "internal", "options"):
            assert now[key] == was[key]
        for segment, old in zip(now["segments"], was["segments"], strict=True):
            assert {**segment, "pool": "", "source": ""} == {**old, "pool": "", "source": ""}
    host.run_container("next", "--network", "one")
    assert not set(host.addresses("next", "one")) & {each for pair in before.values() for each in pair}
    for name, network in (("db", "one"), ("kept", "two")):
        host.docker("restart", "-t", "0", name)
        assert host.addresses(name, network) == before[name, network]
    host.docker("restart", "-t", "0", "plain")
    host.docker("start", "stopped")
    assert set(host.addresses("stopped", "one")) <= set(fixed_ones)
    host.docker("rm", "-f", "plain", "db", "kept", "stopped", "next")
    eventually(lambda: host.daemon.held() == [], "every address is free")
    host.docker("network", "rm", "one", "two")
    assert host.daemon.api("/v1/pools") == []
    host.create_network("one", *DUAL)
    host.docker("network", "rm", "one")


def test_a_store_that_is_deleted_under_the_daemon_loses_nothing(make_host: MakeHost) -> None:
    """What is acknowledged afterwards survives kill -9, and `status` says what happened."""
    host = make_host(settings=QUICK)
    network = host.create_network("one", *DUAL)
    host.run_container("old", "--network", "one")
    for file in state(host).parent.glob("mooring.db*"):
        file.unlink()
    host.run_container("young", "--network", "one")
    held = host.daemon.held(network)
    host.daemon.kill9()
    assert state(host).exists()
    host.daemon.start()
    assert host.daemon.held(network) == held
    state(host).unlink()

    def told() -> bool:
        report = host.daemon.api("/v1/status")["repair"] or {"findings": []}
        return any("was deleted" in line for line in report["findings"])

    eventually(told, "a finding")
    assert state(host).exists()
    host.daemon.stop()
    host.daemon.start()  # who starts it anew has read that


def test_a_lost_store_comes_back_from_its_copy_with_what_only_records_tell(make_host: MakeHost) -> None:
    """What is reserved, and what a key kept without a container; what runs goes on, and what is younger comes in."""
    host = make_host(settings=QUICK)
    network = host.create_network("one", "--subnet", "10.77.0.0/24")
    host.proxy.docker("run", "-d", "--name", "db", "--network", "one", "--label", "mooring.key=db", IMAGE, "stay")
    address = host.addresses("db", "one")[0]
    host.proxy.docker("rm", "-f", "db")
    host.mooring("lease", "reserve", "10.77.0.77", "--for", "mail")
    host.mooring("backup", str(state(host).with_name("mooring.db.bak")))  # as mooring does itself every ten minutes
    host.run_container("young", "--network", "one")
    host.daemon.stop()
    state(host).unlink()
    host.daemon.start()
    assert [row["address"] for row in host.daemon.leases("reserved")] == ["10.77.0.77"]
    eventually(lambda: host.addresses("young", "one")[0] in host.daemon.held(network), "what is younger is taken in")
    host.proxy.docker("run", "-d", "--name", "db", "--network", "one", "--label", "mooring.key=db", IMAGE, "stay")
    assert host.addresses("db", "one")[0] == address
    host.docker("rm", "-f", "young", "db")
    host.mooring("lease", "release", address)
    host.mooring("lease", "release", "10.77.0.77")


def subnets(host: Host, network: str) -> list[str]:
    """Those that the network has on record; none while there is no record."""
    found = host.mooring("network", "inspect", network, "--format", "json", check=False)
    return [part["subnet"] for part in json.loads(found.output)["segments"]] if found.ok else []


def test_subnets_on_demand_are_where_containers_live_in_them(make_host: MakeHost) -> None:
    """After a backup from when another network had the subnet, and after a lost store: each network has what its bridge
    has, traffic flows, who comes next shares them, and in the end everything is given back."""
    host = make_host(settings=QUICK)
    on_demand = ("--ipam-driver", "null", "-o", "subnets=on-demand,idle=release", "-o", "ipv6=on")
    host.create_network("was", *on_demand)
    host.create_network("own", "--ipam-driver", "null")
    host.run_container("gone", "--network", "was")
    backup = host.folder / "backup.db"
    host.mooring("backup", str(backup))
    moved = subnets(host, "was")
    host.docker("rm", "-f", "gone")
    host.create_network("now", *on_demand)
    host.run_container("web", "--network", "now", "-p", "8080:80")
    host.run_container("old", "--network", "own")
    assert subnets(host, "now") == moved
    addresses = host.addresses("web", "now")
    with Server(host.container_network("web"), "web", 80):
        for number, store in enumerate((backup, None)):
            put_in_place(host, store)
            eventually(lambda: subnets(host, "now") == moved, "the subnets are where somebody lives in them", 30)
            assert ask_tcp(host.network, "127.0.0.1", 8080).server == "web"
            assert all(pings(host.network, address) for address in addresses)
            host.run_container(f"next{number}", "--network", "now")
            assert ip_address(host.addresses(f"next{number}", "now")[0]) in ip_network(moved[0])
            host.run_container(f"late{number}", "--network", "was")
            assert ip_address(host.addresses(f"late{number}", "was")[0]) not in ip_network(moved[0])
            passes(host, 4)
            assert host.daemon.api("/v1/status")["repair"]["findings"] == []
    assert pings(host.container_network("next1"), addresses[0])
    assert pings(host.network, host.addresses("old", "own")[0])
    host.docker("rm", "-f", "web", "old", "next0", "next1", "late0", "late1")
    assert subnets(host, "now") == subnets(host, "was") == []
    host.docker("network", "rm", "was", "now", "own")
    assert host.daemon.api("/v1/pools") == []
