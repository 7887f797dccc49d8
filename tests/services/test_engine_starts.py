"""What is a start of the engine: activations by process and number of names -> how often it was told."""

from __future__ import annotations

import pytest

from mooring.services.networking.engine_starts import EngineStarts


@pytest.mark.parametrize(
    ("names", "processes", "starts"),
    [
        (1, [5], 1),
        (1, [5, 6], 2),
        (1, [5, 5], 2),  # somebody stands between us and the engine
        (2, [5, 5], 1),
        (2, [5, 6, 6], 2),
        (2, [5, 5, 6, 6], 2),
        (2, [5, 5, 5], 2),
        (2, [0, 0], 2),
    ],
)
def test_a_run_of_the_engine_is_told_once(names: int, processes: list[int], starts: int) -> None:
    """However many of the names it comes to need, and when."""
    told: list[None] = []
    engine = EngineStarts(names, lambda: told.append(None))
    for process in processes:
        engine.activated(process)
    assert len(told) == starts
