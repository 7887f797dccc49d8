"""Moves: a container that is out of its network for a moment, so that its configuration names its addresses afterwards.

Rules: a move is durable before the container is taken out, and ends when it is in again, or has gone; while it is
there, nobody takes the container's absence for its leave.
"""

from __future__ import annotations

import msgspec


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """container, network: full ids. place: what the container's configuration said of the network, as the engine's API
    writes it (a JSON object). addresses: those that it is to name. since: seconds since the epoch."""

    container: str
    network: str
    place: str
    addresses: tuple[str, ...]
    since: float
