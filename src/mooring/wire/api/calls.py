"""Calls of the API, as values.

Rule: a call says all that its request did; what it leaves out has the default that the request would have.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.core.networks import Address
from mooring.core.views import LeaseFilter


@dataclass(frozen=True, slots=True)
class GetVersion:
    """GET /v1/version"""


@dataclass(frozen=True, slots=True)
class GetStatus:
    """GET /v1/status"""


@dataclass(frozen=True, slots=True)
class ListNetworks:
    """GET /v1/networks"""


@dataclass(frozen=True, slots=True)
class GetNetwork:
    """GET /v1/networks/{id, its beginning, a name, or the subnet}. prefix: any of these."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ListPools:
    """GET /v1/pools"""


@dataclass(frozen=True, slots=True)
class GetPool:
    """GET /v1/pools/{id, its beginning, the subnet, or a network}: a subnet in every address space that has one."""

    which: str


@dataclass(frozen=True, slots=True)
class ListLeases(LeaseFilter):
    """GET /v1/leases: those which match everything that is given."""


@dataclass(frozen=True, slots=True)
class GetLease:
    """GET /v1/leases/{address}: in every address space that has one."""

    address: Address


@dataclass(frozen=True, slots=True)
class Reserve:
    """POST /v1/leases/reserve: the addresses from first to last are for whom it says.

    whom: a container's name, a pattern for one, or a label selector; "" is nobody. until: seconds since the epoch, None
    for ever. space: "" for the only one.
    """

    first: Address
    last: Address
    space: str = ""
    whom: str = ""
    note: str = ""
    until: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """POST /v1/leases/release. force: an idle one goes although its container is there."""

    address: Address
    space: str = ""
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """POST /v1/leases/hold. key: what the address belongs to, "" for its container. hold: seconds that the key keeps it
    without a container, None as it was."""

    address: Address
    space: str = ""
    key: str = ""
    hold: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Fasten:
    """POST /v1/containers/fix: the container (name or id) asks for its fixed addresses at its next start."""

    container: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Explain:
    """GET /v1/explain/{address, subnet, name or id of a container or network, compose service, key, or MAC}"""

    what: str


@dataclass(frozen=True, slots=True)
class Examine:
    """GET /v1/doctor"""


@dataclass(frozen=True, slots=True)
class Fix:
    """POST /v1/doctor"""

    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Backup:
    """POST /v1/backup with {"path": absolute path of a new file}"""

    path: str


Call = (
    GetVersion
    | GetStatus
    | ListNetworks
    | GetNetwork
    | ListPools
    | GetPool
    | ListLeases
    | GetLease
    | Reserve
    | Release
    | Hold
    | Fasten
    | Explain
    | Examine
    | Fix
    | Backup
)
