"""A folder that is mounted on itself goes back to being a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring.adapters.mounts import unmount_if_empty
from tests.netns.rigs import sh

pytestmark = pytest.mark.netns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Mounted on itself, twice."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    made = tmp_path / "folder"
    made.mkdir()
    sh(f"mount --bind {made} {made}", f"mount --bind {made} {made}")
    return made


def test_an_empty_folder_can_be_removed(folder: Path) -> None:
    """No mount is left on it."""
    unmount_if_empty(str(folder))
    folder.rmdir()


def test_a_folder_with_something_in_it_stays(folder: Path) -> None:
    """It is a mount point until it is empty."""
    (folder / "file").touch()
    unmount_if_empty(str(folder))
    assert str(folder) in Path("/proc/self/mountinfo").read_text()
    (folder / "file").unlink()
    unmount_if_empty(str(folder))
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


def test_what_is_no_mount_is_left_alone(tmp_path: Path) -> None:
    """A plain folder stays, and one that is missing is no error."""
    unmount_if_empty(str(tmp_path))
    unmount_if_empty(str(tmp_path / "missing"))
    assert tmp_path.is_dir()
