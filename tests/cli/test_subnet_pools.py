"""`mooring subnet-pool create|ls|inspect|set|rm`."""

from __future__ import annotations

import json

import pytest

from mooring.core.pools import Pool
from tests.cli.daemons import ServedHost

CREATE = ("subnet-pool", "create", "lab", "--prefix", "10.64.0.0/22")


async def test_subnet_pools_are_listed_in_columns(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """How full, what is left, and where each is from; what is odd below."""
    assert await daemon.run(*CREATE, "--length", "26", "--note", "CI") == 0
    await daemon.host.cache.commit(
        put=[Pool(id="old", space="default", subnet=daemon.host.cache.pool("p4").subnet, source="gone")]  # type: ignore[union-attr]
    )
    capsys.readouterr()
    assert await daemon.run("subnet-pool", "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "NAME", "PREFIXES", "LENGTH", "DEFAULT", "CARVED", "LEFT", "LARGEST", "NETWORKS", "ORIGIN",
    ]  # fmt: skip
    assert lines[1].split() == [
        "default-v4", "10.32.0.0/12", "/24", "1", "0.1", "%", "4095", "of", "/24", "10.40.0.0/13", "1", "configuration",
    ]  # fmt: skip
    assert lines[2].split()[:4] == ["gone", "-", "/24", "-"]
    assert lines[3].split() == [
        "lab", "10.64.0.0/22", "/26", "-", "0", "%", "16", "of", "/26", "10.64.0.0/22", "0", "stored",
    ]  # fmt: skip
    assert lines[4].startswith("gone: networks have subnets of it")
    assert await daemon.run("subnet-pool", "ls", "-q", "--filter", "default=true") == 0
    assert capsys.readouterr().out.split() == ["default-v4"]
    assert await daemon.run("subnet-pool", "ls", "-o", "wide", "--filter", "name=la") == 0
    assert "/22 to /30" in capsys.readouterr().out
    assert await daemon.run("subnet-pool", "ls", "--format", "{{.Name}} {{.Percent}}") == 0
    assert capsys.readouterr().out.splitlines()[0] == "default-v4 0.1"


async def test_a_subnet_pool_is_shown_with_its_networks(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """What is left of each length, and who has what."""
    assert await daemon.run("subnet-pool", "inspect", "default-v4") == 0
    text = capsys.readouterr().out
    assert "Default:      1 (position 100)" in text
    assert "Left:         1 of /13, 3 of /14" in text
    assert "10.32.0.0/24   1f6b2c000000" in text
    assert await daemon.run("subnet-pool", "inspect", "default-v4", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["users"][0]["subnet"] == "10.32.0.0/24"


async def test_a_change_is_shown_before_and_after(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """And what would be; what was so already is nothing to change."""
    assert await daemon.run(*CREATE, "--dry-run") == 0
    assert "nothing was changed (--dry-run)" in capsys.readouterr().out
    assert await daemon.run(*CREATE, "--default") == 0
    assert await daemon.run(*CREATE, "--default") == 0
    assert capsys.readouterr().out.endswith("nothing to change\n")
    assert await daemon.run("subnet-pool", "set", "lab", "--remove-prefix", "10.64.0.0/23", "--no-default") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["SUBNET", "POOL", "WHAT", "BEFORE", "AFTER"],
        ["lab", "prefixes", "10.64.0.0/22", "10.64.2.0/23"],
        ["lab", "default", "100", "-"],
    ]
    assert await daemon.run("subnet-pool", "set", "lab", "--note", "", "--position", "7", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["changes"][0]["after"] == "7"
    assert await daemon.run("subnet-pool", "set", "lab", "--name", "labs") == 0
    assert await daemon.run("subnet-pool", "rm", "labs") == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("create", "lab"), 2, "Missing option '--prefix'"),
        (("create", "lab", "--prefix", "10.64.0.9/22"), 2, "host bits"),
        (("create", "lab", "--prefix", "10.64.0.0/22", "--length", "0"), 2, "1<=x<=128"),
        (("create", "lab", "--prefix", "10.64.0.0/22", "--no-default", "--position", "5"), 2, "no meaning"),
        (("create", "default-v4", "--prefix", "10.64.0.0/22"), 4, "has the same name"),
        (("set", "lab"), 2, "nothing to set"),
        (("set", "lab", "--note", "x"), 3, "there is no subnet pool 'lab'; there are default-v4"),
        (("set", "default-v4", "--note", "x"), 1, "is declared in the configuration"),
        (("inspect", "lab"), 3, "there is no subnet pool 'lab'"),
        (("inspect", " "), 2, "must not be empty"),
        (("rm", "default-v4"), 1, "is declared in the configuration"),
        (("ls", "--filter", "colour=red"), 2, "KEY is one of default, family, name, origin, space"),
    ],
)
async def test_what_cannot_be_has_its_exit_code(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, text: str
) -> None:
    """One line each."""
    assert await daemon.run("subnet-pool", *words) == code
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1
