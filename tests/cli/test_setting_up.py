"""`mooring setup`: what it says. What it does is tested in tests/test_installing.py and tests/e2e/test_setup.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mooring import config, installing
from mooring.cli import everybody, setting_up
from mooring.cli.root import run
from mooring.core.faults import EXIT_CODE, Kind, Unavailable
from mooring.installing import Made, Step, Target


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was carried out; this machine has no users, and its files do not count."""
    done: list[str] = []

    def steps(
        target: Target, made: Made, files: Mapping[Path, bytes], completions: Mapping[str, bytes]
    ) -> Iterator[Step]:
        yield Step("one", "made", lambda: done.append("one"))
        yield Step("two", "", was="there already")

    monkeypatch.setattr(installing, "steps", steps)
    monkeypatch.setattr(installing, "serving", lambda: "no nft")
    monkeypatch.setattr(everybody, "people", lambda: iter(()))
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "mooring.toml")
    monkeypatch.setattr(Made, "read", classmethod(lambda cls, state: Made(tmp_path / "setup.json")))
    return done


def test_a_dry_run_says_each_step_and_takes_none(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line each."""
    assert run(["setup", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == ["one: would be made", "two: there already"]
    assert done == []
    assert run(["setup", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0] == {"what": "one", "outcome": "would be made"}


def test_a_daemon_that_does_not_serve_is_an_error(done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Everything was done, and the last line says what is wrong."""
    assert run(["setup"]) == EXIT_CODE[Kind.UNAVAILABLE]
    said = capsys.readouterr()
    assert said.out.splitlines() == ["one: made", "two: there already"]
    assert "no nft" in said.err
    assert done == ["one"]


def test_a_wrong_configuration_is_told_before_anything_is_done(
    done: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With each problem of it."""
    (tmp_path / "mooring.toml").write_text("coldown = 5\n")
    assert run(["setup"]) != 0
    assert "coldown" in capsys.readouterr().err
    assert done == []


def test_the_program_is_this_one() -> None:
    """Or the one that the units name, where that is the same."""
    try:
        assert setting_up._this_program().name == "mooring"
    except Unavailable:
        pytest.skip("the command is not installed")
