"""What this kernel can do, and what an engine has. A test that needs what is missing is passed over, which names it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.e2e.lab.namespaces import in_network, run
from tests.e2e.lab.releases import Release

PYTHON = "/usr/bin/python3"  # Debian's, to which python3-docker belongs


def has_sctp(network: str) -> bool:
    """SCTP sockets can be made (CONFIG_IP_SCTP)."""

    def probe() -> bool:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
        except OSError:
            return False
        return True

    return in_network(network, probe)


@dataclass(frozen=True, slots=True)
class Need:
    """What an engine must have for a test. why: what is missing where it has it not."""

    met: Callable[[Release], bool]
    why: str


# The marker `needs` names these; a test that does not apply to an engine is passed over with this reason.
NEEDS = {
    "gw-priority": Need(
        lambda release: release.version >= (28,),
        "which network is the gateway, one for each family, can be said from engine 28 on",
    ),
    "v6 only": Need(lambda release: release.version >= (28,), "networks without IPv4 are made from engine 28 on"),
    "compose": Need(lambda release: bool(release.compose), "version 1 of compose runs only where it is installed"),
    "compose plugin": Need(
        lambda release: (release.cli_plugins / "docker-compose").exists(),
        "compose is a plugin of the docker command from Debian 13 on",
    ),
    "buildx": Need(
        lambda release: (release.cli_plugins / "docker-buildx").exists(),
        "buildx is a plugin of the docker command from Debian 13 on",
    ),
    "python3-docker": Need(
        lambda _: run([PYTHON, "-c", "import docker"], check=False).ok,
        "python3-docker is not installed (packaging/debian-packages.txt)",
    ),
}


def missing(release: Release, names: Iterable[str]) -> str:
    """Why the engine is not one for a test with these needs, "" when it is."""
    return "; ".join(NEEDS[name].why for name in names if not NEEDS[name].met(release))
