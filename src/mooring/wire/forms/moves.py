"""The form of moves.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from urllib.parse import unquote

from msgspec import field

from mooring.core.moves import Move
from mooring.wire.forms.elements import Stored


class MoveV1(Stored, tag=1):
    """A container that is to be in its network again; both ids are in the key."""

    place: str
    since: float
    addresses: list[str] = field(default_factory=list)

    def record(self, key: str) -> Move:
        """See stored.Form."""
        _, container, network = key.split("/")
        return Move(
            container=unquote(container),
            network=unquote(network),
            place=self.place,
            since=self.since,
            addresses=tuple(self.addresses),
        )


def move_form(move: Move) -> MoveV1:
    """The newest form of a move."""
    return MoveV1(place=move.place, since=move.since, addresses=list(move.addresses))
