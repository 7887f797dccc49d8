"""Folders that are reached component by component."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mooring.adapters.host.open_folders import OpenFolders


def test_a_folder_is_opened_once_and_made_when_asked(tmp_path: Path) -> None:
    """Below what is open already, the root included."""
    path = str(tmp_path / "a" / "b")
    with OpenFolders() as folders:
        with pytest.raises(FileNotFoundError):
            folders.at(path)
        made = folders.at(path, make=True)
        assert folders.at(path) == made
        assert os.path.samestat(os.fstat(made), os.stat(path))
        assert os.path.samestat(os.fstat(folders.at("")), os.stat("/"))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(made)


@pytest.mark.parametrize("make", [False, True])
def test_what_is_in_the_way_is_named(tmp_path: Path, make: bool) -> None:
    """A link, also one to a folder or to nothing, and a file."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name, number in (("link", errno.ELOOP), ("dangling", errno.ELOOP), ("file", errno.ENOTDIR)):
        with OpenFolders() as folders, pytest.raises(OSError, match=name) as caught:
            folders.at(str(tmp_path / name / "below"), make=make)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / name))
    assert not (tmp_path / "nowhere").exists()
