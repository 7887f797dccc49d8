"""Containers that the engine wanted to start and could not, because of what has passed since.

Rules: it is the engine's own word on its last try that counts, with our refusal in it; only who has run before and
has a restart policy is meant, whom the engine would start anew at its own next start; what the host lacks is in the
words as well, so that a daemon that did not say them knows what is waited for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from mooring.core.containers import Container
from mooring.core.faults import Unavailable
from mooring.core.networks import Address

# How a daemon refuses that does not serve, and what answers where there is none (packaging/systemd).
NOT_SERVING = "mooring is not serving:"
NO_DAEMON = "mooring cannot be started;"
# moby daemon/container_operations.go, getNetworkedContainer: who is to have the network of a container that is refused.
_WITHOUT_ITS_NETWORK = "non running container"
_OF_CONTAINER = "container:"
_ADDRESS = re.compile(r"cannot be published at (\S+): the host has no such address")
_INTERFACE = re.compile(r"interface (\S+) of VNIC .{1,200}? is not on the host")


def no_such_address(what: str, host: Address) -> Unavailable:
    """The refusal to publish at an address that the host does not have, and may get. what: the port, in words."""
    return Unavailable(f"{what} cannot be published at {host}: the host has no such address", hint="see `ip address`")


def no_such_interface(link: str, vnic: str) -> Unavailable:
    """The refusal to hand over an interface that somebody else makes. vnic: in words, which begin with VNIC."""
    return Unavailable(f"interface {link} of {vnic} is not on the host", hint="see `ip link`")


def awaited(failure: str) -> Address | str | None:
    """What the host did not have at the start that failed: an address, or an interface by its name."""
    if found := _ADDRESS.search(failure):
        try:
            return ip_address(found[1])
        except ValueError:
            return None  # somebody else's words
    found = _INTERFACE.search(failure)
    return found[1] if found else None


def was_refused(container: Container, refusals: Iterable[str]) -> bool:
    """Whether its last start failed of one of the refusals, each a part of what the engine says then, or of what the
    host did not have."""
    failure = container.failure
    return is_to_run(container) and (awaited(failure) is not None or any(each in failure for each in refusals))


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
