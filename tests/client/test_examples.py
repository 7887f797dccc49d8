"""The example that asks a daemon runs as it is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.client.daemons import asked

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/addresses_of.py"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


async def test_the_addresses_of_a_container_are_printed(tmp_path: Path) -> None:
    """A line for each; none is said; a daemon that is not there is one line, and how to call it another."""
    async with asked(tmp_path) as daemon:
        socket = daemon.client.socket
        code, output, _ = await asyncio.to_thread(run, "db", socket)
        assert (code, output.splitlines()[0]) == (0, "10.32.0.2 on 10.32.0.0/24: dynamic, no key")
        assert (await asyncio.to_thread(run, "nobody", socket))[1] == "nobody has no address\n"
    code, output, errors = await asyncio.to_thread(run, "db", f"{tmp_path}/none.sock")
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert (await asyncio.to_thread(run))[0] == 2
