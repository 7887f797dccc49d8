"""Real text files: modes, inodes, and what a container may have put in their place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mooring.adapters.host.text_files import LocalFiles
from mooring.core.faults import BadRequest, Unavailable
from tests.contracts.text_changes import read, write


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
    await write(LocalFiles(), str(place), "x")
    assert mode(place) == 0o644
    assert mode(place.parent) == 0o755


async def test_a_file_keeps_its_inode_and_mode(place: Path) -> None:
    """Who has it mounted sees the change."""
    files = LocalFiles()
    await write(files, str(place), "before, and longer")
    os.chmod(place, 0o600)
    with place.open() as mounted:
        await write(files, str(place), "after")
        assert mounted.read() == "after"
    assert mode(place) == 0o600


async def test_a_folder_of_ours_goes_with_its_last_file(tmp_path: Path, place: Path) -> None:
    """A thousand sandboxes leave no folder behind; somebody's own stays, empty or not."""
    for files, stays in ((LocalFiles(str(tmp_path)), False), (LocalFiles("/elsewhere"), True), (LocalFiles(), True)):
        await write(files, str(place), "x")
        await write(files, f"{place}.hash", "y")
        await write(files, str(place), None)
        assert place.parent.is_dir()
        await write(files, f"{place}.hash", None)
        assert place.parent.exists() == stays
        assert mode(tmp_path)


async def test_a_death_before_the_end_leaves_the_new_text_and_empty_lines(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a longer old text is left after the new one."""
    files = LocalFiles()
    await write(files, str(place), "before, and longer")

    def die(*_: object) -> None:
        raise OSError(5, "died")

    monkeypatch.setattr(os, "ftruncate", die)
    with pytest.raises(Unavailable, match="died"):
        await write(files, str(place), "after\n")
    assert (await read(files, str(place)) or "").rstrip("\n") == "after"


async def test_the_hosts_own_file_may_be_a_link(tmp_path: Path) -> None:
    """Its resolv.conf often is."""
    (tmp_path / "real").write_text("nameserver 9.9.9.9\n")
    (tmp_path / "resolv.conf").symlink_to(tmp_path / "real")
    assert await LocalFiles().read_host(str(tmp_path / "resolv.conf")) == "nameserver 9.9.9.9\n"
    with pytest.raises(Unavailable, match="regular"):
        await LocalFiles().read_host(str(tmp_path))


@pytest.mark.parametrize("linked", ["hosts", "etc"])
@pytest.mark.parametrize("text", ["x", None])
async def test_a_planted_link_leads_nowhere(tmp_path: Path, linked: str, text: str | None) -> None:
    """Neither in the place of the file nor of its folder: nothing is read, written or removed behind it, and the fault
    names it."""
    host, rootfs = tmp_path / "host", tmp_path / "rootfs"
    host.mkdir()
    (host / "hosts").write_text("secret")
    (rootfs / "etc").mkdir(parents=True)
    target = rootfs / "etc" / "hosts"
    if linked == "etc":
        (rootfs / "etc").rmdir()
        (rootfs / "etc").symlink_to(host)
    else:
        target.symlink_to(host / "hosts")
    with pytest.raises(BadRequest, match=f"{linked} is a symbolic link"):
        await write(LocalFiles(str(rootfs)), str(target), text)
    with pytest.raises(BadRequest):
        await read(LocalFiles(), str(target))
    assert [each.name for each in host.iterdir()] == ["hosts"]
    assert (host / "hosts").read_text() == "secret"


async def test_a_link_that_is_planted_in_the_middle_leads_nowhere(tmp_path: Path) -> None:
    """What was read and what is written are in the same folder, whatever has its name by then."""
    host, etc = tmp_path / "host", tmp_path / "etc"
    host.mkdir()
    etc.mkdir()
    path = str(etc / "hosts")

    def plant(_: Mapping[str, str | None]) -> Mapping[str, str | None]:
        etc.rename(tmp_path / "old")
        etc.symlink_to(host)
        return {path: "x"}

    await LocalFiles().update((path,), plant)
    assert list(host.iterdir()) == []
    assert (tmp_path / "old" / "hosts").read_text() == "x"


async def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe holds nobody up, a huge file fills no memory."""
    files = LocalFiles()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadRequest, match=r"pipe.*: it is not a regular"):
        await write(files, str(tmp_path / "pipe"), "x")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(BadRequest, match="larger"):
        await write(files, str(tmp_path / "huge"), "x")


async def test_no_descriptor_is_left_open(place: Path) -> None:
    """Neither after a change nor after a refusal."""
    files = LocalFiles()
    await write(files, str(place), "x")
    before = len(os.listdir("/proc/self/fd"))
    await write(files, str(place), "y")
    with pytest.raises(BadRequest):
        await write(files, f"{place}/below", "y")
    assert len(os.listdir("/proc/self/fd")) == before
