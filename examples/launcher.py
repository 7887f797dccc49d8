"""A launcher in thirty lines: a container whose interface is there first, and everything gone in the end.

    sudo python examples/launcher.py red 172.16.5.0/24 172.16.5.5

Needs a running daemon, Docker and the image busybox.
"""

import subprocess
import sys

from mooring.client import Fault
from mooring.launcher import Launcher


def main(tenant: str, subnet: str, address: str, image: str = "busybox") -> int:
    launcher, name = Launcher(), f"{tenant}-{address}"
    try:
        made = launcher.create(subnet, address, tenant=tenant, mtu=1400, instance=name)
        try:
            command = ["docker", "run", "--rm", "--name", name, *made.run, image, "ip", "address", "show", "eth0"]
            status = subprocess.run(command, check=False).returncode
        finally:
            launcher.destroy(made.vnic.id)
    except Fault as refused:
        print(refused, file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit("usage: launcher.py TENANT SUBNET ADDRESS [IMAGE]")
    sys.exit(main(*sys.argv[1:]))
