"""The configuration file that a host without one gets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mooring.config import KEYS, load
from mooring.config.templates import template
from mooring.wire.docker_api import recognise


def test_it_changes_nothing(tmp_path: Path) -> None:
    """As it is written, and with every default of a setting put into effect."""
    file = tmp_path / "mooring.toml"
    plain = load({}, {}, "host")
    for text in (template(), template().split("\n# Where subnets")[0].replace("\n#", "\n").replace("\n ", "\n# ")):
        file.write_text(text)
        assert replace(load({"config": str(file)}, {}, "host"), file=None) == replace(plain, file=None)


def test_it_names_every_key_with_its_meaning() -> None:
    """In lines that fit a terminal."""
    text = template()
    assert [key for key in KEYS if not re.search(rf"^#(\[\[)?{key}\b", text, re.MULTILINE)] == []
    assert max(map(len, text.splitlines())) <= 120


def test_its_examples_are_good(tmp_path: Path) -> None:
    """The tables that are commented out."""
    file = tmp_path / "mooring.toml"
    tables = template().split("commented out is the default.")[1]
    lines = [line[1:] for line in tables.splitlines() if re.match(r"#(\[\[|[a-z_]+ = )", line)]
    file.write_text("\n".join(line for line in lines if not line.startswith(("proxy = ", "api_socket_group"))))
    found = load({"config": str(file)}, {}, "host")
    assert [proxy.rules.read_only for proxy in found.proxies] == [False, True]


def test_the_recipes_are_good(tmp_path: Path) -> None:
    """The listeners of docs/recipes.md; what Traefik asks for passes, and what would give it more does not."""
    page = (Path(__file__).resolve().parents[2] / "docs/recipes.md").read_text()
    file = tmp_path / "mooring.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    _, traefik = load({"config": str(file)}, {}, "host").proxies
    asked = {
        ("GET", "/_ping"): True, ("GET", "/v1.24/version"): True, ("GET", "/v1.24/containers/json?limit=0"): True,
        ("GET", "/v1.24/containers/c1/json"): True, ("GET", "/v1.24/events?filters=x"): True,
        ("GET", "/containers/c1/archive?path=/etc"): False, ("GET", "/containers/c1/attach/ws"): False,
        ("POST", "/containers/c1/exec"): False, ("GET", "/info"): False,
    }  # fmt: skip
    passed = {key: traefik.rules.admit(recognise(*key, False)) is None for key in asked}
    assert passed == asked
