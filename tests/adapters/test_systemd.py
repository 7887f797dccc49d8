"""Readiness, watchdog and handed-over sockets, spoken to a manager of the test's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.host import systemd
from mooring.core.faults import Unavailable


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A datagram socket such as systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def test_the_manager_is_told(manager: socket.socket) -> None:
    """Assignments arrive in one datagram, one a line."""
    systemd.Notifier(manager.getsockname()).tell("READY=1", "STATUS=serving")
    assert manager.recv(100) == b"READY=1\nSTATUS=serving"


def test_the_manager_may_live_in_the_abstract_namespace() -> None:
    """A leading @ stands for a zero byte (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0mooring-test-{os.getpid()}")
        channel.setblocking(False)
        systemd.Notifier(f"@mooring-test-{os.getpid()}").tell("READY=1")
        assert channel.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify"])
def test_without_a_manager_telling_does_nothing(address: str) -> None:
    """No address, or one where nobody is, is no error."""
    systemd.Notifier(address).tell("READY=1")


def test_the_address_is_not_left_to_children() -> None:
    """NOTIFY_SOCKET is taken out of the environment."""
    environment = {"NOTIFY_SOCKET": "/x", "HOME": "/root"}
    systemd.notifier(environment)
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("environment", "period"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_watches_whom_it_means(environment: dict[str, str], period: float | None) -> None:
    """The period counts only for the process that is meant."""
    assert systemd.watchdog_period(environment, 7) == period
    assert environment == {}


def test_sockets_of_another_process_are_not_taken() -> None:
    """LISTEN_PID must be ours."""
    environment = {"LISTEN_PID": "8", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "plugin"}
    assert systemd.handed_over(environment, 7) == {}
    assert environment == {}


def test_handed_sockets_come_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each socket is found under its name, does not block, and is not inherited."""
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for number, listener in enumerate((one, two)):
            listener.bind(str(tmp_path / str(number)))
            listener.listen()
        first = _next_to_each_other(one, two)
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", first)
        environment = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "plugin:api"}
        found = systemd.handed_over(environment, 7)
        try:
            assert list(found) == ["plugin", "api"]
            assert [str(tmp_path / str(n)) for n in (0, 1)] == [found[n][0].getsockname() for n in ("plugin", "api")]
            assert not found["api"][0].getblocking()
            assert not os.get_inheritable(found["api"][0].fileno())
        finally:
            for sockets in found.values():
                sockets[0].close()


def test_a_descriptor_that_does_not_listen_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A datagram socket, or one that does not listen, is named and refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", channel.fileno())
        with pytest.raises(Unavailable, match=r"socket plugin .* not a listening stream socket; check mooring\.socket"):
            systemd.handed_over({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "plugin"}, 7)


def _next_to_each_other(one: socket.socket, two: socket.socket) -> int:
    """Copy the descriptors to two neighbours high up, where nobody else is; the lower one."""
    first = 200
    for offset, listener in enumerate((one, two)):
        os.dup2(listener.fileno(), first + offset)
    return first


def test_a_service_of_systemds_is_known_as_one(tmp_path: Path) -> None:
    """A process that somebody started by hand is none, nor one where something else is the service manager."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert systemd.is_service({"INVOCATION_ID": "1"}, tmp_path)
    assert not systemd.is_service({}, tmp_path)
    assert not systemd.is_service({"INVOCATION_ID": "1"}, tmp_path / "run")
