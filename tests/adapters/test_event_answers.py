"""The engine's events as its stream tells them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mooring.adapters.docker.event_answers import EventAnswer
from mooring.core.containers import EngineEvent, EventKind


def event(**document: Any) -> EngineEvent | None:
    """A line of the events."""
    return msgspec.json.decode(json.dumps(document), type=EventAnswer).value()


ACTOR = {"ID": "c1", "Attributes": {"container": "c2", "name": "db"}}


@pytest.mark.parametrize("what", [*EventKind])
def test_events_of_containers_and_of_their_places_in_networks(what: EventKind) -> None:
    """The former name the container as the actor, the latter the network; a network that is made is an event, too."""
    of_network = what in (EventKind.CONNECTED, EventKind.DISCONNECTED)
    expected = EngineEvent(what, "c2", 7, "c1") if of_network else EngineEvent(what, "c1", 7)
    types = ("network", "container") if of_network else ("container", "network")
    assert event(Type=types[0], Action=what.value, Actor=ACTOR, timeNano=7) == expected
    made = EngineEvent(what, "", 7, "c1") if what is EventKind.CREATED else None
    assert event(Type=types[1], Action=what.value, Actor=ACTOR, timeNano=7) == made
    for other in ("volume", "image", "daemon", "plugin", "service", "", None):
        assert event(Type=other, Action=what.value, Actor=ACTOR, timeNano=7) is None


def test_events_that_are_none_of_ours() -> None:
    """Whatever the engine tells besides, and what names nobody."""
    for action in ("kill", "exec_create: sh", "health", "CREATE", " create", "", None):
        assert event(Type="container", Action=action, Actor=ACTOR, timeNano=7) is None
    for actor in (None, {}, {"ID": None}, {"ID": ""}):
        assert event(Type="container", Action="create", Actor=actor, timeNano=7) is None
    for attributes in (None, {}, {"container": ""}, {"name": "db"}):
        assert event(Type="network", Action="connect", Actor={"ID": "n1", "Attributes": attributes}) is None
    assert event() is event(Type=None, Action=None, Actor=None, timeNano=None) is None


def test_an_event_of_health_has_its_news_behind_a_colon() -> None:
    """Which is not believed: the container is asked."""
    for word in ("healthy", "unhealthy", "running"):
        found = event(Type="container", Action=f"health_status: {word}", Actor=ACTOR, timeNano=7)
        assert found == EngineEvent(EventKind.HEALTH, "c1", 7)
