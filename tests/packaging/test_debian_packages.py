"""The list of Debian packages, and what is chosen from it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def packages(*argv: str) -> set[str]:
    """What scripts/packages names."""
    said = subprocess.run([ROOT / "scripts/packages", *argv], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_every_line_has_a_package_a_purpose_a_release_and_a_reason() -> None:
    """Each package once."""
    lines = [line for line in (ROOT / "packaging/debian-packages.txt").read_text().splitlines() if line[:1] != "#"]
    for line in lines:
        assert re.fullmatch(r"[a-z0-9.+-]+ +(install|lab|root) +(-|\d+) +\S.*", line), line
    names = [line.split()[0] for line in lines]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("release", "client"), [("12", False), ("13", True), ("13.4", True), ("999", True)])
def test_a_release_gets_what_it_has(release: str, client: bool) -> None:
    """Until Debian 12 the docker command comes with docker.io, and there is no buildx."""
    named = packages(release, "install", "lab")
    assert {"python3-venv", "docker.io", "procps"} <= named
    assert ("docker-cli" in named, "docker-buildx" in named) == (client, client)


def test_a_purpose_gets_its_own() -> None:
    """Who installs gets no engine, and only the root of another Debian needs the tool that makes it."""
    assert "docker.io" not in packages("13", "install")
    assert packages("here", "root") == {"mmdebstrap"}
