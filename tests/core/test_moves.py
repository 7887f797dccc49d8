"""A move is what is needed to put a container back."""

from __future__ import annotations

from mooring.core.moves import Move
from mooring.wire import stored


def test_a_move_is_the_containers_in_one_network() -> None:
    """It is kept under both ids, and comes back as it was."""
    move = Move(container="c" * 64, network="n" * 64, place='{"Aliases":["db"]}', addresses=("10.0.0.2",), since=1.0)
    key = stored.key_of(move)
    assert key == f"move/{'c' * 64}/{'n' * 64}"
    assert stored.decode(key, stored.encode(move)) == move
