"""fixed-create: create and start of a labelled container through the proxy, over an unlabelled one without it.

Both are on the same Mooring network and are asked for by the API. Pairs are interleaved and their order alternates; the
ratio is the median of the pairwise ratios. Removals are timed too, through the proxy and direct. Needs root.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from tests.e2e.lab.clients import DockerClient
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.labs import Lab

PAIRS = 60


def born(client: DockerClient, name: str, labels: dict[str, str]) -> tuple[float, float]:
    """Seconds of the create, and of create and start."""
    body = {"Image": IMAGE, "Cmd": ["stay"], "Labels": labels, "HostConfig": {"NetworkMode": "bench"}}
    start = time.perf_counter()
    client.api("POST", f"/v1.41/containers/create?name={name}", body)
    created = time.perf_counter()
    client.api("POST", f"/v1.41/containers/{name}/start")
    return created - start, time.perf_counter() - start


def removed(client: DockerClient, name: str) -> float:
    """Seconds of the removal of the running container."""
    start = time.perf_counter()
    client.api("DELETE", f"/v1.41/containers/{name}?force=1")
    return time.perf_counter() - start


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the pairwise ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Make a host, measure, print."""
    lab = Lab()
    times: dict[str, list[float]] = {}
    try:
        host = lab.host(settings={"MOORING_LOG_LEVEL": "info"})
        host.create_network("bench")
        sides = {"fixed": (host.proxy, {"fixed-ip": ""}), "direct": (host.engine, {})}
        for number in range(-2, PAIRS):
            for side in ("fixed", "direct") if number % 2 else ("direct", "fixed"):
                client, labels = sides[side]
                create, whole = born(client, f"{side}{number + 2}", labels)
                gone = removed(client, f"{side}{number + 2}")
                if number >= 0:
                    for what, seconds in (("create", create), ("create+start", whole), ("remove", gone)):
                        times.setdefault(f"{side} {what}", []).append(seconds)
    finally:
        lab.close()
    for what in ("create", "create+start", "remove"):
        ours, theirs = times[f"fixed {what}"], times[f"direct {what}"]
        print(
            f"{what:13} fixed {statistics.median(ours) * 1e3:7.2f} ms   "
            f"direct {statistics.median(theirs) * 1e3:7.2f} ms   "
            f"ratio {ratio(ours, theirs):.3f}"
        )
    print(
        f"fixed-create ratio={ratio(times['fixed create+start'], times['direct create+start']):.3f} "
        f"peer=direct-unlabelled n={PAIRS}"
    )


if __name__ == "__main__":
    main()
