"""Sockets that we make, and the lock of the one instance."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from mooring.adapters import listeners
from mooring.core.faults import Conflict, Unavailable


def connects(path: Path) -> bool:
    """Whether somebody listens at the path."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def test_a_socket_listens_with_its_mode_in_a_directory_made_for_it(tmp_path: Path) -> None:
    """The directory is made, the mode is exact whatever the umask, and clients can connect."""
    path = tmp_path / "plugins" / "mooring.sock"
    with listeners.listen(path, 0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert connects(path)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """A file that a dead process left is no obstacle."""
    path = tmp_path / "mooring.sock"
    listeners.listen(path, 0o600).close()
    assert path.exists()
    assert not connects(path)
    with listeners.listen(path, 0o600):
        assert connects(path)


def test_a_living_socket_is_not_taken(tmp_path: Path) -> None:
    """The second is refused, and the first goes on serving."""
    path = tmp_path / "mooring.sock"
    with listeners.listen(path, 0o600):
        with pytest.raises(Conflict, match="is served already"):
            listeners.listen(path, 0o600)
        assert connects(path)


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    """Somebody's file in the way is a refusal."""
    path = tmp_path / "mooring.sock"
    path.write_text("precious")
    with pytest.raises(Conflict, match="it is not a socket"):
        listeners.listen(path, 0o600)
    assert path.read_text() == "precious"


def test_an_unknown_group_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """The group is named, and no socket appears."""
    path = tmp_path / "mooring.sock"
    with pytest.raises(Unavailable, match="no-such-group"):
        listeners.listen(path, 0o600, "no-such-group")
    assert not path.exists()


def test_a_directory_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    """A file where the directory should be is told in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot make the directory"):
        listeners.listen(tmp_path / "file" / "mooring.sock", 0o600)


def test_only_our_own_socket_file_is_removed(tmp_path: Path) -> None:
    """A file that took the place of ours stays."""
    path = tmp_path / "mooring.sock"
    with listeners.listen(path, 0o600):
        made = listeners.identity(path)
        path.rename(tmp_path / "ours")
        path.write_text("another's")
        listeners.remove(path, made)
        assert path.exists()
        listeners.remove(tmp_path / "ours", made)
        assert not (tmp_path / "ours").exists()
        listeners.remove(tmp_path / "ours", made)


def test_the_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    """The second is told the first one's process id; afterwards the lock is free."""
    path = tmp_path / "run" / "mooring.lock"
    first = listeners.InstanceLock(path)
    with pytest.raises(Conflict, match=rf"another mooring serves .*process {os.getpid()}"):
        listeners.InstanceLock(path)
    first.close()
    listeners.InstanceLock(path).close()
