"""`mooring cluster`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.cli.clusters import _print
from mooring.core.cluster_tokens import read_token
from mooring.core.cluster_views import ClusterView
from mooring.core.leases import Lease, State
from tests.cli.daemons import ServedHost
from tests.services.samples import ALIEN, ETCD, WEB


async def test_a_cluster_is_made_joined_shown_and_left(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each check is a line, and at the end there is one line to paste on the next host."""
    assert await daemon.run("cluster", "status") == 0
    assert capsys.readouterr().out == "This host is in no cluster.\n"
    key = tmp_path / "key"
    key.write_text("PEM")
    init = ("cluster", "init", "--endpoint", ETCD, "--key", str(key), "--name", "web1")
    assert await daemon.run(*init, "--dry-run") == 0
    assert "web1 would be in a new cluster\n" in capsys.readouterr().out
    assert await daemon.run(*init) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["identity: web1, a host that the cluster does not know", "underlay: 192.0.2.1 on eth0"]
    assert lines[-3].startswith("web1 is in cluster ")
    command, _, token = lines[-1].rpartition(" ")
    assert command == "On each further host: mooring cluster join"
    assert await daemon.run("cluster", "token") == 0
    assert capsys.readouterr().out == f"{token}\n"
    assert await daemon.run("cluster", "token", "--endpoint", "http://10.0.0.9:2379") == 0
    other = read_token(capsys.readouterr().out.strip())
    assert other == replace(read_token(token), endpoints=("http://10.0.0.9:2379",))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    assert await daemon.run("cluster", "join", "-") == 0
    assert "as before" in capsys.readouterr().out
    assert await daemon.run("cluster", "status") == 0
    shown = capsys.readouterr().out
    assert "web1 (" in shown
    assert "0 of 1 heard" in shown
    assert await daemon.run("cluster", "hosts", "ls", "--filter", "heard=no") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "NAME", "ADDRESS", "HEARD", "DRAINED", "VERSION"]
    assert row.split()[1:6] == ["web1", "*", "192.0.2.1", "no", "no"]
    assert await daemon.run("cluster", "hosts", "inspect", "web1") == 0
    assert "192.0.2.1 on eth0, MTU 1500" in capsys.readouterr().out
    assert await daemon.run("cluster", "leave", "--dry-run") == 0
    assert "web1 would leave" in capsys.readouterr().out
    assert await daemon.run("cluster", "leave", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "web1"


async def test_a_host_is_drained_and_takes_part_again(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """It is seen in the list; --dry-run does nothing."""
    assert await daemon.run("cluster", "init", "--endpoint", ETCD, "--name", "web1") == 0
    capsys.readouterr()
    assert await daemon.run("cluster", "hosts", "drain", "web1", "--dry-run") == 0
    assert capsys.readouterr().out.endswith("would be drained\n")
    assert await daemon.run("cluster", "hosts", "ls", "--filter", "drained=yes", "-q") == 0
    assert capsys.readouterr().out == ""
    assert await daemon.run("cluster", "hosts", "drain", "web1") == 0
    assert capsys.readouterr().out.endswith("is drained\n")
    assert await daemon.run("cluster", "hosts", "ls", "--filter", "drained=yes", "-q") == 0
    assert capsys.readouterr().out != ""
    assert await daemon.run("cluster", "hosts", "drain", "web1", "--off") == 0
    assert capsys.readouterr().out.endswith("is drained no more\n")


async def test_a_network_is_published(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """What is claimed is said, in the past only where it was done."""
    cache = daemon.host.cache
    assert await daemon.run("cluster", "init", "--endpoint", ETCD, "--name", "web1") == 0
    await cache.commit(delete=[each for each in cache.every(Lease) if each.state is State.RESERVED])
    capsys.readouterr()
    runtime = daemon.host.services.cluster_runtime
    await daemon.host.operations.cluster.attempt()
    await runtime.once()
    assert await daemon.run("cluster", "publish", WEB, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "4 addresses would be claimed",
        "other hosts in it: none yet",
        f"network {WEB[:12]} (10.32.0.0/24, fd00:32::/64) would be one of the cluster",
    ]
    assert await daemon.run("cluster", "publish", WEB) == 0
    assert capsys.readouterr().out.startswith("4 addresses are claimed\n")
    assert await daemon.run("cluster", "publish", WEB, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert await daemon.run("cluster", "publish", WEB) == 0
    assert "is one of the cluster already" in capsys.readouterr().out
    assert await daemon.run("cluster", "publish", ALIEN) == 2
    assert "subnets whose addresses Mooring gives" in capsys.readouterr().err


def test_the_status_says_what_waits_and_since_when(capsys: pytest.CaptureFixture[str]) -> None:
    """And that the host is drained."""
    _print(
        ClusterView(
            "c1", "h1", "web1", unreached="no member answers", unreached_for=61.2, drained=True,
            waiting=["2 addresses to release", "1 network to leave"],
        )
    )  # fmt: skip
    shown = capsys.readouterr().out
    for line in (
        "no member answers, for 61 s",
        "2 addresses to release",
        "1 network to leave",
        "takes no new addresses",
    ):
        assert line in shown


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("join", "x"), 2, "is no token"),
        (("init", "--endpoint", "https://gone:1"), 6, "cannot be reached"),
        (("token",), 3, "mooring cluster join"),
        (("leave",), 3, "in no cluster"),
        (("hosts", "ls"), 3, "in no cluster"),
        (("hosts", "forget", "web9"), 3, "in no cluster"),
        (("hosts", "drain", "web9"), 3, "in no cluster"),
        (("publish", "web"), 3, "in no cluster"),
        (("publish", ""), 2, "must not be empty"),
        (("hosts", "inspect", ""), 2, "must not be empty"),
    ],
)
async def test_what_cannot_be_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """With its exit code."""
    assert await daemon.run("cluster", *arguments) == code
    assert text in capsys.readouterr().err
