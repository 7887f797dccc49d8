"""The examples run as they are, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, folder: Path) -> list[str]:
    """The lines that it prints; what it could leave in the kernel and in the folder is not there afterwards."""
    before = traces()
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (traces(), os.listdir(folder)) == (before, [])
    return done.stdout.splitlines()


def traces() -> str:
    """What there is in the test's own network namespace."""
    return sh("ip -o link | sed 's/ state .*//'", "ip route", "ip -6 route", "nft list tables")


def test_the_tour_prints_the_mac(namespace: Namespace, tmp_path: Path) -> None:
    """The last line has the endpoint's MAC."""
    lines = run("libnetwork_tour.py", tmp_path)
    assert lines[0].startswith("network  network1: 10.32.0.0/24, fd")
    assert lines[1].startswith("endpoint Endpoint1: 10.32.0.2/24, fd")
    assert re.fullmatch(r"MAC      [0-9a-f][26ae](:[0-9a-f]{2}){5}", lines[-1])


def test_two_sandboxes_ping_each_other(namespace: Namespace, tmp_path: Path) -> None:
    """Each finds the other by its name and gets an answer."""
    assert run("two_sandboxes.py", tmp_path) == [
        "alice has 10.32.0.2/24",
        "bob has 10.32.0.3/24",
        "bob is 10.32.0.3 and answers",
        "alice is 10.32.0.2 and answers",
    ]


def test_a_driver_of_ones_own_takes_fifty_lines(namespace: Namespace, tmp_path: Path) -> None:
    """It connects two sandboxes, and its class is as short as the documentation says."""
    assert run("own_driver.py", tmp_path) == [
        "one: 10.32.0.2/24 on eth0",
        "two: 10.32.0.3/24 on eth0",
        "one reaches two at 10.32.0.3",
    ]
    text = (EXAMPLES / "own_driver.py").read_text()
    assert text[text.index("class RoutedDriver") : text.index("async def main")].count("\n") < 50
