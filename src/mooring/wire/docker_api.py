"""Docker's own HTTP API as far as a proxy must understand it: which call a request is.

Rules: a path is decoded once and matched whole, from its first slash to its end, and the version in front may be
missing; every request gets an explicit verdict, and what is not known is OTHER, never guessed; target, version and
query are read as the engine reads them (Go's net/url, gorilla/mux, moby daemon/server), so that nothing which it would
carry out is missed. Each odd form in the tests was tried on dockerd 20.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, unquote

from mooring.core.faults import BadRequest


class Verb(Enum):
    """What a request is to the proxy.

    The first group may change who holds an address: the proxy asks for a decision before it lets the request go. The
    second may turn the connection into a stream of bytes in both directions. OTHER passes untouched.
    """

    CREATE = "create a container"
    START = "start a container"
    REMOVE = "remove a container"
    PRUNE = "prune containers"
    CONNECT = "connect a container to a network"
    DISCONNECT = "disconnect a container from a network"
    RENAME = "rename a container"
    NETWORK = "create a network"

    ATTACH = "attach to a container"
    EXEC = "start a process in a container"
    UPGRADE = "change the protocol of the connection"

    OTHER = "anything else"


HOOKED = frozenset(
    {
        Verb.CREATE, Verb.START, Verb.REMOVE, Verb.PRUNE, Verb.CONNECT, Verb.DISCONNECT, Verb.RENAME, Verb.NETWORK,
    }
)  # fmt: skip
HIJACKING = frozenset({Verb.ATTACH, Verb.EXEC, Verb.UPGRADE})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, recognised.

    subject: the container (START, REMOVE, RENAME) or the network (CONNECT, DISCONNECT) as the path names it, decoded:
    an id, a name, or the beginning of an id. version: (1, 41) for `/v1.41/...`, None where the path has none. query: of
    a hooked call, the first value of each name, decoded; nobody asks for the others'. section: the first step of the
    path (`containers`, `images`, ...), "" for none; it is what access rules are about. writes: whether something may be
    different afterwards, or bytes go in. path: decoded, without the version.
    """

    verb: Verb
    method: str
    section: str
    subject: str = ""
    version: tuple[int, int] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
    path: str = ""

    def __str__(self) -> str:
        """For people, and never long."""
        return f"{self.method} {self.path if len(self.path) <= SHOWN else self.path[:SHOWN] + '...'}"


# moby's router takes any run of digits and dots for a version, and `1.44.` is 1.44 to it (daemon/server/server.go,
# api/types/versions).
_VERSION = re.compile(r"/v([0-9.]+)(?=/)")
# The absolute form (RFC 9112, 3.2.2) as Go reads it: with `x:/info`, too, the path is /info.
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/]*)?(?=/)")
_FALSE = frozenset({"", "0", "no", "false", "none"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SPACE = " \t\n\v\f\r\x85\xa0"  # what Go's strings.TrimSpace takes off, of the first 256
_HUGE = 10**9
# What a query that every parser reads in one way has not.
_ODD_IN_QUERY = re.compile(r"[^!-:<-~]|%(?![0-9A-Fa-f]{2})")
# BuildKit's two calls. All others forget that an upgrade is offered, as RFC 9110 (7.8) has it.
_UPGRADING = frozenset({"session", "grpc"})

# What shows containers, beside each one's own inspection.
LIST = "/containers/json"
USAGE = "/system/df"

# Before this version of the API a start may have a body with all that a create says of the host (engines up to 25).
SETTINGS_AT_START = (1, 24)

# The most parameters of a hooked request's query (Docker's own clients send six at the most), and the
# longest path that is decoded.
MOST_PARAMETERS = 256
LONGEST_PATH = 1 << 16
# How much of a path people are shown.
SHOWN = 120


def is_truthy(value: str) -> bool:
    """Whether the engine takes the query's value for a yes (moby daemon/server/httputils/form.go, BoolValue)."""
    return value.strip(_SPACE).lower() not in _FALSE


def recognise(method: str, target: str, upgrade: bool) -> Call:
    """The call that a request is.

    target: as on the wire, bytes that are no UTF-8 as surrogates. upgrade: whether the head has an Upgrade field.
    Raises BadRequest for an encoded path longer than LONGEST_PATH, and for a hooked one with more than MOST_PARAMETERS.
    """
    if not target.isascii():  # no name has such bytes, and whoever looks one up cannot encode them
        target = target.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    path, _, text = target.partition("?")
    if path[:1] != "/":
        found = _ABSOLUTE.match(path)
        path = path[found.end() :] if found is not None else "/"
    # A path that the router would clean stays as it is: the answer to it is a redirection, and nothing is carried out.
    if "%" in path:
        if len(path) > LONGEST_PATH:
            raise BadRequest(f"the path is longer than {LONGEST_PATH} bytes")
        path = unquote(path)
    version = None
    if path[1:2] == "v" and (found := _VERSION.match(path)) is not None:
        version = _version(found[1])
        path = path[found.end() :]
    section = path[1:].partition("/")[0]
    verb, subject = (Verb.OTHER, "") if method == "GET" and path[-3:] != "/ws" else _verb(method, path)
    query: dict[str, str] = {}
    if verb in HOOKED:
        if text.count("&") >= MOST_PARAMETERS:
            raise BadRequest(f"the query has more than {MOST_PARAMETERS} parameters")
        query = _first_values(text)
        if verb is Verb.REMOVE and is_truthy(query.get("link", "")):
            verb, subject, query = Verb.OTHER, "", {}  # `docker rm --link`: the container stays
    elif path == LIST and "filters=" in text and _is_plain_query(text):
        query = _first_values(text)
    if upgrade and section in _UPGRADING and method == "POST":
        verb = Verb.UPGRADE
    writes = method not in _READING or verb in HIJACKING
    return Call(verb, method, section, subject, version, query, writes=writes, path=path)


def shows_containers(call: Call) -> bool:
    """Whether the call is a list of containers, an inspection of one or the disk usage of all, whose reply has a
    body."""
    if call.method != "GET":
        return False
    return call.path.endswith("/json") if call.section == "containers" else call.path == USAGE


def _is_plain_query(text: str) -> bool:
    return text.count("&") < MOST_PARAMETERS and _ODD_IN_QUERY.search(text) is None


def _first_values(text: str) -> dict[str, str]:
    """Of a name that comes twice the engine reads the first value (net/url, Values.Get)."""
    return dict(reversed(parse_qsl(text, keep_blank_values=True))) if text else {}


def _version(text: str) -> tuple[int, int]:
    """The first two numbers. What is none is 0 to the engine, and what is longer than any that it knows too new."""
    major, _, rest = text.partition(".")
    return _number(major), _number(rest.partition(".")[0])


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 10 else _HUGE


def _verb(method: str, path: str) -> tuple[Verb, str]:
    if method == "POST":
        return _posted(path)
    if path.startswith("/containers/"):
        name = path[len("/containers/") :]
        # A name with a slash is an alias that `--link` made; the engine's events tell what comes of it.
        if method == "DELETE" and name and "/" not in name:
            return Verb.REMOVE, name
        if method == "GET" and name.endswith("/attach/ws"):
            return Verb.UPGRADE, name[: -len("/attach/ws")]
    return Verb.OTHER, ""


_CONTAINER_VERBS = {"start": Verb.START, "rename": Verb.RENAME, "attach": Verb.ATTACH}
_NETWORK_VERBS = {"connect": Verb.CONNECT, "disconnect": Verb.DISCONNECT}


def _posted(path: str) -> tuple[Verb, str]:
    """The names in the engine's routes are `.*`, slashes included."""
    match path.split("/")[1:]:
        case ["containers", "create"]:
            return Verb.CREATE, ""
        case ["networks", "create"]:
            return Verb.NETWORK, ""
        case ["containers", "prune"]:
            return Verb.PRUNE, ""
        case ["containers", *name, what] if what in _CONTAINER_VERBS and any(name):
            return _CONTAINER_VERBS[what], "/".join(name)
        case ["networks", *name, what] if what in _NETWORK_VERBS and any(name):
            return _NETWORK_VERBS[what], "/".join(name)
        case ["exec", *name, "start"] if any(name):
            return Verb.EXEC, "/".join(name)
        case _:
            return Verb.OTHER, ""
