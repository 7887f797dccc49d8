"""`mooring` and `python -m mooring`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # What a start makes it keeps: looking for garbage in it is a twentieth of the time. The daemon turns it on again.
    gc.disable()
    from mooring.cli.root import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
