"""Several hosts that share an etcd, as an operator makes and sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.etcds import Etcds, Place, etcds


@pytest.fixture
def shared(lab: Lab, tmp_path: Path) -> Iterator[Etcds]:
    """Debian 13's etcd on the outside machine, with TLS and client certificates."""
    with etcds(tmp_path, "trixie", tls=True, place=Place(str(lab.outside.ipv4), lab.outside.namespace)) as made:
        yield made


def with_machine_id(host: Host, folder: Path) -> None:
    """The host has one of its own; those of the lab have the machine's, all of them."""
    (folder / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    host.daemon.stop()
    host.namespace.run("mount", "--bind", str(folder / "machine-id"), "/etc/machine-id")
    host.daemon.start()


def heard(host: Host) -> dict[str, bool]:
    """The hosts of the cluster as this one sees them."""
    rows: list[dict[str, Any]] = json.loads(host.mooring("cluster", "hosts", "ls", "--format", "json").output)
    return {row["name"]: row["heard"] for row in rows}


def test_hosts_join_by_one_token_and_go_on_without_the_store(
    host: Host, make_host: MakeHost, shared: Etcds, tmp_path: Path
) -> None:
    """One command each; a restarted daemon is the same host; while etcd is away containers start; then all is well."""
    first, second = host, make_host()
    with_machine_id(second, tmp_path)
    assert shared.authority is not None
    assert shared.client is not None
    files = ("--ca", shared.authority.cert, "--certificate", shared.client.cert, "--key", shared.client.key)
    init = ("cluster", "init", "--endpoint", shared.endpoints[0], *map(str, files), "--name", "one")
    said = first.mooring(*init).output
    assert f"underlay: 198.18.0.{first.number} on " in said
    assert "clock: as the servers'" in said
    token = re.findall(r"mooring cluster join (\S+)", said)[-1]
    tried = second.mooring("cluster", "join", token, "--name", "one", "--dry-run").output
    assert "is called one as well, and is heard" in tried
    second.mooring("cluster", "join", token, "--name", "two")
    eventually(lambda: heard(first) == {"one": True, "two": True}, "both are heard")
    kept = Path(second.daemon.environment["MOORING_STATE_DIR"]) / "cluster.json"
    assert kept.stat().st_mode & 0o777 == 0o600

    before = json.loads(second.mooring("cluster", "status", "--format", "json").output)
    second.daemon.kill9()
    second.daemon.start()
    shared.members[0].kill()
    second.create_network("alone")
    second.run_container("web", "--network", "alone")
    down = eventually(lambda: status(second)["unreached"], "the outage is told", 15)
    assert "cannot be reached" in down
    shared.members[0].start()
    eventually(
        lambda: not status(second)["unreached"] and heard(second) == {"one": True, "two": True}, "it is back", 30
    )
    assert status(second)["host"] == before["host"]

    assert "is heard" in first.mooring("cluster", "hosts", "forget", "two", check=False).output
    for each in (second, first):
        each.mooring("cluster", "leave")
    assert not kept.exists()
    assert status(first)["id"] == ""


def status(host: Host) -> dict[str, Any]:
    """`mooring cluster status`."""
    view: dict[str, Any] = json.loads(host.mooring("cluster", "status", "--format", "json").output)
    return view
