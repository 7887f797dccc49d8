"""`mooring attach` and `mooring detach`, `mooring expose` and `mooring hide`."""

from __future__ import annotations

import json

import pytest

from mooring.core.containers import ContainerEndpoint
from tests.cli.daemons import ServedHost
from tests.services.samples import WEB


async def test_a_container_is_attached_and_detached(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Its addresses are printed alone, for a script; that nothing changed is said on stderr."""
    place = ContainerEndpoint(WEB, "web")
    daemon.host.engine.create("d" * 64, "db", place)
    daemon.host.engine.start("d" * 64, WEB, "e9" * 32, "10.32.0.77")
    assert await daemon.run("attach", "db", "1f6b2c") == 0
    assert capsys.readouterr() == ("10.32.0.77\n", "mooring: attached already\n")
    assert await daemon.run("detach", "db", "1f6b2c", "--dry-run") == 0
    assert capsys.readouterr() == ("10.32.0.77\n", "mooring: not done, only tried\n")
    assert await daemon.run("detach", "db", "1f6b2c") == 0
    assert capsys.readouterr() == ("10.32.0.77\n", "")
    assert await daemon.run("detach", "db", "1f6b2c") == 0
    assert capsys.readouterr() == ("", "mooring: not attached\n")
    assert await daemon.run("attach", "db", "1f6b2c", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    daemon.host.engine.create("e" * 64, "stopped")
    assert await daemon.run("attach", "stopped", "1f6b2c") == 0
    assert "gets one when it starts" in capsys.readouterr().err


async def test_the_host_is_exposed_and_hidden(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """What it has is printed; that nothing changed is said on stderr."""
    await daemon.host.services.repair.once()  # the bridge is there
    assert await daemon.run("expose", "1f6b2c", "10.32.0.99") == 0
    assert "10.32.0.99/24" in capsys.readouterr().out.split()
    assert await daemon.run("expose", "1f6b2c", "10.32.0.99") == 0
    assert capsys.readouterr().err == "mooring: exposed already\n"
    assert await daemon.run("hide", "1f6b2c", "--format", "json") == 0
    assert "10.32.0.99/24" not in json.loads(capsys.readouterr().out)["addresses"]
    assert await daemon.run("hide", "1f6b2c") == 0
    assert capsys.readouterr().err == "mooring: not exposed\n"
    assert await daemon.run("expose", "1f6b2c", "10.32.0.2") == 4


async def test_a_refusal_is_one_line(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of its kind."""
    daemon.host.engine.create("d" * 64, "db")
    for words, code in ((("nobody", "1f6b2c"), 3), (("db", "1f6b2c", "10.32.0.2"), 4), (("db", "1f6b2c", "x"), 2)):
        assert await daemon.run("attach", *words) == code
        assert capsys.readouterr().err.count("\n") == 1
