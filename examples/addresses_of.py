"""Which addresses a container has, and for how long they are its own: a program that asks the daemon.

python examples/addresses_of.py CONTAINER [SOCKET]
"""

from __future__ import annotations

import sys

from mooring.client import SOCKET, Client, Fault


def main() -> int:
    """Print a line for each address; the exit code."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    name, socket = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else SOCKET
    try:
        leases = Client(socket).leases(container=name)
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 1
    for lease in leases:
        print(f"{lease.address} on {lease.network_name or lease.subnet or '?'}: {lease.state}, {lease.key or 'no key'}")
    if not leases:
        print(f"{name} has no address")
    return 0


if __name__ == "__main__":
    sys.exit(main())
