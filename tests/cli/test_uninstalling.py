"""`mooring uninstall`: what it says. What it finds is tested in tests/test_removal.py, what it leaves in e2e."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring import config, removal
from mooring.cli.root import run
from mooring.removal import Place, Step


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was carried out; the files of this machine do not count."""
    done: list[str] = []

    def steps(place: Place, purge: bool) -> Iterator[Step]:
        yield Step(f"network of {place.drivers[0]}", lambda: done.append("network"))
        yield Step("rules", lambda: done.append("purge" if purge else "rules"))

    monkeypatch.setattr(removal, "steps", steps)
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.toml")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return done


def test_each_step_is_a_line(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The driver's name is that of the socket; what stays is said."""
    assert run(["uninstall"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "network of mooring: removed",
        "rules: removed",
        "kept: /var/lib/mooring and the configuration; `mooring uninstall --purge` removes them",
    ]
    assert done == ["network", "rules"]


def test_a_dry_run_changes_nothing(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be removed."""
    assert run(["uninstall", "--dry-run", "--purge"]) == 0
    assert capsys.readouterr().out.splitlines() == ["network of mooring: would be removed", "rules: would be removed"]
    assert done == []


def test_it_can_be_read_by_a_program(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One document at the end."""
    assert run(["uninstall", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["removed"] == ["network of mooring", "rules"]
    assert (said["kept"][0], said["dry_run"]) == ("/var/lib/mooring", False)


def test_a_wrong_configuration_is_no_obstacle(done: list[str], tmp_path: Path) -> None:
    """Where it does not say, Mooring is where it is by default."""
    (tmp_path / "absent.toml").write_text("cooldown = 'soon'\n")
    assert run(["uninstall", "--purge"]) == 0
    assert done == ["network", "purge"]
