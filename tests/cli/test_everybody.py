"""A Docker context for every user, written with that user's rights."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from mooring.cli import everybody

HOST = "unix:///run/mooring/docker.sock"


@pytest.fixture
def user(tmp_path: Path) -> pwd.struct_passwd:
    """A user with the test's own folder for a home, whose rights are those of nobody when the test is root."""
    if os.geteuid():
        return pwd.struct_passwd(("me", "x", os.getuid(), os.getgid(), "", str(tmp_path), "/bin/sh"))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o5 != 0o5:
            folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    return pwd.struct_passwd(("nobody", "x", 65534, 65534, "", str(home), "/bin/sh"))


def test_it_is_made_once_and_removed_again(user: pwd.struct_passwd) -> None:
    """As Docker's command writes it, and it belongs to the user; a dry run writes nothing."""
    assert everybody.install(user, HOST, dry_run=True) == "created"
    assert not (Path(user.pw_dir) / ".docker").exists()
    assert everybody.install(user, HOST, dry_run=False) == "created"
    (path,) = Path(user.pw_dir).rglob("meta.json")
    assert json.loads(path.read_text())["Endpoints"]["docker"]["Host"] == HOST
    assert path.stat().st_uid == user.pw_uid
    assert everybody.install(user, HOST, dry_run=False) == ""
    assert everybody.remove(user, "unix:///elsewhere", dry_run=False) == ""
    assert everybody.remove(user, HOST, dry_run=False) == "removed"
    assert not list(Path(user.pw_dir).rglob("meta.json"))


def test_one_that_points_elsewhere_stays(user: pwd.struct_passwd) -> None:
    """It is said, and changed by nobody."""
    everybody.install(user, "tcp://192.0.2.1:2375", dry_run=False)
    assert everybody.install(user, HOST, dry_run=False) == "(points at tcp://192.0.2.1:2375, left unchanged)"


@pytest.mark.skipif(os.geteuid() != 0, reason="root's own rights are what must not be used")
def test_a_link_in_a_home_leads_nowhere(user: pwd.struct_passwd, tmp_path: Path) -> None:
    """A user cannot have root write where the user may not."""
    secret = tmp_path / "roots"
    secret.mkdir(mode=0o755)
    (Path(user.pw_dir) / ".docker").symlink_to(secret)
    assert everybody.install(user, HOST, dry_run=False).startswith("(")
    assert list(secret.iterdir()) == []


def test_new_users_find_it_in_the_skeleton() -> None:
    """The same document as everybody's."""
    ((path, content),) = everybody.for_new_users(HOST).items()
    assert path.parts[:3] == ("etc", "skel", ".docker")
    assert json.loads(content)["Name"] == "mooring"


def test_people_are_those_with_a_home_of_their_own() -> None:
    """And each of them once."""
    found = [entry.pw_uid for entry in everybody.people()]
    assert len(found) == len(set(found))
    assert all(uid == 0 or uid in everybody.PEOPLE for uid in found)
