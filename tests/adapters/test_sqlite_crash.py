"""kill -9 under load, again and again, and a disk that fills up: what was acknowledged is there, nothing is half there.

A round forks a child from this process (everything is imported already, so a round costs little). The child commits
from many tasks at once and writes a line to a pipe for each acknowledged commit, before it goes on; the parent kills it
at a random moment, opens the store as a daemon would, and compares. A store lives through many rounds.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mooring.adapters.sqlite.sqlite_files import open_database
from mooring.adapters.sqlite.sqlite_store import SqliteStore, open_sqlite_store
from mooring.core.faults import StaleRevision, Unavailable
from mooring.ports import Transaction

# A forked child is safe here: no other thread of this process is at work then.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

FULL = r"disk is full|No space left"
WRITERS = 24
# Each writer owns a few slots. A slot has two keys, which one transaction always changes together.
SLOTS = 4


async def write(store: SqliteStore, writer: int, serial: int, pipe: int) -> None:
    """Change the writer's slots for ever: mostly written, now and then deleted; a serial number never comes back."""
    chance = random.Random(serial + writer)
    while True:
        serial += 1
        slot = f"{writer:02}.{chance.randrange(SLOTS)}"
        pair = (f"left/{slot}", f"right/{slot}")
        if chance.random() < 0.2:
            await store.commit(Transaction(put={f"state/{slot}": b"%d -" % serial}, delete=pair))
            line = f"{slot} {serial} -\n"
        else:
            size = chance.choice((1, 100, 5000))
            value = b"%d " % serial + b"x" * size
            puts = dict.fromkeys(pair, value) | {f"state/{slot}": b"%d +" % serial}
            await store.commit(Transaction(put=puts))
            line = f"{slot} {serial} +\n"
        # Lines shorter than PIPE_BUF are written whole or not at all.
        os.write(pipe, line.encode())


async def load(path: str, serial: int, pipe: int) -> None:
    """All writers at once, and transactions that fail between them."""
    store = await open_sqlite_store(path)

    async def fail() -> None:
        while True:
            try:
                await store.commit(Transaction({"never": 1}, {"never": b"", "state/00.0": b"0 !"}))
            except StaleRevision:
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        for writer in range(WRITERS):
            tasks.create_task(write(store, writer, serial, pipe))


def crash(path: str, serial: int, moment: float) -> list[tuple[str, int, str]]:
    """A child works on the store and is killed; what it acknowledged.

    moment: seconds after its first acknowledgement, however long a busy machine takes to it; or, below 0, seconds after
    its birth, most likely while it opens the store.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Whatever happens, this process must never go on as a second pytest.
        try:
            os.close(reader)
            asyncio.run(load(path, serial, writer))
        finally:
            os._exit(1)
    os.close(writer)
    seen = [os.read(reader, 1 << 16)] if moment >= 0 else []
    # Reading meanwhile, or a full pipe would stop the child. The clock is the test's input here, not its measure.
    deadline = time.monotonic() + abs(moment)
    while (rest := deadline - time.monotonic()) > 0:
        if select.select([reader], [], [], rest)[0]:
            seen.append(os.read(reader, 1 << 16))
    os.kill(pid, signal.SIGKILL)
    while data := os.read(reader, 1 << 16):
        seen.append(data)
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the child ended by itself"
    lines = b"".join(seen).decode().splitlines()
    return [(slot, int(number), sign) for slot, number, sign in (line.split(" ") for line in lines)]


class Ledger:
    """What the parent knows: the newest acknowledged state of each slot."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, str]] = {}
        self.revision = 0

    def note(self, acknowledged: list[tuple[str, int, str]]) -> None:
        """Acknowledgements of one slot come in order, because its writer waits for each."""
        for slot, serial, sign in acknowledged:
            assert serial > self.states.get(slot, (0, ""))[0]
            self.states[slot] = serial, sign

    def check(self, path: str) -> None:
        """Open the store (which checks its integrity) and compare."""
        database = open_database(path)
        rows = database.connection.execute("SELECT key, value, revision FROM records").fetchall()
        assert database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.revision >= max([self.revision, *(int(str(row[2])) for row in rows)])
        self.revision = database.revision
        database.close()
        values = {str(key): bytes(value) for key, value, _ in rows if isinstance(value, bytes)}
        assert "never" not in values
        slots = {key.partition("/")[2] for key in values}
        assert set(self.states) <= slots, "an acknowledged slot is gone"
        for slot in slots:
            serial, sign = values[f"state/{slot}"].decode().split(" ")
            known = self.states.get(slot, (0, ""))
            assert int(serial) >= known[0], "an acknowledged commit is lost"
            assert int(serial) > known[0] or sign == known[1]
            pair = {values.get(f"left/{slot}"), values.get(f"right/{slot}")}
            assert len(pair) == 1, "a transaction is half there"
            value = pair.pop()
            assert (value is None) == (sign == "-")
            assert value is None or value.startswith(f"{serial} ".encode())
            # What was in flight may have been carried out; from now on it is known.
            self.states[slot] = int(serial), sign


def kill_often(directory: Path, rounds: int, seed: int) -> int:
    """That many rounds, with a fresh store now and then; how many commits were acknowledged."""
    chance = random.Random(seed)
    total = 0
    ledger, path = Ledger(), ""
    for number in range(rounds):
        if number % 100 == 0:
            ledger, path = Ledger(), str(directory / f"{number}" / "store.db")
        acknowledged = crash(path, number * 1_000_000, chance.uniform(-0.01, 0.02))
        total += len(acknowledged)
        ledger.note(acknowledged)
        ledger.check(path)
    return total


def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    """Twenty kills under load: every acknowledged commit is there, whole."""
    assert kill_often(tmp_path, rounds=20, seed=1) > 10


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_hundreds_of_kills(tmp_path: Path) -> None:
    """Four hundred kills under load, at moments all over a commit, a checkpoint and a recovery."""
    assert kill_often(tmp_path, rounds=400, seed=2) > 200


def test_a_kill_while_the_store_is_made_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    """Killed at a random moment of its creation, a store is not there or opens."""
    chance = random.Random(3)
    for number in range(15):
        path = str(tmp_path / str(number) / "store.db")
        pid = os.fork()
        if pid == 0:
            try:
                open_database(path)
                signal.pause()
            finally:
                os._exit(1)
        select.select([], [], [], chance.uniform(0, 0.01))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        database = open_database(path)
        assert database.revision == 0
        database.close()


def mount(directory: Path, *arguments: str) -> None:
    """A file system of two megabytes, or a change to it."""
    subprocess.run(["mount", "-t", "tmpfs", *arguments, "mooring-test", directory], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount(directory, "-o", "size=2m")
    yield directory
    subprocess.run(["umount", directory], check=True)


def fill(directory: Path) -> None:
    """Not a byte is left."""
    with (directory / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)


def files(directory: Path) -> list[str]:
    """What there is, but for the lock."""
    return sorted(file.name for file in directory.iterdir() if file.suffix != ".lock")


@pytest.mark.netns
async def test_a_full_disk_refuses_commits_until_there_is_space(small_disk: Path) -> None:
    """Commits fail with a fault that says that nothing was written, reads go on, and space brings the store back."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (512 << 10))
    store = await open_sqlite_store(str(small_disk / "store.db"))
    written: list[str] = []

    async def write_on() -> None:
        while True:
            key = f"k{len(written):04}"
            await store.commit(Transaction(put={key: b"x" * 10_000}))
            written.append(key)

    with pytest.raises(Unavailable, match="the disk is full; nothing was written"):
        await write_on()
    for _ in range(3):
        with pytest.raises(Unavailable, match="nothing was written"):
            await store.commit(Transaction(put={"large": b"x" * 2_000_000, "small": b""}))
    assert [entry.key for entry in (await store.scan(""))[0]] == written
    with pytest.raises(Unavailable, match=FULL):
        await store.backup(str(small_disk / "copy.db"))
    assert files(small_disk) == ["ballast", "store.db", "store.db-shm", "store.db-wal"]
    ballast.unlink()
    await store.commit(Transaction(put={"after": b""}, delete=written[:5]))
    await store.close()
    store = await open_sqlite_store(str(small_disk / "store.db"))
    assert [entry.key for entry in (await store.scan(""))[0]] == ["after", *written[5:]]
    await store.close()


@pytest.mark.netns
async def test_no_store_is_made_on_a_full_disk(small_disk: Path) -> None:
    """A refusal of one line, and nothing half made."""
    fill(small_disk)
    with pytest.raises(Unavailable, match=FULL):
        await open_sqlite_store(str(small_disk / "store.db"))
    assert files(small_disk) == ["ballast"]


@pytest.mark.netns
async def test_a_store_on_a_full_disk_is_refused_or_read(small_disk: Path) -> None:
    """A restart while the disk is full harms nothing: the store opens, or says what is wrong, and is whole later."""
    store = await open_sqlite_store(str(small_disk / "store.db"))
    await store.commit(Transaction(put={"a": b"1"}))
    await store.close()
    fill(small_disk)
    with pytest.raises(Unavailable, match=FULL):
        store = await open_sqlite_store(str(small_disk / "store.db"))
    (small_disk / "ballast").unlink()
    store = await open_sqlite_store(str(small_disk / "store.db"))
    assert len((await store.scan("a"))[0]) == 1
    await store.close()


@pytest.mark.netns
async def test_a_read_only_file_system_is_refused(small_disk: Path) -> None:
    """What cannot be written to is refused at once, and works again when it can."""
    store = await open_sqlite_store(str(small_disk / "store.db"))
    await store.commit(Transaction(put={"a": b"1"}))
    await store.close()
    mount(small_disk, "-o", "remount,ro")
    with pytest.raises(Unavailable, match="Read-only file system"):
        await open_sqlite_store(str(small_disk / "store.db"))
    mount(small_disk, "-o", "remount,rw")
    store = await open_sqlite_store(str(small_disk / "store.db"))
    assert len((await store.scan("a"))[0]) == 1
    await store.close()
