"""The audit log: what a line says, what it never says, rotation, and disks that do not take it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring.servers.proxy import audits
from mooring.servers.proxy.audits import AuditLog
from mooring.wire.docker_api import recognise

NOON = 1_700_000_000.1234


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are not collected for long."""
    monkeypatch.setattr(audits, "PERIOD", 0.001)


def lines(path: Path) -> list[dict[str, Any]]:
    """What the file says."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path) -> int:
    """How many lines are there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def descriptors(path: Path) -> list[int]:
    """This process's own, of the file."""
    every = map(int, os.listdir("/proc/self/fd"))
    return [one for one in every if os.path.realpath(f"/proc/self/fd/{one}") == str(path)]


async def until(question: Callable[[], bool]) -> None:
    """Wait for a thread's work."""
    async with asyncio.timeout(10):
        while not question():  # noqa: ASYNC110  nobody tells of what a thread did
            await asyncio.sleep(0.002)


async def test_a_line_says_who_asked_for_what_and_nothing_secret(tmp_path: Path) -> None:
    """Time, listener, method, path, verb and status; neither version nor query."""
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path, "unix:///x", clock=lambda: NOON)
    audit.record(recognise("POST", "/v1.41/containers/create?name=db&token=secret", False), 201)
    audit.close()
    assert lines(path) == [
        {
            "at": "2023-11-14T22:13:20.123Z",
            "listener": "unix:///x",
            "method": "POST",
            "path": "/containers/create",
            "verb": "create",
            "status": 201,
            "refused": False,
        }
    ]
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


async def test_a_line_says_who_asked_and_why_it_was_no_request(tmp_path: Path) -> None:
    """What the connection proves, and who refused: both may say 403."""
    audit = AuditLog(tmp_path / "a", "x")
    call = recognise("POST", "/exec/a/start", False)
    audit.record(call, 403, {"uid": 1000, "gid": 100, "pid": 42}, True)
    audit.record(call, 403, {"peer": "10.0.0.1:4", "subject": "CN=alice", "fingerprint": "sha256:00"})
    audit.record(call, 400, {}, True, "the request's head is malformed")
    audit.close()
    first, second, third = lines(tmp_path / "a")
    assert [line["refused"] for line in (first, second, third)] == [True, False, True]
    assert (first["uid"], first["gid"], first["pid"]) == (1000, 100, 42)
    assert (second["peer"], second["subject"], second["fingerprint"]) == ("10.0.0.1:4", "CN=alice", "sha256:00")
    assert third["reason"] == "the request's head is malformed"


async def test_lines_come_in_order_while_it_is_open(tmp_path: Path) -> None:
    """They are written without a close, and appended to what is there."""
    path = tmp_path / "a"
    path.write_text('{"old": 1}\n')
    audit = AuditLog(path, "x")
    for number in range(100):
        audit.record(recognise("GET", f"/containers/{number}/json", False), 200)
        if number == 50:
            await until(lambda: written(path) >= 52)
    await until(lambda: written(path) >= 101)
    assert [line.get("path") for line in lines(path)] == [None, *(f"/containers/{n}/json" for n in range(100))]
    audit.close()


async def test_a_path_cannot_break_the_line_or_fill_the_disk(tmp_path: Path) -> None:
    """Line feeds are escaped, and long paths are cut."""
    audit = AuditLog(tmp_path / "a", "x")
    audit.record(recognise("GET", "/a%0A%22%7D%FF" + "x" * 60_000, False), 404)
    audit.close()
    (line,) = lines(tmp_path / "a")
    assert line["path"].startswith('/a\n"}')
    assert len(line["path"]) < 1100


async def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    """As logrotate does it, without telling anybody; also when somebody removes it."""
    path = tmp_path / "a"
    audit = AuditLog(path, "x")
    for moved in ("b", "c"):
        audit.record(recognise("GET", f"/{moved}", False), 200)
        await until(lambda: written(path) >= 1)
        path.rename(tmp_path / moved)
    audit.record(recognise("GET", "/d", False), 200)
    audit.close()
    assert [[line["path"] for line in lines(tmp_path / name)] for name in ("b", "c", "a")] == [["/b"], ["/c"], ["/d"]]


async def test_a_file_that_cannot_be_written_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Traffic goes on; when it can be written again, the log says so and the next line says how many are missing."""
    folder = tmp_path / "gone"
    audit = AuditLog(folder / "a", "x")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            audit.record(recognise("GET", "/info", False), 200)
            await until(lambda: not audit.waits)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        folder.mkdir()
        audit.record(recognise("GET", "/info", False), 200)
        audit.close()
    assert "No such file" in caplog.messages[0]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert [line.get("lost") for line in lines(folder / "a")] == [3, None]


async def test_a_torn_line_is_ended_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full in the middle of a line spoils that line only."""
    path = tmp_path / "a"
    real = os.write
    room = [10]

    def write(descriptor: int, data: memoryview) -> int:
        if not room:
            return real(descriptor, data)
        if room[0] == 0:
            room.clear()
            raise OSError(28, "No space left on device")
        room[0] = 0
        return real(descriptor, data[:10])

    monkeypatch.setattr(os, "write", write)
    audit = AuditLog(path, "x")
    audit.record(recognise("GET", "/info", False), 200)
    await until(lambda: not audit.waits)
    audit.record(recognise("GET", "/version", False), 200)
    audit.close()
    torn, *whole = path.read_text().splitlines()
    assert len(torn) == 10
    assert [json.loads(line).get("path", "lost") for line in whole] == ["lost", "/version"]


async def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is counted."""
    monkeypatch.setattr(audits, "ROOM", 1000)
    audit = AuditLog(tmp_path / "a", "x")
    for _ in range(100):
        audit.record(recognise("GET", "/info", False), 200)
    audit.close()
    first, *whole = lines(tmp_path / "a")
    assert len(whole) + first["lost"] == 100
    assert len(whole) < 10


async def test_two_listeners_may_share_a_file(tmp_path: Path) -> None:
    """Each line is whole, and says whose it is."""
    both = [AuditLog(tmp_path / "a", name) for name in ("one", "two")]
    for _ in range(200):
        for audit in both:
            audit.record(recognise("GET", "/info", False), 200)
        await asyncio.sleep(0)
    for audit in both:
        audit.close()
    assert sorted(line["listener"] for line in lines(tmp_path / "a")) == ["one"] * 200 + ["two"] * 200


async def test_it_is_not_inherited_by_children(tmp_path: Path) -> None:
    """The descriptor closes with exec."""
    audit = AuditLog(tmp_path / "a", "x")
    audit.record(recognise("GET", "/info", False), 200)
    await until(lambda: written(tmp_path / "a") >= 1)
    assert [os.get_inheritable(descriptor) for descriptor in descriptors(tmp_path / "a")] == [False]
    audit.close()
