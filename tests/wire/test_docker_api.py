"""Which call a request of Docker's API is."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.wire.docker_api import Verb, is_truthy, recognise


@pytest.mark.parametrize("version", ["", "/v1.41", "/v1", "/v1.44.2"])
@pytest.mark.parametrize(
    ("method", "path", "verb", "subject"),
    [
        ("POST", "/containers/create?name=db", Verb.CREATE, ""),
        ("POST", "/containers/db/start", Verb.START, "db"),
        ("POST", "/containers/created-app/start", Verb.START, "created-app"),
        ("POST", "/containers/create/start", Verb.START, "create"),
        ("POST", "/containers/pruner/attach", Verb.ATTACH, "pruner"),
        ("POST", "/containers/db/rename?name=x", Verb.RENAME, "db"),
        ("POST", "/containers/prune", Verb.PRUNE, ""),
        ("DELETE", "/containers/db", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?force=1&v=1", Verb.REMOVE, "db"),
        ("DELETE", "/containers/prune", Verb.REMOVE, "prune"),
        ("DELETE", "/containers/db?link=0", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?link=False", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?link=1", Verb.OTHER, ""),
        ("DELETE", "/containers/db?link=true&link=0", Verb.OTHER, ""),
        ("DELETE", "/containers/web/db?link=1", Verb.OTHER, ""),
        ("DELETE", "/containers/web%2Fdb?link=1", Verb.OTHER, ""),
        ("DELETE", "/images/quay.io/containers/podman", Verb.OTHER, ""),
        ("GET", "/images/quay.io/containers/podman/json", Verb.OTHER, ""),
        ("POST", "/networks/web/connect", Verb.CONNECT, "web"),
        ("POST", "/networks/_odd name/connect", Verb.CONNECT, "_odd name"),
        ("POST", "/networks/a%2Fb/disconnect", Verb.DISCONNECT, "a/b"),
        ("POST", "/networks/connect", Verb.OTHER, ""),
        ("POST", "/networks/create", Verb.OTHER, ""),
        ("POST", "/networks/prune", Verb.OTHER, ""),
        ("POST", "/exec/abc/start", Verb.EXEC, "abc"),
        ("GET", "/containers/db/attach/ws?stdin=1", Verb.UPGRADE, "db"),
        ("GET", "/containers/db/json", Verb.OTHER, ""),
        ("GET", "/containers/create", Verb.OTHER, ""),
        ("POST", "/containers//start", Verb.OTHER, ""),
        ("POST", "/build?t=containers/create", Verb.OTHER, ""),
    ],
)
def test_every_request_has_its_verdict(version: str, method: str, path: str, verb: Verb, subject: str) -> None:
    """With and without a version; names are names, whatever they look like."""
    call = recognise(method, version + path, False)
    assert (call.verb, call.subject) == (verb, subject)
    assert call.version == {"": None, "/v1.41": (1, 41), "/v1": (1, 0), "/v1.44.2": (1, 44)}[version]


@pytest.mark.parametrize(
    ("method", "target", "writes"),
    [
        ("GET", "/containers/json", False),
        ("HEAD", "/_ping", False),
        ("OPTIONS", "/containers/json", False),
        ("POST", "/containers/x/stop", True),
        ("PUT", "/containers/x/archive", True),
        ("DELETE", "/volumes/x", True),
        ("GET", "/v1.41/containers/x/attach/ws", True),
    ],
)
def test_a_get_that_writes_is_a_write(method: str, target: str, writes: bool) -> None:
    """Reading is GET, HEAD and OPTIONS without a way in."""
    assert recognise(method, target, False).writes is writes


def test_an_upgrade_is_an_upgrade_wherever_it_is_asked_for() -> None:
    """But an attach stays an attach; and with one a GET may write."""
    assert recognise("POST", "/session", True).verb is Verb.UPGRADE
    assert recognise("POST", "/containers/x/attach", True).verb is Verb.ATTACH
    assert recognise("GET", "/containers/json", True).writes


def test_an_absolute_target_is_its_path() -> None:
    """As a client of a proxy writes it."""
    assert recognise("POST", "http://docker/v1.41/containers/create?name=x", False).query == {"name": "x"}
    assert recognise("DELETE", "tcp://h/containers/x", False).verb is Verb.REMOVE


@pytest.mark.parametrize(
    ("text", "yes"), [("", False), ("0", False), ("NO", False), ("none", False), ("1", True), ("x", True)]
)
def test_yes_and_no_are_the_engines(text: str, yes: bool) -> None:
    """Everything is a yes that is not one of five words."""
    assert is_truthy(text) is yes


NAME = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(NAME, st.sampled_from(["", "/v1.41"]), st.sampled_from(["start", "rename", "attach"]))
def test_any_name_is_found_again(name: str, version: str, what: str) -> None:
    """Percent-encoded, whatever it contains."""
    call = recognise("POST", f"{version}/containers/{quote(name, safe='')}/{what}", False)
    assert (call.subject, call.section) == (name, "containers")
    assert recognise("DELETE", f"{version}/containers/{quote(name, safe='')}", False).subject == name


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "BREW"]), st.text(max_size=60), st.booleans())
def test_nothing_that_is_sent_makes_it_fail(method: str, target: str, upgrade: bool) -> None:
    """Every request has a verdict."""
    assert recognise(method, target, upgrade).verb in Verb
