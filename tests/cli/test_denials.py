"""`mooring deny add|ls|rm`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost


async def test_a_subnet_is_denied_listed_and_allowed(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is in it is named; the same again changes nothing."""
    assert await daemon.run("deny", "add", "10.32.0.0/16", "--note", "the VPN") == 0
    denied, staying = capsys.readouterr().out.splitlines()
    assert denied == "10.32.0.0/16 is denied"
    assert staying.startswith("in it, and staying: ")
    assert await daemon.run("deny", "add", "10.32.0.0/16", "--note", "the VPN") == 0
    assert capsys.readouterr().out == "10.32.0.0/16 is denied already\n"
    assert await daemon.run("deny", "ls", "--filter", "origin=stored") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SUBNET", "ORIGIN", "NOTE", "NETWORKS"]
    assert lines[1].split()[:4] == ["10.32.0.0/16", "stored", "the", "VPN"]
    assert await daemon.run("deny", "ls", "-q") == 0
    assert "10.32.0.0/16" in capsys.readouterr().out.split()
    assert await daemon.run("deny", "rm", "10.32.0.0/16", "--dry-run") == 0
    assert capsys.readouterr().out == "10.32.0.0/16 would be no longer denied\n"
    assert await daemon.run("deny", "rm", "10.32.0.0/16", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["entry"]["subnet"] == "10.32.0.0/16"
    assert await daemon.run("deny", "ls", "--filter", "origin=stored", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("rm", "10.8.0.0/16"), 3, "no deny entry 10.8.0.0/16"),
        (("add", "10.8.0.1/16"), 2, "has host bits set"),
        (("add", "vpn"), 2, "is not a subnet"),
        (("add", "10.8.0.0/16", "--note", "a\nb"), 2, "a note is one line"),
        (("add", "192.168.0.0/16"), 4, "denied already by the configuration"),
        (("rm", "192.168.0.0/16"), 4, "remove it from `deny` in the configuration and restart the daemon"),
    ],
)
async def test_what_cannot_be_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """With its exit code, and nothing changed."""
    assert await daemon.run("deny", *arguments) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
