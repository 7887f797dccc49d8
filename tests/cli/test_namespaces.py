"""`mooring attach` and `mooring detach` with --pid and --netns."""

from __future__ import annotations

import os

import pytest

from mooring.adapters.linux import namespaces
from mooring.core.faults import NotFound
from mooring.core.sandboxes import NamespaceState
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.cli.daemons import ServedHost
from tests.test_attaching import Namespaces


@pytest.fixture
async def there(daemon: ServedHost, monkeypatch: pytest.MonkeyPatch) -> MemoryNamespaces:
    """Namespace lab-1, and a root who may enter it."""
    await daemon.host.services.repair.once()  # the bridge is there
    made = Namespaces(daemon.host.kernel)
    made.external("/run/netns/lab-1")

    async def close() -> None:
        """It is used again."""

    monkeypatch.setattr(made, "close", close)
    monkeypatch.setattr(namespaces, "LinuxNamespaces", lambda *_: made)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


@pytest.mark.usefixtures("there")
async def test_a_namespace_is_attached_and_detached(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """As a container: addresses alone on stdout, the rest on stderr."""
    assert await daemon.run("attach", "--netns", "lab-1", "1f6b2c", "10.32.0.99") == 0
    addresses = capsys.readouterr().out
    assert addresses.split()[0] == "10.32.0.99"
    assert await daemon.run("attach", "--netns", "lab-1", "1f6b2c") == 0
    assert capsys.readouterr() == (addresses, "mooring: attached already\n")
    assert await daemon.run("explain", "lab-1") == 0
    assert "held by namespace lab-1, interface eth0" in " ".join(capsys.readouterr().out.split())
    assert await daemon.run("detach", "--netns", "lab-1", "1f6b2c", "--dry-run") == 0
    assert capsys.readouterr() == (addresses, "mooring: not done, only tried\n")
    assert await daemon.run("detach", "--netns", "lab-1", "1f6b2c") == 0
    assert capsys.readouterr() == (addresses, "")
    assert await daemon.run("detach", "--netns", "lab-1", "1f6b2c") == 0
    assert capsys.readouterr() == ("", "mooring: not attached\n")


@pytest.mark.usefixtures("there")
async def test_words_that_mean_nothing_are_one_line(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage, and what is not there."""
    for words, code in (
        (("attach", "db"), 2),
        (("attach",), 2),
        (("detach", "db"), 2),
        (("attach", "--netns", "lab-1", "--pid", "7", "1f6b2c"), 2),
        (("attach", "--name", "x", "db", "1f6b2c"), 2),
        (("detach", "--netns", "lab-1", "1f6b2c", "10.32.0.9"), 2),
        (("attach", "--netns", "nowhere", "1f6b2c"), 3),
        (("attach", "--netns", "../x", "1f6b2c"), 2),
        (("attach", "--netns", "lab-1", "nowhere"), 3),
    ):
        assert await daemon.run(*words) == code, words
        assert capsys.readouterr().err.count("\n") == 1


async def test_who_is_not_root_is_told(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is begun."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert await daemon.run("attach", "--pid", "1", "1f6b2c") == 1
    assert capsys.readouterr().err == (
        "mooring: --pid and --netns change a network namespace, which only root may; use sudo\n"
    )


async def test_the_namespace_is_held_while_it_is_worked_in(
    daemon: ServedHost, there: MemoryNamespaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may end, and another one get its id: pipework#204."""
    asked: list[str] = []

    async def observe(path: str) -> NamespaceState:
        asked.append(path.partition("/fd/")[0] + " " + os.readlink(path))
        raise NotFound("no namespace of the memory's")

    monkeypatch.setattr(there, "observe", observe)
    assert await daemon.run("attach", "--pid", str(os.getpid()), "1f6b2c") == 3
    assert asked == [f"/proc/{os.getpid()} {os.readlink('/proc/self/ns/net')}"]
