"""Sockets that we make, and the lock of the one instance."""

from __future__ import annotations

import errno
import os
import pwd
import select
import socket
import stat
from pathlib import Path

import pytest

from mooring.adapters.host import listeners
from mooring.core.faults import Conflict, Unavailable


def connects(path: Path) -> bool:
    """Whether somebody listens at the path."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def accept(listener: socket.socket) -> tuple[socket.socket, object]:
    """The next connection."""
    assert select.select([listener], [], [], 10)[0]
    return listener.accept()


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
        with pytest.raises(Conflict, match="is already in use"):
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


def test_an_unknown_owner_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """As an unknown group is."""
    path = tmp_path / "mooring.sock"
    with pytest.raises(Unavailable, match="the user no-such-user: there is no such user"):
        listeners.listen(path, 0o600, owner="no-such-user")
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_are_names_or_numbers(tmp_path: Path) -> None:
    """A number need not be anybody's; what is not named stays ours."""
    for group, owner, expected in (
        ("", "", (0, os.getegid())),
        ("root", "nobody", (pwd.getpwnam("nobody").pw_uid, 0)),
        ("54321", "12345", (12345, 54321)),
        ("54321", "", (0, 54321)),
        ("", "12345", (12345, os.getegid())),
    ):
        path = tmp_path / f"{group}-{owner}.sock"
        with listeners.listen(path, 0o660, group, owner):
            found = path.stat()
            assert (found.st_uid, found.st_gid) == expected
            assert stat.S_IMODE(found.st_mode) == 0o660


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_listens_and_is_not_taken_twice(host: str) -> None:
    """The second is refused and names the place; a restart does not wait."""
    with listeners.listen_tcp(host, 0) as listener:
        port = listener.getsockname()[1]
        assert not listener.get_inheritable()
        assert not listener.getblocking()
        with socket.create_connection((host, port)) as client:
            accepted, _ = accept(listener)
            accepted.close()
            client.recv(1)
        with pytest.raises(Conflict, match=rf"{port} is already in use"):
            listeners.listen_tcp(host, port)
    listeners.listen_tcp(host, port).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_that_the_host_does_not_have_yet_is_listened_at(host: str) -> None:
    """It keeps nothing else from starting; that nobody can come is known."""
    with listeners.listen_tcp(host, 0) as listener:
        assert listener.getsockname()[0] == host
        with pytest.raises(Conflict, match="already in use"):
            listeners.listen_tcp(host, listener.getsockname()[1])
    assert not listeners.has_address(host)
    assert listeners.has_address("127.0.0.1")
    assert listeners.has_address("0.0.0.0")
    assert listeners.has_address("::1")


def test_a_kernel_without_the_family_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """And has no address of it."""

    def no_such_family(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_such_family)
    with pytest.raises(Unavailable, match=r"cannot listen on \[::\]:2376: Address family not supported"):
        listeners.listen_tcp("::", 2376)
    assert not listeners.has_address("::")


def test_a_directory_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    """A file where the directory should be is told in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot create the directory"):
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


def test_a_link_to_a_socket_takes_nobodys_place(tmp_path: Path) -> None:
    """It is made once, in place of a stale one; a living socket and a plain file are refused."""
    path, to = tmp_path / "ciao.sock", tmp_path / "mooring.sock"
    path.symlink_to("gone.sock")
    for _ in range(2):
        listeners.link(path, to)
        assert os.readlink(path) == "mooring.sock"
    (tmp_path / "file.sock").write_text("")
    with listeners.listen(tmp_path / "theirs.sock", 0o600):
        for name in ("theirs.sock", "file.sock"):
            with pytest.raises(Conflict, match=name):
                listeners.link(tmp_path / name, to)
    listeners.link(tmp_path / "theirs.sock", to)  # nobody listens any more
