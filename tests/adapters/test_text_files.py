"""Real text files: modes, inodes, and what a container may have put in their place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.text_files import LocalFiles
from mooring.core.faults import Unavailable


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file in a folder, neither of which is there."""
    return tmp_path / "c1" / "hosts"


@pytest.fixture
def umask() -> Iterator[None]:
    """A daemon that lets nobody read."""
    before = os.umask(0o077)
    yield
    os.umask(before)


async def test_a_new_file_can_be_read_by_everybody(umask: None, place: Path) -> None:
    """0644 in a folder with 0755, whatever the daemon's umask is (TestHost, TestResolvConf)."""
    await LocalFiles().write(str(place), "x")
    assert mode(place) == 0o644
    assert mode(place.parent) == 0o755


async def test_a_file_keeps_its_inode_and_mode(place: Path) -> None:
    """Who has it mounted sees the change."""
    files = LocalFiles()
    await files.write(str(place), "before, and longer")
    os.chmod(place, 0o600)
    with place.open() as mounted:
        await files.write(str(place), "after")
        assert mounted.read() == "after"
    assert mode(place) == 0o600


async def test_the_last_file_takes_its_folder_along(place: Path) -> None:
    """A thousand sandboxes leave no folder behind; one with other files in it stays."""
    files = LocalFiles()
    await files.write(str(place), "x")
    await files.write(f"{place}.hash", "y")
    await files.remove(str(place))
    assert place.parent.is_dir()
    await files.remove(f"{place}.hash")
    assert not place.parent.exists()
    assert place.parents[1].is_dir()


async def test_a_symbolic_link_is_read_and_not_written(tmp_path: Path) -> None:
    """The host's resolv.conf is often one; one that a container planted leads nowhere."""
    files = LocalFiles()
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "hosts").symlink_to(secret)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert await files.read(str(tmp_path / "hosts")) == "mine"
    for name in ("hosts", "dangling"):
        with pytest.raises(Unavailable, match=name):
            await files.write(str(tmp_path / name), "x")
    await files.remove(str(tmp_path / "hosts"))
    assert secret.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


async def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe holds nobody up, a huge file fills no memory."""
    files = LocalFiles()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unavailable, match="regular"):
        await files.read(str(tmp_path / "pipe"))
    with pytest.raises(Unavailable, match="pipe"):
        await files.write(str(tmp_path / "pipe"), "x")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(Unavailable, match="larger"):
        await files.read(str(tmp_path / "huge"))
