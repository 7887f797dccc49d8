"""The API: requests parsed into calls, replies as structs that are JSON on the wire; both sides import this module.

Rules: addresses and subnets are text, those of an interface with a prefix length; the path begins with the version; a
path, a method or a parameter that is not known is refused with the list of those that are; a reply may gain fields
within a version but never loses or changes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, NotFound, Unavailable
from mooring.core.leases import State
from mooring.core.networks import Address

VERSION = "v1"
# Numbers above it are not exact in every JSON reader (RFC 8259, 6); sizes of IPv6 subnets stop here.
LARGEST = 2**53 - 1


# -- replies -----------------------------------------------------------------------------------------------------------


class VersionReply(msgspec.Struct, frozen=True):
    """What runs. api: the versions of this API that it serves."""

    version: str
    api: list[str]


class RepairStatus(msgspec.Struct, frozen=True):
    """The last look at the kernel. at: seconds since the epoch. repaired, findings: one line each."""

    at: float
    repaired: list[str]
    findings: list[str]


class StatusReply(msgspec.Struct, frozen=True):
    """How the daemon is. since, now: seconds since the epoch. leases: count by state. repair: None before the first."""

    version: str
    since: float
    now: float
    networks: int
    endpoints: int
    attached: int
    pools: int
    leases: dict[str, int]
    store: str
    plugin_socket: str
    api_socket: str
    repair: RepairStatus | None


class SegmentView(msgspec.Struct, frozen=True):
    """One subnet of a network and how full its pool is.

    range: where addresses are chosen automatically. source: the subnet pool it was carved from, "" if typed by hand.
    size: addresses that can be given, LARGEST for more than that; used: those held (gateway and auxiliary ones count);
    cooling: released, but not chosen again yet. pool "": another IPAM driver gives the addresses, and size, used and
    cooling are 0.
    """

    subnet: str
    gateway: str | None
    auxiliary: dict[str, str]
    space: str
    pool: str
    range: str | None
    source: str
    size: int
    used: int
    cooling: int


class EndpointView(msgspec.Struct, frozen=True):
    """An endpoint. name: the container's, "" if the engine did not say. published: `host:port->address:port/proto`."""

    id: str
    state: str
    name: str
    ipv4: str | None
    ipv6: str | None
    mac: str
    published: list[str]
    sandbox: str
    created: float


class NetworkRow(msgspec.Struct, frozen=True):
    """A line of the list of networks."""

    id: str
    mode: str
    bridge: str
    internal: bool
    subnets: list[str]
    endpoints: int
    created: float


class NetworkDetail(msgspec.Struct, frozen=True):
    """Everything about one network. options: as Docker sent them."""

    id: str
    mode: str
    bridge: str
    mac: str
    mtu: int
    internal: bool
    created: float
    options: dict[str, str]
    segments: list[SegmentView]
    endpoints: list[EndpointView]


class LeaseRow(msgspec.Struct, frozen=True):
    """One address that is not free. holder: who has it, in words. network, endpoint: full ids, "" for none."""

    address: str
    space: str
    subnet: str | None
    pool: str
    network: str
    state: str
    holder: str
    mac: str
    name: str
    endpoint: str
    since: float
    until: float | None


class Reason(msgspec.Struct, frozen=True):
    """What is true of the address in one place (address space and pool, or a rule).

    verdict: `held`, `free`, `cooling`, `kept`, `never`, `denied`, `carvable` or `elsewhere`. text: sentences.
    """

    verdict: str
    space: str
    subnet: str | None
    network: str
    state: str
    text: list[str]


class Explanation(msgspec.Struct, frozen=True):
    """All that is known of an address."""

    address: str
    reasons: list[Reason]


class BackupReply(msgspec.Struct, frozen=True):
    """A copy was written."""

    path: str


class ErrorReply(msgspec.Struct, frozen=True):
    """A refusal, in one line. kind: a value of core.faults.Kind."""

    message: str
    kind: str


# -- calls -------------------------------------------------------------------------------------------------------------


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
    """GET /v1/networks/{id or its beginning}"""

    prefix: str


@dataclass(frozen=True, slots=True)
class ListLeases:
    """GET /v1/leases: those which match everything that is given. pool, network: ids or their beginnings.

    text: in the address, MAC, name, owner or note.
    """

    pool: str = ""
    network: str = ""
    space: str = ""
    state: State | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class GetLease:
    """GET /v1/leases/{address}: in every address space that has one."""

    address: Address


@dataclass(frozen=True, slots=True)
class Explain:
    """GET /v1/explain/{address}"""

    address: Address


@dataclass(frozen=True, slots=True)
class Backup:
    """POST /v1/backup with {"path": absolute path of a new file}"""

    path: str


Call = GetVersion | GetStatus | ListNetworks | GetNetwork | ListLeases | GetLease | Explain | Backup

ROUTES = (
    "GET /v1/version",
    "GET /v1/status",
    "GET /v1/networks",
    "GET /v1/networks/{id}",
    "GET /v1/leases",
    "GET /v1/leases/{address}",
    "GET /v1/explain/{address}",
    "POST /v1/backup",
)
_LEASE_FILTERS = ("pool", "network", "space", "state", "text")


class _BackupBody(msgspec.Struct, forbid_unknown_fields=True):
    path: str


def parse(method: str, path: str, query: str, body: bytes) -> Call:
    """The call that a request means.

    path: percent-decoded; query: as on the wire, without the question mark. Raises NotFound for an unknown path, naming
    those there are; BadRequest for a wrong method, an unknown parameter, a parameter or a body that cannot be.
    """
    steps = path.split("/")[1:]
    if not path.startswith("/") or len(steps) < 2:
        raise _unknown(path)
    if steps[0] != VERSION:
        raise NotFound(f"API version {steps[0][:20]!r} is not served here", hint=f"paths begin with /{VERSION}/")
    given = _query(query, _LEASE_FILTERS if steps[1:] == ["leases"] else ())
    wanted = "POST" if steps[1:] == ["backup"] else "GET"
    call = _call(steps[1:], given, path, body if method == wanted else None)
    if method != wanted:
        raise BadRequest(f"{method[:20]} is not possible on {path[:100]}", hint=f"use {wanted}")
    if wanted == "GET" and body:
        raise BadRequest("a GET request has no body")
    return call


def _call(steps: list[str], query: dict[str, str], path: str, body: bytes | None) -> Call:
    match steps:
        case ["version"]:
            return GetVersion()
        case ["status"]:
            return GetStatus()
        case ["networks"]:
            return ListNetworks()
        case ["networks", prefix] if prefix:
            return GetNetwork(prefix)
        case ["leases"]:
            return _lease_filter(query)
        case ["leases", address] if address:
            return GetLease(parse_address(address))
        case ["explain", address] if address:
            return Explain(parse_address(address))
        case ["backup"]:
            return _backup(body) if body is not None else Backup("")
        case _:
            raise _unknown(path)


def parse_address(text: str) -> Address:
    """The address. Raises BadRequest; a subnet is told apart, since it is the usual mistake."""
    try:
        if "%" in text:
            raise ValueError  # a scope is this host's business and no part of a lease
        return ip_address(text.strip())
    except ValueError:
        hint = "leave out the prefix length" if "/" in text else "write it as 10.32.0.2 or fd00::2"
        raise BadRequest(f"{text[:60]!r} is not an IP address", hint=hint) from None


def _query(text: str, known: tuple[str, ...]) -> dict[str, str]:
    query: dict[str, str] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=20)
    except ValueError:
        raise BadRequest("the query is not of the form name=value&name=value") from None
    for key, value in pairs:
        if key not in known:
            hint = "known are " + ", ".join(known) if known else "this path takes none"
            raise BadRequest(f"parameter {key[:40]!r} is not known", hint=hint)
        if key in query:
            raise BadRequest(f"parameter {key} is given twice")
        query[key] = value
    return query


def _lease_filter(query: dict[str, str]) -> ListLeases:
    state = query.get("state", "")
    try:
        wanted = State(state) if state else None
    except ValueError:
        names = ", ".join(one.value for one in State)
        raise BadRequest(f"{state[:40]!r} is not a state of a lease", hint=f"known are {names}") from None
    return ListLeases(
        query.get("pool", ""), query.get("network", ""), query.get("space", ""), wanted, query.get("text", "")
    )


def _backup(body: bytes) -> Backup:
    try:
        path = msgspec.json.decode(body, type=_BackupBody).path
    except msgspec.DecodeError as error:
        raise BadRequest(f"backup: {error}", hint='the body is {"path": "/absolute/path"}') from None
    if not path.startswith("/") or "\0" in path:
        raise BadRequest("backup: the path must be absolute")
    return Backup(path)


def _unknown(path: str) -> NotFound:
    return NotFound(f"there is nothing at {path[:100]!r}", hint="known are " + ", ".join(ROUTES))


def target_of(call: Call) -> tuple[str, str, bytes]:
    """Method, target and body of the request that means the call: the inverse of `parse`."""
    match call:
        case GetVersion():
            return "GET", "/v1/version", b""
        case GetStatus():
            return "GET", "/v1/status", b""
        case ListNetworks():
            return "GET", "/v1/networks", b""
        case GetNetwork(prefix):
            return "GET", f"/v1/networks/{quote(prefix, safe='')}", b""
        case ListLeases(pool, network, space, state, text):
            given = dict(pool=pool, network=network, space=space, state=state.value if state else "", text=text)  # noqa: C408
            query = urlencode({key: value for key, value in given.items() if value})
            return "GET", "/v1/leases" + (f"?{query}" if query else ""), b""
        case GetLease(address):
            return "GET", f"/v1/leases/{address}", b""
        case Explain(address):
            return "GET", f"/v1/explain/{address}", b""
        case Backup(path):
            return "POST", "/v1/backup", msgspec.json.encode({"path": path})


# -- bytes -------------------------------------------------------------------------------------------------------------

Reply = VersionReply | StatusReply | list[NetworkRow] | NetworkDetail | list[LeaseRow] | Explanation | BackupReply
_FAULTS: dict[str, type[Fault]] = {
    fault.kind.value: fault for fault in (BadRequest, NotFound, Conflict, Exhausted, Forbidden, Unavailable)
}


def encode(reply: Reply | ErrorReply) -> bytes:
    """JSON with a newline at the end, so that it reads well under curl."""
    return msgspec.json.encode(reply) + b"\n"


def error_of(fault: Fault) -> ErrorReply:
    """The reply for a fault."""
    return ErrorReply(str(fault), fault.kind.value)


def fault_of(body: bytes) -> Fault:
    """The fault that an error reply tells of; Unavailable for one that this version cannot read."""
    try:
        error = msgspec.json.decode(body, type=ErrorReply)
    except msgspec.DecodeError:
        return Unavailable("the daemon gave an answer that cannot be read", hint="are both of the same version?")
    return _FAULTS.get(error.kind, Unavailable)(error.message)
