"""What a setup finds to do, does and undoes, in a root of the test's own. Under a real systemd: tests/e2e."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from mooring import installing
from mooring.core.faults import Conflict, Unavailable
from mooring.installing import CONFIGURATION, UNIT_FOLDER, Made, Target, undo_steps, unit_files

FILES = {CONFIGURATION: b"# ours\n"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemctl and groupadd were told; nothing is enabled or active."""
    said: list[str] = []

    def systemctl(*words: str, check: bool = True) -> bool:
        if words[0] not in ("is-enabled", "is-active"):
            said.append(" ".join(words))
        return False

    monkeypatch.setattr(installing, "systemctl", systemctl)
    monkeypatch.setattr(installing, "_is_masked", lambda _: False)
    monkeypatch.setattr(installing, "_has_group", lambda _: False)
    monkeypatch.setattr(installing, "_command", lambda *words: said.append(" ".join(words)))
    monkeypatch.setattr(installing, "check_host", lambda _: None)
    return said


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A host with a folder for manuals, and none for completions."""
    (tmp_path / "usr/share/man/man1").mkdir(parents=True)
    return Target(Path("/opt/mooring/bin/mooring"), tmp_path / "state", tmp_path / "run", root=tmp_path)


def set_up(target: Target) -> dict[str, str]:
    """What was said of each thing, by its path below the root."""
    found = {}
    for step in installing.steps(target, Made.read(target.state), FILES, {"bash": b"x"}):
        if step.outcome:
            step.carry_out()
        found[step.what.removeprefix(f"{target.root}/")] = step.outcome or step.was
    return found


def test_everything_is_written_once(target: Target, said: list[str]) -> None:
    """Units, drop-ins that name program and groups, configuration, manual; a second run writes nothing."""
    found = set_up(target)
    assert found["group mooring"] == "created"
    assert found[str(CONFIGURATION)] == "written"
    assert "usr/share/bash-completion/completions/mooring" not in found
    folder = target.root / UNIT_FOLDER
    assert "ExecStart=/opt/mooring/bin/mooring serve" in (folder / "mooring.service.d/setup.conf").read_text()
    assert (folder / "mooring-proxy.socket.d/setup.conf").read_text() == "[Socket]\nSocketGroup=docker\n"
    assert (folder / "mooring-api.socket.d/setup.conf").read_text() == "[Socket]\nSocketGroup=mooring\n"
    assert "groupadd --system mooring" in said
    again = set_up(target)
    assert {what for what, outcome in again.items() if outcome in ("written", "changed")} == set()


def test_what_is_somebodys_stays(target: Target, said: list[str]) -> None:
    """A configuration that is there, also when a setup wrote it first; a masked unit; units of a package."""
    folder = target.root / UNIT_FOLDER
    folder.mkdir(parents=True)
    (folder / "mooring-proxy.socket").symlink_to("/dev/null")
    packaged = target.root / "usr/lib/systemd/system"
    packaged.mkdir(parents=True)
    (packaged / "mooring.service").write_text("theirs")
    set_up(target)
    (target.root / CONFIGURATION).write_text("cooldown = 5\n")
    found = set_up(target)
    assert found[str(CONFIGURATION)] == "already exists, left unchanged"
    assert found["unit mooring-proxy.socket"] == "masked, left alone"
    assert found["unit mooring.service"] == "installed by a package"
    assert not (folder / "mooring.service").exists()


def test_a_newer_version_replaces_what_an_older_one_wrote(target: Target, said: list[str]) -> None:
    """An old unit is changed, and what runs is restarted by its name."""
    set_up(target)
    unit = target.root / UNIT_FOLDER / "mooring.socket"
    unit.write_text("old")
    assert set_up(target)[f"{UNIT_FOLDER}/mooring.socket"] == "changed"
    assert unit.read_bytes() == installing.shipped("systemd/mooring.socket")


def test_without_a_proxy_there_is_no_socket_for_it(target: Target, said: list[str]) -> None:
    """Nor its drop-in; one that an earlier setup made is removed."""
    set_up(target)
    unproxied = Target(target.program, target.state, target.run_dir, proxied=False, root=target.root)
    assert not [name for name in unit_files(unproxied) if "proxy" in name]
    assert set_up(unproxied)[f"{UNIT_FOLDER}/mooring-proxy.socket"] == "removed, since the proxy is off"
    assert not (target.root / UNIT_FOLDER / "mooring-proxy.socket").exists()


def test_an_undo_takes_away_what_is_as_it_was_written(target: Target, said: list[str]) -> None:
    """What was changed since stays, and folders that are not empty; a second undo finds nothing of its own."""
    set_up(target)
    manual = target.root / installing.MANUAL
    manual.write_text("changed")
    made = Made.read(target.state)
    outcomes = {}
    for step in undo_steps(made, kept=(target.root / CONFIGURATION,)):
        step.carry_out()
        outcomes[Path(step.what).name] = step.outcome or step.was
    installing.forget(made)
    assert outcomes["mooring.1"] == "changed since, left unchanged"
    assert outcomes["mooring.service"] == "removed"
    assert (target.root / CONFIGURATION).exists()
    assert not (target.root / "etc/systemd").exists()
    manual.unlink()
    for step in undo_steps(made):
        step.carry_out()
    installing.forget(made)
    assert not (target.root / "etc").exists()


def test_a_note_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Nothing is guessed."""
    (tmp_path / "setup.json").write_text("[]")
    with pytest.raises(Unavailable, match=r"setup\.json cannot be read"):
        Made.read(tmp_path)


def test_a_group_with_members_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody relies upon it."""
    group = next((each for each in grp.getgrall() if each.gr_mem), None)
    monkeypatch.setattr(installing, "_members", lambda _: ["alice"])
    (step,) = undo_steps(Made(tmp_path / "x", groups=[group.gr_name if group else "mooring"]))
    assert (step.outcome, "alice" in step.was) == ("", True)


def test_a_host_that_cannot_run_it_is_told_why(tmp_path: Path) -> None:
    """Not root, or no systemd, or no program."""
    with pytest.raises((Unavailable, Conflict)) as told:
        installing.check_host(Target(tmp_path / "mooring", tmp_path, tmp_path, root=tmp_path))
    assert ("systemd" in str(told.value)) == (os.geteuid() == 0)
