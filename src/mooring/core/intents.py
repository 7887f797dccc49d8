"""Intents: what was begun with the engine on somebody's behalf, written before, settled after.

Rules: an intent is durable before the request that it is about reaches the engine; while it is there, the leases that
it made are held by `placeholder(intent)`, so nobody else gets them and nobody frees them; what became of it is asked of
the engine by full ids, never guessed from a reply that did not come.
"""

from __future__ import annotations

from enum import Enum

import msgspec

PLACEHOLDER = "intent:"


class Purpose(Enum):
    """What was begun."""

    CREATE = "create"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    REMOVE = "remove"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing begun. container: full id, "" while it is being created. name: the one asked for, "" for none.

    network: full id, for CONNECT and DISCONNECT. engine: its id. created: seconds since the epoch. keys: network id ->
    what the addresses there are to belong to once it is settled.
    """

    id: str
    purpose: Purpose
    engine: str
    created: float
    container: str = ""
    name: str = ""
    network: str = ""
    keys: dict[str, str] = {}


def placeholder(intent_id: str) -> str:
    """What stands among the holders of a lease until the container's id is known."""
    return PLACEHOLDER + intent_id


def is_placeholder(holder: str) -> bool:
    """Whether the holder is an intent, not a container."""
    return holder.startswith(PLACEHOLDER)
