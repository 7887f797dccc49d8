"""What an operator does by hand, on a real engine: reserve, hold, release, explain, and the doctor."""

from __future__ import annotations

import concurrent.futures

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE

V4 = ("--subnet", "10.77.0.0/24")


def well(host: Host) -> bool:
    """Whether the doctor finds nothing."""
    return host.mooring("doctor", check=False).status == 0


def test_the_doctor_finds_nothing_on_a_host_that_works(host: Host) -> None:
    """Networks, running and stopped containers, fixed and not: exit code 0 and no word of trouble."""
    host.create_network("one", *V4)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    host.proxy.docker("run", "-d", "--name", "db", "--network", "one", "--label", "fixed-ip", IMAGE, "stay")
    host.proxy.docker("stop", "-t", "0", "db")
    eventually(lambda: well(host), "the doctor finds nothing")
    assert host.mooring("doctor").output.startswith("no problems found")


def test_a_held_address_outlives_a_stop(host: Host) -> None:
    """Nobody labelled the container; its address is fixed for it by hand, and found by its name."""
    host.create_network("one", *V4)
    host.run_container("db", "--network", "one")
    address = host.addresses("db", "one")[0]
    assert "fixed for container db" in host.mooring("lease", "hold", address).output
    host.docker("stop", "-t", "0", "db")
    for number in range(3):
        host.run_container(f"other{number}", "--network", "one")
    rows = host.daemon.document("lease", "ls", "--fixed")
    assert [(row["address"], row["holders"], row["active"]) for row in rows] == [(address, ["db"], False)]
    assert f"{address} is in subnet" in host.mooring("explain", "db").output
    refusal = host.mooring("lease", "release", address, check=False)
    assert (refusal.status, "held by container db" in refusal.output) == (4, True)
    host.docker("rm", "db")
    eventually(lambda: not host.daemon.document("lease", "ls", "--fixed"), "the address is given up")


def test_a_reserved_range_is_passed_over_and_goes_to_its_owner(host: Host) -> None:
    """Automatic choice never takes it, a stranger is refused, and the labelled container that it is for gets it."""
    host.create_network("one", *V4)
    host.mooring("lease", "reserve", "10.77.0.2-10.77.0.9", "--for", "web-*", "--note", "by hand")
    host.run_container("first", "--network", "one")
    assert host.addresses("first", "one")[0] == "10.77.0.10"
    words = ("--network", "one", "--ip", "10.77.0.5", "--label", "fixed-ip")
    refusal = host.proxy.docker("run", "-d", "--name", "db", *words, IMAGE, "stay", check=False)
    assert "an operator reserved it for web-* (by hand)" in refusal.output
    host.proxy.docker("run", "-d", "--name", "web-1", *words, IMAGE, "stay")
    assert host.addresses("web-1", "one")[0] == "10.77.0.5"
    host.proxy.docker("rm", "-f", "web-1")
    eventually(
        lambda: "reserved for web-*" in host.mooring("lease", "inspect", "10.77.0.5").output, "it is reserved again"
    )


def test_the_doctor_never_takes_an_address_from_a_container_that_starts(host: Host) -> None:
    """Told to fix again and again while containers start: each keeps the address that the engine says it has, and
    nothing that is only being made is taken for trouble."""
    host.create_network("one", *V4)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        starts = [
            pool.submit(host.run_container, f"c{number}", "--network", "one", *(("--label", "fixed-ip") * (number % 2)))
            for number in range(12)
        ]
        found: set[str] = set()
        while not all(start.done() for start in starts):
            found |= {finding["text"] for finding in host.daemon.api("/v1/doctor")["findings"]}
            host.mooring("doctor", "--fix", check=False)
    assert [start.exception() for start in starts] == [None] * 12
    # What is true of them all the same: past the proxy, nothing in their configuration names the address.
    assert {text for text in found if "until it stops" not in text} == set()
    host.mooring("doctor", "--fix", check=False)
    held = {row["address"] for row in host.daemon.document("lease", "ls") if row["active"]}
    assert {host.addresses(f"c{number}", "one")[0] for number in range(12)} == held
