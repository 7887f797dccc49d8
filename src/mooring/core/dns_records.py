"""DNS records of operators: names for what is no container of ours, or that a container has besides its own.

Rules: a record is asked for as a container's name is; it ends by itself when its time is over, whoever looks.
"""

from __future__ import annotations

import msgspec

from mooring.core.networks import Address


class DnsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a name. network: full id of the one it is in, "" for a name that everybody may ask for.

    note: why. created, until: seconds since the epoch; until None for one that somebody has to remove.
    """

    name: str
    addresses: tuple[Address, ...]
    network: str = ""
    note: str = ""
    created: float = 0.0
    until: float | None = None

    def is_over(self, now: float) -> bool:
        """Whether its time is over."""
        return self.until is not None and now >= self.until
