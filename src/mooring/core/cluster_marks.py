"""How hosts find out that the cluster's store was restored from a backup, and how far they are with putting that right.

Rules: each host writes a number of its own that only grows, and remembers it: a store that has a lower one has gone
back in time. The generations of blocks and claims grow, too, so that for each of them it is known who is right.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

RESTORED = "restored"
"""The key of the word for the last restore: whoever finds out first draws it."""


RESTORES = "restores/"
"""What all keys begin with by which hosts say something of a restore."""


def mark_key(host: str) -> str:
    """Where the host's number is."""
    return f"mark/{quote(host, safe='')}"


def restore_prefix(restore: str) -> str:
    """What the keys begin with by which hosts say that the cluster has all of theirs again."""
    return f"{RESTORES}{restore}/"


def next_restore(there: str, here: str, token: str) -> str:
    """A word for one more restore. there, here: the last one as the store has it and as the host has; token: drawn."""
    return f"{max(restore_number(there), restore_number(here)) + 1}-{token}"


def restore_number(restore: str) -> int:
    """How many restores there were with it, 0 for none: a store with a lower one has gone back beyond it."""
    number = restore.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def is_over(key: str, restore: str) -> bool:
    """Whether what the key says of a restore is of no use once that one, or a later one, is over."""
    word = key.removeprefix(RESTORES).partition("/")[0]
    return word == restore or restore_number(word) < restore_number(restore)


class ClusterMark(msgspec.Struct, frozen=True, kw_only=True):
    """In a host's own store: what it has said of itself to the cluster. host: its id there. count: its number.
    restore: the last restore that it has seen, and after which it has put all of its own into the cluster again."""

    host: str
    count: int = 0
    restore: str = ""
