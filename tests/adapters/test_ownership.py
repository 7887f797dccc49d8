"""Owners: how their things are named, and that each is one process in a network namespace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest

from mooring.adapters.netlink.ownership import DAEMON, Owner, claim
from mooring.core.faults import BadRequest, Conflict, Unavailable
from tests.netns.rigs import Namespace

HOLD = """
import sys
from mooring.adapters.netlink.ownership import claim
claims = [claim(name) for name in sys.argv[1:]]
print("claimed", flush=True)
sys.stdin.read()
"""

FORK = """
import os, sys
from mooring.adapters.netlink.ownership import claim
held, given_up = claim(sys.argv[1]), claim(sys.argv[2])
given_up.close()
if os.fork() == 0:
    held.close()
    os.write(1, b"forked\\n")
    sys.stdin.read()
else:
    os.write(1, b"claimed\\n")
    os.wait()
"""


@pytest.fixture
def name() -> str:
    """An owner that nobody else in this namespace is."""
    return f"test-{uuid4().hex[:12]}"


@contextmanager
def another_process(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process is the owner."""
    with subprocess.Popen([sys.executable, "-c", HOLD, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_daemons_things_bear_no_name() -> None:
    """What stands in the kernel is what facts say, as it always was."""
    assert (DAEMON.mark, DAEMON.table) == ("mooring:", "mooring")
    assert DAEMON.marked("mooring:network:n") == "mooring:network:n"
    assert DAEMON.unmarked("mooring:network:n") == "mooring:network:n"


def test_an_owners_things_bear_his_name() -> None:
    """Facts are translated into the kernel's words and back."""
    owner = Owner("Web-1")
    assert (owner.mark, owner.table) == ("mooring.Web-1:", "mooring-Web-1")
    assert owner.marked("mooring:network:n") == "mooring.Web-1:network:n"
    assert owner.unmarked("mooring.Web-1:network:n") == "mooring:network:n"


@pytest.mark.parametrize("alias", ["", "mooring:network:n", "mooring.Web:n", "mooring.Web-11:n", "x mooring.Web-1:n"])
def test_the_things_of_others_are_not_his(alias: str) -> None:
    """Neither the daemon's, nor those of an owner whose name begins alike."""
    assert Owner("Web-1").unmarked(alias) is None
    assert (DAEMON.unmarked(alias) is None) == (alias != "mooring:network:n")


@pytest.mark.parametrize("bad", [" ", "a b", "a.b", "a:b", "a/b", "a\n", "ä", "٣", "x" * 21, "}; flush ruleset"])
def test_what_is_no_name_is_refused(bad: str) -> None:
    """One line, before anything is done."""
    for call in (Owner, claim):
        with pytest.raises(BadRequest, match="is not 1 to 20 letters, digits and '-'") as refused:
            call(bad)
        assert "\n" not in str(refused.value)


def test_an_owner_is_claimed_once_and_can_be_let_go(name: str) -> None:
    """Not twice by one process either; after close, which may come twice, it is free; another owner is another."""
    first = claim(name)
    with closing(claim(name + "x")), pytest.raises(Conflict, match=rf"\({os.getpid()}\)"):
        claim(name)
    first.close()
    first.close()
    claim(name).close()


def test_the_process_that_is_the_owner_is_named_again_and_again(name: str) -> None:
    """Whoever is refused is told whom by; being asked costs the holder nothing."""
    with another_process(name) as process:
        for _ in range(300):
            with pytest.raises(Conflict) as refused:
                claim(name)
            assert refused.value.holder.endswith(f"({process.pid})")
        assert name in str(refused.value)


def test_the_end_of_the_process_lets_go(name: str) -> None:
    """However it ends: the kernel does it."""
    with another_process(name) as process:
        process.kill()
        process.wait()
        claim(name).close()


def test_a_forked_process_is_not_the_owner(name: str) -> None:
    """The claim is the parent's still, and ends with the parent although the child lives on."""
    command = [sys.executable, "-c", FORK, name, name + "x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert {parent.stdout.readline(), parent.stdout.readline()} == {b"forked\n", b"claimed\n"}
        with pytest.raises(Conflict, match=rf"\({parent.pid}\)"):
            claim(name)
        parent.kill()
        parent.wait()
        claim(name).close()
        parent.stdin.close()


def test_a_holder_that_cannot_be_asked_is_still_a_conflict(name: str) -> None:
    """As one that has not come as far as to listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(f"\0mooring/{name}")
        with pytest.raises(Conflict) as refused:
            claim(name)
    assert refused.value.holder == "a process that Mooring cannot identify"


def test_without_sockets_it_is_unavailable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error of the system is one line, too."""

    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "listen", refuse)
    with pytest.raises(Unavailable, match="Operation not permitted"):
        claim(name)


@pytest.mark.netns
def test_each_network_namespace_has_its_own(name: str, namespace: Namespace) -> None:
    """The same owner in two namespaces is two owners, as their links and tables are apart."""
    other = Namespace.new()
    with closing(claim(name)), other.inside(), closing(claim(name)), pytest.raises(Conflict):
        claim(name)
    other.close()
