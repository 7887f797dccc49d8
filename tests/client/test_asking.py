"""Questions to the daemon, everything that may be in its place, and pages."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from mooring.adapters.host import listeners
from mooring.cli.root import run
from mooring.client import Client, Conflict, Unavailable, asking
from tests.client.daemons import asked


def test_no_socket_says_how_to_start_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 6, one line, with the command."""
    assert run(["--run-dir", str(tmp_path), "status"]) == 6
    assert capsys.readouterr().err == (
        f"mooring: the daemon is not running: there is no socket {tmp_path}/api.sock; "
        "start it with `systemctl start mooring`, or `mooring serve`\n"
    )


def test_a_stale_socket_is_a_daemon_that_is_not_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that nobody listens at."""
    listeners.listen(tmp_path / "api.sock", 0o600).close()
    assert run(["--socket", str(tmp_path / "api.sock"), "status"]) == 6
    assert "nothing listens" in capsys.readouterr().err


def test_a_path_that_no_socket_can_have_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too long for a unix socket."""
    assert run(["--socket", str(tmp_path / ("x" * 200)), "status"]) == 6
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
    ],
)
def test_what_is_not_our_daemon_is_one_fault(tmp_path: Path, answer: bytes) -> None:
    """Silence, another protocol, another program's JSON, HTML, and an answer that breaks off."""
    path = tmp_path / "api.sock"
    with listeners.listen(path, 0o600) as listener:
        listener.setblocking(True)
        thread = threading.Thread(target=answer_once, args=(listener, answer))
        thread.start()
        with pytest.raises(Unavailable):
            Client(str(path)).version()
        thread.join()


def answer_once(listener: socket.socket, answer: bytes) -> None:
    """Accept, read a little, answer, hang up."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(answer)


def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    """The question has a deadline."""
    path = tmp_path / "api.sock"
    with listeners.listen(path, 0o600), pytest.raises(Unavailable, match=r"did not answer at .* within 0.01 s"):
        Client(str(path), timeout=0.01).version()


async def test_a_list_is_whole_however_many_pages_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page is asked for; filters hold for all of them."""
    async with asked(tmp_path) as daemon:
        whole = await daemon.ask(daemon.client.leases)
        some = await daemon.ask(daemon.client.leases, space="default", network="10.32.0.0/24")
        monkeypatch.setattr(asking, "PAGE", 3)
        assert await daemon.ask(daemon.client.leases) == whole
        assert len(whole) > 6
        assert await daemon.ask(daemon.client.leases, space="default", network="10.32.0.0/24") == some


def test_a_daemon_from_before_there_were_pages_is_asked_for_all_at_once(tmp_path: Path) -> None:
    """It refuses to be asked for a page, and is not yet restarted."""
    path, asked_for = tmp_path / "api.sock", []
    refusal = b'{"message":"parameter \'limit\' is not known; this path takes none","kind":"bad request"}'

    def answer(listener: socket.socket) -> None:
        for status, body in ((b"400 Bad Request", refusal), (b"200 OK", b"[]")):
            connection, _ = listener.accept()
            with connection:
                asked_for.append(connection.recv(1000).split()[1])
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    with listeners.listen(path, 0o600) as listener:
        listener.setblocking(True)
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        assert Client(str(path)).networks() == []
        thread.join()
    assert asked_for == [b"/v1/networks?limit=5000", b"/v1/networks"]


async def test_a_refusal_is_the_daemons_fault(tmp_path: Path) -> None:
    """Of its kind, with its line."""
    async with asked(tmp_path) as daemon:
        with pytest.raises(Conflict, match="2 pools have ids that begin with 'p'"):
            await daemon.ask(daemon.client.pool, "p")
