"""`mooring` and `python -m mooring`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from mooring.cli.root import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
