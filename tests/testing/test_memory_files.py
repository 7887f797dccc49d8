"""Files in memory, where a test looks in; tests/contracts/test_files.py has the rest."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.testing.memory_files import MemoryFiles
from tests.contracts.text_changes import read, write


async def test_a_path_fails_as_long_as_the_test_says() -> None:
    """It is refused in every way, and is as it was afterwards."""
    files = MemoryFiles({"/etc/hosts": "before"})
    files.failing.add("/etc/hosts")
    refusals = (files.read_host("/etc/hosts"), read(files, "/etc/hosts"), write(files, "/etc/hosts", "after"))
    for refused in (*refusals, write(files, "/etc/hosts", None)):
        with pytest.raises(Unavailable, match="/etc/hosts"):
            await refused
    files.failing.clear()
    assert await files.read_host("/etc/hosts") == "before"
    assert files.changed == []


async def test_changes_are_told_in_order() -> None:
    """Writes and removals by path; reading, and what is so already, leave no trace."""
    files = MemoryFiles({"/b": "2"})
    await files.update(("/a", "/b", "/c"), lambda _: {"/a": "1", "/b": None, "/c": None})
    await write(files, "/a", "1")
    await read(files, "/a")
    assert files.changed == ["/a", "/b"]
    assert files.texts == {"/a": "1"}
