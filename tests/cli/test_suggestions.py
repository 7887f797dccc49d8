"""Values that the shell completes."""

from __future__ import annotations

import asyncio

import click
import pytest
from click.shell_completion import ShellComplete

from mooring.cli.root import cli
from mooring.core.leases import State
from tests.cli.daemons import ServedHost
from tests.services.samples import ALIEN, WEB, leased


def completed(words: list[str], begun: str) -> list[str]:
    """What a shell is given for the last word."""
    return [item.value for item in ShellComplete(cli, {}, "mooring", "_X").get_completions(words, begun)]


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        (["explain"], "10.32.0.", [f"10.32.0.{number}" for number in (1, 2, 3, 4, 5, 6, 9)]),
        (["explain"], "d", ["db"]),
        (["explain"], "w", ["web"]),
        (["lease", "inspect"], "fd00:", ["fd00:32::1", "fd00:32::2"]),
        (["lease", "release"], "10.32.0.5", ["10.32.0.5"]),
        (["lease", "hold"], "10.32.0.5", ["10.32.0.5"]),
        (["lease", "reserve", "10.32.0.10", "--for"], "d", ["db"]),
        (["lease", "ls", "--network"], "", ["aaaaaa000000", "web"]),
        (["lease", "ls", "--network"], "1f", ["1f6b2c000000"]),
        (["lease", "ls", "--pool"], "10", ["10.32.0.0/24"]),
        (["lease", "ls", "--space"], "", ["default", "tenant"]),
        (["lease", "ls", "--filter"], "s", ["space=", "state="]),
        (["network", "inspect"], "we", ["web"]),
        (["pool", "inspect"], "p", ["p4", "p6"]),
        (["network", "ls", "--format"], "", ["json", "table"]),
    ],
)
async def test_values_are_those_that_there_are(
    daemon: ServedHost, words: list[str], begun: str, expected: list[str]
) -> None:
    """Addresses, networks, pools, containers, spaces, filters."""
    daemon.host.engine.networks |= {WEB, ALIEN}
    daemon.host.engine.names |= {WEB: "web"}
    line = ["--run-dir", str(daemon.directory), *words]
    assert sorted(set(await asyncio.to_thread(completed, line, begun))) == expected


async def test_a_container_that_is_gone_is_explained_and_not_attached(daemon: ServedHost) -> None:
    """Its address cools, or waits for its key; one that holds an address without using it is there."""
    gone = [
        leased("10.32.0.7", State.COOLING, name="old"),
        leased("10.32.0.8", State.FIXED, key="name:older", name="older"),
    ]
    await daemon.host.cache.commit(put=gone)
    line = ["--run-dir", str(daemon.directory)]
    for words in (["attach"], ["detach"], ["fix"]):
        assert await asyncio.to_thread(completed, [*line, *words], "") == ["cccccccccccc", "db"]
    assert await asyncio.to_thread(completed, [*line, "explain"], "o") == ["old", "older"]


@pytest.mark.parametrize("words", [["explain"], ["lease", "ls", "--network"], ["pool", "inspect"]])
def test_without_a_daemon_nothing_is_suggested(words: list[str]) -> None:
    """And nothing fails."""
    assert completed(["--run-dir", "/nonexistent", *words], "") == []
    assert isinstance(cli, click.Group)
