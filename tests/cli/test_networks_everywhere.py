"""`mooring network create|rm --everywhere`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost
from tests.services.samples import ETCD

CREATE = ("network", "create", "--everywhere", "app", "--subnet", "10.40.0.0/24", "-o", "mode=vxlan")


async def test_a_network_is_asked_for_and_hosts_are_followed(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host that is not heard is told of, and is no failure; one that refuses is."""
    assert await daemon.run(*CREATE) == 3
    assert await daemon.run("cluster", "init", "--endpoint", ETCD, "--name", "web1") == 0
    await daemon.host.services.cluster_runtime.once()
    capsys.readouterr()
    assert await daemon.run(*CREATE, "--dry-run") == 0
    assert capsys.readouterr().out == "web1: would make it when it is back, as it is not heard\n"
    assert await daemon.run(*CREATE, "--wait", "1") == 0
    assert capsys.readouterr().out == "web1: has not answered, and is not heard: it follows when it is back\n"
    await daemon.host.operations.cluster.attempt()
    assert await daemon.run(*CREATE, "--wait", "1") == 1
    keeping = daemon.host.services.keeping
    assert keeping is not None
    await keeping.networks_everywhere.once()
    assert await daemon.run("network", "ls", "--everywhere") == 0
    assert "web1 made" in capsys.readouterr().out
    assert await daemon.run("network", "rm", "--everywhere", "app", "--dry-run") == 0
    assert capsys.readouterr().out == "web1: would remove it\n"
    assert await daemon.run("network", "rm", "--everywhere", "app", "--dry-run", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["ending"] is True
    assert await daemon.run("network", "rm", "app") == 2
    assert await daemon.run(*CREATE, "--aux-address", "x") == 2


@pytest.mark.parametrize(
    "words",
    [
        ("network", "create", "--everywhere", "a\udcff", "--subnet", "10.40.0.0/24"),
        (*CREATE, "--label", "a\udcff"),
        ("network", "rm", "--everywhere", "a\udcff"),
        ("network", "inspect", "a\udcff"),
        ("cluster", "publish", "a\udcff"),
    ],
)
async def test_what_is_no_text_is_one_line(
    words: tuple[str, ...], daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell passes any bytes, and no request can say them."""
    assert await daemon.run(*words) == 2
    assert capsys.readouterr().err == "mooring: 'a\\udcff' is not text in UTF-8\n"
