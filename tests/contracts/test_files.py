"""What every Files promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mooring.adapters.host.text_files import LocalFiles
from mooring.core.faults import BadRequest
from mooring.ports import Files
from mooring.testing.memory_files import MemoryFiles
from tests.contracts.text_changes import read, write

Texts = Mapping[str, str | None]


@pytest.fixture(params=[LocalFiles, MemoryFiles])
def files(request: pytest.FixtureRequest) -> Files:
    """Each kind of files in turn."""
    made: Files = request.param()
    return made


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A path in a folder that is not there."""
    return str(tmp_path / "c1" / "hosts")


def fixed(changes: Texts) -> Callable[[Texts], Texts]:
    """These changes, whatever the texts are."""
    return lambda _: changes


async def test_what_was_written_is_read(files: Files, path: str) -> None:
    """No file is None, an empty one is empty, a shorter text takes the place of a longer one."""
    assert await read(files, path) is None
    assert await files.read_host(path) is None
    for text in ("127.0.0.1\tlocalhost\n" * 100, "", "short", "ü ☃\n"):
        await write(files, path, text)
        assert await read(files, path) == await files.read_host(path) == text


async def test_several_files_are_read_and_changed_at_once(files: Files, path: str) -> None:
    """The change sees all of them; what it does not name stays."""
    other = f"{path}.hash"
    await write(files, path, "text")
    await files.update((path, other), lambda texts: {other: f"{texts[path]} {texts[other]}"})
    assert (await read(files, path), await read(files, other)) == ("text", "text None")
    await files.update((path, other), lambda texts: {path: None, other: texts[path]})
    assert (await read(files, path), await read(files, other)) == (None, "text")


async def test_bytes_that_are_no_utf8_come_back_as_they_were(files: Files, path: str) -> None:
    """Also through a change of what is around them."""
    text = b"10.0.0.1 caf\xe9\n".decode(errors="surrogateescape")
    await write(files, path, text)
    assert await read(files, path) == text
    with pytest.raises(BadRequest, match="hosts"):
        await write(files, path, "\ud800")
    assert await read(files, path) == text


async def test_what_is_removed_is_gone(files: Files, path: str) -> None:
    """Removing what is not there is fine, and it can be written anew."""
    await write(files, path, None)
    await write(files, path, "text")
    await write(files, path, None)
    await write(files, path, None)
    assert await read(files, path) is None
    await write(files, path, "again")
    assert await read(files, path) == "again"


async def test_a_folder_is_no_file_and_a_file_no_folder(files: Files, path: str) -> None:
    """Each is refused with the path named, and nothing is changed, of other files neither."""
    await write(files, path, "text")
    for bad in (str(Path(path).parent), f"{path}/below", "/nul\0"):
        for text in ("x", None):
            changes: Texts = {path: "changed", bad: text}
            with pytest.raises(BadRequest, match=bad.removesuffix("\0")):
                await files.update((path, bad), fixed(changes))
    assert await read(files, path) == "text"


async def test_updates_of_one_path_do_not_mix(files: Files, path: str) -> None:
    """Each sees what the one before has made of the file."""

    def longer(texts: Texts) -> Texts:
        return {path: f"{texts[path] or ''}x"}

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(files.update((path,), longer))
    assert await read(files, path) == "x" * 8


async def test_who_is_cancelled_does_not_overtake_the_next(files: Files, path: str) -> None:
    """A change that was asked for later is what stays."""
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(write(files, path, "first\n" * 1000))
        await asyncio.sleep(0)
        first.cancel()
        tasks.create_task(write(files, path, "second"))
    assert await read(files, path) == "second"
