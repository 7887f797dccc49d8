"""The lab: several Docker hosts, an underlay and an outside machine on one Linux machine.

Rules: every host is a private network, mount and pid namespace whose first process ends when this process does, so
nothing stays behind; nothing is made in the machine's own network; every address is of 198.18.0.0/24 or
fd00:198:18::/64 (RFC 2544's benchmark range) on the underlay.
"""

from tests.e2e.lab.clients import DockerClient, DockerError
from tests.e2e.lab.engines import Engine
from tests.e2e.lab.hosts import Host
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.namespaces import LabError, Namespace, Result, eventually
from tests.e2e.lab.underlays import Machine, Underlay

__all__ = [
    "DockerClient",
    "DockerError",
    "Engine",
    "Host",
    "Lab",
    "LabError",
    "Machine",
    "Namespace",
    "Result",
    "Underlay",
    "eventually",
]
