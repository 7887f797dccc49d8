"""Fixtures of the command tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.daemons import ServedHost, served


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServedHost]:
    """A daemon with the sample host, and an environment that says nothing."""
    for name in ("MOORING_SOCKET", "MOORING_RUN_DIR", "MOORING_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    async with served(tmp_path) as host:
        yield host
