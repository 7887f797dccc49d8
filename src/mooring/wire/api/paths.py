"""Requests read as calls, and calls written as requests.

Rules: the path begins with the version; a path, a method, a parameter or a field that is not known is refused with the
list of those that are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from mooring.core.addresses import parse_address
from mooring.core.faults import BadRequest, NotFound
from mooring.core.leases import State
from mooring.wire.api.calls import (
    Backup,
    Call,
    Examine,
    Explain,
    Fasten,
    Fix,
    GetLease,
    GetNetwork,
    GetPool,
    GetStatus,
    GetVersion,
    Hold,
    ListLeases,
    ListNetworks,
    ListPools,
    Release,
    Reserve,
)
from mooring.wire.api.replies import VERSION

T = TypeVar("T")

ROUTES = (
    "GET /v1/version",
    "GET /v1/status",
    "GET /v1/networks",
    "GET /v1/networks/{id, name or subnet}",
    "GET /v1/pools",
    "GET /v1/pools/{id, subnet or network}",
    "GET /v1/leases",
    "GET /v1/leases/{address}",
    "POST /v1/leases/reserve",
    "POST /v1/leases/release",
    "POST /v1/leases/hold",
    "POST /v1/containers/fix",
    "GET /v1/explain/{address, name, id, key or MAC}",
    "GET /v1/doctor",
    "POST /v1/doctor",
    "POST /v1/backup",
)
_LEASE_FILTERS = ("pool", "network", "space", "state", "text", "fixed")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


class _BackupBody(msgspec.Struct, forbid_unknown_fields=True):
    path: str


class _ReserveBody(msgspec.Struct, forbid_unknown_fields=True):
    first: str
    last: str = ""
    space: str = ""
    whom: str = ""
    note: str = ""
    until: float | None = None
    dry_run: bool = False


class _ReleaseBody(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    space: str = ""
    force: bool = False
    dry_run: bool = False


class _HoldBody(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    space: str = ""
    key: str = ""
    hold: float | None = None
    dry_run: bool = False


class _FastenBody(msgspec.Struct, forbid_unknown_fields=True):
    container: str
    dry_run: bool = False


class _FixBody(msgspec.Struct, forbid_unknown_fields=True):
    dry_run: bool = False


def parse(method: str, path: str, query: str, body: bytes) -> Call:
    """The call that a request means.

    path: percent-decoded; query: as on the wire, without the question mark. Raises NotFound for an unknown path, naming
    those there are; BadRequest for a wrong method, an unknown parameter, a parameter or a body that cannot be.
    """
    steps = path.split("/")[1:]
    if not path.startswith("/") or len(steps) < 2:
        raise _unknown(path)
    if steps[0] != VERSION:
        raise NotFound(f"API version {steps[0][:20]!r} is not supported", hint=f"paths begin with /{VERSION}/")
    given = _query(query, _LEASE_FILTERS if steps[1:] == ["leases"] else ())
    readers: dict[str, Callable[[], Call]] = {}
    if (post := _posts(steps[1:], body)) is not None:
        readers["POST"] = post
    if (get := _gets(steps[1:], given)) is not None:
        readers["GET"] = get
    if not readers:
        raise _unknown(path)
    if method not in readers:
        raise BadRequest(f"{method[:20]} is not possible on {path[:100]}", hint=f"use {' or '.join(readers)}")
    if method == "GET" and body:
        raise BadRequest("a GET request has no body")
    return readers[method]()


def _gets(steps: list[str], query: dict[str, str]) -> Callable[[], Call] | None:
    match steps:
        case ["version"]:
            return GetVersion
        case ["status"]:
            return GetStatus
        case ["networks"]:
            return ListNetworks
        case ["networks", *rest] if rest[0] and len(rest) < 3:
            return lambda: GetNetwork("/".join(rest))
        case ["pools"]:
            return ListPools
        case ["pools", *rest] if rest[0] and len(rest) < 3:
            return lambda: GetPool("/".join(rest))
        case ["leases"]:
            return lambda: _lease_filter(query)
        case ["leases", address] if address and address not in ("reserve", "release", "hold"):
            return lambda: GetLease(parse_address(address))
        case ["explain", *rest] if "".join(rest):
            return lambda: Explain("/".join(rest))
        case ["doctor"]:
            return Examine
        case _:
            return None


def _posts(steps: list[str], body: bytes) -> Callable[[], Call] | None:
    match steps:
        case ["leases", "reserve"]:
            return lambda: _reserve(body)
        case ["leases", "release"]:
            return lambda: _release(body)
        case ["leases", "hold"]:
            return lambda: _hold(body)
        case ["containers", "fix"]:
            return lambda: _fasten(body)
        case ["doctor"]:
            return lambda: Fix(_decoded(body or b"{}", _FixBody, "doctor").dry_run)
        case ["backup"]:
            return lambda: _backup(body)
        case _:
            return None


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
    fixed = _FLAGS.get(query.get("fixed", ""))
    if fixed is None:
        raise BadRequest(f"parameter fixed is {query['fixed'][:40]!r}", hint="use 1 or 0")
    pool, network, space, text = (query.get(name, "") for name in ("pool", "network", "space", "text"))
    return ListLeases(pool, network, space, wanted, text, fixed)


def _decoded(body: bytes, form: type[T], what: str, hint: str = "") -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{what}: {error}", hint=hint) from None


def _reserve(body: bytes) -> Reserve:
    given = _decoded(body, _ReserveBody, "reserve", 'the body is {"first": "10.32.0.9", "whom": "db"}')
    first = parse_address(given.first)
    last = parse_address(given.last) if given.last else first
    return Reserve(first, last, given.space, given.whom, given.note, given.until, given.dry_run)


def _release(body: bytes) -> Release:
    given = _decoded(body, _ReleaseBody, "release", 'the body is {"address": "10.32.0.9"}')
    return Release(parse_address(given.address), given.space, given.force, given.dry_run)


def _hold(body: bytes) -> Hold:
    given = _decoded(body, _HoldBody, "hold", 'the body is {"address": "10.32.0.9"}')
    if given.hold is not None and (given.hold <= 0 or not math.isfinite(given.hold)):
        raise BadRequest("hold: the hold time must be more than 0 seconds")
    return Hold(parse_address(given.address), given.space, given.key, given.hold, given.dry_run)


def _fasten(body: bytes) -> Fasten:
    given = _decoded(body, _FastenBody, "fix", 'the body is {"container": "db"}')
    if not given.container.strip():
        raise BadRequest("fix: the container must not be empty")
    return Fasten(given.container, given.dry_run)


def _backup(body: bytes) -> Backup:
    path = _decoded(body, _BackupBody, "backup", 'the body is {"path": "/absolute/path"}').path
    if not path.startswith("/") or "\0" in path:
        raise BadRequest("backup: the path must be absolute")
    return Backup(path)


def _unknown(path: str) -> NotFound:
    return NotFound(f"there is no path {path[:100]!r}", hint="known are " + ", ".join(ROUTES))


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
        case ListPools():
            return "GET", "/v1/pools", b""
        case GetPool(which):
            return "GET", f"/v1/pools/{quote(which, safe='')}", b""
        case ListLeases():
            return "GET", _lease_target(call), b""
        case GetLease(address):
            return "GET", f"/v1/leases/{address}", b""
        case Explain(what):
            return "GET", f"/v1/explain/{quote(what, safe='')}", b""
        case Examine():
            return "GET", "/v1/doctor", b""
        case _:
            return _post_of(call)


def _lease_target(call: ListLeases) -> str:
    given = {
        "pool": call.pool,
        "network": call.network,
        "space": call.space,
        "state": call.state.value if call.state else "",
        "text": call.text,
        "fixed": "1" if call.fixed else "",
    }
    query = urlencode({key: value for key, value in given.items() if value})
    return "/v1/leases" + (f"?{query}" if query else "")


def _post_of(call: Reserve | Release | Hold | Fasten | Fix | Backup) -> tuple[str, str, bytes]:
    body: msgspec.Struct
    match call:
        case Reserve(first, last, space, whom, note, until, dry_run):
            path, body = "leases/reserve", _ReserveBody(str(first), str(last), space, whom, note, until, dry_run)
        case Release(address, space, force, dry_run):
            path, body = "leases/release", _ReleaseBody(str(address), space, force, dry_run)
        case Hold(address, space, key, hold, dry_run):
            path, body = "leases/hold", _HoldBody(str(address), space, key, hold, dry_run)
        case Fasten(container, dry_run):
            path, body = "containers/fix", _FastenBody(container, dry_run)
        case Fix(dry_run):
            path, body = "doctor", _FixBody(dry_run)
        case Backup(file):
            path, body = "backup", _BackupBody(file)
    return "POST", f"/v1/{path}", msgspec.json.encode(body)
