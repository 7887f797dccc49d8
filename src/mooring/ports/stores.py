"""What we need of a store: commits by compare-and-swap of revisions. Rules: see mooring.ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mooring.core.faults import BadRequest


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored record. revision: that of the commit which wrote it, always > 0."""

    key: str
    value: bytes
    revision: int


def check_key(key: str) -> None:
    """Raises BadRequest for what can be the key of nothing."""
    if not key:
        raise BadRequest("a record needs a key")
    if not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key):
        raise BadRequest(f"key {key!r} is not Unicode text")


@dataclass(frozen=True, slots=True)
class Transaction:
    """All or nothing.

    expect: key -> the revision that it must have, 0 for "must not exist". put: key -> new value. delete: keys, of which
    some may be absent. A key is in at most one of put and delete. Raises BadRequest for a transaction that could never
    be committed.
    """

    expect: Mapping[str, int] = field(default_factory=dict)
    put: Mapping[str, bytes] = field(default_factory=dict)
    delete: Sequence[str] = ()

    def __post_init__(self) -> None:
        for key in (*self.expect, *self.put, *self.delete):
            check_key(key)
        for key in self.delete:
            if key in self.put:
                raise BadRequest(f"record {key} is both written and deleted")


class Store(Protocol):
    """A small transactional key-value store with revisions, the shape of etcd.

    Keys are non-empty text; prefixes are plain text prefixes. Revisions grow with each commit and are never used again,
    also not after a restart. Every method may raise Unavailable.
    """

    async def get(self, key: str) -> Entry | None:
        """The record as of the last acknowledged commit, or None."""
        ...

    async def scan(self, prefix: str) -> tuple[Sequence[Entry], int]:
        """All records under the prefix in key order, and the store's revision of that moment."""
        ...

    async def commit(self, transaction: Transaction) -> int:
        """Apply it and return its revision; durable before it returns.

        Raises StaleRevision, and changes nothing, when an expectation does not hold. After Unavailable the outcome is
        unknown unless the text says that nothing was written. So it is after cancellation; a get made later sees it.
        """
        ...

    async def complaints(self) -> Sequence[str]:
        """What is wrong with it now, a line each; what it can put right it has. Never raises a Fault."""
        ...

    async def backup(self, path: str) -> None:
        """Write a consistent copy to a new file, while others read and write. Raises Conflict when the file exists."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go. Later calls raise Unavailable. Closing twice is fine."""
        ...
