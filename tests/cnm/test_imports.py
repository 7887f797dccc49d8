"""What a program loads that uses the library."""

from __future__ import annotations

import subprocess
import sys

LOADED = "import sys, mooring.cnm; print(*sorted(sys.modules))"
# The daemon's alone: its doors, Docker's API, what the proxy does for containers, and what an operator asks.
NOT_THE_LIBRARYS = (
    "mooring.config",
    "mooring.servers",
    "mooring.adapters.docker",
    "mooring.services.containers",
    "mooring.services.operations",
    "mooring.wire.api",
    "mooring.wire.docker_",
    "mooring.wire.network_bodies",
)


def test_a_program_loads_nothing_of_the_daemons_doors() -> None:
    """Neither the proxy nor the API nor the configuration comes with `import mooring.cnm`."""
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()
    assert "mooring.cnm" in found
    assert [name for name in found if name.startswith(NOT_THE_LIBRARYS)] == []
