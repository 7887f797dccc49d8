"""What every Files promises."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.adapters.text_files import LocalFiles
from mooring.core.faults import Unavailable
from mooring.ports import Files
from mooring.testing.memory_files import MemoryFiles


@pytest.fixture(params=[LocalFiles, MemoryFiles])
def files(request: pytest.FixtureRequest) -> Files:
    """Each kind of files in turn."""
    made: Files = request.param()
    return made


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A path in a folder that is not there."""
    return str(tmp_path / "c1" / "hosts")


async def test_what_was_written_is_read(files: Files, path: str) -> None:
    """No file is None, an empty one is empty, a shorter text takes the place of a longer one."""
    assert await files.read(path) is None
    for text in ("127.0.0.1\tlocalhost\n" * 100, "", "short", "ü ☃\n"):
        await files.write(path, text)
        assert await files.read(path) == text


async def test_bytes_that_are_no_utf8_come_back_as_they_were(files: Files, path: str) -> None:
    """Also through a change of what is around them."""
    text = b"10.0.0.1 caf\xe9\n".decode(errors="surrogateescape")
    await files.write(path, text)
    assert await files.read(path) == text
    with pytest.raises(Unavailable, match="hosts"):
        await files.write(path, "\ud800")
    assert await files.read(path) == text


async def test_what_is_removed_is_gone(files: Files, path: str) -> None:
    """Removing what is not there is fine, and it can be written anew."""
    await files.remove(path)
    await files.write(path, "text")
    await files.remove(path)
    await files.remove(path)
    assert await files.read(path) is None
    await files.write(path, "again")
    assert await files.read(path) == "again"


async def test_a_folder_is_no_file_and_a_file_no_folder(files: Files, path: str) -> None:
    """Each is refused with the path named, and nothing is changed."""
    await files.write(path, "text")
    for bad in (str(Path(path).parent), f"{path}/below", "nul\0"):
        for refused in (files.read(bad), files.write(bad, "x"), files.remove(bad)):
            with pytest.raises(Unavailable, match=bad.removesuffix("\0")):
                await refused
    assert await files.read(path) == "text"


async def test_writers_of_one_path_do_not_mix(files: Files, path: str) -> None:
    """Whoever is last, the file has one whole text."""
    texts = [f"{letter}\n" * count for letter, count in zip("abcdefgh", range(4000, 0, -500), strict=True)]
    async with asyncio.TaskGroup() as tasks:
        for text in texts:
            tasks.create_task(files.write(path, text))
    assert await files.read(path) in texts


async def test_who_is_cancelled_does_not_overtake_the_next(files: Files, path: str) -> None:
    """A write that was asked for later is what stays."""
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(files.write(path, "first\n" * 1000))
        await asyncio.sleep(0)
        first.cancel()
        tasks.create_task(files.write(path, "second"))
    assert await files.read(path) == "second"
