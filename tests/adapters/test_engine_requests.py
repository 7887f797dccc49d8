"""Requests of a command to the engine; what answers is in tests/test_removal.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.adapters.docker.engine_requests import EngineRequests
from mooring.core.faults import Unavailable


def test_an_engine_that_is_away_is_one_line(tmp_path: Path) -> None:
    """It says where it was looked for, and what to do."""
    with pytest.raises(Unavailable, match=r"engine\.sock does not answer.*start it first"):
        EngineRequests(str(tmp_path / "engine.sock")).get("/networks")
