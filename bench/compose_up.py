"""compose-up: ten services on three networks, up and down, on Mooring networks over the engine's built-in bridge.

`docker compose up --detach` and `down` of the same project but for the driver, at the engine's own socket, in pairs of
alternating order; the ratio is the median of the pairwise ratios of up and down together. ENGINE=20, 26 or 28 chooses
the engine and its compose.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from tests.e2e.lab.hosts import Host
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab
from tests.e2e.lab.namespaces import clean_environment, run

PAIRS = 8
SERVICES = 10
NETWORKS = ("front", "middle", "back")
DRIVERS = {"mooring": {"driver": "mooring", "ipam": {"driver": "mooring"}}, "bridge": {"driver": "bridge"}}


def project(driver: str) -> dict[str, object]:
    """Each service is on one network, every third one on two."""
    services = {
        f"service{number}": {
            "image": IMAGE,
            "command": "stay",
            "stop_grace_period": "0s",
            "networks": [NETWORKS[number % 3], *([NETWORKS[(number + 1) % 3]] if number % 3 == 0 else [])],
        }
        for number in range(SERVICES)
    }
    return {"services": services, "networks": dict.fromkeys(NETWORKS, DRIVERS[driver])}


def live(host: Host, file: Path, name: str) -> tuple[float, float]:
    """Seconds of up and of down."""
    command = [*host.release.compose, "--project-name", name, "--file", str(file)]
    environment = clean_environment() | host.proxy.environment | {"DOCKER_HOST": f"unix://{host.engine.socket}"}
    begin = time.perf_counter()
    run([*command, "up", "--detach"], timeout=300, environment=environment)
    up = time.perf_counter()
    run([*command, "down", "--timeout", "0"], timeout=300, environment=environment)
    return up - begin, time.perf_counter() - up


def main() -> None:
    """Make a host, measure, print; the limit is 0.95."""
    lab = Lab()
    times: dict[str, list[tuple[float, float]]] = {driver: [] for driver in DRIVERS}
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"})
        if not host.release.compose:
            raise SystemExit("compose-up: this engine has no compose in the lab; choose another with ENGINE=")
        files = {driver: lab.folder / f"{driver}.json" for driver in DRIVERS}
        for driver, file in files.items():
            file.write_text(json.dumps(project(driver)))
        for number in range(-1, PAIRS):
            for driver in DRIVERS if number % 2 else reversed(DRIVERS):
                took = live(host, files[driver], f"bench{driver}")
                if number >= 0:
                    times[driver].append(took)
    finally:
        lab.close()
    for driver, lives in times.items():
        up, down = (statistics.median(each[kind] for each in lives) for kind in (0, 1))
        print(f"{driver:8} up {up:6.2f} s   down {down:6.2f} s")
    ratio = statistics.median(sum(a) / sum(b) for a, b in zip(times["mooring"], times["bridge"], strict=True))
    print(f"compose-up ratio={ratio:.3f} peer=built-in-bridge n={PAIRS}")


if __name__ == "__main__":
    main()
