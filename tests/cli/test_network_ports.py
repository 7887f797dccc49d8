"""`mooring port create|ls|inspect|set|rm`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost
from tests.services.samples import WEB


async def test_a_port_is_made_listed_shown_and_removed(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """What is told is a line; a list has headings, and the detail how to ask for it."""
    mac = "02:00:00:00:00:0d"
    made = "port", "create", "--network", WEB, "--name", "db", "--mac", mac, "--note", "the licence"
    assert await daemon.run(*made, "--dry-run") == 0
    assert capsys.readouterr().out.endswith("would be made\n")
    assert await daemon.run(*made) == 0
    assert capsys.readouterr().out.startswith("port db (10.")
    assert await daemon.run("port", "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["PORT", "ID", "NAME", "STATE", "NETWORK", "ADDRESSES", "MAC", "CONTAINER"]
    assert lines[1].split()[1:3] == ["db", "DOWN"]
    assert await daemon.run("port", "ls", "--filter", "state=active", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    for given in (f"mac={mac}", "name=d", f"network={WEB[:6]}", "note=lic", "tenant=default", "state=down"):
        assert await daemon.run("port", "ls", "-q", "--filter", given) == 0
        assert len(capsys.readouterr().out.split()) == 1, given
    assert await daemon.run("port", "inspect", "db", "--format", "{{.Options}}") == 0
    assert capsys.readouterr().out.endswith(f"--mac-address {mac}\n")
    assert await daemon.run("port", "inspect", "db") == 0
    shown = capsys.readouterr().out
    assert "the licence" in shown
    assert "Ask with" in shown
    assert await daemon.run("port", "set", "db", "--note", "") == 0
    assert await daemon.run("port", "rm", "db", "--format", "json") == 0
    capsys.readouterr()
    assert await daemon.run("port", "rm", "db") == 3
    assert capsys.readouterr().err == "mooring: there is no port 'db'; `mooring port ls` lists them\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("create",), 2, "Missing option '--network'"),
        (("create", "--network", "nope"), 3, "Mooring has no network"),
        (("create", "--network", WEB, "--address", "x"), 2, "is not an IP address"),
        (("create", "--network", WEB, "--mac", "ff:ff:ff:ff:ff:ff"), 2, "is not the address of one interface"),
        (("create", "--network", WEB, "--address", "10.32.0.1"), 4, "it is gateway"),
        (("inspect", ""), 2, "must not be empty"),
        (("set", "db"), 2, "Missing option '--note'"),
    ],
)
async def test_what_cannot_be_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """With its exit code."""
    assert await daemon.run("port", *arguments) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
