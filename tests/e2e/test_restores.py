"""A restored backup and a lost store on a real engine: what runs stays on the net, and its addresses are its own."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import DUAL
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
