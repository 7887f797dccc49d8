"""What a daemon with nothing to do costs: start to ready, resident memory; and how quick `mooring --help` is.

What is measured is what a user installs: a virtual environment of its own, with Mooring and its dependencies and none
of the developers' tools, some of which are imported by the dependencies when they are there.

Each run starts a new daemon in a network namespace of its own, with an empty store, and takes the time until READY=1
arrives at a notify socket. Between the runs, in turn, `mooring --help` and a bare `python -c "import asyncio"` are
timed, the latter as the floor of this machine and moment.

    python bench/idle.py [RUNS]
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

READY_LIMIT = 0.6
MEMORY_LIMIT = 70.0
HELP_LIMIT = 0.15
# After the first passes over the kernel, when all code paths of an idle daemon have been imported.
SETTLE = 1.0
ROOT = Path(__file__).resolve().parents[1]


def install(folder: Path) -> str:
    """A new environment with Mooring, and bytecode as a package manager leaves it; the path of its interpreter."""
    python = f"{folder}/venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    return python


def start(python: str, folder: Path) -> tuple[float, float]:
    """Seconds from start to READY=1, and resident megabytes a second later."""
    environment = os.environ | {
        "MOORING_STATE_DIR": f"{folder}/state",
        "MOORING_RUN_DIR": f"{folder}/run",
        "MOORING_PLUGIN_SOCKET": f"{folder}/plugins/mooring.sock",
        "NOTIFY_SOCKET": f"{folder}/notify",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (folder / "log").open("wb") as log:
        manager.bind(f"{folder}/notify")
        manager.settimeout(30)
        before = time.perf_counter()
        daemon = subprocess.Popen(["unshare", "--net", python, "-m", "mooring", "serve"], env=environment, stderr=log)
        try:
            while b"READY=1" not in manager.recv(1000):
                pass
            ready = time.perf_counter() - before
            time.sleep(SETTLE)
            return ready, resident(daemon.pid)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def resident(pid: int) -> float:
    """Megabytes of the process: unshare becomes the daemon by exec."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def timed(*command: str) -> float:
    """Seconds that the command takes."""
    before = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def main() -> None:
    """Measure, print, and say whether the limits are kept."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    starts, helps, floors = [], [], []
    with tempfile.TemporaryDirectory(prefix="mooring-installed-") as installed:
        python = install(Path(installed))
        for _ in range(runs):
            with tempfile.TemporaryDirectory(prefix="mooring-idle-") as folder:
                starts.append(start(python, Path(folder)))
            helps.append(timed(f"{installed}/venv/bin/mooring", "--help"))
            floors.append(timed(python, "-c", "import asyncio"))
    ready, memory = median(seconds for seconds, _ in starts), median(megabytes for _, megabytes in starts)
    floor = median(floors)
    print(f"start to ready  {ready:.3f} s  limit {READY_LIMIT} s  worst {max(seconds for seconds, _ in starts):.3f} s")
    print(f"resident        {memory:.1f} MB  limit {MEMORY_LIMIT:.0f} MB")
    print(f"mooring --help  {median(helps):.3f} s  limit {HELP_LIMIT} s  worst {max(helps):.3f} s")
    over = f"ready/floor {ready / floor:.1f}  help/floor {median(helps) / floor:.1f}"
    print(f"import asyncio  {floor:.3f} s  (floor)  {over}")
    print(f"idle ratio={ready / READY_LIMIT:.2f} peer=limit n={runs}")


if __name__ == "__main__":
    main()
