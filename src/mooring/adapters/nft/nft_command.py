"""The program nft, which reads a whole table as text.

Rules: it is started where a table is made or made anew, and for nothing else: what varies goes to the kernel directly;
one start is one transaction, in the network namespace of the thread that asks.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from mooring.core.faults import Unavailable

_TIMEOUT = 20.0  # seconds; a start has 30


class NftablesError(Exception):
    """nft or the kernel refused; the text is nft's, in one line."""


def nft() -> str:
    """Where the program is. Raises Unavailable."""
    # Of people who are not root the path often ends before these.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which("nft", path=path)
    if found is None:
        raise Unavailable("nftables cannot be used: the program nft is missing", hint="apt-get install nftables")
    return found


def load(commands: str) -> None:
    """The commands are carried out, all or none. Raises NftablesError; Unavailable where nft cannot be started."""
    command = [nft(), "-f", "-"]
    try:
        done = subprocess.run(command, input=commands, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"nftables cannot be used: {error}", hint="Mooring tries again in a few seconds") from error
    if done.returncode:
        first = done.stderr.strip().splitlines()[:1]
        raise NftablesError(" ".join(first) or f"exit code {done.returncode}")
