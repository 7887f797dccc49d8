"""The engine's routes: which steps a path has to it."""

from __future__ import annotations

import pytest

from mooring.wire.docker_routes import SECTIONS, steps_of


@pytest.mark.parametrize(
    ("method", "path", "steps"),
    [
        ("GET", "/containers/json", ("containers", "json")),
        ("GET", "/containers/db/json", ("containers", "db", "json")),
        ("GET", "/containers/web/alias/archive", ("containers", "web/alias", "archive")),
        ("HEAD", "/containers/web/alias/archive", ("containers", "web/alias", "archive")),
        ("HEAD", "/containers/db/json", None),
        ("POST", "/containers/a/kill/kill", ("containers", "a/kill", "kill")),
        ("POST", "/containers/kill", None),
        ("get", "/containers/json", None),
        ("DELETE", "/containers/a/checkpoints/b", ("containers", "a", "checkpoints", "b")),
        ("DELETE", "/containers/a/c/checkpoints/b", ("containers", "a/c/checkpoints/b")),
        ("GET", "/images/quay.io/a/b/json", ("images", "quay.io/a/b", "json")),
        ("GET", "/images/json", ("images", "json")),
        ("GET", "/distribution/host:1/x/json", ("distribution", "host:1/x", "json")),
        ("GET", "/plugins/privileges", ("plugins", "privileges")),
        ("GET", "/networks/", ("networks",)),
        ("GET", "/volumes/", ("volumes", "")),
        ("OPTIONS", "/a/b", ("a/b",)),
        ("GET", "/services/a/b", None),
        ("GET", "/containers/a\nb/json", None),
        ("GET", "/" + "x" * 4096, None),
    ],
)
def test_a_path_has_the_steps_of_its_route(method: str, path: str, steps: tuple[str, ...] | None) -> None:
    """A name is one of them, slashes and all; a line feed is in no name, as `.` of the engine's patterns has it."""
    assert steps_of(method, path) == steps


def test_sections_are_words() -> None:
    """For rules to be checked with."""
    assert {"_ping", "containers", "distribution", "session", "grpc", "debug"} <= set(SECTIONS)
    assert "{name}" not in SECTIONS
