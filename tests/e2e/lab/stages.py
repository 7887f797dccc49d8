"""A demonstration: commands of an operator, shown with what they say, on hosts of the lab.

Rule: a step that does not do what it promised ends it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.namespaces import Namespace, clean_environment, run

ROOT = Path(__file__).resolve().parents[3]

BOLD, GREEN, RED, DIM, PLAIN = (
    ("\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m") if sys.stdout.isatty() else [""] * 5
)
NETWORK = "docker network create -d mooring --ipam-driver mooring"


class StepFailed(Exception):
    """What was shown was not what was promised."""


class Stage:
    """Where the demo happens: a host, the outside machine, and what has been shown so far."""

    def __init__(self, lab: Lab, host: Host) -> None:
        self.lab, self.machine = lab, host
        self.shown: list[str] = []

    def step(self, title: str) -> None:
        """Begin a step; the one before has succeeded."""
        self.shown.append(title)
        print(f"\n{BOLD}{len(self.shown)}. {title}{PLAIN}")

    def host(self, command: str, *, expect: str = "", fails: bool = False) -> str:
        """Show a command on the host and what it says."""
        return self.on("host", self.machine, command, expect=expect, fails=fails)

    def on(self, name: str, machine: Host, command: str, *, expect: str = "", fails: bool = False) -> str:
        """Show a command on one of several hosts, which has that name, and what it says."""
        return self._show(name, machine.namespace, command, expect, fails, machine)

    def outside(self, command: str, *, expect: str = "", fails: bool = False) -> str:
        """Show a command on the outside machine and what it says."""
        return self._show("outside", self.lab.outside.namespace, command, expect, fails, self.machine)

    def say(self, text: str) -> None:
        """A remark."""
        print(f"   {DIM}{text}{PLAIN}")

    def _show(self, where: str, namespace: Namespace, command: str, expect: str, fails: bool, machine: Host) -> str:
        environment = clean_environment() | {
            "PATH": f"{ROOT / '.venv/bin'}:{machine.release.path}",
            "DOCKER_HOST": "unix:///run/docker.sock",
            "DOCKER_CONFIG": str(machine.folder / "docker-config"),
            "COLUMNS": "118",
        }
        print(f"   {DIM}{where}{PLAIN} $ {command}", flush=True)
        result = run(namespace.enter(["sh", "-c", command]), check=False, timeout=60, environment=environment)
        for line in result.output.splitlines():
            print(f"     {line}")
        if result.ok is fails:
            raise StepFailed(f"`{command}` {'succeeded' if fails else f'failed with exit code {result.status}'}")
        if expect not in result.output:
            raise StepFailed(f"`{command}` did not say {expect!r}")
        return result.output

    def summary(self, began: float) -> None:
        """What was shown. began: by the monotonic clock."""
        seconds = time.monotonic() - began
        print(f"\n{GREEN}All {len(self.shown)} steps did what they promised{PLAIN}, in {seconds:.0f} s:")
        for title in self.shown:
            print(f"  {GREEN}✓{PLAIN} {title}")
