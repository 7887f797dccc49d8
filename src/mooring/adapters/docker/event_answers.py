"""What Docker's stream of events tells, as core's values.

Rules: as in engine_answers; an event is a reason to look, so what it says besides is not kept.
"""

from __future__ import annotations

import msgspec

from mooring.core.containers import EngineEvent, EventKind


class _Actor(msgspec.Struct, rename="pascal"):
    id: str | None = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = None


class EventAnswer(msgspec.Struct, rename="pascal"):
    """One line of GET /events."""

    type: str | None = ""
    action: str | None = ""
    actor: _Actor | None = None
    time_nano: int | None = msgspec.field(name="timeNano", default=0)

    def value(self) -> EngineEvent | None:
        """As core knows it, None for what it does not."""
        actor, at = self.actor or _Actor(), self.time_nano or 0
        try:
            # `health_status: healthy`
            what = EventKind((self.action or "").partition(":")[0])
        except ValueError:
            return None
        of_network = what in (EventKind.CONNECTED, EventKind.DISCONNECTED)
        if self.type == "network" and of_network:
            container = (actor.attributes or {}).get("container", "")
            return EngineEvent(what, container, at, actor.id or "") if container else None
        if self.type == "network" and what is EventKind.CREATED and actor.id:
            return EngineEvent(what, "", at, actor.id)
        if self.type == "container" and not of_network and actor.id:
            return EngineEvent(what, actor.id, at)
        return None
