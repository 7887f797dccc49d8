"""Our table in programs with very many files open: each in a process of its own, which a mistake would end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.netns.rigs import Namespace

pytestmark = pytest.mark.netns

BEGIN = """
import os, resource
from mooring.adapters.linux.kernel_facts import Tools
from mooring.adapters.nft.low_descriptors import KEPT
from mooring.core.faults import Unavailable
def fill(limit):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while True:
        try:
            os.open("/dev/null", os.O_RDONLY)
        except OSError:
            return
"""


def run(program: str) -> list[str]:
    """What the program prints; it must come to its end."""
    done = subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


MANY = """
fill(1100)
resource.setrlimit(resource.RLIMIT_NOFILE, (1300, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
made = []
try:
    while True:
        made.append(Tools.open())
        made[-1].tables[0].write()
        assert made[-1].tables[0].is_current()
except Unavailable as fault:
    print(len(made) == KEPT, fault)
before = len(os.listdir("/proc/self/fd"))
try:
    Tools.open()
except Unavailable as fault:
    print(len(os.listdir("/proc/self/fd")) - before, fault)
made.pop().close()
Tools.open().tables[0].write()
print("went on")
"""


def test_a_program_with_a_thousand_files_opens_some_and_is_refused_more(namespace: Namespace) -> None:
    """As many as were kept in reserve; the program lives on, nothing leaks, and what one lets go another can have."""
    refusal = "nftables cannot be used: the program has more than 1000 files open; import mooring before that"
    first, second, last = run(MANY)
    assert first.startswith(f"True {refusal}")
    assert second.startswith(f"0 {refusal}")
    assert last == "went on"


NO_ROOM = """
tools = Tools.open()
tools.tables[0].write()
fill(200)
for attempt in (Tools.open, tools.tables[0].observe, tools.tables[0].write):
    try:
        attempt()
    except Unavailable as fault:
        print(fault)
"""


def test_without_room_for_one_more_file_the_library_is_not_called(namespace: Namespace) -> None:
    """It would end the program."""
    told = run(NO_ROOM)
    assert len(told) == 3
    assert all("Too many open files" in line for line in told)
    assert told[1] == told[2]
