"""Who may have how many of the files that this process may have open.

Rules: the limit is what the service manager allows at most; published ports and clients have a share each that they
cannot leave, so that dockerd's own door, the kernel and the store always have what they need.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

log = logging.getLogger(__name__)

# More than this is of no use to anybody but published ports.
MOST_RESERVED = 65536


@dataclass(frozen=True, slots=True)
class Shares:
    """limit: files. ports: sockets that hold host ports. proxies: connections of clients of the proxy, each of which
    takes two with its own to the engine. api: connections to the API."""

    limit: int
    ports: int
    proxies: int
    api: int


def shares(limit: int) -> Shares:
    """How the limit is divided: a quarter, but of a small one the half, is kept from ports, and of that three quarters
    are for clients of the proxy and an eighth is for the API's."""
    reserved = min(MOST_RESERVED, max(limit // 4, min(limit // 2, 1024)))
    return Shares(limit, limit - reserved, max(8, reserved * 3 // 8), max(8, reserved // 8))


def raise_limit() -> Shares:
    """The limit is as high as it may be made; how it is divided."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as error:
            log.warning("the limit of open files stays at %d: %s", soft, error)
    return shares(1 << 20 if soft == resource.RLIM_INFINITY else soft)
