"""Which files are opened and which are refused, and that a refused one is left as it was."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from mooring.adapters.sqlite import sqlite_files
from mooring.adapters.sqlite.sqlite_files import APPLICATION_ID, copy_database, open_database
from mooring.core.faults import Conflict, Fault, Unavailable

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is, with 2000 records, closed."""
    file = tmp_path / "state" / "store.db"
    database = open_database(str(file))
    with database.connection:
        database.connection.execute("UPDATE counters SET revision = 7")
        database.connection.executemany(
            "INSERT INTO records VALUES (?, ?, 7)", ((f"k{number}", b"x" * 100) for number in range(2000))
        )
    database.close()
    return file


def contents(directory: Path) -> dict[str, bytes]:
    """Every file and what is in it; the lock file, which stays for ever, left out."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file() and file.suffix != ".lock"}


def refusal(path: Path | str, kind: type[Fault]) -> str:
    """The one line with which opening is refused."""
    with pytest.raises(kind) as caught:
        open_database(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_directory_is_made_for_the_owner_only(tmp_path: Path) -> None:
    """The directory is 0700, its files 0600."""
    path = tmp_path / "a" / "state" / "store.db"
    database = open_database(str(path))
    with database.connection:
        database.connection.execute("UPDATE counters SET revision = 1")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    database.close()
    assert modes == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm", "store.db.lock"], 0o600)


def test_a_relative_path_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store can be in the working directory."""
    monkeypatch.chdir(tmp_path)
    open_database("store.db").close()
    assert (tmp_path / "store.db").exists()


def test_the_file_is_durable_and_marked(path: Path) -> None:
    """Commits wait for the disk, the log is on, and other programs can tell whose file it is."""
    database = open_database(str(path))
    values = [
        database.connection.execute(f"PRAGMA {name}").fetchall()
        for name in ("journal_mode", "synchronous", "application_id", "user_version")
    ]
    database.close()
    assert values == [[("wal",)], [(2,)], [(APPLICATION_ID,)], [(1,)]]
    assert database.revision == 7


def test_a_second_instance_is_refused_by_pid(path: Path) -> None:
    """The fault names the process that has the store, and the store is free again once that closes it."""
    database = open_database(str(path))
    assert f"held by process {os.getpid()}" in refusal(path, Conflict)
    database.close()
    open_database(str(path)).close()


def test_a_store_of_a_dead_process_is_free(path: Path) -> None:
    """The lock goes with its process, however that ends."""
    script = f"""
import os
from mooring.adapters.sqlite.sqlite_files import open_database
database = open_database({str(path)!r})
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    database = open_database(str(path))
    assert database.revision == 7
    database.close()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"hello\n" * 1000), "not a SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "not a SQLite database"),
        (lambda path: path.mkdir(), "not a file"),
        (os.mkfifo, "not a file"),
    ],
)
def test_what_is_not_a_store_is_refused(tmp_path: Path, make: Callable[[Path], None], text: str) -> None:
    """Nothing is made beside it, and it stays as it is."""
    path = tmp_path / "store.db"
    make(path)
    before = contents(tmp_path) if path.is_file() else {}
    assert text in refusal(path, Conflict)
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]
    assert (contents(tmp_path) if path.is_file() else {}) == before


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """An SQLite file without our mark is somebody's."""
    path = tmp_path / "store.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = contents(tmp_path)
    assert "another program created it" in refusal(path, Conflict)
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_newer_schema_is_refused(path: Path) -> None:
    """The fault names both versions and what to do; the file stays as it is."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = contents(path.parent)
    text = refusal(path, Unavailable)
    assert "schema version 2, this Mooring supports up to 1" in text
    assert "newer Mooring" in text
    assert contents(path.parent) == before


@pytest.mark.parametrize("page", [2, 5, 20])
def test_a_damaged_file_is_refused(path: Path, page: int) -> None:
    """A page of rubbish is found at once, and the file stays as it is."""
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    before = contents(path.parent)
    assert "is damaged" in refusal(path, Unavailable)
    assert {name: before[name] for name in before if name == "store.db"} == {
        name: data for name, data in contents(path.parent).items() if name == "store.db"
    }
    assert "is damaged" in refusal(path, Unavailable), "a refusal lets go of the lock"


def test_a_file_that_ends_too_early_is_refused(path: Path) -> None:
    """Half a file is damaged."""
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in refusal(path, Unavailable)


def test_a_store_without_its_tables_is_refused(path: Path) -> None:
    """Our mark alone does not make it a store."""
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE counters")
    connection.close()
    assert "counters" in refusal(path, Unavailable)


@pytest.mark.parametrize("path", ["/proc/mooring/store.db", "/dev/null/store.db", "/" + "x" * 300 + "/store.db"])
def test_an_impossible_directory_is_refused(path: str) -> None:
    """What the system says of the path is in the fault."""
    assert path.split("/")[1] in refusal(path, Unavailable)


def test_an_impossible_name_is_refused() -> None:
    """No file has a zero byte in its name."""
    refusal("/tmp/a\0b", Conflict)


@pytest.fixture
def nobody(path: Path) -> Iterator[None]:
    """Root may write anywhere, so the test runs as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    for parent in path.parents:
        if parent == Path("/tmp"):
            break
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(0o755)
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


def own(*paths: Path, mode: int) -> None:
    """The files are the test user's, with that mode."""
    for path in paths:
        path.chmod(mode)
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def read_only_file(path: Path) -> Path:
    """A store that may be read only, in a directory that may be written to."""
    own(path, Path(f"{path}.lock"), mode=0o400)
    Path(f"{path}.lock").chmod(0o600)
    own(path.parent, mode=0o700)
    return path


@pytest.fixture
def read_only_directory(path: Path) -> Path:
    """A store of ours in a directory where nothing can be made."""
    Path(f"{path}.lock").unlink()
    own(path, mode=0o600)
    own(path.parent, mode=0o500)
    return path


def test_a_read_only_file_is_refused(read_only_file: Path, nobody: None) -> None:
    """Opening does not wait for the first commit to find out."""
    before = contents(read_only_file.parent)
    assert "cannot be written to" in refusal(read_only_file, Unavailable)
    assert contents(read_only_file.parent) == before


def test_a_read_only_directory_is_refused(read_only_directory: Path, nobody: None) -> None:
    """The log and the lock have to be beside the file."""
    before = contents(read_only_directory.parent)
    assert "Permission denied" in refusal(read_only_directory, Unavailable)
    assert "Permission denied" in refusal(read_only_directory.parent / "new.db", Unavailable)
    assert contents(read_only_directory.parent) == before


def test_creation_cut_off_leaves_nothing_under_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store appears whole: what an interrupted creation left behind is replaced by the next."""
    path = tmp_path / "store.db"
    (tmp_path / "store.db.new").write_bytes(b"SQLite format 3\0 half")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_files, "_SCHEMA", "CREATE TABLE records (")
        refusal(path, Unavailable)
    assert [file.name for file in tmp_path.iterdir()] == ["store.db.lock"]
    open_database(str(path)).close()
    assert sorted(contents(tmp_path)) == ["store.db"]


def test_a_copy_is_a_store(path: Path, tmp_path: Path) -> None:
    """A backup holds everything, needs no other file, is for the owner only, and opens."""
    target = tmp_path / "copy.db"
    copy_database(str(path), str(target))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "state"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    database = open_database(str(target))
    assert database.revision == 7
    assert database.connection.execute("SELECT count(*) FROM records").fetchone() == (2000,)
    database.close()


@pytest.mark.parametrize("target", ["missing/copy.db", "state"])
def test_a_backup_that_cannot_be_written_leaves_nothing(path: Path, tmp_path: Path, target: str) -> None:
    """No half of a copy stays, and what is there is not replaced."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Fault, match=r"No such file|exists"):
        copy_database(str(path), str(tmp_path / target))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failing_copy_is_taken_away(path: Path, tmp_path: Path) -> None:
    """When the source cannot be read, the target's name is free again."""
    path.write_bytes(os.urandom(8192))
    with pytest.raises(Unavailable):
        copy_database(str(path), str(tmp_path / "copy.db"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state"]


def test_a_forked_process_does_not_hold_the_store(path: Path) -> None:
    """A child that outlives the program which opened the store leaves it to the next."""
    (until_over, over), (until_up, up) = os.pipe(), os.pipe()
    database = open_database(str(path))
    child = os.fork()
    if child == 0:
        os.close(over)
        os.write(up, b"1")
        os.read(until_over, 1)
        os._exit(0)
    try:
        os.read(until_up, 1)
        database.close()
        open_database(str(path)).close()
    finally:
        for descriptor in (over, until_over, until_up, up):
            os.close(descriptor)
        os.waitpid(child, 0)
