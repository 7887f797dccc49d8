"""A checker of histories: from what was granted and what kernels had, whether every address had one user at a time.

Rules: it knows nothing of how addresses are given; a grant counts from its answer until its release was asked for, so
that nothing is held against a store whose answer was lost; what is in a kernel counts from the first sighting until the
first look without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class What(Enum):
    """GRANTED: the answer that says so has been given. RELEASED: that was asked for, or the host died. SIGHTED, GONE:
    the host's kernel has the address for that user, or has it no more."""

    GRANTED = "granted"
    RELEASED = "released"
    SIGHTED = "sighted"
    GONE = "gone"


class Event(NamedTuple):
    """at: when, on one clock for all hosts. user: whose the address is: a container, the same text in all events."""

    at: float
    what: What
    host: str
    address: str
    user: str


@dataclass
class AddressHistory:
    """Events in the order of their time. `faults` says what is wrong with them."""

    events: list[Event] = field(default_factory=list)

    def note(self, at: float, what: What, host: str, address: str, user: str) -> None:
        """It happened."""
        self.events.append(Event(at, what, host, address, user))

    def faults(self) -> list[str]:
        """A line for each moment at which an address got a second user, or a kernel had one that it was not granted."""
        return [*self._twice(What.GRANTED, What.RELEASED), *self._twice(What.SIGHTED, What.GONE), *self._ungranted()]

    def _twice(self, begin: What, end: What) -> Iterable[str]:
        users: dict[str, dict[tuple[str, str], None]] = {}
        for event in self.events:
            have = users.setdefault(event.address, {})
            if event.what is begin:
                for host, user in have.keys() - {(event.host, event.user)}:
                    new, old = f"{event.user} on {event.host}", f"{user} on {host}"
                    yield f"{event.at:.3f} {event.address} was {begin.value} to {new} while {old} has it"
                have[event.host, event.user] = None
            elif event.what is end:
                have.pop((event.host, event.user), None)

    def _ungranted(self) -> Iterable[str]:
        granted: set[tuple[str, str, str]] = set()
        for event in self.events:
            place = (event.host, event.address, event.user)
            if event.what is What.GRANTED:
                granted.add(place)
            elif event.what is What.SIGHTED and place not in granted:
                yield f"{event.at:.3f} {event.address} is in {event.host}'s kernel for {event.user} without a grant"

    def held(self) -> dict[tuple[str, str], str]:
        """What is granted and not released at the end: (host, address) -> user."""
        found: dict[tuple[str, str], str] = {}
        for event in self.events:
            if event.what is What.GRANTED:
                found[event.host, event.address] = event.user
            elif event.what is What.RELEASED and found.get((event.host, event.address)) == event.user:
                del found[event.host, event.address]
        return found

    def dumped(self) -> str:
        """A line of JSON an event."""
        return "".join(json.dumps([e.at, e.what.value, e.host, e.address, e.user]) + "\n" for e in self.events)


def loaded(text: str) -> AddressHistory:
    """The history that was dumped; the lines of several hosts in any order."""
    rows = [json.loads(line) for line in text.splitlines() if line]
    events = [Event(float(at), What(what), host, address, user) for at, what, host, address, user in rows]
    return AddressHistory(sorted(events, key=lambda event: event.at))


def at_rest(held: Mapping[tuple[str, str], str], recorded: Mapping[tuple[str, str], str]) -> list[str]:
    """What is wrong between what is held and what is on record, once all is quiet: a line for each address that was
    lost (held, but not on record) or leaked (on record, but nobody's). recorded: (host, address) -> user."""
    lost = [
        f"{address} of {user} on {host} is lost: it is on record for {recorded.get((host, address), 'nobody')}"
        for (host, address), user in held.items()
        if recorded.get((host, address)) != user
    ]
    leaked = [
        f"{address} on {host} has leaked: it is on record for {user}, who is not there"
        for (host, address), user in recorded.items()
        if (host, address) not in held
    ]
    return lost + leaked
