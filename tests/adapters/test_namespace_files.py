"""Namespaces as files, on the real kernel; tests/contracts/test_namespaces.py holds the promises of the port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.linux.namespace_files import (
    NamespaceFolder,
    current_namespace,
    enter,
    is_namespace,
    leave_for_new,
    open_namespace,
    opened,
)
from mooring.core.faults import BadRequest, NotFound
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

# Keeps twenty namespaces, as another process does it.
KEEPER = """
import sys
from mooring.adapters.linux.namespace_files import NamespaceFolder, leave_for_new
folder = NamespaceFolder(sys.argv[1])
for number in range(20):
    leave_for_new()
    folder.keep(folder.path(f"box{number}"))
"""


@pytest.fixture
def place(namespace: Namespace, tmp_path: Path) -> Iterator[Path]:
    """Where a folder can be; nothing is mounted below it afterwards."""
    yield tmp_path / "netns"
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(str(tmp_path)):
            sh(f"umount -l {line.split()[1]}")


def keep(folder: NamespaceFolder, ident: str) -> str:
    """A new namespace is kept for the id; the caller stays where it is."""
    here = current_namespace()
    leave_for_new()
    try:
        folder.keep(folder.path(ident))
    finally:
        enter(here)
        os.close(here)
    return folder.path(ident)


def mounts(path: str) -> int:
    """How many mounts are on the path."""
    return sum(line.split()[1] == path for line in Path("/proc/self/mounts").read_text().splitlines())


def test_the_folder_is_made_once_and_shared(place: Path) -> None:
    """One mount of it on itself, however many namespaces: what is unmounted goes from other mount namespaces too."""
    folder = NamespaceFolder(str(place))
    assert folder.made() == {}
    paths = {ident: keep(folder, ident) for ident in ("one", "two")}
    assert folder.made() == paths
    assert mounts(str(place)) == 1
    shared = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] == str(place)]
    assert "shared:" in shared[0]


def test_a_removed_namespace_ends_though_others_have_copies_of_the_mount(place: Path) -> None:
    """A mount namespace made meanwhile does not keep it, nor the name."""
    folder = NamespaceFolder(str(place))
    path = keep(folder, "box")
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo ready; read line; cat /proc/self/mounts"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        folder.drop(path)
        said, _ = other.communicate("\n")
    assert str(place) in said
    assert path not in said
    assert not Path(path).exists()


def test_plain_files_of_before_a_reboot_are_no_namespaces(place: Path) -> None:
    """They are not listed, and gone then; what is no file stays; one that is there can be dropped."""
    folder = NamespaceFolder(str(place))
    place.mkdir()
    for ident in ("one", "two"):
        (place / ident).touch()
    (place / "folder").mkdir()
    assert folder.made() == {}
    assert os.listdir(place) == ["folder"]
    path = keep(folder, "one")
    (place / "two").touch()
    folder.drop(folder.path("two"))
    assert not (place / "two").exists()
    assert folder.made() == {"one": path}


def test_the_first_namespace_of_an_id_stays(place: Path) -> None:
    """Keeping another under that id changes nothing and mounts nothing."""
    folder = NamespaceFolder(str(place))
    path = keep(folder, "box")
    first = os.stat(path).st_ino
    assert keep(folder, "box") == path
    assert (os.stat(path).st_ino, mounts(path)) == (first, 1)


def test_several_processes_share_a_folder(place: Path) -> None:
    """They make the same namespaces at once: each is there once, and all can be dropped."""
    run = [sys.executable, "-c", KEEPER, str(place)]
    others = [subprocess.Popen(run) for _ in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    folder = NamespaceFolder(str(place))
    made = folder.made()
    assert set(made) == {f"box{number}" for number in range(20)}
    assert {mounts(path) for path in (*made.values(), str(place))} == {1}
    for path in made.values():
        folder.drop(path)
    assert list(place.iterdir()) == []


def test_dropping_undoes_every_mount_on_the_path(place: Path) -> None:
    """Also those that somebody put on top; dropping again is fine."""
    folder = NamespaceFolder(str(place))
    path = keep(folder, "box")
    sh(f"mount --bind {path} {path}")
    for _ in range(2):
        folder.drop(path)
        assert mounts(path) == 0
        assert not Path(path).exists()


def test_only_namespaces_are_opened(place: Path) -> None:
    """A pipe, a folder, a plain file, another kind of namespace and a dead process are NotFound, at once."""
    place.mkdir()
    os.mkfifo(place / "pipe")
    (place / "file").touch()
    (place / "circle").symlink_to(place / "circle")
    ended = subprocess.Popen(["true"])
    ended.wait()
    strange = ["pipe", "file", "circle", "nothing", "file/below", "x" * 300]
    paths = [str(place), *(f"{place}/{name}" for name in strange), f"/proc/{ended.pid}/ns/net", "/proc/self/ns/mnt"]
    for path in (*paths, "", "a\0b", "\ud800"):
        with pytest.raises(NotFound):
            open_namespace(path)
        assert not is_namespace(path)


def test_an_opened_namespace_is_closed_after_the_block(place: Path) -> None:
    """No descriptor is left, and "" is none."""
    path = keep(NamespaceFolder(str(place)), "box")
    before = os.listdir("/proc/self/fd")
    with opened(path) as found:
        assert found is not None
        assert os.fstat(found).st_ino == os.stat(path).st_ino
    with opened("") as nothing:
        assert nothing is None
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("ident", ["", ".", "..", "a/b", "a\0b", "a\nb", "\ud800", "x" * 256])
def test_a_name_that_is_no_file_is_refused(ident: str) -> None:
    """Before anything is done."""
    with pytest.raises(BadRequest):
        NamespaceFolder("/nowhere").path(ident)


def test_only_direct_members_of_the_folder_are_ours() -> None:
    """No way leads up or down from it."""
    folder = NamespaceFolder("/nowhere/netns")
    folder.check_ours(folder.path("box"))
    for path in ("", "/nowhere", "/nowhere/netns/", "/nowhere/netns/..", "/nowhere/netns/a/b", "netns/box"):
        with pytest.raises(BadRequest):
            folder.check_ours(path)


def test_an_empty_folder_is_unmounted_and_one_in_use_is_not(place: Path) -> None:
    """Who made the folder can remove it when the last namespace is gone, not before; no folder at all is fine."""
    folder = NamespaceFolder(str(place))
    folder.tidy()
    path = keep(folder, "box")
    folder.tidy()
    assert is_namespace(path)
    folder.drop(path)
    with pytest.raises(OSError, match="busy"):
        place.rmdir()
    folder.tidy()
    place.rmdir()
