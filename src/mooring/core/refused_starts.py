"""Containers that the engine wanted to start and could not, because of what has passed since.

Rules: it is the engine's own word on its last try that counts, with our refusal in it; only who has run before and
has a restart policy is meant, whom the engine would start anew at its own next start.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.containers import Container

# How a daemon refuses that does not serve, and what answers where there is none (packaging/systemd).
NOT_SERVING = "mooring is not serving:"
NO_DAEMON = "mooring cannot be started;"
# moby daemon/container_operations.go, getNetworkedContainer: who is to have the network of a container that is refused.
_WITHOUT_ITS_NETWORK = "non running container"
_OF_CONTAINER = "container:"


def was_refused(container: Container, refusals: Iterable[str]) -> bool:
    """Whether its last start failed of one of the refusals, each a part of what the engine says then."""
    return is_to_run(container) and any(refusal in container.failure for refusal in refusals)


def follows(container: Container, started: Container) -> bool:
    """Whether it is to have the network of the one that was started, and could not be started for want of it."""
    target = container.mode.removeprefix(_OF_CONTAINER)
    return (
        is_to_run(container)
        and container.mode.startswith(_OF_CONTAINER)
        and target in (started.id, started.name)
        and _WITHOUT_ITS_NETWORK in container.failure
    )


def is_to_run(container: Container) -> bool:
    """Whether the engine would start it at its own next start, after a failed one."""
    return container.restarts and not container.running and bool(container.failure)
