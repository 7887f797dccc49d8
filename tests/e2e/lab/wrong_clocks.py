"""A daemon whose clocks are wrong, by as much as a test says and while it runs.

Rule: they are wrong for the daemon's interpreter alone; the kernel, the engine and the other hosts have the right ones.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.lab.daemons import SOURCE

HOUR = 3600.0
# Run by the daemon's interpreter before all else: its wall clock, and its boot clock, are off by what the file says.
SITE = """
import sys, time
wall, ticks = time.time, time.clock_gettime
def off(column):
    with open({path!r}) as file:
        return float(file.read().split()[column])
def wrong():
    # gRPC's core has the right clock, and is told ends of time by it.
    return wall() + (off(0) if not sys._getframe(1).f_globals["__name__"].startswith("grpc") else 0)
time.time = wrong
time.clock_gettime = lambda which: ticks(which) + (off(1) if which == time.CLOCK_BOOTTIME else 0)
"""


class WrongClock:
    """folder: where what the daemon reads is kept. The clocks are right until `put`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.put(0.0)
        (folder / "sitecustomize.py").write_text(SITE.format(path=str(folder / "off")))

    def put(self, wall: float, boot: float = 0.0) -> None:
        """Off by so many seconds: the wall clock, and the one that counts from the boot."""
        (self._folder / "draft").write_text(f"{wall} {boot}")
        (self._folder / "draft").rename(self._folder / "off")

    def environment(self, before: dict[str, str] | None = None) -> dict[str, str]:
        """What a daemon's environment has to be, or what is to be set in it."""
        return (before or {}) | {"PYTHONPATH": f"{self._folder}:{SOURCE}"}
