"""The host's own text."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mooring.adapters.host import machine_ids


def test_it_is_the_same_each_time() -> None:
    """There is some text, on every host."""
    assert machine_ids.machine_id()
    assert machine_ids.machine_id() == machine_ids.machine_id()


def test_the_first_file_that_can_be_read_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is missing, empty or not text is passed over; without any it is the host's name."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    bad = tuple(str(tmp_path / name) for name in ("missing", "empty", "binary"))
    monkeypatch.setattr(machine_ids, "FILES", bad)
    name = machine_ids.machine_id()
    (tmp_path / "good").write_text("abc\n")
    monkeypatch.setattr(machine_ids, "FILES", (*bad, str(tmp_path / "good")))
    assert machine_ids.machine_id() == "abc" != name


def test_the_first_name_stays_when_the_host_gets_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be kept it is the name of now."""
    file = tmp_path / "dns-owner"
    file.write_text("")
    first = machine_ids.first_name(file)
    assert first == os.uname().nodename
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="renamed"))
    assert machine_ids.first_name(file) == first
    assert [each.name for each in tmp_path.iterdir()] == ["dns-owner"]
    assert machine_ids.first_name(tmp_path / "absent" / "dns-owner") == "renamed"


def test_a_boot_has_its_own_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's; without one there is some text all the same."""
    assert machine_ids.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    monkeypatch.setattr(machine_ids, "BOOT", tmp_path / "absent")
    assert machine_ids.boot_id()
