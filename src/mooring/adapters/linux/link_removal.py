"""Links that are to go, collected and deleted together.

Rules: deleting one link takes an RCU grace period and deleting many takes hardly longer, so nobody waits for it; a name
that is wanted again is waited for; only links of the owner's are deleted. Safe to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from mooring.adapters.linux.links import Links


class Discards:
    """Names on their way out: first pending, then deleting."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._pending: set[str] = set()
        self._deleting: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """The links go with the next `flush`."""
        with self._condition:
            self._pending.update(names)

    def pending(self) -> bool:
        """Whether a `flush` has something to do."""
        with self._condition:
            return bool(self._pending)

    def doomed(self) -> frozenset[str]:
        """Every name that is on its way out."""
        with self._condition:
            return frozenset(self._pending | self._deleting)

    def flush(self, links: Links) -> None:
        """What was pending is gone. Raises NetlinkError; the names are forgotten then, for repair to find."""
        with self._condition:
            names, self._pending = self._pending, set()
            self._deleting |= names
        try:
            found = (links.find(name) for name in names)
            indexes = [link.index for link in found if link is not None and link.ours]
            if indexes:
                links.delete_together(indexes)
        finally:
            with self._condition:
                self._deleting -= names
                self._condition.notify_all()

    def finish(self, name: str, links: Links) -> None:
        """The name is not on its way out any more: it is gone. Raises NetlinkError."""
        with self._condition:
            pending = name in self._pending
        if pending:
            self.flush(links)
        with self._condition:
            self._condition.wait_for(lambda: name not in self._deleting)
