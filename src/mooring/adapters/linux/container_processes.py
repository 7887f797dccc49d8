"""Which containers the processes in a network namespace are of, as their cgroups say.

Rule: what cannot be read says nothing; whether an engine knows such a container, that engine says.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

# Docker's, with either cgroup driver and below any cgroup parent: `docker-<id>.scope`, `docker/<id>`.
_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def containers_in(namespace: str, proc: str = "/proc") -> list[str]:
    """Full ids of containers, in order. namespace: the path of one. proc: where processes are shown."""
    found: set[str] = set()
    with suppress(OSError):
        wanted = os.stat(namespace)
        for process in filter(str.isdecimal, os.listdir(proc)):
            with suppress(OSError):
                if os.path.samestat(os.stat(f"{proc}/{process}/ns/net"), wanted):
                    found.update(_CONTAINER.findall(Path(proc, process, "cgroup").read_text()))
    return sorted(found)
