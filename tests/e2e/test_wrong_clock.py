"""A host without a clock of its own: its time is years off at boot, and comes right when the network is up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.wrong_clocks import HOUR, WrongClock

YEAR = 365 * 86400.0


@pytest.fixture
def wrong(tmp_path: Path) -> WrongClock:
    """Puts the daemon's clocks wrong by so many seconds: the wall clock, and the one that counts from the boot."""
    return WrongClock(tmp_path)


def kept(host: Host) -> list[str]:
    """The addresses that wait for a key, or are reserved."""
    rows = [*host.daemon.leases("fixed"), *host.daemon.leases("reserved")]
    return sorted(str(row["address"]) for row in rows)


def looked(host: Host) -> str:
    """What a pass that began from now on finds, a line each."""
    before = time.time()
    reported = host.daemon.api("/v1/status")["repair"]

    def passed() -> bool:
        now = host.daemon.api("/v1/status")["repair"]
        return now is not None and now != reported and time.time() - before > 1.5

    eventually(passed, "a pass is done", 30)
    return "\n".join(host.daemon.api("/v1/status")["repair"]["findings"])


def test_a_clock_that_comes_right_late_ends_nothing_and_what_is_over_ends(lab: Lab, wrong: WrongClock) -> None:
    """What a key kept and what is reserved, over a boot in 2046 and one in 1976; then time passes, and both end."""
    settings = wrong.environment({"MOORING_REPAIR_PERIOD": "1", "MOORING_HOLD_TIME": "2h"})
    host = lab.host(settings=settings)
    try:
        host.create_network("n", "--subnet", "10.78.0.0/24")
        host.proxy.docker("run", "-d", "--name", "db", "--network", "n", "--label", "mooring.key=db", IMAGE, "stay")
        both = sorted([host.addresses("db", "n")[0], "10.78.0.77"])
        host.proxy.docker("rm", "-f", "db")
        host.mooring("lease", "reserve", "10.78.0.77", "--for", "mail", "--until", "2h")
        eventually(lambda: kept(host) == both, "both wait")
        for off in (20 * YEAR, -50 * YEAR):
            host.power_off()
            wrong.put(off)
            host.boot(start=False)
            host.daemon.start()
            assert "the system clock has" in looked(host)
            assert kept(host) == both
            wrong.put(0.0)
            assert "the system clock has" not in looked(host)
            assert kept(host) == both
        wrong.put(3 * HOUR, 3 * HOUR)
        eventually(lambda: kept(host) == [], "what is over ends", 30)
    finally:
        lab.discard(host)
