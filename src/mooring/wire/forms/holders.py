"""The forms of holders and intents.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from msgspec import field

from mooring.core.containers import Holder
from mooring.core.intents import Intent, Purpose
from mooring.wire.forms.elements import Stored, id_of


class HolderV1(Stored, tag=1):
    """A container that holds fixed addresses; its id is in the key."""

    engine: str
    name: str
    since: float

    def record(self, key: str) -> Holder:
        """The holder that is kept under the key."""
        return Holder(id=id_of(key), engine=self.engine, name=self.name, since=self.since)


class HolderV2(Stored, tag=2):
    """As version 1, with the versions of the engines that had it."""

    engine: str
    name: str
    since: float
    oldest: tuple[int, int] = (0, 0)
    newest: tuple[int, int] = (0, 0)

    def record(self, key: str) -> Holder:
        """The holder that is kept under the key."""
        return Holder(
            id=id_of(key), engine=self.engine, name=self.name, since=self.since, oldest=self.oldest, newest=self.newest
        )


def holder_form(holder: Holder) -> HolderV2:
    """The newest form of a holder."""
    return HolderV2(
        engine=holder.engine, name=holder.name, since=holder.since, oldest=holder.oldest, newest=holder.newest
    )


class IntentV1(Stored, tag=1):
    """What was begun with the engine and is not settled; its id is in the key."""

    purpose: Purpose
    engine: str
    created: float
    container: str = ""
    name: str = ""
    network: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    def record(self, key: str) -> Intent:
        """The intent that is kept under the key."""
        return Intent(
            id=id_of(key),
            purpose=self.purpose,
            engine=self.engine,
            created=self.created,
            container=self.container,
            name=self.name,
            network=self.network,
            keys=self.keys,
        )


def intent_form(intent: Intent) -> IntentV1:
    """The newest form of an intent."""
    return IntentV1(
        purpose=intent.purpose,
        engine=intent.engine,
        created=intent.created,
        container=intent.container,
        name=intent.name,
        network=intent.network,
        keys=intent.keys,
    )
