"""Files in memory, where a test looks in; tests/contracts/test_files.py has the rest."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.testing.memory_files import MemoryFiles


async def test_a_path_fails_as_long_as_the_test_says() -> None:
    """It is refused in every way, and is as it was afterwards."""
    files = MemoryFiles({"/etc/hosts": "before"})
    files.failing.add("/etc/hosts")
    for refused in (files.read("/etc/hosts"), files.write("/etc/hosts", "after"), files.remove("/etc/hosts")):
        with pytest.raises(Unavailable, match="/etc/hosts"):
            await refused
    files.failing.clear()
    assert await files.read("/etc/hosts") == "before"
    assert files.changed == []


async def test_changes_are_told_in_order() -> None:
    """Writes and removals by path, reading leaves no trace."""
    files = MemoryFiles()
    await files.write("/a", "1")
    await files.read("/a")
    await files.remove("/b")
    assert files.changed == ["/a", "/b"]
    assert files.texts == {"/a": "1"}
